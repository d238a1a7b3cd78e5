//! What is found of one socket by itself. The tracker folds ended sockets by it: those of one kind
//! have the same marks, and what a finding names is kept.

use super::{limits, notifications, usage, waiting};
use crate::tracker::{
    ended::{Claim, Judged},
    snapshot::SocketSnapshot,
};

/// What a finding may ask of each socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Sends,
    Copied,
    Ignored,
    Optmem,
    Memlock,
    Errors,
    Plain,
    Misled,
    Unread,
    OutOfOrder,
    OneInFlight,
    Slow,
    GaveUp,
    Small,
}

impl Mark {
    const ALL: [Self; 14] = [
        Self::Sends,
        Self::Copied,
        Self::Ignored,
        Self::Optmem,
        Self::Memlock,
        Self::Errors,
        Self::Plain,
        Self::Misled,
        Self::Unread,
        Self::OutOfOrder,
        Self::OneInFlight,
        Self::Slow,
        Self::GaveUp,
        Self::Small,
    ];

    pub(super) fn bit(self) -> u32 {
        1 << self as u32
    }

    fn is_of(self, s: &SocketSnapshot) -> bool {
        let c = &s.counts;
        match self {
            Self::Sends => c.sends > 0,
            Self::Copied => c.copied > 0,
            Self::Ignored => c.ignored > 0,
            Self::Optmem => c.failed_optmem > 0,
            Self::Memlock => c.failed_memlock > 0,
            Self::Errors => c.with_error > 0 || !s.errors.is_empty(),
            Self::Plain => usage::large_plain(s) > 0,
            Self::Misled => c.misled > 0,
            Self::Unread => notifications::leaves_unread(s),
            Self::OutOfOrder => s.waits.out_of_order > 0,
            Self::OneInFlight => waiting::waits_for_each(s),
            Self::Slow => waiting::slow(s).is_some(),
            Self::GaveUp => usage::has_given_up(s),
            Self::Small => usage::is_small(s),
        }
    }

    /// Of those that are so, the finding names the one where this is largest; the second number
    /// is asked for besides.
    fn ranks(self, s: &SocketSnapshot) -> Vec<(u64, u64)> {
        let c = &s.counts;
        match self {
            Self::OneInFlight | Self::Small => vec![(c.sends, 0)],
            Self::Slow => vec![(waiting::slow(s).map_or(0, |r| r.p99), 0)],
            Self::GaveUp => vec![(usage::run(s), 0)],
            Self::Unread => vec![(notifications::waiting(s), 0)],
            Self::Optmem => vec![limits::worst_optmem(s)],
            Self::Memlock => vec![limits::worst_memlock(s), (limits::usual_size(s), 0)],
            _ => Vec::new(),
        }
    }
}

/// All that can be said of a socket by itself.
#[must_use]
pub fn judge(s: &SocketSnapshot) -> Judged {
    let mut judged = Judged::default();
    for mark in Mark::ALL.into_iter().filter(|m| m.is_of(s)) {
        judged.marks |= mark.bit();
        judged.trouble |= !matches!(mark, Mark::Sends | Mark::Plain);
        for (n, rank) in (0..).zip(mark.ranks(s)) {
            judged.claims.push(Claim { of: (mark as u8) << 1 | n, rank });
        }
    }
    judged.trouble |= s.hidden() > 0;
    judged.blamed = (s.counts.failed_memlock > 0).then(|| limits::blamed(s));
    judged
}
