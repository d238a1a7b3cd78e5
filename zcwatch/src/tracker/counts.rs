//! Counts of ids, with their sizes and latencies: of one socket, or of many.

use std::collections::BTreeMap;

use super::latency::Latency;
use crate::{
    event::Counters,
    sums::{add, sum},
};

/// Where a release latency starts; the later ones are less exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// Inside the send, under the socket's lock.
    Entry,
    /// At the device queue.
    Queue,
    /// At the return of the send.
    Return,
}

impl From {
    /// The word in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Queue => "queue",
            Self::Return => "return",
        }
    }
}

/// Sizes of sends, bytes, each with how often it occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(pub BTreeMap<u32, u64>);

impl Sizes {
    /// Smallest, median and largest.
    #[must_use]
    pub fn summary(&self) -> Option<(u32, u32, u32)> {
        let (min, max) = (*self.0.first_key_value()?.0, *self.0.last_key_value()?.0);
        let half = sum(self.0.values().copied()).div_ceil(2);
        let mut below = 0;
        let median = self.0.iter().find(|(_, n)| {
            add(&mut below, **n);
            below >= half
        });
        Some((min, median.map_or(max, |(size, _)| *size), max))
    }

    /// Keeps of them what the summary is made of.
    fn reduce(&mut self) {
        let Some((min, median, max)) = self.summary() else { return };
        let all = sum(self.0.values().copied());
        let ends = u64::from(min < median) + u64::from(max > median);
        self.0 = BTreeMap::from([(min, 1), (max, 1)]);
        if min == median && all > 1 {
            // Half of them, at least: the median is the lower of the two in the middle.
            self.0.insert(min, all - u64::from(max > median));
        } else {
            self.0.insert(median, all - ends);
        }
    }

    pub(super) fn add(&mut self, bytes: u32) {
        add(self.0.entry(bytes).or_default(), 1);
    }

    fn merge(&mut self, other: &Self) {
        for (size, n) in &other.0 {
            add(self.0.entry(*size).or_default(), *n);
        }
    }
}

/// Counts of one socket, or of all. All are counts of ids, unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Ids taken.
    pub sends: u64,
    /// Bytes of the calls that succeeded.
    pub bytes: u64,
    /// Their sizes.
    pub sizes: Sizes,
    /// Sends that failed and kept their id.
    pub with_error: u64,
    /// Calls refused by the limit on option memory.
    pub failed_optmem: u64,
    /// Calls refused by the limit on locked memory.
    pub failed_memlock: u64,
    /// Calls that failed otherwise.
    pub failed_other: u64,
    /// Sends whose flag was ignored.
    pub ignored: u64,
    /// Their bytes.
    pub ignored_bytes: u64,
    /// Completed and copied.
    pub copied: u64,
    /// Completed and reported zero-copy.
    pub reported: u64,
    /// Completed, sent before the window.
    pub before_attach: u64,
    /// Completed before anything was seen of their start.
    pub before_return: u64,
    /// Read by the application.
    pub read: u64,
    /// Notifications read.
    pub notifications_read: u64,
    /// Whose notification said otherwise than their completion.
    pub misled: u64,
    /// Sent, not completed.
    pub in_flight: u64,
    /// Sent, not completed when the socket was closed.
    pub closed_in_flight: u64,
    /// Completed, not read.
    pub unread: u64,
    /// First sight → completion.
    pub release: Latency,
    /// Where it starts.
    pub release_from: Option<From>,
    /// Completion → read.
    pub reap: Latency,
    /// Where the time until the release went.
    pub spent: Spent,
}

/// What buffers waited for: times of all sends of which each place was seen, added up, ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// From the first sight inside the send to the device's queue: in the socket, or waiting for
    /// the neighbour's address.
    pub before_queue: u64,
    /// In the device's queue.
    pub queued: u64,
    /// From there to the completion: the driver, the way, the peer's ACK.
    pub after: u64,
}

impl Spent {
    /// All of it.
    #[must_use]
    pub fn total(&self) -> u64 {
        sum([self.before_queue, self.queued, self.after])
    }

    fn merge(&mut self, o: &Self) {
        add(&mut self.before_queue, o.before_queue);
        add(&mut self.queued, o.queued);
        add(&mut self.after, o.after);
    }

    /// One send's: when it began, was queued, was handed to the driver and completed.
    pub(super) fn add(&mut self, begin: u64, queue: u64, driver: u64, done: u64) {
        // Of what began later than it was queued (the return of a call) nothing was before.
        let begin = begin.min(queue);
        if queue > driver || driver > done {
            return;
        }
        self.merge(&Self {
            before_queue: queue - begin,
            queued: driver - queue,
            after: done - driver,
        });
    }
}

impl Counts {
    /// What only the counters know.
    pub(super) fn take_exact(&mut self, c: &Counters) {
        self.failed_optmem = c.failed_optmem;
        self.failed_memlock = c.failed_memlock;
        // Before overlapping sends were noticed, a failure may have been taken for a send that
        // kept its id. The ids say how many there can be.
        let ids = u64::from(c.key.wrapping_sub(c.base)).max(self.sends);
        self.with_error = c.with_error.min(ids.saturating_sub(c.sends));
        self.failed_other = c.failed_other.saturating_add(c.with_error - self.with_error);
        self.ignored = c.ignored;
        self.ignored_bytes = c.ignored_bytes;
        self.before_attach = c.before;
    }

