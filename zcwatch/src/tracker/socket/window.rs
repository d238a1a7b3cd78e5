//! A new window on a socket that is known already: what was counted before is taken off.

use super::{SocketTracker, Waits};
use crate::{
    event::{Counters, SocketId},
    sums::add,
    tracker::snapshot::Counts,
};

/// What there was when the window began.
#[derive(Clone, Debug, Default)]
pub(super) struct Zero {
    /// Counts then; no sizes, no latencies.
    pub counts: Counts,
    /// The kernel's counters then.
    counters: Option<Counters>,
    /// The position of the first id of the window.
    pub at: u64,
    /// When it began, ns since boot.
    since: u64,
    /// Ids below it that have completed since.
    pub before: u64,
}

impl SocketTracker {
    /// A new window begins at this time: ids that were sent earlier enter nothing but what completed
    /// from before it.
    pub fn reset(&mut self, id: SocketId, ts: u64, lossy: bool) {
        let numbers = self.zero.take().map(|z| z.counts);
        let Some(now) = self.snapshot(id, ts, lossy) else {
            self.zero =
                numbers.map(|counts| Box::new(Zero { counts, since: ts, ..Zero::default() }));
            return;
        };
        let mut counts = now.counts;
        counts.forget_spread();
        (counts.before_return, counts.misled) = (0, 0);
        let counters = self.counters.clone();
        let at = self.taken.max(self.base);
        self.zero = Some(Box::new(Zero { counts, counters, at, since: ts, before: 0 }));
        self.counts.forget_spread();
        (self.counts.before_return, self.counts.misled) = (0, 0);
        self.halves = self.halves.split_off(&at);
        self.groups.clear();
        self.errors.clear();
        self.call_sites.clear();
        self.waits = Waits::from(&self.waits, ts);
        (self.last_failure, self.failed_with) = (None, 0);
        (self.first_completion, self.last_completion) = (None, None);
    }

    /// The position of the first id of the window.
    pub(super) fn first(&self) -> u64 {
        self.zero.as_ref().map_or(self.base, |z| z.at)
    }

    /// So many ids from before the window completed at this time. It is known late: what completed
    /// before the window too is none of it.
    pub(super) fn done_before(&mut self, n: u64, copied: bool, ts: Option<u64>) {
        if let Some(zero) = &mut self.zero {
            let c = &mut zero.counts;
            add(if copied { &mut c.copied } else { &mut c.reported }, n);
            if ts.is_none_or(|ts| ts >= zero.since) {
                add(&mut zero.before, n);
            }
        }
    }

    /// Takes off what there was when the window began.
    ///
    /// Of completions that no event told of (`waiting`: reported zero-copy, copied) the ids are not
    /// known: they are taken for the oldest.
    pub(super) fn since_zero(
        &self,
        counts: &mut Counts,
        counters: &mut Option<Counters>,
        waiting: &mut [u64; 2],
    ) {
        let Some(zero) = &self.zero else { return };
        let z = &zero.counts;
        let mut open = z.sends.saturating_sub(z.completed());
        let mut before = zero.before;
        for (n, all) in waiting.iter_mut().zip([&mut counts.reported, &mut counts.copied]) {
            let older = open.min(*n);
            open -= older;
            *n -= older;
            *all = all.saturating_sub(older);
            add(&mut before, older);
        }
        for (n, before) in [
            (&mut counts.sends, z.sends),
            (&mut counts.bytes, z.bytes),
            (&mut counts.with_error, z.with_error),
            (&mut counts.failed_optmem, z.failed_optmem),
            (&mut counts.failed_memlock, z.failed_memlock),
            (&mut counts.failed_other, z.failed_other),
            (&mut counts.ignored, z.ignored),
            (&mut counts.ignored_bytes, z.ignored_bytes),
            (&mut counts.copied, z.copied),
            (&mut counts.reported, z.reported),
            (&mut counts.before_attach, z.before_attach),
            (&mut counts.read, z.read),
            (&mut counts.notifications_read, z.notifications_read),
        ] {
            *n = n.saturating_sub(before);
        }
        add(&mut counts.before_attach, before);
        let (Some(now), Some(then)) = (counters, &zero.counters) else { return };
        for (n, before) in [
            (&mut now.plain, then.plain),
            (&mut now.plain_bytes, then.plain_bytes),
            (&mut now.pulled, then.pulled),
            (&mut now.forwarded, then.forwarded),
        ] {
            *n = n.saturating_sub(before);
        }
        now.plain_run = now.plain_run.min(now.plain);
        now.retransmits =
            now.retransmits.map(|n| n.saturating_sub(then.retransmits.unwrap_or_default()));
        now.ticks = now.ticks.map(|ticks| {
            let then = then.ticks.unwrap_or_default();
            [0, 1, 2].map(|i: usize| ticks[i].saturating_sub(then[i]))
        });
    }
}
