//! Notifications: which ids complete by them, and when that is certain.

use std::collections::BTreeMap;

use super::{
    LATE, SocketTracker,
    ids::{Head, Ids, Past, Piece},
};
use crate::{
    event::Range,
    sums::add,
    tracker::{Devices, evidence::Sight},
};

/// Pieces kept apart for the latency of their reading. Beyond, neighbours are joined, and the
/// ids in them have no reap latency.
const PIECES_APART: usize = 4096;

/// Beginnings of notifications that nobody told of, kept in case a piece was only late. Where all
/// is told in time there are none.
const PAST_HEADS: usize = 4096;

impl SocketTracker {
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
        if self.pieces.len() >= PIECES_APART {
            self.join_pieces();
        }
        for part in self.not_concluded(&ids) {
            self.done(&part, Some(ts));
            let piece = Piece { hi: part.hi, copied: part.copied, ts: Some(ts) };
            self.pieces.insert(part.lo, piece);
        }
    }

    /// The parts of a piece that were not taken for the beginning of a notification, which was read
    /// long before the piece is told. The others count already; by the wrong bit, perhaps.
    fn not_concluded(&mut self, ids: &Ids) -> Vec<Ids> {
        let mut known = Vec::new();
        loop {
            let last = self.past_heads.range(..=ids.hi).next_back().map(|(lo, past)| (*lo, *past));
            let Some((lo, past)) = last.filter(|(_, past)| past.hi >= ids.lo) else { break };
            let (from, to) = (lo.max(ids.lo), past.hi.min(ids.hi));
            self.past_heads.remove(&lo);
            if lo < from {
                self.past_heads.insert(lo, Past { hi: from - 1, ..past });
            }
            if to < past.hi {
                self.past_heads.insert(to + 1, past);
            }
            if past.copied != ids.copied {
                self.correct(to - from + 1, ids.copied, to < self.first());
            }
            known.push((from, to));
        }
        let mut fresh = Vec::new();
        let mut at = ids.lo;
        for (from, to) in known.into_iter().rev() {
            if at < from {
                fresh.push(Ids { lo: at, hi: from - 1, ..*ids });
            }
            at = to + 1;
        }
        if at <= ids.hi {
            fresh.push(Ids { lo: at, ..*ids });
        }
        fresh
    }

    /// So many ids count by the wrong bit: the application was told it.
    fn correct(&mut self, n: u64, copied: bool, before: bool) {
        let zero = self.zero.as_mut().filter(|_| before);
        if let Some(zero) = zero {
            let c = &mut zero.counts;
            let (right, wrong) = match copied {
                true => (&mut c.copied, &mut c.reported),
                false => (&mut c.reported, &mut c.copied),
            };
            add(right, n);
            *wrong = wrong.saturating_sub(n);
        }
        let c = &mut self.counts;
        let (right, wrong) = match copied {
            true => (&mut c.copied, &mut c.reported),
            false => (&mut c.reported, &mut c.copied),
        };
        add(right, n);
        *wrong = wrong.saturating_sub(n);
        c.misled += n;
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
            self.waits.read(&ids, self.taken.saturating_sub(self.base), ts);
            self.reads.push_back((ts, ids));
        }
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
        if head.is_none() {
            for gap in &gaps {
                self.past_heads.insert(gap.lo, Past { hi: gap.hi, copied: gap.copied });
            }
            while self.past_heads.len() > PAST_HEADS {
                self.past_heads.pop_first();
            }
        }
        if !head.as_ref().is_some_and(|h| h.concluded) {
            for gap in &gaps {
                let Ids { way, sight, .. } = head.as_ref().map_or(*ids, |h| h.ids);
                self.done(&Ids { way, sight, ..*gap }, head.as_ref().map(|h| h.ts));
            }
        }
        // What was seen to complete only after it was read has no time that could be told; what was
        // sent before the window is not of it.
        let first = self.first();
        if let Some(head) = head.filter(|h| h.ts <= ts && ids.lo >= first) {
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
            if let Some(done) = piece.ts.filter(|done| *done <= ts && lo >= first) {
                self.counts.reap.record(ts - done, n);
            }
        }
    }

    /// The parts of a range that no piece covers.
    pub(super) fn outside_pieces(&self, ids: &Ids) -> Vec<Ids> {
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
}
