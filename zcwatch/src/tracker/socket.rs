//! One socket: joins sends, completions and reads by id.
//!
//! Completions come in three shapes (see [`crate::event::What`]): a piece that was merged, with
//! its own range and bit; a notification that started, whose range may already hold pieces; a
//! notification that was read, with its final range and the bit it began with. The ids of a
//! notification that are in no piece are those it began with. A piece is released a moment
//! after it was merged, so it may be seen after the read that covers it: nothing is concluded
//! from a notification until [`LATE`] has passed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Devices,
    evidence::{Evidence, Group, Message, Place, Sight},
    ids::Line,
    snapshot::{Agreement, Counts, From, Sizes, SocketSnapshot},
    story::{Completed, Stories, Story},
};
use crate::event::{Counters, FailedSend, IgnoredSend, Range, Sent, SocketFacts, SocketId, Way};

/// How long after a notification its pieces may still be seen, ns. They follow within
/// microseconds, or, where the thread that completes was preempted, within a time slice.
pub const LATE: u64 = 100_000_000;

/// Pieces kept apart for the latency of their reading. Beyond, neighbours are joined, and the
/// ids in them have no reap latency.
const PIECES_APART: usize = 4096;

/// Ids of which one half is known. Only lost events, or ids that are approximate, let it grow.
const HALVES: usize = 1 << 17;

/// See the module.
#[derive(Debug, Default)]
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
    errors: BTreeMap<i32, u64>,
    waits: Waits,
    stories: Option<Stories>,
    pids: BTreeSet<u32>,
    fds: BTreeSet<i32>,
    closed: Option<u64>,
    first_completion: Option<u64>,
    last_completion: Option<u64>,
    last_read: Option<u64>,
    counters: Option<Counters>,
    device: Option<u16>,
}

/// How an application waits for its notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Ids read up to now.
    read: u64,
    /// Behind the newest id read.
    read_to: u64,
    /// Most sends at once that were not read yet.
    pub peak: u64,
    /// Since when any is.
    since: Option<u64>,
    /// Time with a send not read yet, ns.
    pub waited: u64,
    /// The first return of a send, ns since boot.
    pub first: Option<u64>,
    /// The last read.
    pub last: Option<u64>,
    /// Notifications that were read after one with later ids.
    pub out_of_order: u64,
}

impl Waits {
    fn sent(&mut self, taken: u64, ts: u64) {
        self.first.get_or_insert(ts);
        let open = taken.saturating_sub(self.read);
        self.peak = self.peak.max(open);
        if open > 0 {
            self.since.get_or_insert(ts);
        }
    }

    fn read(&mut self, ids: &Ids, taken: u64, ts: u64) {
        self.read += ids.len();
        self.last = Some(ts);
        if ids.lo < self.read_to {
            self.out_of_order += 1;
        }
        self.read_to = self.read_to.max(ids.hi + 1);
        if self.read >= taken
            && let Some(since) = self.since.take()
        {
            self.waited += ts.saturating_sub(since);
        }
    }
}

/// Sums of the events as they came, to hold against the counters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    sends: u64,
    with_error: u64,
    pieces: [u64; 2],
    reads: [u64; 2],
}

/// Positions on the line, and what their completion said.
#[derive(Clone, Copy, Debug)]
struct Ids {
    lo: u64,
    hi: u64,
    copied: bool,
    way: Way,
    /// What the way says by the devices as they were when this was told.
    sight: Option<Sight>,
}

impl Ids {
    fn len(&self) -> u64 {
        self.hi - self.lo + 1
    }
}

#[derive(Debug)]
struct Piece {
    hi: u64,
    copied: bool,
    ts: Option<u64>,
}

#[derive(Debug)]
struct Head {
    ids: Ids,
    ts: u64,
    concluded: bool,
}

/// What is known of an id until both its send and its completion are.
#[derive(Clone, Copy, Debug)]
enum Half {
    Sent { start: Option<u64>, returned: u64, message: Message },
    Done { ts: Option<u64>, first: Option<u64>, copied: bool, way: Way, sight: Option<Sight> },
}

