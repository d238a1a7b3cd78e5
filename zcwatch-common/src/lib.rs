//! What crosses the boundary between the eBPF probes and userspace, and nothing else.
//!
//! Every struct is `repr(C)`, without padding, and the same on both sides. Times are ns since
//! boot (`CLOCK_MONOTONIC`, `bpf_ktime_get_ns`); sizes are bytes; counts are counts of ids
//! unless they say otherwise.
#![no_std]

/// The value of an offset that the running kernel's BTF does not have. A program that needs
/// such a field is not loaded; an optional one is pruned by the verifier.
pub const ABSENT: u32 = u32::MAX;

/// `MSG_ZEROCOPY` in `msg_flags` (include/linux/socket.h, all versions).
pub const MSG_ZEROCOPY: u32 = 0x400_0000;
/// `MSG_MORE` in `msg_flags`.
pub const MSG_MORE: u32 = 0x8000;

/// Devices that one uarg is followed over. A longer way sets [`mark::HOPS_FULL`].
pub const MAX_HOPS: usize = 4;
/// Return addresses kept of a copy, with those of the program itself.
pub const FRAMES: usize = 10;
/// Return addresses kept of a program's call.
pub const USER_FRAMES: usize = 10;
/// Reads, and pieces without their read, remembered per socket (a power of two).
pub const RECENT: usize = 16;

/// What a record in the ring buffer is: [`Header::kind`].
pub mod kind {
    /// [`crate::Send`].
    pub const SEND: u32 = 1;
    /// [`crate::Failed`].
    pub const FAILED: u32 = 2;
    /// [`crate::Completed`]: a notification was queued; its range may already hold merged pieces.
    pub const STARTED: u32 = 3;
    /// [`crate::Completed`]: merged into a queued notification, with its own range and bit.
    pub const PIECE: u32 = 4;
    /// [`crate::Completed`]: a notification, with its final range, was read by the application.
    pub const READ: u32 = 5;
    /// [`crate::Device`].
    pub const DEVICE: u32 = 6;
    /// [`Header`] only: a socket entered the table.
    pub const SOCKET: u32 = 7;
    /// [`Header`] only: a socket was closed.
    pub const CLOSED: u32 = 8;
    /// [`crate::Send`]: MSG_ZEROCOPY on a socket without SO_ZEROCOPY.
    pub const IGNORED: u32 = 9;
    /// [`crate::Task`]: a followed process was made by a watched one.
    pub const FORKED: u32 = 10;
    /// [`crate::Task`]: a watched process became another program.
    pub const EXECUTED: u32 = 11;
    /// [`crate::Task`]: a watched process ended.
    pub const EXITED: u32 = 12;
    /// [`crate::Stack`].
    pub const STACK: u32 = 13;
}

/// Places on the packet path where a uarg's zerocopy bit is looked at, in order.
pub mod stage {
    /// `net_dev_queue`: handed to the device layer.
    pub const QUEUE: u8 = 1;
    /// `net_dev_start_xmit`: after packet sockets, segmentation and checksums, before the driver.
    pub const XMIT: u8 = 2;
    /// `netif_receive_skb`: taken in by a device of this host, before delivery.
    pub const RECEIVE: u8 = 4;
}

/// What else was noticed of a uarg's packets on one device: bits of [`Hop::intact`] beside those
/// of [`stage`], set while its zerocopy bit was still 1.
pub mod sign {
    /// Queued while packet sockets heard what the device sends.
    pub const HEARD_OUT: u8 = 8;
    /// Received while packet sockets heard what the device receives.
    pub const HEARD_IN: u8 = 16;
    /// Queued as a GSO packet.
    pub const GSO: u8 = 32;
    /// Received on a device with a tc program at its ingress.
    pub const FILTERED: u8 = 64;
    /// Segmented there in software without scatter-gather ([`crate::mark::SEGMENTED`]).
    pub const SEGMENTED: u8 = 128;
}

