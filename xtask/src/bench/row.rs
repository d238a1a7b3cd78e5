//! What is measured.

use clap::ValueEnum;
use serde::Serialize;

use super::{load::Work, tool::Tool};

/// A process whose throughput is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Row {
    /// A zerocopy sender of 64 KB over TCP, watched
    #[value(name = "sender-64k")]
    #[serde(rename = "sender-64k")]
    Sender64K,
    /// The same with 16 KB
    #[value(name = "sender-16k")]
    #[serde(rename = "sender-16k")]
    Sender16K,
    /// The same with 1400 B
    #[value(name = "sender-1400")]
    #[serde(rename = "sender-1400")]
    Sender1400,
    /// 16 KB to a receiver that sleeps when it has read everything, and is woken by the sender
    #[value(name = "sender-16k-wakes")]
    #[serde(rename = "sender-16k-wakes")]
    Sender16KWakes,
    /// Requests and responses of 200 B between two processes without zerocopy, while another is
    /// watched
    Bystander,
    /// The same within one thread, which never waits: the packets' path alone
    BystanderAlone,
    /// The sender of 16 KB, while another process is watched: what hooks cost that match nothing
    #[value(name = "unmatched-16k")]
    #[serde(rename = "unmatched-16k")]
    Unmatched16K,
}

impl Row {
    /// Its name, as on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What its process does.
    pub fn work(self) -> Work {
        match self {
            Self::Sender64K => Work::Zerocopy(64 << 10),
            Self::Sender16K | Self::Unmatched16K => Work::Zerocopy(16 << 10),
            Self::Sender1400 => Work::Zerocopy(1400),
            Self::Sender16KWakes => Work::ZerocopyWaking(16 << 10),
            Self::Bystander => Work::Plain,
            Self::BystanderAlone => Work::PlainAlone,
        }
    }

    /// Whether its own process is the one that is watched.
    pub fn is_watched(self) -> bool {
        matches!(self, Self::Sender64K | Self::Sender16K | Self::Sender1400 | Self::Sender16KWakes)
    }

    /// The ratio of watched to unwatched throughput that zcwatch aims at.
    pub fn aim(self) -> Option<f64> {
        match self {
            Self::Sender64K => Some(0.98),
            Self::Sender16K => Some(0.95),
            Self::Sender1400 => Some(0.90),
            Self::Bystander => Some(0.99),
            Self::Sender16KWakes | Self::BystanderAlone | Self::Unmatched16K => None,
        }
    }

    /// Whether the tool can do anything to its process: strace stops no other.
    pub fn feels(self, tool: Tool) -> bool {
        self.is_watched() || tool != Tool::Strace
    }
}
