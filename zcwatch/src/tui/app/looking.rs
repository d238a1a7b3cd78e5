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
    pub fn findings_of(&self, id: SocketId) -> impl Iterator<Item = &Finding> {
        self.findings().iter().filter(move |f| f.sockets.contains(&id))
    }

    /// The remedies in view.
    #[must_use]
    pub fn remedies(&self) -> Vec<&str> {
        let all: Vec<&Finding> = match self.view {
            View::Socket(id) => self.findings_of(id).collect(),
            View::Finding(i) => self.findings().get(i).into_iter().collect(),
            View::Overview if self.focus == Focus::Findings => {
                self.findings().get(self.finding).into_iter().collect()
            }
            View::Overview => match self.selected {
                Some(Key::Socket(id)) => self.findings_of(id).collect(),
                _ => Vec::new(),
            },
            View::Causes | View::Events => Vec::new(),
        };
        all.iter().flat_map(|f| f.remedies.iter().map(String::as_str)).collect()
    }

    /// The command to copy: the selected remedy's, or else the first there is.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let remedies = self.remedies();
        let chosen = remedies.get(self.item).and_then(|r| command_in(r));
        let first = || remedies.iter().find_map(|r| command_in(r));
        chosen.or_else(first).map(str::to_owned)
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