/// What was noticed of a uarg on its way: [`Path::marks`].
pub mod mark {
    /// A GSO packet was queued on a device without scatter-gather: `skb_segment` copies it.
    pub const GSO_WITHOUT_SG: u32 = 1;
    /// Handed to a veth whose peer runs native XDP: `skb_pp_cow_data` copies it.
    pub const VETH_PEER_XDP: u32 = 2;
    /// More than one send in the datagram (MSG_MORE or UDP_CORK).
    pub const CORKED: u32 = 4;
    /// More devices than [`crate::MAX_HOPS`].
    pub const HOPS_FULL: u32 = 8;
    /// The bit was 0 before the packet was seen for the first time.
    pub const COPIED_AT_SEND: u32 = 16;
    /// Its sender asked for TX timestamps that bring the packet back (no OPT_TSONLY).
    pub const TIMESTAMPED: u32 = 32;
    /// An IPv6 datagram with extension headers.
    pub const EXT_HEADERS: u32 = 64;
    /// The lists of packet sockets can be read here: without [`crate::sign`]s of listeners there
    /// were none.
    pub const LISTS_READ: u32 = 128;
    /// `skb_segment` copied its payload, seen where it was done.
    pub const SEGMENTED: u32 = 256;
    /// `skb_pp_cow_data` copied its payload for an XDP program, seen where it was done.
    pub const FOR_XDP: u32 = 512;
    /// A datagram that was inside ESP when its first packet was queued.
    pub const ESP: u32 = 1024;
}

/// The function that made a copy: [`Stack::of`].
pub mod copier {
    /// `skb_copy_ubufs`: all pages of a packet, each into one of the kernel's.
    pub const PAGES: u32 = 1;
    /// `__pskb_pull_tail`: what was left in pages, into the linear head.
    pub const TAIL: u32 = 2;
}

/// The limit that a refused send ran into, where that was seen: [`Failed::limit`].
pub mod limit {
    /// Not looked at.
    pub const UNKNOWN: u32 = 0;
    /// `sock_omalloc`: `net.core.optmem_max`.
    pub const OPTMEM: u32 = 1;
    /// `mm_account_pinned_pages`: RLIMIT_MEMLOCK.
    pub const MEMLOCK: u32 = 2;
    /// Both were asked, and neither refused.
    pub const NEITHER: u32 = 3;
}

/// How the probes know something of a send: [`Send::notes`].
pub mod note {
    /// The id was read under the socket's lock, not taken from the key after the call.
    pub const ID_EXACT: u32 = 1;
    /// Its id is below the socket's first watched one.
    pub const BEFORE: u32 = 2;
    /// The call failed, and its id was kept.
    pub const KEPT_ID: u32 = 4;
}

/// State bits of a [`Socket`].
pub mod state {
    /// `base` holds the first watched id.
    pub const BASED: u32 = 1;
    /// Its first send was seen, so that earlier concurrent ids may still lower `base`.
    pub const FIRST_SEEN_SENDING: u32 = 2;
    /// Closed.
    pub const CLOSED: u32 = 4;
    /// SO_ZEROCOPY is set.
    pub const SO_ZEROCOPY: u32 = 8;
    /// Two sends overlapped, so that ids of UDP sends are approximate.
    pub const OVERLAPPED: u32 = 16;
}

/// How far a watch is.
pub mod phase {
    /// The probes are being tried and calibrated: only processes and sockets in the tables count.
    pub const BEFORE: u32 = 0;
    /// It is on.
    pub const WATCHING: u32 = 1;
    /// It is over: ids taken from now on are in no number.
    pub const OVER: u32 = 2;
}

/// How far the life of a uarg is: the lowest bits of [`Life::stage`].
pub mod life {
    /// It is being written.
    pub const BUSY: u64 = 0;
    /// Something refers to it, as far as is known.
    pub const ALIVE: u64 = 1;
    /// Nothing does, and its ids were counted.
    pub const OVER: u64 = 2;
    /// The bits of these.
    pub const STAGE: u64 = 3;
}

/// Uargs that are looked at in one go when a watch ends.
pub const LEFT_COUNT: u32 = 1024;

