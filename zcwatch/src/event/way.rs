//! Completions, and the ways of their packets.

use serde::{Deserialize, Serialize};

use super::SocketId;

/// An inclusive range of ids with one copied bit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Range {
    /// Which socket.
    pub socket: SocketId,
    /// First id.
    pub lo: u32,
    /// Last id.
    pub hi: u32,
    /// SO_EE_CODE_ZEROCOPY_COPIED.
    pub copied: bool,
    /// What was seen of the uarg.
    pub way: Way,
}

/// Places where a uarg's zerocopy bit is looked at, in the order a packet passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// `net_dev_queue`.
    Queue,
    /// `net_dev_start_xmit`.
    Xmit,
    /// `netif_receive_skb`.
    Receive,
}

impl Stage {
    /// In order.
    pub const ALL: [Self; 3] = [Self::Queue, Self::Xmit, Self::Receive];

    /// Its bit in [`Hop`].
    #[must_use]
    pub fn bit(self) -> u8 {
        match self {
            Self::Queue => zcwatch_common::stage::QUEUE,
            Self::Xmit => zcwatch_common::stage::XMIT,
            Self::Receive => zcwatch_common::stage::RECEIVE,
        }
    }

    /// The tracepoint.
    #[must_use]
    pub fn tracepoint(self) -> &'static str {
        match self {
            Self::Queue => "net_dev_queue",
            Self::Xmit => "net_dev_start_xmit",
            Self::Receive => "netif_receive_skb",
        }
    }
}

/// One device on a uarg's way, and where its bit was seen there.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Hop {
    /// [`super::DeviceFacts::index`]; 0: no hop.
    pub device: u16,
    /// [`Stage::bit`]s at which it was still 1, and bits of [`zcwatch_common::sign`].
    pub intact: u8,
    /// [`Stage::bit`]s at which it was 0.
    pub copied: u8,
}

/// What was seen of a uarg between its send and its completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// First sight at the device layer, ns since boot.
    pub first: Option<u64>,
    /// When a packet of it was first handed to a device's driver, ns since boot; `None`: never.
    #[serde(default)]
    pub driver: Option<u64>,
    /// The devices, in order.
    pub hops: [Hop; zcwatch_common::MAX_HOPS],
    /// Bits of [`zcwatch_common::mark`].
    pub marks: u32,
    /// The first copy, where it was seen being made.
    #[serde(default)]
    pub copy: Option<CopySeen>,
}

/// A copy that was seen being made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CopySeen {
    /// The device that the packet was on; `None`: on none.
    pub device: Option<u16>,
    /// [`super::StackFacts::index`]; `None`: the calls are not known.
    pub stack: Option<u16>,
}

impl Way {
    /// Was any packet of it seen?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.first.is_some()
    }
}
