//! The two halves of an id: its send, and its completion.

use super::{
    SocketTracker,
    ids::{Half, Ids},
};
use crate::{
    event::Way,
    sums::add,
    tracker::{
        evidence::{Evidence, Message, Sight},
        snapshot::From,
        story::{Completed, Story},
    },
};

/// Ids of which one half is known. Only lost events, or ids that are approximate, let it grow.
const HALVES: usize = 1 << 17;

impl SocketTracker {
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

    /// Are there any that nobody has asked for?
    pub fn has_stories(&self) -> bool {
        self.stories.as_ref().is_some_and(|s| !s.is_empty())
    }

    /// Ids completed, each once.
    pub(super) fn done(&mut self, ids: &Ids, ts: Option<u64>) {
        let done = if ids.copied { &mut self.counts.copied } else { &mut self.counts.reported };
        add(done, ids.len());
        let first = self.first();
        if ids.lo < first {
            let before = ids.hi.min(first - 1) - ids.lo + 1;
            self.done_before(before, ids.copied, ts);
            if ids.hi < first {
                return;
            }
        }
        let ids = &Ids { lo: ids.lo.max(first), ..*ids };
        if let Some(hop) = ids.way.hops.iter().find(|h| h.device != 0) {
            self.device = Some(hop.device);
        }
        // Of a range that is longer than all that is kept, the first ids would be thrown out again.
        let kept = ids.hi.saturating_sub(HALVES as u64 - 1).max(ids.lo);
        let mut sent: Vec<u64> = self.halves.range(ids.lo..kept).map(|(at, _)| *at).collect();
        sent.retain(|at| matches!(self.halves.get(at), Some(Half::Sent { .. })));
        for at in sent.into_iter().chain(kept..=ids.hi) {
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
    pub(super) fn whole(
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
            // What waits for its neighbour is queued after the call returned.
            (None, Some(queue)) if queue <= returned => (From::Queue, queue),
            (None, _) => (From::Return, returned),
        };
        if let Some(done) = done {
            if begin <= done {
                self.counts.release_from = self.counts.release_from.max(Some(from));
                self.counts.release.record(done - begin, 1);
            } else {
                add(&mut self.counts.before_return, 1);
            }
            // Of a datagram that waited for its neighbour the call had returned before.
            let begin = start.unwrap_or(returned);
            if let Some((queue, driver)) = first.zip(way.driver) {
                self.counts.spent.add(begin, queue, driver, done);
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

    pub(super) fn keep(&mut self, at: u64, half: Half) {
        self.halves.insert(at, half);
        if self.halves.len() > HALVES {
            self.halves.pop_first();
        }
    }
}
