//! What is selected, and what belongs to it.

use std::collections::BTreeMap;

use super::{App, Focus, View};
use crate::{
    diagnosis::{Finding, command_in},
    event::SocketId,
    output::trace::Line,
    tracker::snapshot::SocketSnapshot,
    tui::rows::{Key, Row, row},
};

impl App {
    /// What was found, the worst first.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        self.scene.as_ref().map_or(&[], |scene| &scene.moment.findings)
    }

    /// Which of them is selected.
    #[must_use]
    pub fn finding_at(&self) -> usize {
        self.finding.and_then(|known| known.place(self.findings())).unwrap_or_default()
    }

    /// Where the selected row is.
    #[must_use]
    pub fn selected_at(&self) -> Option<usize> {
        let key = self.selected?;
        self.rows.iter().position(|row| row.key == key)
    }

    /// The selected row, or that of the socket in view.
    #[must_use]
    pub fn selected_row(&self) -> Option<Row> {
        if let View::Socket(id) = self.view {
            let scene = self.scene.as_ref()?;
            return Some(row(self.socket(id)?, &scene.moment, &scene.history));
        }
        self.rows.get(self.selected_at()?).cloned()
    }

    /// A socket as it is shown.
    #[must_use]
    pub fn socket(&self, id: SocketId) -> Option<&SocketSnapshot> {
        let sockets = &self.scene.as_ref()?.moment.snapshot.sockets;
        sockets.iter().find(|s| s.id == id)
    }

    /// What is about this socket, the worst first.
    #[must_use]
    pub fn findings_of(&self, id: SocketId) -> Vec<Finding> {
        self.scene.as_ref().map_or_else(Vec::new, |scene| scene.moment.findings_of(id))
    }

    /// The remedies in view, or of what is selected.
    #[must_use]
    pub fn remedies(&self) -> Vec<String> {
        let one = |i: Option<usize>| i.and_then(|i| self.findings().get(i)).cloned();
        let all: Vec<Finding> = match self.view {
            View::Socket(id) => self.findings_of(id),
            View::Finding(known) => one(known.place(self.findings())).into_iter().collect(),
            View::Overview if self.focus == Focus::Findings => {
                one(Some(self.finding_at())).into_iter().collect()
            }
            View::Overview => match self.selected {
                Some(Key::Socket(id)) => self.findings_of(id),
                _ => Vec::new(),
            },
            View::Causes => {
                let key = self.cause_key();
                self.findings()
                    .iter()
                    .filter(|f| f.cause.is_some() && f.cause == key)
                    .cloned()
                    .collect()
            }
            View::Events => Vec::new(),
        };
        all.into_iter().flat_map(|f| f.remedies).collect()
    }

    /// The command to copy: that of the selected remedy, or where none is shown as selected, the
    /// first there is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn command(&self) -> Result<String, &'static str> {
        let remedies = self.remedies();
        let command = |r: &String| command_in(r).map(str::to_owned);
        let first = remedies.iter().find_map(command);
        match self.view {
            View::Socket(_) | View::Finding(_) => {
                let chosen = remedies.get(self.item).and_then(command);
                chosen.ok_or(match first {
                    Some(_) => "what is marked is no command; ↑ and ↓ mark another",
                    None => "no command to copy here: what helps is in the program",
                })
            }
            View::Overview | View::Causes => first.ok_or("no command to copy for what is selected"),
            View::Events => Err("no command to copy here"),
        }
    }

    /// The lines of events that the filter takes, the newest last.
    #[must_use]
    pub fn told(&self) -> Vec<&Line> {
        if self.choice.filter.is_empty() {
            return self.lines.iter().collect();
        }
        let of = |id: SocketId| {
            let scene = self.scene.as_ref()?;
            Some(row(self.socket(id)?, &scene.moment, &scene.history))
        };
        let mut known = BTreeMap::new();
        self.lines
            .iter()
            .filter(|line| {
                let row =
                    line.about.and_then(|id| known.entry(id).or_insert_with(|| of(id)).as_ref());
                self.choice.filter.takes_line(&line.text, row)
            })
            .collect()
    }
}
