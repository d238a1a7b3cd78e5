//! One socket: joins sends, completions and reads by id.
//!
//! Completions come in three shapes (see [`crate::event::What`]): a piece that was merged, with
//! its own range and bit; a notification that started, whose range may already hold pieces; a
//! notification that was read, with its final range and the bit it began with. The ids of a
//! notification that are in no piece are those it began with. A piece is released a moment
//! after it was merged, so it may be seen after the read that covers it: nothing is concluded
//! from a notification until [`LATE`] has passed.

mod ids;
mod join;
mod notifications;
mod view;
mod waits;
mod window;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    evidence::{Evidence, Group, Message},
    ids::Line,
    snapshot::{Counts, SendError},
    story::Stories,
};
use crate::{
    event::{CallSite, Counters, FailedSend, IgnoredSend, Sent, SocketFacts},
    sums::add,
};
use ids::{Half, Head, Ids, Past, Piece};
pub use waits::Waits;
use window::Zero;

/// How long after a notification its pieces may still be seen, ns. They follow within
/// microseconds, or, where the thread that completes was preempted, within a time slice.
pub const LATE: u64 = 100_000_000;

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct SocketTracker {
    facts: Option<SocketFacts>,
    line: Option<Line>,
    base: u64,
    /// Behind the newest id that was certainly taken. Ids are dense: so were all below.
    taken: u64,
    counts: Counts,
    halves: BTreeMap<u64, Half>,
    groups: BTreeMap<Evidence, Group>,
    pieces: BTreeMap<u64, Piece>,
    heads: BTreeMap<u64, Head>,
    past_heads: BTreeMap<u64, Past>,
    /// Heads in the order of time, still to be concluded.
    fresh_heads: VecDeque<(u64, u64)>,
    reads: VecDeque<(u64, Ids)>,
    seen: Seen,
    last_failure: Option<FailedSend>,
    /// In flight when it failed.
    failed_with: u64,
    /// When that was counted.
    failed_at: u64,
    /// Sends that failed and kept their id, by errno.
    errors: BTreeMap<SendError, u64>,
    waits: Waits,
    stories: Option<Stories>,
    call_sites: Vec<CallSite>,
    pids: BTreeSet<u32>,
    fds: BTreeSet<i32>,
    closed: Option<u64>,
    first_completion: Option<u64>,
    last_completion: Option<u64>,
    last_read: Option<u64>,
    counters: Option<Counters>,
    device: Option<u16>,
    /// A later window than the first.
    zero: Option<Box<Zero>>,
}

/// Sums of the events as they came, to hold against the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    sends: u64,
    with_error: u64,
    pieces: [u64; 2],
    reads: [u64; 2],
}

impl SocketTracker {
    /// Takes who the socket is; again when that changed.
    pub fn describe(&mut self, facts: &SocketFacts) {
        let line = self.line.get_or_insert_with(|| Line::from(facts.base));
        // Ids have their place near the newest one, and the base may be billions behind by now.
        if self.facts.as_ref().is_none_or(|known| known.base != facts.base) {
            self.base = line.place(facts.base);
        }
        self.pids.insert(facts.pid);
        self.facts = Some(facts.clone());
    }

    /// Who it is, if that is known.
    #[must_use]
    pub fn facts(&self) -> Option<&SocketFacts> {
        self.facts.as_ref()
    }

    /// A send took an id.
    pub fn sent(&mut self, sent: &Sent, ts: u64) {
        self.pids.insert(sent.pid);
        self.fds.extend(sent.fd);
        let Some(line) = &mut self.line else { return };
        if sent.before {
            return;
        }
        let (at, _) = line.place_range(sent.id, sent.id);
        if sent.errno.is_some() {
            self.seen.with_error += 1;
        } else {
            self.seen.sends += 1;
            add(&mut self.counts.bytes, sent.bytes.into());
        }
        if let Some(zero) = self.zero.as_mut().filter(|z| at < z.at) {
            // Sent before the window, and told late.
            let error = u64::from(sent.errno.is_some());
            add(&mut zero.counts.with_error, error);
            add(&mut zero.counts.bytes, sent.bytes.into());
            return;
        }
        if sent.errno.is_none() {
            self.counts.sizes.add(sent.bytes);
        }
        self.taken = self.taken.max(at + 1);
        self.waits.sent(self.taken.saturating_sub(self.base), ts);
        if let Some(errno) = sent.errno {
            *self.errors.entry((errno, sent.dropped)).or_default() += 1;
        }
        let message = Message {
            bytes: sent.bytes,
            more: sent.more,
            pid: sent.pid,
            tid: sent.tid,
            fd: sent.fd,
            errno: sent.errno,
        };
        match self.halves.remove(&at) {
            Some(Half::Done { ts: done, first, copied, way, sight }) => {
                self.whole(at, sent.entry, ts, message, done, first, copied, &way, sight);
            }
            _ => {
                let half = Half::Sent { start: sent.entry, returned: ts, message };
                self.keep(at, half);
            }
        }
    }

