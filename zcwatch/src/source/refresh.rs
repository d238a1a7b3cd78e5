//! Counters while the watch goes on, no more often than they cost next to nothing.

use std::time::{Duration, Instant};

use zcwatch_common::Held;

/// The table of sockets is read so often, at most.
const COUNTERS: Duration = Duration::from_secs(1);
/// The processes' descriptors are walked so often, at most: all of them, on a host that is watched
/// whole.
const HELD: Duration = Duration::from_secs(3);
/// What took a time is not done again before so many times it.
const REST: u32 = 200;

/// When what is due.
#[derive(Debug, Default)]
pub(super) struct Refresh {
    counters: Option<Instant>,
    holders: Option<Instant>,
    /// As last seen.
    held: Vec<Held>,
}

impl Refresh {
    /// Are counters to be told now?
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.counters.is_none_or(|due| due <= now)
    }

    /// Are descriptors to be walked now?
    pub(super) fn holders_are_due(&self, now: Instant) -> bool {
        self.holders.is_none_or(|due| due <= now)
    }

    /// They were walked, from this time on.
    pub(super) fn walked(&mut self, start: Instant, held: Vec<Held>) {
        self.held = held;
        self.holders = Some(start + HELD.max(start.elapsed() * REST));
    }

    /// They were told, from this time on.
    pub(super) fn told(&mut self, start: Instant) {
        self.counters = Some(start + COUNTERS.max(start.elapsed() * REST));
    }

    /// Who held what when that was last looked at.
    pub(super) fn held(&self) -> &[Held] {
        &self.held
    }
}
