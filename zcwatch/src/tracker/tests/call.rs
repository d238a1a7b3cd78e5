//! What a test lets happen to a socket: one send, one completion, its past.

use crate::event::{Hop, Way};

/// When the probe at `inet_sk_error_report` looks at the queue's tail.
#[derive(Clone, Copy, Debug)]
pub enum Look {
    /// As the notification is queued.
    AtOnce,
    /// A moment later, and its record a moment after that: pieces may be merged before, and a
    /// reader may come first.
    After { look: u64, told: u64 },
    /// Not at all: another notification came behind it, or the program was skipped.
    Missed,
}

/// How a send fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Succeeds,
    TakesNoId,
    KeepsItsId,
}

/// One call of send.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    pub thread: usize,
    pub bytes: u32,
    pub more: bool,
    /// It extends the newest uarg, where that is possible.
    pub joins: bool,
    /// The probe inside a TCP send saw it.
    pub entry_seen: bool,
    pub way: Way,
    pub fate: Fate,
}

const NO_WAY: Way = Way {
    first: None,
    driver: None,
    hops: [Hop { device: 0, intact: 0, copied: 0 }; 4],
    marks: 0,
    copy: None,
};
/// A send of which nothing special is to be said.
pub const PLAIN: Call = Call {
    thread: 0,
    bytes: 20_000,
    more: false,
    joins: false,
    entry_seen: true,
    way: NO_WAY,
    fate: Fate::Succeeds,
};

/// A uarg of before the watch.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    pub len: u32,
    pub copied: bool,
    /// It waits on the error queue; else it is in flight.
    pub queued: bool,
}