    /// From there was sent so often up to now.
    pub fn sent_from(&mut self, site: &CallSite) {
        self.call_sites.retain(|known| (known.pid, &known.calls) != (site.pid, &site.calls));
        self.call_sites.push(site.clone());
    }

    /// A send failed, and took no id.
    pub fn failed(&mut self, failed: &FailedSend, ts: u64) {
        self.pids.insert(failed.pid);
        self.fds.extend(failed.fd);
        // A full send buffer (EAGAIN) is everyday, and must not hide a limit.
        let limit = |f: &FailedSend| f.errno == libc::ENOBUFS;
        if self.last_failure.is_some_and(|last| limit(&last) && !limit(failed)) {
            return;
        }
        // A flood of refusals must not cost a look at every notification each.
        let recent = |at: u64| ts.saturating_sub(at) < 10_000_000;
        if self.last_failure.is_none_or(|_| !recent(self.failed_at)) {
            self.failed_with = self.in_flight_now();
            self.failed_at = ts;
        }
        self.last_failure = Some(*failed);
    }

    /// A send's flag was ignored.
    pub fn ignored(&mut self, ignored: &IgnoredSend) {
        add(&mut self.counts.ignored, 1);
        add(&mut self.counts.ignored_bytes, ignored.bytes.into());
        self.pids.insert(ignored.pid);
        self.fds.extend(ignored.fd);
    }

    /// Waits anything for what may still be told?
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.fresh_heads.is_empty() && self.reads.is_empty()
    }

    /// Who it is, for one that takes events from now on.
    #[must_use]
    pub fn from_now_on(&self) -> Option<SocketFacts> {
        let facts = self.facts.clone()?;
        #[expect(clippy::cast_possible_truncation, reason = "an id is its place on the circle")]
        let base = self.taken.max(self.base) as u32;
        Some(SocketFacts { base, ..facts })
    }

    /// Sent and not completed, by what was told up to now.
    fn in_flight_now(&self) -> u64 {
        let told = self.fresh_heads.iter().filter_map(|(_, lo)| self.heads.get(lo));
        let fresh: u64 = told
            .filter(|h| !h.concluded)
            .flat_map(|h| self.outside_pieces(&h.ids))
            .map(|gap| gap.len())
            .sum();
        let sent = self.taken.saturating_sub(self.base);
        sent.saturating_sub(self.counts.completed().saturating_add(fresh))
    }

    /// The socket was closed.
    pub fn closed(&mut self, ts: u64) {
        self.closed.get_or_insert(ts);
    }

    /// When it was closed, if the counters have come too: they are the last.
    #[must_use]
    pub fn last_counted(&self) -> Option<u64> {
        self.counters.as_ref().filter(|c| !c.interim).and(self.closed)
    }

    /// Gives back the room of what is joined: there is a moment yet in which little is told, and
    /// thousands of sockets may be in theirs.
    pub fn shrink(&mut self) {
        fn drop_empty<K, V>(map: &mut BTreeMap<K, V>) {
            if map.is_empty() {
                // One that was filled once keeps its root.
                *map = BTreeMap::new();
            }
        }
        drop_empty(&mut self.halves);
        drop_empty(&mut self.pieces);
        drop_empty(&mut self.heads);
        drop_empty(&mut self.past_heads);
        self.fresh_heads.shrink_to_fit();
        self.reads.shrink_to_fit();
    }

    /// Takes the kernel's counters.
    pub fn count(&mut self, counters: &Counters) {
        if counters.interim && self.counters.as_ref().is_some_and(|c| !c.interim) {
            return;
        }
        self.closed = self.closed.or(counters.closed);
        for (pid, fd) in &counters.holders {
            self.pids.insert(*pid);
            self.fds.extend(i32::try_from(*fd));
        }
        self.counters = Some(counters.clone());
    }
}
