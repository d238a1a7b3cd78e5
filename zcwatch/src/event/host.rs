//! What is around the sockets: processes, devices, limits; and what the probes could not do.

use serde::{Deserialize, Serialize};

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

impl Limits {
    /// Is it the same limit, of the same namespace or process, whatever it is?
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Optmem { netns: a, .. }, Self::Optmem { netns: b, .. })
            | (Self::Memlock { pid: a, .. }, Self::Memlock { pid: b, .. }) => a == b,
            _ => false,
        }
    }
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

/// The calls that led to a copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StackFacts {
    /// Its number in [`CopySeen::stack`](super::CopySeen::stack).
    pub index: u16,
    /// Kernel functions: the one that copied, then its callers, the innermost first.
    pub calls: Vec<String>,
}

/// What dropped sends on their way out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DropFacts {
    /// Its number in [`Sent::dropped`](super::Sent::dropped).
    pub index: u16,
    /// As `enum skb_drop_reason` has it, without `SKB_DROP_REASON_`: 5.17 and later.
    pub reason: Option<String>,
    /// The kernel function that did it.
    pub function: Option<String>,
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
