//! Sockets that have ended: closed, counted by the kernel for the last time, and all that was
//! told of them taken. Each becomes a row without any state of its ids; of many rows the oldest
//! are folded. Only the stream of events decides what becomes of which, so that a recording says
//! what the watch said.

mod alike;
mod key;

use std::collections::{BTreeMap, VecDeque};

pub use alike::{Alike, Claim, Judge, Judged, OfProcess};
use key::Key;
pub use key::Looks;

use super::snapshot::{Counts, SocketSnapshot};
use crate::event::SocketId;

/// Rows of ended sockets in a report. A row takes about 1.5 KB here, and again in the snapshot, so
/// that all of them take some 12 MB; and more rows than this nobody reads.
pub const ROWS: usize = 4096;

/// How long after its close a socket is taken for ended, ns, by the probes' own events: what they
/// tell late has come by then, and who listened meanwhile was found (see
/// [`super::snapshot::LOOK`]).
pub const REST: u64 = 750_000_000;

/// Kinds of folded sockets that are kept apart. A host has a few dozen; with more, findings are
/// less exact, counts are not.
const KINDS: usize = 1024;

/// See the module.
#[derive(Debug, Default)]
pub struct Ended {
    limit: Option<(usize, Judge)>,
    /// Boxed, for a map of large values has half of its room empty.
    rows: BTreeMap<SocketId, Box<(SocketSnapshot, Judged)>>,
    /// Rows in the order of their end: those without and with something wrong.
    order: [VecDeque<SocketId>; 2],
    /// Sizes and latencies of all of them.
    spread: Counts,
    kinds: BTreeMap<Key, Alike>,
}

impl Ended {
    /// Keeps so many rows; the judge says what the folded ones have in common.
    pub fn keep(&mut self, rows: usize, judge: Judge) {
        self.limit = Some((rows, judge));
    }

    /// Takes a socket of which nothing more will be told.
    pub fn take(&mut self, mut socket: SocketSnapshot, looks: &Looks) {
        self.spread.spread(&socket.counts);
        socket.reduce();
        let Some((limit, judge)) = self.limit else {
            self.rows.insert(socket.id, Box::new((socket, Judged::default())));
            return;
        };
        let judged = judge(&socket);
        self.order[usize::from(judged.trouble)].push_back(socket.id);
        self.rows.insert(socket.id, Box::new((socket, judged)));
        while self.rows.len() > limit
            && let Some((socket, judged)) = self.oldest(limit)
        {
            self.fold(&socket, &judged, looks);
        }
    }

    /// The next to be folded: what is wrong is kept longer, but not so that nothing else is shown.
    fn oldest(&mut self, limit: usize) -> Option<(SocketSnapshot, Judged)> {
        let [well, troubled] = &mut self.order;
        let id = if well.len() > limit / 4 || troubled.is_empty() {
            well.pop_front()
        } else {
            troubled.pop_front()
        };
        self.rows.remove(&id?).map(|row| *row)
    }

    fn fold(&mut self, socket: &SocketSnapshot, judged: &Judged, looks: &Looks) {
        let mut key = Key::of(socket, judged, looks);
        if self.kinds.len() >= KINDS && !self.kinds.contains_key(&key) {
            key = key.coarse();
        }
        let coarse = key.is_coarse();
        self.kinds
            .entry(key)
            .and_modify(|all| all.add(socket, judged))
            .or_insert_with(|| Alike::new(socket, judged, coarse));
    }

    /// Forgets all of them.
    pub fn forget(&mut self) {
        *self = Self { limit: self.limit, ..Self::default() };
    }

    /// Has it ended, and still its row?
    #[must_use]
    pub fn row(&self, id: SocketId) -> Option<&SocketSnapshot> {
        self.rows.get(&id).map(|row| &row.0)
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = &SocketSnapshot> {
        self.rows.values().map(|row| &row.0)
    }

    /// Those without a row.
    pub fn folded(&self) -> impl Iterator<Item = &Alike> {
        self.kinds.values()
    }

    /// Sizes and latencies of all that have ended: their rows have no more than a summary.
    #[must_use]
    pub fn spread(&self) -> &Counts {
        &self.spread
    }
}
