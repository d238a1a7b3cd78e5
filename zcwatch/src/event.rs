//! The one stream: everything that a source knows, in the order it became known. The tracker
//! sees nothing else.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::host::packet::Sniffer;

/// A socket's cookie (`SO_COOKIE`, unique while the host is up). A string in JSON, whose numbers
/// do not hold 64 bits everywhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId(pub u64);

impl fmt::Display for SocketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl Serialize for SocketId {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SocketId {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

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
    /// A device on the way of a packet, new or changed.
    Device(DeviceFacts),
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

/// IPPROTO_TCP or IPPROTO_UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// A stream: an empty send takes no id.
    Tcp,
    /// Datagrams: an empty send takes one.
    Udp,
}

impl Protocol {
    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

/// The socket's own family: `V6` also for an IPv6 socket that talks IPv4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// AF_INET.
    #[serde(rename = "ipv4")]
    V4,
    /// AF_INET6.
    #[serde(rename = "ipv6")]
    V6,
}

/// An address and a port, in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The address; v4-mapped addresses stay IPv6.
    pub addr: IpAddr,
    /// The port; 0 where there is none.
    pub port: u16,
}

/// Who a socket is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SocketFacts {
    /// Which.
    pub socket: SocketId,
    /// The first id of the window.
    pub base: u32,
    /// Family.
    pub family: Family,
    /// Protocol.
    pub protocol: Protocol,
    /// Local address.
    pub local: Endpoint,
    /// Remote address; `None`: not connected.
    pub remote: Option<Endpoint>,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Inode number of the socket; `None`: unknown.
    pub inode: Option<u64>,
    /// The first process seen with it.
    pub pid: u32,
    /// That process's name, as the kernel has it: any bytes but NUL.
    pub comm: String,
    /// Is SO_ZEROCOPY set?
    pub so_zerocopy: bool,
    /// The socket was there before the watch began, so ids below `base` may still complete.
    pub before_watch: bool,
}

/// A send that took an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Which socket.
    pub socket: SocketId,
    /// The id.
    pub id: u32,
    /// The id was read under the socket's lock; else it was taken from the key after the call.
    pub id_exact: bool,
    /// Bytes taken; 0 with an error.
    pub bytes: u32,
    /// The call failed with this errno and kept its id.
    pub errno: Option<i32>,
    /// First sight inside the call, ns since boot.
    pub entry: Option<u64>,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The descriptor.
    pub fd: Option<i32>,
    /// MSG_MORE was passed.
    pub more: bool,
    /// Its id is below the window.
    pub before: bool,
}

/// A zerocopy send that failed and took no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedSend {
    /// Which socket.
    pub socket: SocketId,
    /// The error.
    pub errno: i32,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The descriptor.
    pub fd: Option<i32>,
    /// Option memory in use right after, bytes.
    pub optmem_used: u32,
    /// Its limit, bytes.
    pub optmem_max: Option<u32>,
    /// Memory locked by the user right after, bytes.
    pub memlock_used: u64,
    /// Its limit, bytes; `None`: unlimited.
    pub memlock_limit: Option<u64>,
}

/// A send whose flag the kernel ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredSend {
    /// Which socket.
    pub socket: SocketId,
    /// Bytes taken.
    pub bytes: u32,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The descriptor.
    pub fd: Option<i32>,
}

/// Sends without MSG_ZEROCOPY. Those of io_uring and of 32-bit tasks are not in it: their flags
/// are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainSends {
    /// The process.
    pub pid: u32,
    /// How many.
    pub sends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those of at least [`zcwatch_common::LARGE`] bytes.
    pub large: u64,
    /// Their bytes.
    pub large_bytes: u64,
    /// The descriptor of the last large one.
    pub fd: Option<i32>,
}

/// What became of a network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkChange {
    /// Inode number of its namespace.
    pub netns: u32,
    /// `ifindex` there.
    pub ifindex: u32,
    /// Its name now.
    pub name: String,
    /// It is gone.
    pub removed: bool,
    /// IFF_UP.
    pub up: bool,
    /// It has a carrier.
    pub carrier: bool,
    /// MTU, bytes; 0 if not told.
    pub mtu: u32,
}

/// Limits that sends run into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "limit", rename_all = "snake_case")]
pub enum Limits {
    /// `net.core.optmem_max`, bytes.
    Optmem {
        /// Inode number of the namespace.
        netns: u32,
        /// Now.
        max: u64,
    },
    /// RLIMIT_MEMLOCK (soft), bytes; `None`: unlimited.
    Memlock {
        /// The process.
        pid: u32,
        /// Now.
        max: Option<u64>,
    },
}