/// Sends of at least so many bytes count as large: from there on MSG_ZEROCOPY may pay
/// (Documentation/networking/msg_zerocopy.rst: "over around 10 KB").
pub const LARGE: i32 = 10_000;

/// Levels of the cgroup v2 tree that a filter may name.
pub const CGROUP_LEVELS: u32 = 16;

/// Index into the per-CPU `STATS` array: what the probes could not do.
pub mod stat {
    /// Records that found the ring buffer full.
    pub const EVENTS_LOST: u32 = 0;
    /// Sockets that found the table full, and are not watched.
    pub const SOCKETS_FULL: u32 = 1;
    /// Packets whose uarg found no room in the path table: their cause stays unknown.
    pub const PATHS_FULL: u32 = 2;
    /// TCP calls whose entry could not be kept: their latency counts from the return.
    pub const CALLS_FULL: u32 = 3;
    /// Merged pieces whose notification could not be found: the copied totals of the counters
    /// are off by at most these ids.
    pub const UNPAIRED: u32 = 4;
    /// Devices that found their table full.
    pub const DEVICES_FULL: u32 = 5;
    /// Watched processes that found their table full: their plain sends are not counted, or,
    /// with `--follow`, they are not watched at all.
    pub const PROCESSES_FULL: u32 = 6;
    /// Completions or reads that found the table of what was counted full: a copy of the program may
    /// have counted them again.
    pub const COUNTED_FULL: u32 = 7;
    /// Uargs that could not be entered: their ids may seem in flight for ever.
    pub const UARGS_FULL: u32 = 8;
    /// Sends whose place in the program found its table full.
    pub const CALL_SITES_FULL: u32 = 9;
    /// How many there are.
    pub const COUNT: u32 = 10;
}

