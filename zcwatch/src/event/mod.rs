//! The one stream: everything that a source knows, in the order it became known. The tracker
//! sees nothing else.

mod host;
mod send;
mod socket;
mod way;

use serde::{Deserialize, Serialize};

pub use host::{
    DeviceFacts, DropFacts, Limits, LinkChange, Losses, ProcessFacts, StackFacts, Tunnel,
};
pub use send::{CallSite, FailedSend, IgnoredSend, Limit, PlainSends, Sent};
pub use socket::{Counters, Endpoint, Family, Protocol, SocketFacts, SocketId};
pub use way::{CopySeen, Hop, Range, Stage, Way};

use crate::host::packet::Sniffer;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When, ns since boot (CLOCK_MONOTONIC).
    pub ts: u64,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// A socket entered the watch, or is described again.
    Socket(Box<SocketFacts>),
    /// A send took an id.
    Send(Sent),
    /// A zerocopy send failed, and took no id.
    Failed(FailedSend),
    /// MSG_ZEROCOPY on a socket without SO_ZEROCOPY: sent like any other, and never notified.
    Ignored(IgnoredSend),
    /// A notification was queued; its range may already hold merged pieces.
    Started(Range),
    /// A completion was merged into a queued notification.
    Merged(Range),
    /// The application read a notification.
    Read(Range),
    /// A socket was closed.
    Closed {
        /// Which.
        socket: SocketId,
    },
    /// From where in a program it was sent, when asked for.
    CallSite(CallSite),
    /// A device on the way of a packet, new or changed.
    Device(DeviceFacts),
    /// The calls that led to a copy, before the first completion that names them.
    Stack(StackFacts),
    /// What dropped sends, before the first send that names it.
    Drop(DropFacts),
    /// A process that is watched, or holds something that matters.
    Process(ProcessFacts),
    /// A network device, as its namespace tells of it.
    Link(LinkChange),
    /// Limits as they are now, where they changed.
    Limits(Limits),
    /// The processes behind tun and tap devices, as seen now, in all namespaces.
    Tunnels {
        /// All of them; one that is gone is not here.
        list: Vec<Tunnel>,
    },
    /// What a process sent without MSG_ZEROCOPY on sockets that are not watched, up to now.
    Plain(PlainSends),
    /// The packet sockets that take every packet, as seen now, in the namespaces asked about.
    Sniffers {
        /// All of them; one that is gone is not here.
        list: Vec<Sniffer>,
        /// Namespaces whose packet sockets could not be read.
        unreadable: Vec<u32>,
    },
    /// The kernel's exact counters of a socket, now.
    Counters(Box<Counters>),
    /// Zerocopy requests of io_uring, up to now.
    IoUring {
        /// The process.
        pid: u32,
        /// The descriptor named in the requests.
        fd: i32,
        /// How many were submitted.
        requests: u64,
    },
    /// What the probes could not do, up to now.
    Losses(Losses),
}
