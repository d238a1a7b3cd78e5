//! From one view to another, and within one.

use super::{App, Clicked, Effect, Focus, View};
use crate::tui::{causes, rows::Key};

impl App {
    pub(super) fn see(&mut self, view: View) -> Vec<Effect> {
        let (was, is) = (self.view == View::Events, view == View::Events);
        self.view = view;
        self.item = 0;
        (self.scroll, self.scrolled) = (0, 0);
        if was == is { Vec::new() } else { vec![Effect::Tell(is)] }
    }

    pub(super) fn back(&mut self) -> Vec<Effect> {
        if self.view != View::Overview {
            return self.see(View::Overview);
        }
        if !self.choice.filter.is_empty() {
            self.filter_text.clear();
            self.filter_by("");
        }
        Vec::new()
    }

    pub(super) fn open(&mut self) {
        (self.item, self.scroll) = (0, 0);
        match (self.view, self.focus) {
            (View::Overview, Focus::Findings) if !self.findings().is_empty() => {
                self.view = View::Finding(self.finding);
            }
            (View::Overview, _) => self.open_row(),
            (View::Finding(i), _) => {
                let of = self.findings().get(i).map(|f| (f.id.name(), f.sockets.clone()));
                match of {
                    Some((_, sockets)) if sockets.len() == 1 => {
                        self.view = View::Socket(sockets[0]);
                    }
                    Some((id, sockets)) if sockets.len() > 1 => {
                        self.filter_text = format!("finding:{id}");
                        self.filter_by(&self.filter_text.clone());
                        (self.view, self.focus) = (View::Overview, Focus::Sockets);
                    }
                    _ => self.say("it is about no socket that has a row"),
                }
            }
            (View::Causes, _) => {
                if let Some(key) = self.cause_key() {
                    self.filter_text = format!("cause:{key}");
                    self.filter_by(&self.filter_text.clone());
                    (self.view, self.focus) = (View::Overview, Focus::Sockets);
                }
            }
            _ => {}
        }
    }

    pub(super) fn open_row(&mut self) {
        match self.selected {
            Some(Key::Socket(id)) => self.view = View::Socket(id),
            Some(Key::Process(pid)) => {
                self.choice.grouped = false;
                self.filter_text = format!("pid:{pid}");
                self.filter_by(&self.filter_text.clone());
            }
            Some(Key::Folded(_)) => self.say("of these only sums are kept"),
            None => {}
        }
    }

    pub(super) fn cause_key(&self) -> Option<&'static str> {
        let scene = self.scene.as_ref()?;
        causes::all(&scene.moment).get(self.cause).map(|c| c.key)
    }

    /// Pages, where a view is longer than the screen.
    pub(super) fn turn(&mut self, by: isize) {
        match self.view {
            View::Socket(_) | View::Finding(_) | View::Causes => {
                // More than this no view has.
                self.scroll = self.scroll.saturating_add_signed(by).min(500);
            }
            View::Overview | View::Events => self.go(by),
        }
    }

    pub(super) fn go(&mut self, by: isize) {
        let step = |at: usize, len: usize| at.saturating_add_signed(by).min(len.saturating_sub(1));
        match self.view {
            View::Overview if self.focus == Focus::Findings => {
                self.finding = step(self.finding, self.findings().len());
            }
            View::Overview => {
                let at = self.selected_at().unwrap_or_default();
                self.selected = self.rows.get(step(at, self.rows.len())).map(|row| row.key);
            }
            View::Socket(_) | View::Finding(_) => {
                self.item = step(self.item, self.remedies().len());
            }
            View::Causes => {
                let all = self.scene.as_ref().map_or(0, |s| causes::all(&s.moment).len());
                self.cause = step(self.cause, all);
            }
            View::Events => {
                let back = self.scrolled.saturating_add_signed(by.saturating_neg());
                self.scrolled = back.min(self.told().len());
            }
        }
    }

    /// Selects what was clicked: the row of the table, or the finding.
    pub fn click(&mut self, what: Clicked) {
        self.said = None;
        match what {
            Clicked::Row(at) => {
                self.focus = Focus::Sockets;
                let key = self.rows.get(at).map(|row| row.key);
                if key.is_some() && key == self.selected {
                    self.open();
                } else {
                    self.selected = key.or(self.selected);
                }
            }
            Clicked::Finding(at) if at < self.findings().len() => {
                let again = self.focus == Focus::Findings && self.finding == at;
                (self.focus, self.finding) = (Focus::Findings, at);
                if again {
                    self.open();
                }
            }
            Clicked::Finding(_) => {}
            Clicked::Wheel(by) => self.go(by),
        }
    }
}
