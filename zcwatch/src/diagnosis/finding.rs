//! What a finding is.

use serde::Serialize;

use crate::{event::SocketId, probe::hooks::Certainty};

/// How bad it is, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Zerocopy does not do what it was asked for.
    Problem,
    /// It will, or may, hurt.
    Warning,
    /// Good to know.
    Note,
}

/// Every finding there is: its name on the command line and in JSON, and when it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingId {
    /// Sends are copied.
    Copied,
    /// Sends are copied though reported zero-copy.
    HiddenCopy,
    /// MSG_ZEROCOPY without SO_ZEROCOPY.
    FlagIgnored,
    /// Sends refused by the limit on option memory.
    EnobufsOptmem,
    /// Sends refused by the limit on locked memory.
    EnobufsMemlock,
    /// Sends that failed below the socket, and kept their ids.
    DeviceDrop,
    /// Large sends, and none with MSG_ZEROCOPY.
    NeverUsed,
    /// No zerocopy any more after copies.
    GaveUp,
    /// Sends too small to gain.
    SmallSends,
    /// Each send waits for the notification of the one before.
    OneInFlight,
    /// Buffers that come back late.
    SlowRelease,
    /// Notifications that nobody reads.
    UnreadNotifications,
    /// Notifications that say otherwise than the completions in them.
    Misled,
    /// Notifications in another order than the sends.
    OutOfOrder,
    /// Nothing is wrong.
    Healthy,
}

impl FindingId {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 15] = [
        Self::Copied,
        Self::HiddenCopy,
        Self::FlagIgnored,
        Self::EnobufsOptmem,
        Self::EnobufsMemlock,
        Self::DeviceDrop,
        Self::NeverUsed,
        Self::GaveUp,
        Self::SmallSends,
        Self::OneInFlight,
        Self::SlowRelease,
        Self::UnreadNotifications,
        Self::Misled,
        Self::OutOfOrder,
        Self::Healthy,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::HiddenCopy => "hidden-copy",
            Self::FlagIgnored => "flag-ignored",
            Self::EnobufsOptmem => "enobufs-optmem",
            Self::EnobufsMemlock => "enobufs-memlock",
            Self::DeviceDrop => "device-drop",
            Self::NeverUsed => "never-used",
            Self::GaveUp => "gave-up",
            Self::SmallSends => "small-sends",
            Self::OneInFlight => "one-in-flight",
            Self::SlowRelease => "slow-release",
            Self::UnreadNotifications => "unread-notifications",
            Self::Misled => "misled",
            Self::OutOfOrder => "out-of-order",
            Self::Healthy => "healthy",
        }
    }
}

impl std::str::FromStr for FindingId {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|f| f.name() == name).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|f| f.name()).collect();
            format!("there is no finding {name:?}; there are {}", names.join(", "))
        })
    }
}

/// What stays of a finding while its numbers change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    id: FindingId,
    cause: Option<&'static str>,
    first: Option<SocketId>,
}

impl Known {
    /// Where it is among those of now; `None`: it does not hold any more.
    #[must_use]
    pub fn place(self, all: &[Finding]) -> Option<usize> {
        let alike = |f: &Finding| (f.id, f.cause) == (self.id, self.cause);
        // Its first socket may have been added up with others by now.
        let only = || {
            let mut alike = all.iter().enumerate().filter(|(_, f)| alike(f)).map(|(i, _)| i);
            alike.next().filter(|_| alike.next().is_none())
        };
        all.iter().position(|f| f.known() == self).or_else(only)
    }
}

/// One thing found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub id: FindingId,
    /// The cause's key, where it is about copies.
    pub cause: Option<&'static str>,
    /// How bad.
    pub severity: Severity,
    /// The sockets it is about that have a row.
    pub sockets: Vec<SocketId>,
    /// How many without a row it is about too.
    pub folded: u64,
    /// The processes that sent on them first; empty where that is not known of all.
    pub pids: Vec<u32>,
    /// One sentence, with numbers.
    pub sentence: String,
    /// What it rests on.
    pub evidence: String,
    /// What to change: sentences, and commands for this host.
    pub remedies: Vec<String>,
    /// How sure.
    pub certainty: Certainty,
}

impl Finding {
    /// By what it is known again.
    #[must_use]
    pub fn known(&self) -> Known {
        Known { id: self.id, cause: self.cause, first: self.sockets.first().copied() }
    }
}
