//! The findings: when each holds, and its sentence.

mod about;
mod copies;
mod healthy;
mod judge;
mod limits;
mod notifications;
mod usage;
mod waiting;

pub(super) use healthy::healthy;
pub use judge::judge;

use about::{About, Part};
use judge::Mark;

use super::{Context, Finding, words::count};
use crate::tracker::{Snapshot, snapshot::SocketSnapshot};

/// Thresholds, each with its reason.
mod threshold {
    /// Fewer sends are an anecdote.
    pub const SENDS: u64 = 10;
    /// A few copied sends per hundred do not undo the gain of the others.
    pub const COPIED_PERCENT: u64 = 5;
    /// "generally effective at writes over around 10 KB" (Documentation/networking/
    /// msg_zerocopy.rst): below, page accounting and notifications cost more than the copy.
    pub const LARGE_BYTES: u32 = zcwatch_common::LARGE.unsigned_abs();
    /// So many large sends are what a program does, not what it did once.
    pub const NEVER_USED: u64 = 100;
    /// So many sends without the flag are no pause between two with it.
    pub const GAVE_UP: u64 = 100;
    /// Applications read in batches; so many at once are no batch any more.
    pub const UNREAD: u64 = 64;
    /// And they may be busy for a moment.
    pub const UNREAD_NS: u64 = 1_000_000_000;
    /// Who has never read in this time will not.
    pub const NEVER_READ_NS: u64 = 5_000_000_000;
    /// Who waits for more than half of the time would send twice as much without.
    pub const WAITED_PERCENT: u64 = 50;
    /// Longer than a packet takes on any local network, its interrupts and its ACK: at 1 GB/s so
    /// much time holds 10 MB of buffers.
    pub const SLOW_NS: u64 = 10_000_000;
    /// An ACK comes after one round trip, or a few where the window is full.
    pub const SLOW_RTTS: u64 = 20;
    /// On links with a round trip of microseconds, 20 of them are a scheduler's moment: on a busy
    /// host a thread waits a few ms for its turn.
    pub const SLOW_RTTS_NS: u64 = 5_000_000;
    /// The 99th percentile of fewer sends is the slowest of them: there the 90th decides.
    pub const PERCENTILE_OF: u64 = 100;
    /// TCP_DELACK_MIN is 40 ms (include/net/tcp.h, all versions); timers are a few ms late.
    pub const DELAYED_ACK_NS: std::ops::RangeInclusive<u64> = 38_000_000..=48_000_000;
    /// A round trip so many times the least one is spent in queues.
    pub const QUEUES_ON_THE_WAY: u64 = 4;
    /// Above, the round trip itself is as long as a delayed ACK.
    pub const DELAYED_ACK_RTT_NS: u64 = 20_000_000;
}

type Rule = fn(&Snapshot, &Context) -> Vec<Finding>;

/// All but `healthy`, which holds when none of these does; of one severity in this order.
pub(super) const RULES: &[Rule] = &[
    copies::copied,
    copies::hidden_copy,
    usage::flag_ignored,
    limits::enobufs_optmem,
    limits::enobufs_memlock,
    limits::device_drop,
    usage::never_used,
    notifications::misled,
    notifications::unread_notifications,
    waiting::one_in_flight,
    waiting::slow_release,
    notifications::out_of_order,
    usage::gave_up,
    usage::small_sends,
];

/// The median size of a socket's sends, bytes.
fn median(socket: &SocketSnapshot) -> Option<u32> {
    socket.counts.sizes.summary().map(|(_, median, _)| median)
}
