//! The table of watched sockets: how one enters it, and where its window starts.

use aya_ebpf::{
    Global,
    bindings::BPF_NOEXIST,
    helpers::{
        bpf_ktime_get_ns,
        generated::{bpf_jiffies64, bpf_seq_write},
    },
};
use zcwatch_common::{ABSENT, Connection, Held, Socket, kind, stat, state};

#[cfg(not(feature = "early"))]
use aya_ebpf::helpers::generated::{
    bpf_get_socket_cookie, bpf_skc_to_tcp_sock, bpf_sock_from_file,
};

use crate::{atomic::word, filter::watched_holder, kernel::*, layout::*, maps::*};

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_UDP: u16 = 17;
/// `base` of an entry whose window has not started.
const NO_BASE: u32 = u32::MAX;
pub const EEXIST: i64 = -17;
/// Notifications that the iterator looks at on one error queue.
const QUEUE_WALK: u32 = 64;

#[inline(always)]
pub fn lookup(cookie: u64) -> Option<*mut Socket> {
    if cookie == 0 {
        return None;
    }
    SOCKETS.get_ptr_mut(cookie)
}

#[inline(always)]
pub fn is_inet(sk: Ptr) -> bool {
    // SAFETY: sk is a struct sock.
    let (family, protocol) =
        unsafe { (field::<u16>(sk, &SK_FAMILY), field::<u16>(sk, &SK_PROTOCOL)) };
    (family == AF_INET || family == AF_INET6)
        && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP)
}

/// Puts a socket into the table, as one of `task`. `first` is the first id of the window, where the caller knows
/// it; else the window starts later, by [`start_window`].
#[inline(always)]
pub fn register(sk: Ptr, task: Ptr, first: Option<u32>) -> Option<(u64, *mut Socket)> {
    if !is_inet(sk) {
        return None;
    }
    // SAFETY: sk is a struct sock.
    let cookie = unsafe { new_cookie(sk) };
    if cookie == 0 {
        count(stat::SOCKETS_FULL);
        return None;
    }
    let blank = BLANK.get_ptr(0)?;
    // SAFETY: the map's only element, never written by a probe.
    let inserted = SOCKETS.insert(cookie, unsafe { &*blank }, BPF_NOEXIST as u64);
    if let Err(e) = inserted
        && e as i64 != EEXIST
    {
        count(stat::SOCKETS_FULL);
        return None;
    }
    let entry = SOCKETS.get_ptr_mut(cookie)?;
    if let Some(id) = first {
        // Sends that overlap this one may have taken lower ids: the lowest seen wins.
        // SAFETY: entry points to a live map value.
        lower_base(unsafe { &raw mut (*entry).base }, id);
        // SAFETY: as above.
        raise_key(unsafe { &raw mut (*entry).key }, id);
        // SAFETY: as above.
        word(unsafe { &raw mut (*entry).state }).set(state::BASED | state::FIRST_SEEN_SENDING);
    }
    if inserted.is_ok() {
        // SAFETY: as above; identity is written only by whoever inserted the entry.
        unsafe { describe(entry, sk, task) };
        emit(header(kind::SOCKET, cookie));
    }
    Some((cookie, entry))
}

/// A number for a socket that enters the table: its cookie, made where there is none yet.
///
/// # Safety
/// `sk` is a struct sock.
#[cfg(not(feature = "early"))]
#[inline(always)]
unsafe fn new_cookie(sk: Ptr) -> u64 {
    // SAFETY: as promised by the caller.
    unsafe { bpf_get_socket_cookie(sk as *mut _) }
}

/// A number for a socket that enters the table: its cookie, where somebody asked for that before;
/// else the time, with a bit that no cookie has.
///
/// # Safety
/// `sk` is a struct sock.
#[cfg(feature = "early")]
#[inline(always)]
unsafe fn new_cookie(sk: Ptr) -> u64 {
    // SAFETY: as promised by the caller.
    let (cookie, now) = unsafe { (field::<u64>(sk, &SK_COOKIE), bpf_ktime_get_ns()) };
    let number = if cookie == 0 { now | 1 << 63 } else { cookie };
    let _ = IDS.insert(sk as u64, number, BPF_NOEXIST as u64);
    // Another thread may have been quicker; none: the table is full.
    cookie_of(sk)
}

