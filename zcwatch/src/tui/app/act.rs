//! What keys ask for.

use super::{App, Effect, Focus, View};
use crate::tui::{keys::Action, prompt::Prompt, rows::Column};

impl App {
    pub(super) fn act(&mut self, action: Action) -> Vec<Effect> {
        if let Some(scrolled) = self.help {
            let moved = |by: isize| scrolled.saturating_add_signed(by);
            let page = isize::try_from(self.page).unwrap_or(1);
            match action {
                Action::Up => self.help = Some(moved(-1)),
                Action::Down => self.help = Some(moved(1)),
                Action::PageUp => self.help = Some(moved(-page)),
                Action::PageDown => self.help = Some(moved(page)),
                Action::Interrupt => return vec![Effect::Quit { interrupted: true }],
                Action::Suspend => return vec![Effect::Suspend],
                Action::Redraw => return vec![Effect::Redraw],
                _ => self.help = None,
            }
            return Vec::new();
        }
        let page = isize::try_from(self.page.max(1)).unwrap_or(1);
        match action {
            Action::Up => self.go(-1),
            Action::Down => self.go(1),
            Action::PageUp => self.turn(-page),
            Action::PageDown => self.turn(page),
            Action::First => self.turn(isize::MIN / 2),
            Action::Last => self.turn(isize::MAX / 2),
            Action::Open => self.open(),
            Action::Back => return self.back(),
            Action::Focus => self.swap_focus(),
            Action::Overview => return self.see(View::Overview),
            Action::Causes => return self.see(View::Causes),
            Action::Events => return self.see(View::Events),
            Action::Help => self.help = Some(0),
            Action::Sort | Action::Reverse | Action::Group | Action::Over
                if self.view != View::Overview =>
            {
                let key = self.keys.first(Action::Overview);
                self.say(&format!("the table of sockets is in the overview ({key})"));
            }
            Action::Sort => self.sort(),
            Action::Reverse => {
                self.choice.descending = !self.choice.descending;
                self.choose();
            }
            Action::Filter => self.prompt = Some(Prompt::filter(&self.filter_text)),
            Action::Group => {
                self.choice.grouped = !self.choice.grouped;
                self.selected = None;
                self.choose();
            }
            Action::Over => {
                self.choice.over = !self.choice.over;
                self.say(if self.choice.over {
                    "closed sockets are shown"
                } else {
                    "closed sockets are hidden"
                });
                self.choose();
            }
            Action::Pause if self.is_over() && !self.paused => {
                self.say("the watch has ended: nothing moves any more");
            }
            Action::Pause => self.pause(),
            Action::Reset if self.is_over() => self.say("the watch has ended: its numbers stay"),
            Action::Reset => {
                self.go_on();
                self.newest = None;
                return vec![Effect::Reset];
            }
            Action::Take if self.is_over() => self.say("the watch has ended"),
            Action::Take => self.prompt = Some(Prompt::take()),
            Action::LetGo if self.is_over() => self.say("the watch has ended"),
            Action::LetGo if !matches!(self.view, View::Overview | View::Socket(_)) => {
                let key = self.keys.first(Action::Overview);
                self.say(&format!("processes are selected in the overview ({key})"));
            }
            Action::LetGo => match self.selected_row() {
                Some(row) => return vec![Effect::LetGo(row.pid)],
                None => self.say("no process is selected"),
            },
            Action::Copy => match self.command() {
                Ok(command) => {
                    self.say(&format!("copied: {command}"));
                    return vec![Effect::Copy(command)];
                }
                Err(why) => self.say(why),
            },
            Action::Write => return vec![Effect::Write],
            Action::Mouse => {
                self.mouse = !self.mouse;
                self.say(if self.mouse {
                    "the mouse selects here; m leaves it to the terminal"
                } else {
                    "the mouse is the terminal's again"
                });
                return vec![Effect::Mouse(self.mouse)];
            }
            Action::Redraw => return vec![Effect::Redraw],
            Action::Suspend => return vec![Effect::Suspend],
            Action::Quit => return vec![Effect::Quit { interrupted: false }],
            Action::Interrupt => return vec![Effect::Quit { interrupted: true }],
        }
        Vec::new()
    }

    /// Says a sentence, until the next key.
    pub fn say(&mut self, sentence: &str) {
        self.said = Some(sentence.to_owned());
    }

    /// Nothing more will come.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let latest = self.newest.as_ref().or(self.scene.as_ref());
        latest.is_some_and(|scene| scene.moment.ended.is_some())
    }

    pub(super) fn pause(&mut self) {
        if !self.paused {
            self.paused = true;
            return;
        }
        self.go_on();
        if let Some(newest) = self.newest.take() {
            self.see_scene(newest);
        }
    }

    /// The screen is held no more; what was told meanwhile comes now.
    fn go_on(&mut self) {
        self.paused = false;
        let told = std::mem::take(&mut self.held_back);
        self.tell(told.into());
    }

    pub(super) fn sort(&mut self) {
        let at = Column::ALL.iter().position(|c| *c == self.choice.by).unwrap_or_default();
        self.choice.by = Column::ALL[(at + 1) % Column::ALL.len()];
        self.choice.descending = self.choice.by.descends();
        self.say(&format!("sorted by {}", self.choice.by.title()));
        self.choose();
    }

    pub(super) fn swap_focus(&mut self) {
        self.focus = match self.focus {
            Focus::Sockets if !self.findings().is_empty() => Focus::Findings,
            _ => Focus::Sockets,
        };
    }
}