    /// What only the counters know, while the watch goes on. They are of another moment than the
    /// events; where some of those were lost, whichever has more knows more.
    pub(super) fn take_interim(&mut self, c: &Counters, lossy: bool) {
        self.failed_optmem = c.failed_optmem;
        self.failed_memlock = c.failed_memlock;
        self.failed_other = c.failed_other;
        self.ignored = self.ignored.max(c.ignored);
        self.ignored_bytes = self.ignored_bytes.max(c.ignored_bytes);
        self.before_attach = c.before;
        if !lossy {
            return;
        }
        let mut counted = Self { sends: self.sends, ..Self::default() };
        counted.take_counted(c);
        for (told, counted) in [
            (&mut self.sends, counted.sends),
            (&mut self.bytes, counted.bytes),
            (&mut self.notifications_read, counted.notifications_read),
            (&mut self.read, counted.read),
            (&mut self.copied, counted.copied),
            (&mut self.reported, counted.reported),
        ] {
            *told = counted.max(*told);
        }
        self.sends = self.sends.max(self.completed());
    }

    /// What the events told too, where they did not tell all.
    pub(super) fn take_counted(&mut self, c: &Counters) {
        // The ids say how many sends there were, but for whole turns of the circle.
        let told = c.sends.saturating_add(c.with_error);
        #[expect(clippy::cast_possible_truncation, reason = "the circle is 32 bits wide")]
        let more = c.key.wrapping_sub(c.base).wrapping_sub(told as u32).cast_signed();
        self.sends = told.saturating_add_signed(more.into());
        self.bytes = c.bytes;
        self.notifications_read = c.notifications_read;
        self.read = sum(c.reads);
        (self.copied, self.reported) = completed(c);
        self.sends = self.sends.max(self.completed());
    }

    /// Completions that wait on the error queue and that no event told of: how many were reported
    /// zero-copy, and copied. The events may be ahead of the look at the queue, and then they stand.
    pub(super) fn take_waiting(&mut self, c: &Counters) -> [u64; 2] {
        let (copied, reported) = completed(c);
        if c.unread.is_none() || copied < self.copied || reported < self.reported {
            return [0; 2];
        }
        let more = [reported - self.reported, copied - self.copied];
        (self.copied, self.reported) = (copied, reported);
        more
    }

    /// Adds another socket's.
    pub fn merge(&mut self, o: &Self) {
        self.count(o);
        self.spread(o);
    }

    /// Adds another socket's sizes and latencies.
    pub(super) fn spread(&mut self, o: &Self) {
        self.sizes.merge(&o.sizes);
        self.release.merge(&o.release);
        self.reap.merge(&o.reap);
    }

    /// Forgets sizes, latencies and where the time went.
    pub(super) fn forget_spread(&mut self) {
        (self.sizes, self.release, self.reap) = Default::default();
        (self.release_from, self.spent) = Default::default();
    }

    /// Keeps of sizes and latencies what their summaries are made of.
    pub(super) fn reduce(&mut self) {
        self.sizes.reduce();
        self.release.reduce();
        self.reap.reduce();
    }

    /// Adds all but sizes and latencies.
    pub(super) fn count(&mut self, o: &Self) {
        add(&mut self.sends, o.sends);
        add(&mut self.bytes, o.bytes);
        add(&mut self.with_error, o.with_error);
        add(&mut self.failed_optmem, o.failed_optmem);
        add(&mut self.failed_memlock, o.failed_memlock);
        add(&mut self.failed_other, o.failed_other);
        add(&mut self.ignored, o.ignored);
        add(&mut self.ignored_bytes, o.ignored_bytes);
        add(&mut self.copied, o.copied);
        add(&mut self.reported, o.reported);
        add(&mut self.before_attach, o.before_attach);
        add(&mut self.before_return, o.before_return);
        add(&mut self.read, o.read);
        add(&mut self.notifications_read, o.notifications_read);
        add(&mut self.misled, o.misled);
        add(&mut self.in_flight, o.in_flight);
        add(&mut self.closed_in_flight, o.closed_in_flight);
        add(&mut self.unread, o.unread);
        self.release_from = self.release_from.max(o.release_from);
        self.spent.merge(&o.spent);
    }

    /// Completed in the window.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.copied.saturating_add(self.reported)
    }
}

/// What the counters say of completions: copied, and reported zero-copy.
fn completed(c: &Counters) -> (u64, u64) {
    let unread = c.unread.unwrap_or_default();
    let done = sum(c.reads.into_iter().chain(unread));
    // A copied notification's ids, less the pieces in it, are those that began it.
    let copied = sum([c.pieces[1], c.reads[1], unread[1]]).saturating_sub(c.merged_into[1]);
    (copied, done.saturating_sub(copied))
}
