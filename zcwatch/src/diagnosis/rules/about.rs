//! The sockets that a finding is about: rows, and ended ones without a row.

use std::collections::BTreeSet;

use super::judge::Mark;
use crate::{
    event::SocketId,
    sums::sum,
    tracker::{Snapshot, ended::Alike, snapshot::SocketSnapshot},
};

/// A row, or many alike.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// What it did, or all of them together.
    pub socket: &'a SocketSnapshot,
    /// How many have no row; 0: it is a row.
    pub folded: u64,
    /// [`Mark::bit`]s.
    marks: u32,
    /// The process whose limit they ran into.
    pub blamed: u32,
    /// Who sent on it first, or on all of them; `None`: several processes.
    pid: Option<u32>,
}

impl<'a> Part<'a> {
    /// All there are, by their id.
    pub(super) fn all(snapshot: &'a Snapshot) -> Vec<Self> {
        let row = |socket| Self { folded: 0, ..Self::of(socket) };
        let folded = snapshot.folded.iter().map(|f| Self {
            socket: &f.sum,
            folded: f.sockets,
            marks: f.judged.marks,
            blamed: f.judged.blamed.unwrap_or(f.sum.facts.pid),
            pid: (!f.coarse).then_some(f.sum.facts.pid),
        });
        let mut all: Vec<_> = snapshot.sockets.iter().map(row).chain(folded).collect();
        all.sort_by_key(|p| p.socket.id);
        all
    }

    fn of(socket: &'a SocketSnapshot) -> Self {
        let judged = super::judge(socket);
        let blamed = judged.blamed.unwrap_or(socket.facts.pid);
        Self { socket, folded: 0, marks: judged.marks, blamed, pid: Some(socket.facts.pid) }
    }

    /// Is it so, or is each of them?
    pub(super) fn is(&self, mark: Mark) -> bool {
        self.marks & mark.bit() != 0
    }
}

/// Sockets with something in common.
#[derive(Default)]
pub(super) struct About<'a> {
    /// All of them.
    pub parts: Vec<Part<'a>>,
    /// Those that can be named, by their id: rows, and the worst of the others.
    pub named: Vec<Part<'a>>,
}

impl<'a> About<'a> {
    /// Those that are so.
    pub(super) fn those(snapshot: &'a Snapshot, mark: Mark) -> Self {
        Self::new(snapshot, |p| p.is(mark))
    }

    /// Those of which this holds.
    pub(super) fn new(snapshot: &'a Snapshot, holds: impl Fn(&Part<'a>) -> bool) -> Self {
        let mut parts = Part::all(snapshot);
        parts.retain(|p| holds(p));
        let examples = snapshot.folded.iter().flat_map(Alike::examples).map(Part::of);
        let rows = parts.iter().filter(|p| p.folded == 0).copied();
        let mut named: Vec<_> = rows.chain(examples.filter(|p| holds(p))).collect();
        named.sort_by_key(|p| p.socket.id);
        named.dedup_by_key(|p| p.socket.id);
        Self { parts, named }
    }

    /// Of these, those of which this holds.
    pub(super) fn only(&self, holds: impl Fn(&Part<'a>) -> bool) -> Self {
        let some = |all: &[Part<'a>]| all.iter().filter(|p| holds(p)).copied().collect();
        Self { parts: some(&self.parts), named: some(&self.named) }
    }

    /// The keys that they have, each once.
    pub(super) fn keys<K: Ord>(&self, key: impl Fn(&Part<'a>) -> K) -> Vec<K> {
        let mut keys: Vec<K> = self.parts.iter().map(key).collect();
        keys.sort();
        keys.dedup();
        keys
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// A count of all of them.
    pub(super) fn sum(&self, of: impl Fn(&SocketSnapshot) -> u64) -> u64 {
        sum(self.parts.iter().map(|p| of(p.socket)))
    }

    /// The one with the most.
    pub(super) fn most<K: Ord>(
        &self,
        of: impl Fn(&SocketSnapshot) -> K,
    ) -> Option<&'a SocketSnapshot> {
        self.named.iter().max_by_key(|p| of(p.socket)).map(|p| p.socket)
    }

    /// The rows.
    pub(super) fn ids(&self) -> Vec<SocketId> {
        self.parts.iter().filter(|p| p.folded == 0).map(|p| p.socket.id).collect()
    }

    /// How many have no row.
    pub(super) fn folded(&self) -> u64 {
        sum(self.parts.iter().map(|p| p.folded))
    }

    /// The processes that sent on them first; none where that is not known of all.
    pub(super) fn pids(&self) -> Vec<u32> {
        let mut pids: BTreeSet<Option<u32>> = BTreeSet::new();
        pids.extend(self.parts.iter().map(|p| p.pid));
        pids.into_iter().collect::<Option<_>>().unwrap_or_default()
    }

    /// How many sockets it is about.
    pub(super) fn count(&self) -> u64 {
        sum(self.parts.iter().map(|p| p.folded.max(1)))
    }

    /// " (and on 2 sockets more)", after the one that is named.
    pub(super) fn more(&self) -> String {
        match self.count() {
            0 | 1 => String::new(),
            n => format!(" (and on {} more)", super::count(n - 1, "socket")),
        }
    }
}