macro_rules! shared {
    ($(#[$doc:meta])* pub struct $name:ident { $($(#[$fdoc:meta])* pub $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug)]
        #[cfg_attr(feature = "user", derive(PartialEq, Eq, bytemuck::Pod, bytemuck::Zeroable))]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }
        // SAFETY: repr(C), plain integers, no padding (bytemuck's derive has checked that).
        #[cfg(feature = "user")]
        unsafe impl aya::Pod for $name {}
    };
}

shared! {
    /// The start of every record.
    pub struct Header {
        /// One of [`kind`].
        pub kind: u32,
        /// The process on the CPU (tgid in the initial namespace); the sender only for
        /// [`kind::SEND`], [`kind::FAILED`] and [`kind::READ`].
        pub tgid: u32,
        /// When, in ns since boot.
        pub ts: u64,
        /// The socket's cookie; 0 for a device.
        pub cookie: u64,
    }
}

shared! {
    /// A send that took an id. `sock_send_length`, 6.12 and later.
    pub struct Send {
        /// [`kind::SEND`].
        pub head: Header,
        /// When the call was first seen inside `tcp_sendmsg_locked`; 0 where it was not.
        pub entry_ns: u64,
        /// The id.
        pub id: u32,
        /// What the call returned: bytes, or a negative errno where the id was kept.
        pub ret: i32,
        /// The thread.
        pub tid: u32,
        /// The descriptor, from the system call's registers; -1 if unknown.
        pub fd: i32,
        /// `msg_flags`.
        pub flags: u32,
        /// Bits of [`note`].
        pub notes: u32,
        /// Where in the kernel its packet was dropped: an address; 0: not known.
        pub dropped_at: u64,
        /// Why, of `enum skb_drop_reason`; 0: not known.
        pub drop_reason: u32,
        /// Nothing.
        pub pad: u32,
    }
}

shared! {
    /// A zerocopy send that failed and took no id.
    pub struct Failed {
        /// [`kind::FAILED`].
        pub head: Header,
        /// The error (positive).
        pub errno: i32,
        /// The thread.
        pub tid: u32,
        /// The descriptor; -1 if unknown.
        pub fd: i32,
        /// `msg_flags`.
        pub flags: u32,
        /// `sk_omem_alloc` when the call returned, bytes.
        pub omem: u32,
        /// `net.core.optmem_max` of the socket's namespace, bytes; 0 if unknown.
        pub optmem_max: u32,
        /// `user->locked_vm`, pages.
        pub locked_pages: u64,
        /// RLIMIT_MEMLOCK (soft), bytes.
        pub memlock_limit: u64,
        /// One of [`limit`].
        pub limit: u32,
        /// Unused.
        pub pad: u32,
    }
}

shared! {
    /// Where a program sends: the key of `CALL_SITES`.
    pub struct CallSite {
        /// The socket.
        pub cookie: u64,
        /// The process (tgid in the initial namespace).
        pub tgid: u32,
        /// Unused.
        pub pad: u32,
        /// Addresses in the process, the innermost first; 0: there are no more.
        pub frames: [u64; USER_FRAMES],
    }
}

shared! {
    /// What became of a process that is watched.
    pub struct Task {
        /// [`kind::FORKED`], [`kind::EXECUTED`] or [`kind::EXITED`]; its process is the one on
        /// the CPU, for a fork the parent.
        pub head: Header,
        /// The process (tgid in the initial namespace).
        pub tgid: u32,
        /// Unused.
        pub pad: u32,
        /// Its name.
        pub comm: [u8; 16],
    }
}

shared! {
    /// Sends of a watched process without MSG_ZEROCOPY: the value of `PLAIN`, keyed by tgid.
    /// What io_uring and 32-bit tasks send is not in it: their flags are not known.
    pub struct Plain {
        /// Sends.
        pub sends: u64,
        /// Their bytes.
        pub bytes: u64,
        /// Sends of at least [`LARGE`] bytes.
        pub large: u64,
        /// Their bytes.
        pub large_bytes: u64,
        /// The descriptor of the last large one; -1 if unknown.
        pub fd: i32,
        /// Unused.
        pub pad: u32,
    }
}

shared! {
    /// A device on a uarg's way.
    pub struct Hop {
        /// [`Device::index`]; 0 is an empty place.
        pub device: u16,
        /// Bits of [`stage`] at which the zerocopy bit was still 1, and bits of [`sign`].
        pub intact: u8,
        /// Bits of [`stage`] at which it was 0.
        pub copied: u8,
    }
}

shared! {
    /// What was seen of a uarg between its send and its completion.
    pub struct Path {
        /// First sight at the device layer; 0 if never.
        pub first_ns: u64,
        /// When a packet of it was first handed to a device's driver; 0: never.
        pub driver_ns: u64,
        /// The devices, in the order of first sight.
        pub hops: [Hop; MAX_HOPS],
        /// Bits of [`mark`].
        pub marks: u32,
        /// The first copy, where it was seen being made: the device ([`Device::index`]) in the upper
        /// half, [`Stack::index`] in the lower; 0: it was not.
        pub copy: u32,
    }
}

shared! {
    /// How a copy came about: the calls that led to it.
    pub struct Stack {
        /// [`kind::STACK`].
        pub head: Header,
        /// Its number in [`Path::copy`], from 1.
        pub index: u32,
        /// One of [`copier`].
        pub of: u32,
        /// Kernel addresses, the innermost first; those of the program and its trampoline are the
        /// first ones. 0: there are no more.
        pub frames: [u64; FRAMES],
    }
}

shared! {
    /// Completed ids: an inclusive range with one copied bit.
    pub struct Completed {
        /// [`kind::STARTED`], [`kind::PIECE`] or [`kind::READ`].
        pub head: Header,
        /// First id.
        pub lo: u32,
        /// Last id.
        pub hi: u32,
        /// 1: SO_EE_CODE_ZEROCOPY_COPIED.
        pub copied: u32,
        /// Unused.
        pub pad: u32,
        /// The instruction that called `consume_skb`; 0 for [`kind::STARTED`].
        pub location: u64,
        /// The way of the uarg whose skb this is.
        pub path: Path,
    }
}

shared! {
    /// A network device that a watched packet crossed. Written again when something changed.
    pub struct Device {
        /// [`kind::DEVICE`].
        pub head: Header,
        /// Number of the device in [`Hop::device`], from 1.
        pub index: u32,
        /// `ifindex` in its namespace.
        pub ifindex: u32,
        /// Inode number of its network namespace.
        pub netns: u32,
        /// MTU, bytes.
        pub mtu: u32,
        /// `netdev_features_t`, as the kernel holds it.
        pub features: u64,
        /// 1: a veth whose peer runs native XDP; 0: not so; 2: cannot be read here.
        pub peer_xdp: u32,
        /// `dev->flags` (IFF_*).
        pub flags: u32,
        /// Do packet sockets hear what it sends? 1: some do; 0: none; 2: cannot be read here.
        pub heard: u32,
        /// Unused.
        pub pad: u32,
        /// Name, NUL-padded.
        pub name: [u8; 16],
        /// `rtnl_link_ops->kind`, NUL-padded; empty for hardware and loopback.
        pub link: [u8; 16],
    }
}

shared! {
    /// What TCP knows of a connection; all 0 for another protocol.
    pub struct Connection {
        /// Smoothed round-trip time, µs; 0: unknown.
        pub srtt_us: u32,
        /// The least round-trip time of late, µs; 0: unknown.
        pub min_rtt_us: u32,
        /// Segments sent again, ever.
        pub retransmits: u32,
        /// Unused.
        pub pad: u32,
        /// How long it had something to send, in ticks (jiffies): sending, waiting for the
        /// receiver's window, and for room in the send buffer.
        pub ticks: [u32; 4],
    }
}

shared! {
    /// A socket that is watched, with the exact counters: the value of `SOCKETS`, keyed by cookie.
    pub struct Socket {
        /// Bits of [`state`].
        pub state: u32,
        /// The first watched id.
        pub base: u32,
        /// `sk_zckey`, the next id, as last seen.
        pub key: u32,
        /// 1 + the first id of the notification last seen to start; 0: none yet.
        pub last_head: u32,
        /// The kernel's cookie, where this socket is in the table by another number; 0: by its own,
        /// or it has none.
        pub cookie: u64,
        /// `ifindex << 32` and what the probes know of the device that a send was queued on last.
        pub last_device: u64,
        /// When that was asked, ns since boot.
        pub last_device_ns: u64,
        /// The device's features then.
        pub last_features: u64,
        /// When the entry was made, ns since boot.
        pub first_ns: u64,
        /// When it was closed; 0: open.
        pub closed_ns: u64,
        /// Inode number of the socket; 0 if unknown.
        pub inode: u64,
        /// Inode number of its network namespace.
        pub netns: u32,
        /// The first watched process seen with it (tgid).
        pub tgid: u32,
        /// AF_INET or AF_INET6.
        pub family: u16,
        /// IPPROTO_TCP or IPPROTO_UDP.
        pub protocol: u16,
        /// Local port, host order.
        pub local_port: u16,
        /// Remote port, host order; 0: not connected.
        pub remote_port: u16,
        /// Local address; IPv4 in the first four bytes.
        pub local: [u8; 16],
        /// Remote address.
        pub remote: [u8; 16],
        /// The first process's name.
        pub comm: [u8; 16],
        /// `sk_omem_alloc`, bytes, as last seen.
        pub omem: u32,
        /// `net.core.optmem_max` of its namespace, bytes; 0: unknown.
        pub optmem_max: u32,
        /// Pages locked by the sender's user, as last seen.
        pub locked_pages: u64,
        /// RLIMIT_MEMLOCK of the sender, bytes.
        pub memlock_limit: u64,
        /// Sends that returned without an error and took an id.
        pub sends: u64,
        /// Their bytes.
        pub bytes: u64,
        /// Calls that failed and kept their id.
        pub with_error: u64,
        /// Calls that failed with ENOBUFS on the option memory.
        pub failed_optmem: u64,
        /// Calls that failed with ENOBUFS on locked memory.
        pub failed_memlock: u64,
        /// Calls that failed otherwise.
        pub failed_other: u64,
        /// Sends with MSG_ZEROCOPY while SO_ZEROCOPY was not set.
        pub ignored: u64,
        /// Their bytes.
        pub ignored_bytes: u64,
        /// Sends without MSG_ZEROCOPY.
        pub plain: u64,
        /// Their bytes.
        pub plain_bytes: u64,
        /// Sends without the flag since the last with it.
        pub plain_run: u64,
        /// Packets that were queued with their whole payload in the linear head, though sent with
        /// zerocopy, as far as can be told.
        pub pulled: u64,
        /// The device where that was seen ([`Device::index`]); 0: none.
        pub pulled_device: u32,
        /// Unused.
        pub pad: u32,
        /// The connection when the entry was made.
        pub began: Connection,
        /// And when it ended.
        pub ended: Connection,
        /// Packets that this host received with the sender's pages, copied, and then forwarded.
        pub forwarded: u64,
        /// Ids of merged pieces, by their own bit: not copied, copied.
        pub pieces: [u64; 2],
        /// Ids of notifications that were read, by the notification's bit.
        pub reads: [u64; 2],
        /// Ids of pieces, by the bit of the notification they were merged into.
        pub merged_into: [u64; 2],
        /// Ids completed that were sent before the socket was watched.
        pub before: u64,
        /// Notifications read.
        pub notifications_read: u64,
        /// How many of `recent` were ever written, by bit of the notification.
        pub recent_at: [u64; 2],
        /// Ranges (`lo << 32 | hi`) of the last notifications read, by their bit.
        pub recent: [[u64; RECENT]; 2],
        /// Pieces whose notification is not known yet: `lo << 32 | n << 1 | 1`; 0 is free.
        pub waiting: [u64; RECENT],
    }
}

shared! {
    /// One row of the socket iterator: a socket that a watched process holds.
    pub struct Held {
        /// Its cookie.
        pub cookie: u64,
        /// The holder, in the initial namespace.
        pub tgid: u32,
        /// The descriptor.
        pub fd: u32,
        /// `sk_zckey`.
        pub key: u32,
        /// Bits of [`state`].
        pub state: u32,
        /// Ids of unread notifications at or above the base, by the notification's bit.
        pub unread: [u64; 2],
        /// Ids of unread notifications below the base: completed before the watch.
        pub unread_before: u64,
        /// [`Socket::before`] when the queue was looked at.
        pub before: u64,
        /// [`Socket::reads`] when the queue was looked at.
        pub reads: [u64; 2],
        /// Notifications on the error queue.
        pub queued: u32,
        /// 1: the queue was longer than the probe walks.
        pub truncated: u32,
        /// `net.core.optmem_max` of the socket's namespace, bytes; 0: unknown.
        pub optmem_max: u32,
        /// Unused.
        pub pad: u32,
        /// The connection now.
        pub tcp: Connection,
        /// RLIMIT_MEMLOCK of the holder, bytes.
        pub memlock_limit: u64,
    }
}

shared! {
    /// What identifies a zerocopy request of io_uring that was seen: the key of `IO_URING`.
    pub struct RingKey {
        /// The process that submitted it.
        pub tgid: u32,
        /// The descriptor named in the request.
        pub fd: i32,
    }
}

shared! {
    /// A uarg, from its first send to its last reference: the value of `UARGS`, keyed by its
    /// address.
    pub struct Life {
        /// When it was entered, ns since boot, times four, and one of [`life`]; or
        /// [`life::BUSY`]. Each life of an address has another.
        pub stage: u64,
        /// Its socket's cookie.
        pub cookie: u64,
        /// Its socket: it must stay as it is while the uarg lives, and so must the next two.
        pub sk: u64,
        /// Its functions.
        pub ops: u64,
        /// Its first id.
        pub id: u32,
        /// How many ids it has.
        pub len: u32,
        /// 1: one of its packets was copied, or all.
        pub copied: u32,
        /// Unused.
        pub pad: u32,
    }
}
