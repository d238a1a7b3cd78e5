//! What a sender knows of its own sends.

use std::{collections::BTreeMap, net::SocketAddr};

use serde::{Deserialize, Serialize};

use super::Protocol;

/// Messages that the kernel took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their bytes, as the calls returned them.
    pub bytes: u64,
    /// The smallest, in bytes.
    pub min: Option<u64>,
    /// The largest, in bytes.
    pub max: Option<u64>,
}

impl Tally {
    pub(super) fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.bytes += other.bytes;
        self.min = self.min.into_iter().chain(other.min).min();
        self.max = self.max.max(other.max);
    }

    pub(super) fn add(&mut self, bytes: usize) {
        let bytes = bytes as u64;
        self.count += 1;
        self.bytes += bytes;
        self.min = Some(self.min.map_or(bytes, |min| min.min(bytes)));
        self.max = Some(self.max.map_or(bytes, |max| max.max(bytes)));
    }
}

/// A sender's own account. Times are nanoseconds of CLOCK_BOOTTIME.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// The process, as `/proc` counts it.
    pub pid: u32,
    /// The process, as its own PID namespace counts it.
    pub own_pid: u32,
    /// The socket's descriptor in it.
    pub fd: i32,
    /// The socket's inode number, as in `/proc/PID/fd`.
    pub inode: u64,
    /// The socket's cookie.
    pub cookie: u64,
    /// The inode number of the socket's network namespace.
    pub netns: u64,
    /// The transport.
    pub protocol: Protocol,
    /// The socket's own address.
    pub local: SocketAddr,
    /// The other end's, where the socket is connected.
    pub remote: Option<SocketAddr>,
    /// Whether SO_ZEROCOPY was set.
    pub so_zerocopy: bool,
    /// Messages that took an id and were accepted.
    pub sends: Tally,
    /// Messages that took an id though their call failed, or ended a batch. Told apart by the notification that
    /// followed at once, so only known where the queue is read after every send.
    pub sends_with_error: u64,
    /// Messages with MSG_ZEROCOPY on a socket without SO_ZEROCOPY.
    pub ignored: Tally,
    /// Messages without MSG_ZEROCOPY.
    pub plain: Tally,
    /// Failed calls by the name of their error, those of `sends_with_error` too.
    pub errors: BTreeMap<String, u64>,
    /// Notifications read.
    pub notifications: u64,
    /// Ids in them.
    pub notified: u64,
    /// Ids whose notification said copied.
    pub copied: u64,
    /// Ids that were notified a second time: must be 0.
    pub notified_twice: u64,
    /// Times of packets read from the error queue beside the notifications.
    pub timestamps: u64,
    /// The smallest id notified.
    pub first_id: Option<u32>,
    /// The largest id notified.
    pub last_id: Option<u32>,
    /// Every message that took an id, where a log was asked for.
    pub log: Vec<SendRecord>,
    /// Every notification in the order it was read, where a log was asked for.
    pub notification_log: Vec<Notified>,
}

impl Truth {
    /// Ids taken: accepted, or kept by a call that failed.
    #[must_use]
    pub fn ids(&self) -> u64 {
        self.sends.count + self.sends_with_error
    }
}

/// One message that took an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SendRecord {
    /// Its id, where one thread sent alone.
    pub id: Option<u32>,
    /// Bytes.
    pub bytes: u64,
    /// Before the call.
    pub t_before: u64,
    /// After the call.
    pub t_after: u64,
    /// After its notification was read, where it was.
    pub t_notified: Option<u64>,
    /// What its notification said, where it was read.
    pub copied: Option<bool>,
}

/// One notification as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notified {
    /// First id.
    pub lo: u32,
    /// Last id, inclusive.
    pub hi: u32,
    /// Its flag SO_EE_CODE_ZEROCOPY_COPIED.
    pub copied: bool,
    /// After it was read.
    pub t: u64,
}