/// A process that holds the other end of a tun or tap device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tunnel {
    /// The device's name, which others may have in other namespaces.
    pub device: String,
    /// Inode number of the device's network namespace; `None`: not known.
    #[serde(default)]
    pub netns: Option<u32>,
    /// The process.
    pub pid: u32,
    /// Its name.
    pub comm: String,
}

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
    /// [`DeviceFacts::index`]; 0: no hop.
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
    /// The devices, in order.
    pub hops: [Hop; zcwatch_common::MAX_HOPS],
    /// Bits of [`zcwatch_common::mark`].
    pub marks: u32,
}

impl Way {
    /// Was any packet of it seen?
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.first.is_some()
    }
}

/// A network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceFacts {
    /// Its number in [`Hop::device`].
    pub index: u16,
    /// `ifindex` in its namespace.
    pub ifindex: u32,
    /// Inode number of its namespace.
    pub netns: u32,
    /// Name.
    pub name: String,
    /// `rtnl_link_ops->kind`: "veth", "tun"…; empty for hardware and loopback.
    pub kind: String,
    /// MTU, bytes.
    pub mtu: u32,
    /// `netdev_features_t`.
    pub features: u64,
    /// IFF_LOOPBACK.
    pub loopback: bool,
    /// A veth whose peer runs native XDP; `None`: cannot be read.
    pub peer_xdp: Option<bool>,
    /// Packet sockets hear what it sends; `None`: cannot be read.
    pub heard: Option<bool>,
}

/// A process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessFacts {
    /// Its id.
    pub pid: u32,
    /// Its name; any bytes but NUL.
    pub comm: String,
    /// It has ended.
    pub ended: bool,
    /// The process that made it, where it was followed from there.
    pub parent: Option<u32>,
}

/// The kernel's exact counters of one socket since it entered the watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Which.
    pub socket: SocketId,
    /// The first id of the window.
    pub base: u32,
    /// The next id.
    pub key: u32,
    /// Sends that returned without an error.
    pub sends: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Sends that failed and kept their id.
    pub with_error: u64,
    /// Failed by the limit on option memory.
    pub failed_optmem: u64,
    /// Failed by the limit on locked memory.
    pub failed_memlock: u64,
    /// Failed otherwise.
    pub failed_other: u64,
    /// Sends whose flag was ignored.
    pub ignored: u64,
    /// Their bytes.
    pub ignored_bytes: u64,
    /// Ids of merged pieces by their own bit: not copied, copied.
    pub pieces: [u64; 2],
    /// Ids read, by the notification's bit.
    pub reads: [u64; 2],
    /// Ids of pieces, by the bit of the notification they went into.
    pub merged_into: [u64; 2],
    /// Ids on the error queue now, by the notification's bit; `None`: not looked at.
    pub unread: Option<[u64; 2]>,
    /// Ids on the error queue now that were sent before the window; `None`: not looked at.
    pub unread_before: Option<u64>,
    /// Ids completed that were sent before the window.
    pub before: u64,
    /// Notifications read.
    pub notifications_read: u64,
    /// Sends without the flag.
    pub plain: u64,
    /// Their bytes.
    pub plain_bytes: u64,
    /// Sends without the flag since the last with it.
    pub plain_run: u64,
    /// Packets queued with their whole payload in the linear head, though sent with zerocopy.
    pub pulled: u64,
    /// The device where that was seen.
    pub pulled_device: Option<u16>,
    /// Smoothed round-trip time of a TCP connection, ns; `None`: unknown.
    pub srtt: Option<u64>,
    /// Option memory in use, bytes.
    pub optmem_used: u32,
    /// Its limit, bytes.
    pub optmem_max: Option<u32>,
    /// Memory locked by the sender's user, bytes.
    pub memlock_used: u64,
    /// Its limit, bytes; `None`: unlimited.
    pub memlock_limit: Option<u64>,
    /// SO_ZEROCOPY is set.
    pub so_zerocopy: bool,
    /// Two sends overlapped: ids of UDP sends are approximate.
    pub overlapped: bool,
    /// Who holds it now: process and descriptor.
    pub holders: Vec<(u32, u32)>,
    /// When it was closed, ns since boot.
    pub closed: Option<u64>,
}

/// What the probes could not do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Losses {
    /// Events that found the ring buffer full.
    pub events: u64,
    /// Sockets that found their table full, and are not in any number.
    pub sockets: u64,
    /// Processes that found their table full: what they send is not in every number.
    pub processes: u64,
    /// Uargs whose way could not be kept: their cause is unknown.
    pub paths: u64,
    /// Merged pieces whose notification was not found.
    pub unpaired: u64,
    /// Runs of a probe that the kernel skipped, because the probe was already running on that
    /// CPU: each may be a send, a completion or a packet that was not seen.
    pub skipped: u64,
}
