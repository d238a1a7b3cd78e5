//! Sends: those that took an id, those that did not, and those without the flag.

use serde::{Deserialize, Serialize};

use super::SocketId;

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
    /// What dropped it then, where that was seen: [`super::DropFacts::index`].
    #[serde(default)]
    pub dropped: Option<u16>,
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
    /// What refused it, where that was seen; `None`: it follows from what was left of each.
    #[serde(default)]
    pub limit: Option<Limit>,
}

/// What a send without buffer space (ENOBUFS) ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// `net.core.optmem_max` (`sock_omalloc`).
    Optmem,
    /// RLIMIT_MEMLOCK (`mm_account_pinned_pages`).
    Memlock,
    /// Neither of them.
    Other,
}

/// A place in a program from which it sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallSite {
    /// On which socket.
    pub socket: SocketId,
    /// The process.
    pub pid: u32,
    /// Sends that took an id, up to now.
    pub sends: u64,
    /// The functions, the innermost first; an address stands for one without a name. Empty: the
    /// process had ended before it was asked.
    pub calls: Vec<String>,
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

impl PlainSends {
    /// What was sent since then.
    #[must_use]
    pub fn since(&self, then: &Self) -> Self {
        Self {
            sends: self.sends.saturating_sub(then.sends),
            bytes: self.bytes.saturating_sub(then.bytes),
            large: self.large.saturating_sub(then.large),
            large_bytes: self.large_bytes.saturating_sub(then.large_bytes),
            ..*self
        }
    }
}
