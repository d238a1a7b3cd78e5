//! Sends: the entry of a TCP send under its lock, and the return of every send.

use core::ffi::c_void;

use aya_ebpf::{
    EbpfContext,
    bindings::{BPF_F_USER_STACK, BPF_NOEXIST},
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns, generated::bpf_get_stack},
    macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use zcwatch_common::{
    CallSite, Failed, LARGE, MSG_ZEROCOPY, Plain, Send, Socket, USER_FRAMES, kind, limit, note,
    stat, state,
};

use crate::{
    atomic::{add, word},
    filter::watched,
    kernel::*,
    layout::*,
    maps::*,
    socket,
};

const ENOBUFS: i32 = 105;
const CAP_IPC_LOCK: u64 = 1 << 14;
const RLIM_INFINITY: u64 = u64::MAX;

/// `tcp_sendmsg_locked(sk, msg, skb, size_goal)`, inside the send loop: the id is taken, the
/// socket is locked. Comes once for each segment.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub fn tcp_entry(ctx: BtfTracePointContext) -> i32 {
    let sk: Ptr = ctx.arg(0);
    let msg: Ptr = ctx.arg(1);
    // SAFETY: the tracepoint's own typed arguments.
    unsafe {
        let flags = field::<u32>(msg, &MSG_FLAGS);
        if flags & MSG_ZEROCOPY == 0 || ended() {
            return 0;
        }
        // A uarg of the caller's own: io_uring, which takes no id.
        if known(&MSG_UBUF) && field::<u64>(msg, &MSG_UBUF) != 0 {
            return 0;
        }
        if !zerocopy_set(sk) {
            return 0; // ignored; counted when the call returns
        }
        let id = field::<u32>(sk, &SK_ZCKEY).wrapping_sub(1);
        let mut cookie = cookie_of(sk);
        if socket::lookup(cookie).is_none() {
            if !watched() {
                return 0;
            }
            let Some((fresh, _)) = socket::register(sk, current(), Some(id)) else { return 0 };
            cookie = fresh;
        }
        let thread = bpf_get_current_pid_tgid();
        let place = call_of(thread);
        if let Some(open) = place
            && (*open).whose == cookie
            && (*open).id == id
        {
            return 0;
        }
        let Some(place) = place.or_else(|| new_call(thread)) else { return 0 };
        (*place).entry_ns = bpf_ktime_get_ns();
        (*place).id = id;
        (*place).flags = flags;
        (*place).holds = 0;
        (*place).whose = cookie;
    }
    0
}

/// `sock_send_length(sk, ret, flags)`, 6.12 and later: once for each message, after the socket's
/// lock was dropped. The tracepoint's own flags are always 0.
#[btf_tracepoint(function = "sock_send_length")]
pub fn send_return(ctx: BtfTracePointContext) -> i32 {
    let sk: Ptr = ctx.arg(0);
    let ret: i32 = ctx.arg(1);
    let cookie = cookie_of(sk);
    let mut entry = socket::lookup(cookie);
    let ours = entry.is_some() || watched();
    if !ours || ended() {
        return 0;
    }
    let thread = bpf_get_current_pid_tgid();
    let mut call = None;
    if let Some(place) = call_of(thread) {
        // SAFETY: a live map value, written by this thread only.
        unsafe {
            let open = *place;
            (*place).whose = 0;
            if open.whose == cookie && cookie != 0 {
                call = Some(open);
            }
        }
    }
    let (fd, flags) = match (current_call(), call) {
        (Call::Send { fd, .. }, Some(open)) => (fd, open.flags),
        (_, Some(open)) => (-1, open.flags),
        (Call::Send { fd, flags }, None) => (fd, flags),
        // write, sendfile…: without flags.
        (Call::Other, None) => (-1, 0),
        (Call::Hidden, None) => return 0,
    };
    if flags & MSG_ZEROCOPY == 0 {
        if ret > 0 && socket::is_inet(sk) {
            plain(entry, ret, fd);
        }
        return 0;
    }
    if entry.is_none() {
        // A TCP send is first seen at its entry, a UDP send where it is queued on a device. One
        // that was not queued yet (corked, or waiting for a neighbour) cannot have completed,
        // so the window of a new socket starts at its id.
        // SAFETY: the tracepoint's own socket.
        let first = unsafe { field::<u32>(sk, &SK_ZCKEY) }.wrapping_sub(1);
        // A call that failed has taken an id only if there is one at all on this new socket.
        let taken = zerocopy_set(sk) && (ret >= 0 || first == 0);
        let fresh = taken && first == 0;
        entry = socket::register(sk, current(), fresh.then_some(first)).map(|(_, e)| {
            // SAFETY: a live map value and its socket.
            unsafe { socket::start_window(e, sk) };
            e
        });
        // A later id: the call may have begun before its process was watched, and its
        // completion may have passed unseen. The window starts behind it.
        if taken && !fresh {
            return 0;
        }
    }
    let Some(entry) = entry else { return 0 };
    let seen = Return { ret, fd, flags, tid: thread as u32, call, exact: false };
    // SAFETY: a live map value and its socket.
    unsafe { returned(ctx.as_ptr(), entry, sk, &seen) };
    0
}

