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
    /// Notifications that say otherwise than the completions in them.
    Misled,
    /// Notifications that nobody reads.
    UnreadNotifications,
    /// Sends too small to gain.
    SmallSends,
    /// Nothing is wrong.
    Healthy,
}

impl FindingId {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Copied,
        Self::HiddenCopy,
        Self::FlagIgnored,
        Self::Misled,
        Self::UnreadNotifications,
        Self::SmallSends,
        Self::Healthy,
    ];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Copied => "copied",
            Self::HiddenCopy => "hidden-copy",
            Self::FlagIgnored => "flag-ignored",
            Self::Misled => "misled",
            Self::UnreadNotifications => "unread-notifications",
            Self::SmallSends => "small-sends",
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

/// One thing found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Which.
    pub id: FindingId,
    /// The cause's key, where it is about copies.
    pub cause: Option<&'static str>,
    /// How bad.
    pub severity: Severity,
    /// The sockets it is about.
    pub sockets: Vec<SocketId>,
    /// One sentence, with numbers.
    pub sentence: String,
    /// What it rests on.
    pub evidence: String,
    /// What to change: sentences, and commands for this host.
    pub remedies: Vec<String>,
    /// How sure.
    pub certainty: Certainty,
}