/// Starts the window at the socket's key. Completions that come before are "before attach"; so
/// the key is read again after it was stored, until no send slipped in between.
///
/// # Safety
/// `entry` is the socket's map value, `sk` its struct sock.
#[inline(always)]
pub unsafe fn start_window(entry: *mut Socket, sk: Ptr) {
    // SAFETY: as promised by the caller.
    unsafe {
        if (*entry).state & state::BASED != 0 {
            return;
        }
        for _ in 0..4 {
            let key = field::<u32>(sk, &SK_ZCKEY);
            (*entry).base = key;
            raise_key(&raw mut (*entry).key, key);
            word(&raw mut (*entry).state).set(state::BASED);
            if field::<u32>(sk, &SK_ZCKEY) == key {
                return;
            }
        }
    }
}

#[inline(always)]
pub fn lower_base(base: *mut u32, id: u32) {
    let base = word(base);
    for _ in 0..4 {
        let old = base.load();
        if old != NO_BASE && !before(id, old) {
            return;
        }
        if base.replace(old, id) {
            return;
        }
    }
}

/// The key only goes forward, though returns of overlapping sends may be seen out of order.
#[inline(always)]
pub fn raise_key(key: *mut u32, seen: u32) {
    let key = word(key);
    for _ in 0..4 {
        let old = key.load();
        if !before(old, seen) {
            return;
        }
        if key.replace(old, seen) {
            return;
        }
    }
}

/// Fills in who the socket is.
///
/// # Safety
/// As [`start_window`].
#[inline(always)]
unsafe fn describe(entry: *mut Socket, sk: Ptr, task: Ptr) {
    // SAFETY: as promised by the caller.
    unsafe {
        let e = &mut *entry;
        e.first_ns = bpf_ktime_get_ns();
        e.began = connection(sk);
        e.tgid = field(task, &TASK_TGID);
        e.family = field(sk, &SK_FAMILY);
        e.protocol = field(sk, &SK_PROTOCOL);
        e.netns = field(field::<Ptr>(sk, &SK_NET), &NET_INUM);
        let socket = field::<Ptr>(sk, &SK_SOCKET);
        let file = field::<Ptr>(socket, &SOCKET_FILE);
        let inode = field::<Ptr>(file, &FILE_INODE);
        e.inode = field(inode, &INODE_INO);
        if zerocopy_set(sk) {
            word(&raw mut e.state).set(state::SO_ZEROCOPY);
        }
        let comm = task.add(TASK_COMM.load() as usize);
        let mut i = 0;
        while i < 16 {
            e.comm[i] = load(comm, i);
            i += 1;
        }
        refresh(entry, sk, task);
    }
}

/// What may change while the socket lives: addresses, option memory, the sender's limits.
///
/// # Safety
/// As [`start_window`].
#[inline(always)]
pub unsafe fn refresh(entry: *mut Socket, sk: Ptr, task: Ptr) {
    // SAFETY: as promised by the caller.
    unsafe {
        let e = &mut *entry;
        e.omem = field(sk, &SK_OMEM);
        if known(&NET_OPTMEM_MAX) {
            e.optmem_max = field(field::<Ptr>(sk, &SK_NET), &NET_OPTMEM_MAX);
        }
        e.local_port = field(sk, &SK_NUM);
        e.remote_port = u16::from_be(field(sk, &SK_DPORT));
        if e.family == AF_INET {
            put4(&mut e.local, field(sk, &SK_RCV_SADDR));
            put4(&mut e.remote, field(sk, &SK_DADDR));
        } else {
            put16(&mut e.local, sk, &SK_V6_RCV_SADDR);
            put16(&mut e.remote, sk, &SK_V6_DADDR);
        }
        let user = field::<Ptr>(field::<Ptr>(task, &TASK_CRED), &CRED_USER);
        e.locked_pages = field(user, &USER_LOCKED_VM);
        e.memlock_limit = field(field::<Ptr>(task, &TASK_SIGNAL), &SIGNAL_MEMLOCK);
    }
}

/// The same socket as a struct tcp_sock, or null.
///
/// # Safety
/// `sk` is a struct sock that the verifier knows as one.
#[inline(always)]
unsafe fn tcp_of(sk: Ptr) -> Ptr {
    // SAFETY: as promised by the caller.
    #[cfg(not(feature = "early"))]
    return unsafe { bpf_skc_to_tcp_sock(sk as *mut _) as Ptr };
    #[cfg(feature = "early")]
    // SAFETY: as promised by the caller. A tcp_sock begins with its sock.
    match unsafe { field::<u16>(sk, &SK_PROTOCOL) } {
        IPPROTO_TCP => sk,
        _ => core::ptr::null(),
    }
}