/// Counts a send without the flag: on its socket, where that is watched, and for its process.
#[inline(always)]
pub fn plain(entry: Option<*mut Socket>, bytes: i32, fd: i32) {
    if let Some(entry) = entry {
        // SAFETY: a live map value.
        unsafe {
            add(&raw mut (*entry).plain, 1);
            add(&raw mut (*entry).plain_bytes, bytes as u64);
            add(&raw mut (*entry).plain_run, 1);
        }
        return;
    }
    let tgid = tgid();
    let mut all = PLAIN.get_ptr_mut(tgid);
    if all.is_none() {
        let none = Plain { sends: 0, bytes: 0, large: 0, large_bytes: 0, fd: -1, pad: 0 };
        // Of two threads one wins, and both add.
        let _ = PLAIN.insert(tgid, none, BPF_NOEXIST as u64);
        all = PLAIN.get_ptr_mut(tgid);
    }
    let Some(all) = all else {
        count(stat::PROCESSES_FULL);
        return;
    };
    // SAFETY: a live map value.
    unsafe {
        add(&raw mut (*all).sends, 1);
        add(&raw mut (*all).bytes, bytes as u64);
        if bytes >= LARGE {
            add(&raw mut (*all).large, 1);
            add(&raw mut (*all).large_bytes, bytes as u64);
            (*all).fd = fd;
        }
    }
}

/// What is known of a send when it returns.
pub struct Return {
    pub ret: i32,
    pub fd: i32,
    pub flags: u32,
    pub tid: u32,
    pub call: Option<Entry>,
    /// The call's own `holds` is true.
    pub exact: bool,
}

/// # Safety
/// `entry` is the map value of `sk`.
#[inline(always)]
pub unsafe fn returned(ctx: *mut c_void, entry: *mut Socket, sk: Ptr, seen: &Return) {
    // SAFETY: as promised by the caller.
    unsafe {
        let tcp = (*entry).protocol == 6;
        (*entry).plain_run = 0;
        if !zerocopy_set(sk) {
            if seen.ret > 0 {
                add(&raw mut (*entry).ignored, 1);
                add(&raw mut (*entry).ignored_bytes, seen.ret as u64);
                emit_send(kind::IGNORED, sk, 0, 0, seen);
            }
            return;
        }
        word(&raw mut (*entry).state).set(state::SO_ZEROCOPY);
        let key = field::<u32>(sk, &SK_ZCKEY);
        let last = (*entry).key;
        let (id, mut notes) = match seen.call {
            Some(open) => (open.id, note::ID_EXACT),
            None => (key.wrapping_sub(1), 0),
        };
        // An empty TCP send takes no id; an empty datagram does.
        let holds = match seen.call {
            Some(open) if seen.exact => seen.ret >= 0 && open.holds != 0,
            _ if seen.exact => false,
            _ => seen.ret > 0 || (seen.ret == 0 && !tcp),
        };
        if holds {
            if !seen.exact && key.wrapping_sub(last) != 1 {
                word(&raw mut (*entry).state).set(state::OVERLAPPED);
            }
            // The first id of a new socket may still be on its way through another thread.
            let fresh = (*entry).state & state::FIRST_SEEN_SENDING != 0;
            if fresh && seen.call.is_some() {
                socket::lower_base(&raw mut (*entry).base, id);
            }
            socket::raise_key(&raw mut (*entry).key, key);
            if before(id, (*entry).base) {
                notes |= note::BEFORE;
            } else {
                add(&raw mut (*entry).sends, 1);
                add(&raw mut (*entry).bytes, seen.ret as u64);
            }
            (*entry).omem = field(sk, &SK_OMEM);
            if (*entry).remote_port == 0 || (*entry).local_port == 0 {
                socket::refresh(entry, sk, current());
            }
            emit_send(kind::SEND, sk, id, notes, seen);
            if CALL_SITES_WANTED.load() != 0 {
                came_from(ctx, sk);
            }
        } else if seen.ret < 0 {
            // A datagram that failed below the socket keeps its id (a full queue, a firewall).
            // Where sends overlap, the key tells of others too, and says nothing of this one.
            let alone = (*entry).state & state::OVERLAPPED == 0;
            let kept = match seen.call {
                Some(open) if seen.exact => open.holds != 0,
                _ if seen.exact => false,
                _ => !tcp && alone && key.wrapping_sub(last) == 1,
            };
            if kept {
                socket::raise_key(&raw mut (*entry).key, key);
                add(&raw mut (*entry).with_error, 1);
                emit_send(kind::SEND, sk, id, notes | note::KEPT_ID, seen);
                return;
            }
            socket::refresh(entry, sk, current());
            failed(entry, sk, seen);
        }
    }
}