impl SocketTracker {
    /// Takes who the socket is; again when that changed.
    pub fn describe(&mut self, facts: &SocketFacts, _ts: u64) {
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
        if sent.errno.is_some() {
            self.seen.with_error += 1;
        } else {
            self.seen.sends += 1;
            self.counts.bytes += u64::from(sent.bytes);
            self.counts.sizes.add(sent.bytes);
        }
        let (at, _) = line.place_range(sent.id, sent.id);
        self.taken = self.taken.max(at + 1);
        self.waits.sent(self.taken - self.base, ts);
        if let Some(errno) = sent.errno {
            *self.errors.entry(errno).or_default() += 1;
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
        self.pids.insert(ignored.pid);
        self.fds.extend(ignored.fd);
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
        sent.saturating_sub(self.counts.copied + self.counts.reported + fresh)
    }

    /// A notification was queued.
    pub fn started(&mut self, range: &Range, ts: u64, devices: &Devices) {
        self.settle(ts);
        if let Some(mut ids) = self.window(range, devices) {
            self.completed_at(ts);
            // A busy reader on another CPU may be told first, and have taken the way.
            let read = self.reads.iter().rev().find(|(_, read)| read.lo == ids.lo);
            if let Some((_, read)) = read.filter(|_| !ids.way.is_known()) {
                (ids.way, ids.sight) = (read.way, read.sight);
            }
            let head = Head { ids, ts, concluded: false };
            if self.heads.insert(ids.lo, head).is_none() {
                self.fresh_heads.push_back((ts, ids.lo));
            }
        }
    }

    /// A completion was merged into a notification.
    pub fn merged(&mut self, range: &Range, ts: u64, devices: &Devices) {
        self.settle(ts);
        let Some(ids) = self.window(range, devices) else { return };
        self.completed_at(ts);
        self.seen.pieces[usize::from(ids.copied)] += ids.len();
        self.done(&ids, Some(ts));
        if self.pieces.len() >= PIECES_APART {
            self.join_pieces();
        }
        self.pieces.insert(ids.lo, Piece { hi: ids.hi, copied: ids.copied, ts: Some(ts) });
    }

    fn completed_at(&mut self, ts: u64) {
        self.first_completion.get_or_insert(ts);
        self.last_completion = self.last_completion.max(Some(ts));
    }

    /// The application read a notification.
    pub fn read(&mut self, range: &Range, ts: u64, devices: &Devices) {
        self.settle(ts);
        self.last_read = Some(ts);
        self.counts.notifications_read += 1;
        if let Some(ids) = self.window(range, devices) {
            self.seen.reads[usize::from(ids.copied)] += ids.len();
            if let Some(head) = self.heads.get_mut(&ids.lo)
                && !head.ids.way.is_known()
            {
                (head.ids.way, head.ids.sight) = (ids.way, ids.sight);
            }
            self.waits.read(&ids, self.taken - self.base, ts);
            self.reads.push_back((ts, ids));
        }
    }

    /// The socket was closed.
    pub fn closed(&mut self, ts: u64) {
        self.closed.get_or_insert(ts);
    }

    /// Takes the kernel's counters.
    pub fn count(&mut self, counters: &Counters) {
        self.closed = self.closed.or(counters.closed);
        for (pid, fd) in &counters.holders {
            self.pids.insert(*pid);
            self.fds.extend(i32::try_from(*fd));
        }
        self.counters = Some(counters.clone());
    }

    /// Concludes from notifications older than [`LATE`].
    pub fn settle(&mut self, now: u64) {
        let old = |ts: u64| ts.saturating_add(LATE) <= now;
        while let Some((_, lo)) = self.fresh_heads.pop_front_if(|(ts, _)| old(*ts)) {
            self.conclude_head(lo);
        }
        while let Some((ts, ids)) = self.reads.pop_front_if(|(ts, _)| old(*ts)) {
            self.conclude_read(&ids, ts);
            if let Some(stories) = &mut self.stories {
                stories.read(ids.lo, ids.hi, ts);
            }
        }
        if let Some(stories) = &mut self.stories {
            // Nobody reads from a socket that is closed.
            let closed = self.closed.is_some_and(old);
            stories.give_up(if closed { u64::MAX } else { now });
        }
    }

    /// From now on, keeps the story of each send.
    pub fn tell_stories(&mut self) {
        self.stories.get_or_insert_default();
    }

    /// The stories that are told to their end since the last call; with `last`, also those of
    /// sends still in flight.
    pub fn stories(&mut self, last: bool) -> Vec<Story> {
        let Some(stories) = &mut self.stories else { return Vec::new() };
        if last {
            for (at, half) in &self.halves {
                if let Half::Sent { start, returned, message } = half {
                    let (from, begin) = match start {
                        Some(entry) => (From::Entry, *entry),
                        None => (From::Return, *returned),
                    };
                    let story = Story::new(*at, *message, begin, from, *returned, None);
                    stories.complete(*at, story);
                }
            }
        }
        stories.take(last)
    }

    /// Clips a range to the window; counts what is before it.
    fn window(&mut self, range: &Range, devices: &Devices) -> Option<Ids> {
        let line = self.line.as_mut()?;
        let (lo, hi) = line.place_range(range.lo, range.hi);
        if hi < self.base {
            return None;
        }
        self.taken = self.taken.max(hi + 1);
        let lo = lo.max(self.base);
        let Range { copied, way, .. } = *range;
        Some(Ids { lo, hi, copied, way, sight: Sight::of(&way, copied, devices) })
    }

    fn conclude_head(&mut self, lo: u64) {
        let Some(head) = self.heads.get_mut(&lo) else { return };
        if std::mem::replace(&mut head.concluded, true) {
            return;
        }
        let (ids, ts) = (head.ids, head.ts);
        for gap in self.outside_pieces(&ids) {
            self.done(&gap, Some(ts));
        }
    }

    fn conclude_read(&mut self, ids: &Ids, ts: u64) {
        let gaps = self.outside_pieces(ids);
        let head = self.heads.remove(&ids.lo);
        let own: u64 = gaps.iter().map(Ids::len).sum();
        if !head.as_ref().is_some_and(|h| h.concluded) {
            for gap in &gaps {
                let Ids { way, sight, .. } = head.as_ref().map_or(*ids, |h| h.ids);
                self.done(&Ids { way, sight, ..*gap }, head.as_ref().map(|h| h.ts));
            }
        }
        // What was seen to complete only after it was read has no time that could be told.
        if let Some(head) = head.filter(|h| h.ts <= ts) {
            self.counts.reap.record(ts - head.ts, own);
        }
        self.counts.read += ids.len();
        let inside: Vec<u64> = self.pieces.range(ids.lo..=ids.hi).map(|(lo, _)| *lo).collect();
        for lo in inside {
            let Some(piece) = self.pieces.remove(&lo) else { continue };
            let n = piece.hi - lo + 1;
            if piece.copied != ids.copied {
                self.counts.misled += n;
            }
            if let Some(done) = piece.ts.filter(|done| *done <= ts) {
                self.counts.reap.record(ts - done, n);
            }
        }
    }

    /// The parts of a range that no piece covers.
    fn outside_pieces(&self, ids: &Ids) -> Vec<Ids> {
        let mut gaps = Vec::new();
        let mut at = ids.lo;
        for (lo, piece) in self.pieces.range(ids.lo..=ids.hi) {
            if *lo > at {
                gaps.push(Ids { lo: at, hi: lo - 1, ..*ids });
            }
            at = at.max(piece.hi + 1);
        }
        if at <= ids.hi {
            gaps.push(Ids { lo: at, ..*ids });
        }
        gaps
    }

    /// Ids completed, each once.
    fn done(&mut self, ids: &Ids, ts: Option<u64>) {
        self.counts.copied += if ids.copied { ids.len() } else { 0 };
        self.counts.reported += if ids.copied { 0 } else { ids.len() };
        if let Some(hop) = ids.way.hops.iter().find(|h| h.device != 0) {
            self.device = Some(hop.device);
        }
        for at in ids.lo..=ids.hi {
            // First sight at the device is that of the datagram, or of the stream's first id.
            let first = ids.way.first.filter(|_| at == ids.lo);
            match self.halves.remove(&at) {
                Some(Half::Sent { start, returned, message }) => {
                    let Ids { copied, way, sight, .. } = ids;
                    self.whole(at, start, returned, message, ts, first, *copied, way, *sight);
                }
                _ => {
                    let Ids { copied, way, sight, .. } = *ids;
                    let half = Half::Done { ts, first, copied, way, sight };
                    self.keep(at, half);
                }
            }
        }
    }

    /// Both halves of an id are known.
    #[expect(clippy::too_many_arguments, reason = "the two halves of one id")]
    fn whole(
        &mut self,
        at: u64,
        start: Option<u64>,
        returned: u64,
        message: Message,
        done: Option<u64>,
        first: Option<u64>,
        copied: bool,
        way: &Way,
        sight: Option<Sight>,
    ) {
        let (from, begin) = match (start, first) {
            (Some(entry), _) => (From::Entry, entry),
            (None, Some(queue)) => (From::Queue, queue),
            (None, None) => (From::Return, returned),
        };
        if let Some(done) = done {
            if begin <= done {
                self.counts.release_from = self.counts.release_from.max(Some(from));
                self.counts.release.record(done - begin, 1);
            } else {
                self.counts.before_return += 1;
            }
        }
        let Some(facts) = &self.facts else { return };
        let evidence = sight.map(|sight| Evidence::of(way, &sight, Some(message), facts));
        if let Some(evidence) = evidence {
            self.groups.entry(evidence).or_default().add(message.bytes, done);
        }
        if let Some(stories) = &mut self.stories {
            let end = Some(Completed { ts: done, copied, evidence });
            stories.complete(at, Story::new(at, message, begin, from, returned, end));
        }
    }

    fn keep(&mut self, at: u64, half: Half) {
        self.halves.insert(at, half);
        if self.halves.len() > HALVES {
            self.halves.pop_first();
        }
    }

    /// Joins neighbouring pieces of one bit that have waited long for their read.
    fn join_pieces(&mut self) {
        let mut joined: BTreeMap<u64, Piece> = BTreeMap::new();
        for (lo, piece) in std::mem::take(&mut self.pieces) {
            if let Some(mut last) = joined.last_entry()
                && last.get().hi + 1 == lo
                && last.get().copied == piece.copied
            {
                last.get_mut().hi = piece.hi;
                last.get_mut().ts = None;
            } else {
                joined.insert(lo, piece);
            }
        }
        self.pieces = joined;
    }

    /// What is known now; `None` for a socket that was never described.
    #[must_use]
    pub fn snapshot(&self, id: SocketId, now: u64, lossy: bool) -> Option<SocketSnapshot> {
        let facts = self.facts.clone()?;
        let mut counts = self.counts.clone();
        // A send may complete before it returns: its id is taken all the same.
        counts.sends = self.taken.saturating_sub(self.base);
        counts.with_error = self.seen.with_error;
        let mut agreement = Agreement::NotAsked;
        let mut silent = 0;
        if let Some(c) = &self.counters {
            agreement = if self.matches(c) { Agreement::Yes } else { Agreement::No };
            counts.take_exact(c);
            if lossy || agreement == Agreement::No {
                counts.take_counted(c);
            } else if self.reads.is_empty() && self.fresh_heads.is_empty() {
                // A notification that was not the queue's tail when its start was reported, and
                // was not read, is known by the look at the queue only.
                silent = counts.take_waiting(c);
            }
        }
        let unread = (counts.copied + counts.reported).saturating_sub(counts.read);
        counts.unread = unread;
        let open = counts.sends.saturating_sub(counts.copied + counts.reported);
        if self.closed.is_some() {
            counts.closed_in_flight = open;
        } else {
            counts.in_flight = open;
        }
        Some(SocketSnapshot {
            id,
            counts,
            evidence: self.evidence(silent),
            pids: self.pids.iter().copied().collect(),
            fds: self.fds.iter().copied().collect(),
            closed: self.closed,
            oldest_unread: self.oldest_unread(),
            first_completion: self.first_completion,
            last_completion: self.last_completion,
            last_read: self.last_read,
            last_failure: self.last_failure,
            failed_with: self.failed_with,
            errors: self.errors.clone(),
            waits: self.waits,
            counters: self.counters.clone(),
            overlapped: self.counters.as_ref().is_some_and(|c| c.overlapped),
            device: self.device,
            agreement,
            asked: now,
            facts,
        })
    }

    /// Groups, with the completed ids whose send was not seen added, their bytes unknown, and
    /// `silent` copies of which nothing else is known.
    fn evidence(&self, silent: u64) -> Vec<(Evidence, Group)> {
        let mut groups = self.groups.clone();
        if silent > 0 {
            groups.entry(Evidence::nothing()).or_default().sends += silent;
        }
        if let Some(facts) = &self.facts {
            for half in self.halves.values() {
                if let Half::Done { way, sight: Some(sight), .. } = half {
                    let e = Evidence::of(way, sight, None, facts);
                    groups.entry(e).or_default().sends += 1;
                }
            }
        }
        groups.into_iter().collect()
    }

    fn oldest_unread(&self) -> Option<u64> {
        let pieces = self.pieces.values().filter_map(|p| p.ts);
        self.heads.values().map(|h| h.ts).chain(pieces).min()
    }

    fn matches(&self, c: &Counters) -> bool {
        let seen = &self.seen;
        (seen.sends, seen.with_error) == (c.sends, c.with_error)
            && (seen.pieces, seen.reads) == (c.pieces, c.reads)
    }
}

impl Sizes {
    fn add(&mut self, bytes: u32) {
        *self.0.entry(bytes).or_default() += 1;
    }
}

/// Is this about a copy that the completion shows?
#[must_use]
pub fn is_shown(evidence: &Evidence) -> bool {
    !matches!(evidence.place, Place::Hidden { .. })
}