/// Keeps a socket's cookie, which anybody may have asked for since it entered the table.
///
/// # Safety
/// `entry` is the socket's map value, `sk` its struct sock.
#[inline(always)]
pub unsafe fn keep_cookie(entry: *mut Socket, sk: Ptr) {
    #[cfg(feature = "early")]
    // SAFETY: as promised by the caller.
    unsafe {
        (*entry).cookie = field(sk, &SK_COOKIE);
    }
    #[cfg(not(feature = "early"))]
    let _ = (entry, sk);
}

/// What TCP knows of a connection: by direct loads, so that a locked-down kernel tells it too.
///
/// # Safety
/// `sk` is a struct sock that the verifier knows as one.
#[inline(always)]
pub unsafe fn connection(sk: Ptr) -> Connection {
    let mut all = Connection { srtt_us: 0, min_rtt_us: 0, retransmits: 0, pad: 0, ticks: [0; 4] };
    // SAFETY: as promised by the caller; the helper checks the socket's protocol, and that it is
    // a whole one. The offsets are those of a struct tcp_sock.
    unsafe {
        let tcp = tcp_of(sk);
        if tcp.is_null() {
            return all;
        }
        // The kernel keeps eight times the time.
        if known(&TCP_SRTT) {
            all.srtt_us = field::<u32>(tcp, &TCP_SRTT) >> 3;
        }
        if known(&TCP_MIN_RTT) {
            // As long as there is none, all bits are set.
            let least = field::<u32>(tcp, &TCP_MIN_RTT);
            all.min_rtt_us = if least == u32::MAX { 0 } else { least };
        }
        if known(&TCP_RETRANSMITS) {
            all.retransmits = field(tcp, &TCP_RETRANSMITS);
        }
        if !known(&TCP_TICKS) || !known(&TCP_TICKS_OF) || !known(&TCP_TICKS_SINCE) {
            return all;
        }
        all.ticks[0] = nth(tcp, &TCP_TICKS, 0);
        all.ticks[1] = nth(tcp, &TCP_TICKS, 1);
        all.ticks[2] = nth(tcp, &TCP_TICKS, 2);
        // What it does now is not in the sums yet (`tcp_get_info_chrono_stats`).
        let bits = field::<u8>(tcp, &TCP_TICKS_OF);
        let since = (bpf_jiffies64() as u32).wrapping_sub(field(tcp, &TCP_TICKS_SINCE));
        let lowest = TCP_TICKS_MASK.load() as u8;
        if bits & lowest != 0 && bits & (lowest << 1) == 0 {
            all.ticks[0] = all.ticks[0].wrapping_add(since);
        } else if bits & lowest == 0 && bits & (lowest << 1) != 0 {
            all.ticks[1] = all.ticks[1].wrapping_add(since);
        } else if bits & lowest != 0 {
            all.ticks[2] = all.ticks[2].wrapping_add(since);
        }
    }
    all
}

#[inline(always)]
fn put4(to: &mut [u8; 16], addr: u32) {
    let b = addr.to_ne_bytes();
    to[0] = b[0];
    to[1] = b[1];
    to[2] = b[2];
    to[3] = b[3];
}

/// # Safety
/// `sk` is a struct sock and `off` the offset of an in6_addr in it.
#[inline(always)]
unsafe fn put16(to: &mut [u8; 16], sk: Ptr, off: &Global<u32>) {
    let mut i = 0;
    while i < 4 {
        // SAFETY: as promised by the caller; an in6_addr has four words.
        let word = unsafe { nth(sk, off, i) };
        let b = word.to_ne_bytes();
        to[4 * i] = b[0];
        to[4 * i + 1] = b[1];
        to[4 * i + 2] = b[2];
        to[4 * i + 3] = b[3];
        i += 1;
    }
}

/// The context of `iter/task_file` (struct bpf_iter__task_file, 5.8 and later).
#[repr(C)]
struct TaskFile {
    meta: *const Meta,
    task: Ptr,
    fd: u32,
    file: Ptr,
}

#[repr(C)]
struct Meta {
    seq: *mut core::ffi::c_void,
}

/// Sockets that processes hold: enters those of watched processes that are not in the table, and
/// writes one [`Held`] for each that is, whoever holds it.
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn held_sockets(ctx: *const core::ffi::c_void) -> i32 {
    held::<true>(ctx)
}

/// The same without a look at the error queues: older verifiers give up on the loop (6.1).
#[unsafe(no_mangle)]
#[unsafe(link_section = "iter/task_file")]
fn held_sockets_only(ctx: *const core::ffi::c_void) -> i32 {
    held::<false>(ctx)
}