/// Counts a send where its program made it.
///
/// # Safety
/// `ctx` is the program's own context, in the sender's call.
#[inline(always)]
unsafe fn came_from(ctx: *mut c_void, sk: Ptr) {
    let mut site =
        CallSite { cookie: cookie_of(sk), tgid: tgid(), pad: 0, frames: [0; USER_FRAMES] };
    let size = size_of::<[u64; USER_FRAMES]>() as u32;
    // SAFETY: as promised by the caller, and a buffer of this size.
    let got = unsafe {
        bpf_get_stack(ctx, site.frames.as_mut_ptr().cast(), size, BPF_F_USER_STACK as u64)
    };
    if got <= 0 {
        return;
    }
    if let Some(sends) = CALL_SITES.get_ptr_mut(site) {
        add(sends, 1);
    } else if let Err(e) = CALL_SITES.insert(site, 1, BPF_NOEXIST as u64) {
        match CALL_SITES.get_ptr_mut(site) {
            // Another thread was quicker.
            Some(sends) if e as i64 == socket::EEXIST => add(sends, 1),
            _ => count(stat::CALL_SITES_FULL),
        }
    }
}

#[inline(always)]
fn emit_send(kind: u32, sk: Ptr, id: u32, notes: u32, seen: &Return) {
    let Some(mut room) = room::<Send>() else { return };
    let to = room.as_mut_ptr();
    // SAFETY: room for the record.
    unsafe {
        (&raw mut (*to).head).write(header(kind, cookie_of(sk)));
        (*to).entry_ns = match seen.call {
            Some(open) => open.entry_ns,
            None => 0,
        };
        (*to).id = id;
        (*to).ret = seen.ret;
        (*to).tid = seen.tid;
        (*to).fd = seen.fd;
        (*to).flags = seen.flags;
        (*to).notes = notes;
        let drop = if notes & note::KEPT_ID != 0 { crate::drop::of(sk, id) } else { (0, 0) };
        (*to).dropped_at = drop.0;
        (*to).drop_reason = drop.1;
        (*to).pad = 0;
    }
    submit(room);
}

/// Counts a send that took no id, by the limit that was reached: as it was seen refusing, or else
/// inferred from what is left of each right after the failure.
///
/// # Safety
/// As [`returned`].
#[inline(always)]
unsafe fn failed(entry: *mut Socket, sk: Ptr, seen: &Return) {
    // SAFETY: as promised by the caller.
    unsafe {
        let e = &mut *entry;
        let mut told = limit::UNKNOWN;
        if seen.ret == -ENOBUFS && LIMITS_SEEN.get_ptr(0).is_some_and(|on| *on != 0) {
            let thread = bpf_get_current_pid_tgid();
            told = REFUSED.get_ptr(thread).map_or(limit::NEITHER, |which| *which);
            let _ = REFUSED.remove(thread);
        }
        if seen.ret != -ENOBUFS || told == limit::NEITHER {
            add(&raw mut e.failed_other, 1);
        } else if told == limit::OPTMEM {
            add(&raw mut e.failed_optmem, 1);
        } else if told == limit::MEMLOCK {
            add(&raw mut e.failed_memlock, 1);
        } else if e.omem + OMALLOC_TRUESIZE.load() <= e.optmem_max && memlock_applies(e) {
            add(&raw mut e.failed_memlock, 1);
        } else {
            add(&raw mut e.failed_optmem, 1);
        }
        emit(Failed {
            head: header(kind::FAILED, cookie_of(sk)),
            errno: -seen.ret,
            tid: seen.tid,
            fd: seen.fd,
            flags: seen.flags,
            omem: e.omem,
            optmem_max: e.optmem_max,
            locked_pages: e.locked_pages,
            memlock_limit: e.memlock_limit,
            limit: told,
            pad: 0,
        });
    }
}

/// Does RLIMIT_MEMLOCK bind the current task? `mm_account_pinned_pages` spares CAP_IPC_LOCK.
#[inline(always)]
fn memlock_applies(e: &Socket) -> bool {
    // SAFETY: a typed walk from the trusted current task.
    let caps = unsafe { field::<u64>(field::<Ptr>(current(), &TASK_CRED), &CRED_CAPS) };
    caps & CAP_IPC_LOCK == 0 && e.memlock_limit != RLIM_INFINITY
}
