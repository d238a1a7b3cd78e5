//! Who a socket is, and what the kernel counted of it.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

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
    /// Its cookie, where the probes know it by a number of their own (before 5.12).
    pub cookie: Option<SocketId>,
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

/// The kernel's exact counters of one socket since it entered the watch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Which.
    pub socket: SocketId,
    /// The watch goes on: events that these cover may be still to come.
    #[serde(default)]
    pub interim: bool,
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
    /// Packets that this host received with the sender's pages, copied, and then forwarded.
    #[serde(default)]
    pub forwarded: u64,
    /// Packets queued with their whole payload in the linear head, though sent with zerocopy.
    pub pulled: u64,
    /// The device where that was seen.
    pub pulled_device: Option<u16>,
    /// Smoothed round-trip time of a TCP connection, ns; `None`: unknown.
    pub srtt: Option<u64>,
    /// The least one of late, ns; `None`: unknown.
    #[serde(default)]
    pub min_rtt: Option<u64>,
    /// Segments that it sent again in the window; `None`: not TCP, or not read.
    #[serde(default)]
    pub retransmits: Option<u32>,
    /// How long it had something to send in the window, in ticks of the kernel's clock: sending,
    /// waiting for the receiver's window, and for room in the send buffer; `None`: as above.
    #[serde(default)]
    pub ticks: Option<[u32; 3]>,
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
