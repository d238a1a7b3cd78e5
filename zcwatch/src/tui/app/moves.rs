//! From one view to another, and within one.

use super::{App, CameFrom, Clicked, Effect, Focus, View};
use crate::{
    diagnosis::{Finding, command_in},
    tui::{causes, rows::Key},
};

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
        if let Some(from) = self.came_from.take().filter(|from| from.to == self.filter_text) {
            self.filter_text = from.filter_text;
            self.choice.grouped = from.grouped;
            self.filter_by(&self.filter_text.clone());
            self.selected = from.selected.or(self.selected);
            self.focus = from.focus;
            return self.see(from.view);
        }
        if !self.choice.filter.is_empty() {
            self.filter_text.clear();
            self.filter_by("");
        }
        Vec::new()
    }

    /// Shows the sockets that this filter takes; [`Action::Back`] leads back here.
    ///
    /// [`Action::Back`]: crate::tui::keys::Action::Back
    fn only(&mut self, filter: String) {
        self.came_from = Some(CameFrom {
            view: self.view,
            focus: self.focus,
            filter_text: std::mem::take(&mut self.filter_text),
            grouped: self.choice.grouped,
            selected: self.selected,
            to: filter.clone(),
        });
        self.choice.grouped = false;
        self.filter_by(&filter);
        self.filter_text = filter;
        (self.view, self.focus) = (View::Overview, Focus::Sockets);
    }

    pub(super) fn open(&mut self) {
        self.open_selected();
        self.scroll = 0;
        // What can be copied is marked, where there is something.
        let command = self.remedies().iter().position(|r| command_in(r).is_some());
        self.item = command.unwrap_or_default();
    }

    fn open_selected(&mut self) {
        match (self.view, self.focus) {
            (View::Overview, Focus::Findings) if !self.findings().is_empty() => {
                self.view = View::Finding(self.findings()[self.finding_at()].known());
            }
            (View::Overview, _) => self.open_row(),
            (View::Finding(known), _) => {
                let at = known.place(self.findings());
                let of = at.map(|i| &self.findings()[i]).map(|f| (f.id.name(), f.sockets.clone()));
                match of {
                    Some((_, sockets)) if sockets.len() == 1 => {
                        self.view = View::Socket(sockets[0]);
                    }
                    Some((id, sockets)) if sockets.len() > 1 => {
                        self.only(format!("finding:{id}"));
                    }
                    _ => self.say("it is about no socket that has a row"),
                }
            }
            (View::Causes, _) => {
                if let Some(key) = self.cause_key() {
                    self.only(format!("cause:{key}"));
                }
            }
            _ => {}
        }
    }

    pub(super) fn open_row(&mut self) {
        match self.selected {
            Some(Key::Socket(id)) => self.view = View::Socket(id),
            Some(Key::Process(pid)) => {
                self.only(format!("pid:{pid}"));
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
                let at = step(self.finding_at(), self.findings().len());
                self.finding = self.findings().get(at).map(Finding::known);
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
                let again = self.focus == Focus::Findings && self.finding_at() == at;
                (self.focus, self.finding) = (Focus::Findings, Some(self.findings()[at].known()));
                if again {
                    self.open();
                }
            }
            Clicked::Finding(_) => {}
            Clicked::Wheel(by) => self.go(by),
        }
    }
}