/// The socket that a file is, or null.
///
/// # Safety
/// `file` is a struct file.
#[cfg(not(feature = "early"))]
#[inline(always)]
unsafe fn socket_of(file: Ptr) -> Ptr {
    // SAFETY: as promised by the caller.
    unsafe { bpf_sock_from_file(file as *mut _) as Ptr }
}

/// The socket that a file is, or null. Only sockets are open with an inode of this kind, or what was
/// opened with O_PATH, which has no private data.
///
/// # Safety
/// `file` is a struct file.
#[cfg(feature = "early")]
#[inline(always)]
unsafe fn socket_of(file: Ptr) -> Ptr {
    const KIND: u16 = 0o170_000;
    const SOCKET: u16 = 0o140_000;
    // SAFETY: as promised by the caller.
    unsafe {
        let inode = field::<Ptr>(file, &FILE_INODE);
        if field::<u16>(inode, &INODE_MODE) & KIND != SOCKET {
            return core::ptr::null();
        }
        field(file, &FILE_PRIVATE)
    }
}

#[inline(always)]
fn held<const WALK: bool>(ctx: *const core::ffi::c_void) -> i32 {
    // SAFETY: the kernel passes a struct bpf_iter__task_file.
    unsafe {
        let ctx = ctx.cast::<TaskFile>();
        let task = (*ctx).task;
        let file = (*ctx).file;
        if task.is_null() || file.is_null() {
            return 0;
        }
        let tgid = field::<u32>(task, &TASK_TGID);
        let socket = socket_of(file);
        if socket.is_null() {
            return 0;
        }
        let sk = field::<Ptr>(socket, &SOCKET_SK);
        if sk.is_null() || !is_inet(sk) {
            return 0;
        }
        let mut cookie = cookie_of(sk);
        let entry = match lookup(cookie) {
            Some(entry) => entry,
            None => {
                if !zerocopy_set(sk) || !watched_holder(task, tgid) {
                    return 0;
                }
                let Some((fresh, entry)) = register(sk, task, None) else { return 0 };
                cookie = fresh;
                start_window(entry, sk);
                entry
            }
        };
        keep_cookie(entry, sk);
        let mut row = Held {
            cookie,
            tgid,
            fd: (*ctx).fd,
            key: field(sk, &SK_ZCKEY),
            state: if zerocopy_set(sk) { state::SO_ZEROCOPY } else { 0 },
            unread: [0; 2],
            unread_before: 0,
            before: (*entry).before,
            reads: (*entry).reads,
            queued: 0,
            truncated: 0,
            optmem_max: 0,
            pad: 0,
            tcp: connection(sk),
            memlock_limit: field(field::<Ptr>(task, &TASK_SIGNAL), &SIGNAL_MEMLOCK),
        };
        if known(&NET_OPTMEM_MAX) {
            row.optmem_max = field(field::<Ptr>(sk, &SK_NET), &NET_OPTMEM_MAX);
        }
        if WALK {
            walk_queue(sk, entry, &mut row);
        } else {
            row.truncated = 1;
        }
        let seq = (*(*ctx).meta).seq;
        bpf_seq_write(seq.cast(), (&raw const row).cast(), size_of::<Held>() as u32);
    }
    0
}

/// Sums up the unread notifications.
///
/// # Safety
/// `sk` is a struct sock, `entry` its map value.
#[inline(always)]
unsafe fn walk_queue(sk: Ptr, entry: *const Socket, row: &mut Held) {
    // SAFETY: as promised by the caller. The queue is read without its lock: a row that was
    // taken off meanwhile is counted as read by its own record.
    unsafe {
        let end = sk as u64 + SK_ERROR_QUEUE.load() as u64;
        let mut skb = load::<Ptr>(sk, (SK_ERROR_QUEUE.load() + SKB_LIST_NEXT.load()) as usize);
        for _ in 0..QUEUE_WALK {
            if skb.is_null() || skb as u64 == end {
                return;
            }
            if let Some(n) = crate::complete::notification(skb) {
                row.queued += 1;
                let crate::complete::Clipped { ids, below, .. } =
                    crate::complete::clip(entry, n.lo, n.hi);
                row.unread_before += below;
                if n.copied { row.unread[1] += ids } else { row.unread[0] += ids }
            }
            skb = field(skb, &SKB_NEXT);
        }
        row.truncated = 1;
    }
}

const _: () = assert!(NO_BASE == ABSENT);
