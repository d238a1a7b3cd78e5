//! The exact hooks: trampolines on the functions that take, put back, complete and report ids.
//!
//! A program that is already running on a CPU is skipped there, so each is attached three times, and
//! does nothing where its copy has been. A send is in [`CALLS`] from its entry to its
//! return; what a completion or a read was counted as is in [`COUNTED`]. Where the kernel has no
//! function of its own for a completion, see [`crate::last`].

use aya_ebpf::{
    EbpfContext,
    helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns},
    macros::{fentry, fexit},
    programs::{FEntryContext, FExitContext},
};
#[cfg(not(feature = "early"))]
use aya_ebpf::{bindings::BPF_NOEXIST, helpers::generated::bpf_get_func_ret};
use zcwatch_common::{MSG_ZEROCOPY, Socket, kind, state};

use crate::{
    atomic::add,
    complete::{Notification, clip, way_of, write},
    filter::watched,
    kernel::*,
    layout::*,
    maps::*,
    send::{Return, plain, returned},
    socket,
};

/// Copies of one program.
#[cfg(not(feature = "early"))]
macro_rules! copies {
    ($kind:ident($context:ty), $function:literal, [$($name:ident),*] => $what:expr) => {
        $(
            #[$kind(function = $function)]
            pub fn $name(ctx: $context) -> i32 {
                $what(&ctx);
                0
            }
        )*
    };
}
/// Early kernels skip no program that is running: there one is enough.
#[cfg(feature = "early")]
macro_rules! copies {
    ($kind:ident($context:ty), $function:literal, [$name:ident $(, $more:ident)*] => $what:expr) => {
        #[$kind(function = $function)]
        pub fn $name(ctx: $context) -> i32 {
            $what(&ctx);
            0
        }
    };
}
pub(crate) use copies;

copies!(fentry(FEntryContext), "tcp_sendmsg_locked", [tcp_called, tcp_called_2, tcp_called_3] => called);
copies!(fexit(FExitContext), "tcp_sendmsg_locked", [tcp_returned, tcp_returned_2, tcp_returned_3] => done);
copies!(fentry(FEntryContext), "udp_sendmsg", [udp_called, udp_called_2, udp_called_3] => called);
copies!(fexit(FExitContext), "udp_sendmsg", [udp_returned, udp_returned_2, udp_returned_3] => done);
copies!(fentry(FEntryContext), "udpv6_sendmsg", [udp6_called, udp6_called_2, udp6_called_3] => called);
copies!(fexit(FExitContext), "udpv6_sendmsg", [udp6_returned, udp6_returned_2, udp6_returned_3] => done);
copies!(fexit(FExitContext), "msg_zerocopy_realloc", [id_taken, id_taken_2, id_taken_3] => taken_id);
copies!(fentry(FEntryContext), "msg_zerocopy_put_abort", [id_put_back, id_put_back_2, id_put_back_3] => put_back);
copies!(fentry(FEntryContext), "__msg_zerocopy_callback", [completed, completed_2, completed_3] => finished);
copies!(fexit(FExitContext), "sock_dequeue_err_skb", [dequeued, dequeued_2, dequeued_3] => read);

/// Has the caller a uarg of its own? Then it is io_uring, whose sends take no id.
///
/// # Safety
/// `msg` is a struct msghdr.
#[inline(always)]
unsafe fn foreign(msg: Ptr) -> bool {
    // SAFETY: as promised by the caller.
    known(&MSG_UBUF) && unsafe { field::<u64>(msg, &MSG_UBUF) } != 0
}

/// `tcp_sendmsg_locked`, `udp_sendmsg` and `udpv6_sendmsg` begin with `(sk, msg, size)`, all versions.
#[inline(always)]
fn called(ctx: &FEntryContext) {
    let sk: Ptr = ctx.arg(0);
    let msg: Ptr = ctx.arg(1);
    // SAFETY: the function's own typed arguments.
    unsafe {
        if ended() || foreign(msg) {
            return;
        }
        if socket::lookup(cookie_of(sk)).is_none() && !watched() {
            return;
        }
        let thread = bpf_get_current_pid_tgid();
        let Some(place) = call_of(thread).or_else(|| new_call(thread)) else { return };
        (*place).entry_ns = bpf_ktime_get_ns();
        (*place).flags = field(msg, &MSG_FLAGS);
        (*place).holds = 0;
        (*place).whose = sk as u64;
    }
}

/// The call of this thread on a socket, if that was seen to begin, and has not returned.
#[inline(always)]
fn open(sk: u64) -> Option<*mut Entry> {
    let place = call_of(bpf_get_current_pid_tgid())?;
    // SAFETY: a live map value, written by this thread only.
    (unsafe { (*place).whose == sk && (*place).holds != RETURNED }).then_some(place)
}

/// `{sock,msg}_zerocopy_realloc(sk, size, uarg…)` returned a uarg with one more id, or nothing.
#[inline(always)]
fn taken_id(ctx: &FExitContext) {
    let sk: Ptr = ctx.arg(0);
    let Some(place) = open(sk as u64) else { return };
    let uarg = realloced(ctx);
    if uarg == 0 {
        return;
    }
    #[cfg(feature = "early")]
    know(uarg);
    // The uarg is the call's own, and lives.
    let at = UARG_ID.load() as u64;
    let Some(uarg) = Stretch::read(uarg + at) else { return };
    let first = uarg.get::<u32>(&UARG_ID, UARG_ID.load());
    let len = uarg.get::<u16>(&UARG_LEN, UARG_ID.load());
    let id = first.wrapping_add(len as u32).wrapping_sub(1);
    match socket::lookup(cookie_of(sk)) {
        None => {
            if socket::register(sk, current(), Some(id)).is_none() {
                return;
            }
        }
        // Another thread was quicker, perhaps with a later id. It must not complete below the base.
        Some(entry) => {
            // SAFETY: a live map value.
            unsafe {
                if (*entry).state & state::FIRST_SEEN_SENDING != 0 {
                    socket::lower_base(&raw mut (*entry).base, id);
                }
            }
        }
    }
    // SAFETY: a live map value, written by this thread only.
    unsafe {
        (*place).id = id;
        (*place).holds = 1;
    }
}

/// What tells uargs of MSG_ZEROCOPY from others is known from the first send on: there is no
/// calibration before, and a copy may be made before any packet is queued.
#[cfg(feature = "early")]
#[inline(always)]
fn know(uarg: u64) {
    if let Some(ops) = ZEROCOPY_OPS.get_ptr_mut(0)
        // SAFETY: the map's only element, in which only one value is ever stored.
        && unsafe { *ops } == 0
        && let Some(functions) = peek::<u64>(uarg + UARG_OPS.load() as u64)
    {
        // SAFETY: as above.
        unsafe { *ops = functions };
    }
}

/// What `{sock,msg}_zerocopy_realloc(sk, size, uarg…)` returned: how many arguments there are depends
/// on the version, so where the result is too.
#[inline(always)]
pub fn realloced(ctx: &FExitContext) -> u64 {
    #[cfg(feature = "early")]
    return ctx.arg(3);
    #[cfg(not(feature = "early"))]
    {
        let mut uarg = 0u64;
        // SAFETY: the context of a function's return, and a word on the stack.
        let known = unsafe { bpf_get_func_ret(ctx.as_ptr(), &raw mut uarg) };
        if known == 0 { uarg } else { 0 }
    }
}

/// `{sock,msg}_zerocopy_put_abort(uarg, have_uref)`: the id goes back, and the next send takes it.
#[inline(always)]
fn put_back(_: &FEntryContext) {
    if let Some(place) = call_of(bpf_get_current_pid_tgid()) {
        // SAFETY: a live map value, written by this thread only.
        unsafe {
            if (*place).holds == 1 {
                (*place).holds = 0;
            }
        }
    }
}

/// A protocol's sendmsg returned. Of two copies, and of two functions one in the other, the first
/// finds the call.
#[inline(always)]
fn done(ctx: &FExitContext) {
    let sk: Ptr = ctx.arg(0);
    let msg: Ptr = ctx.arg(1);
    let ret: i32 = ctx.arg(3);
    let thread = bpf_get_current_pid_tgid();
    // SAFETY: a live map value, written by this thread only; the function's own arguments.
    let call = unsafe {
        match call_of(thread) {
            Some(place) => {
                if (*place).whose != sk as u64 || (*place).holds == RETURNED {
                    return;
                }
                let call = *place;
                (*place).holds = RETURNED;
                Some(call)
            }
            // It began before the watch, and its id may be in the window.
            None => {
                if foreign(msg) || socket::lookup(cookie_of(sk)).is_none() {
                    return;
                }
                let Some(place) = new_call(thread) else { return };
                (*place).holds = RETURNED;
                (*place).whose = sk as u64;
                None
            }
        }
    };
    if ended() {
        return;
    }
    // SAFETY: the function's own arguments.
    let flags = unsafe { call.map_or_else(|| field(msg, &MSG_FLAGS), |call| call.flags) };
    let fd = match current_call() {
        Call::Send { fd, .. } => fd,
        Call::Other | Call::Hidden => -1,
    };
    let mut entry = socket::lookup(cookie_of(sk));
    if flags & MSG_ZEROCOPY == 0 {
        if ret > 0 && socket::is_inet(sk) {
            plain(entry, ret, fd);
        }
        return;
    }
    if entry.is_none() {
        // It took no id: ignored, or refused.
        entry = socket::register(sk, current(), None).map(|(_, e)| {
            // SAFETY: a live map value and its socket.
            unsafe { socket::start_window(e, sk) };
            e
        });
    }
    let Some(entry) = entry else { return };
    let seen = Return { ret, fd, flags, tid: thread as u32, call, exact: call.is_some() };
    // SAFETY: a live map value and its socket.
    unsafe { returned(ctx.as_ptr(), entry, sk, &seen) };
}

/// `__msg_zerocopy_callback(uarg)`: its last reference is gone, and its bit is final.
#[inline(always)]
fn finished(ctx: &FEntryContext) {
    let uarg: Ptr = ctx.arg(0);
    // With the socket of the skb that a uarg of MSG_ZEROCOPY lives in.
    let before = SKB_CB.load() - SKB_SK.load();
    let Some(home) = Stretch::read(uarg as u64 - before as u64) else { return };
    let len = home.get::<u16>(&UARG_LEN, before.wrapping_neg()) as u32;
    // Its only id was put back.
    if len == 0 {
        return;
    }
    let sk = home.get::<u64>(&SKB_SK, SKB_SK.load());
    let cookie = cookie_at(sk);
    let Some(entry) = socket::lookup(cookie) else { return };
    let lo = home.get::<u32>(&UARG_ID, before.wrapping_neg());
    if !first(uarg as u64, cookie, lo) {
        return;
    }
    let bits = home.get::<u8>(&UARG_BITS, before.wrapping_neg());
    let copied = bits as u32 & UARG_ZEROCOPY_MASK.load() == 0;
    // SAFETY: a live map value.
    unsafe { completed_ids(entry, cookie, lo, len, copied) };
}

/// Counts and tells `len` ids from `lo` on, whose uarg nothing refers to any more.
///
/// # Safety
/// `entry` is the map value of the socket with this cookie.
#[inline(always)]
pub unsafe fn completed_ids(entry: *mut Socket, cookie: u64, lo: u32, len: u32, copied: bool) {
    let way = way_of(cookie, lo);
    // SAFETY: as promised by the caller; a live map value.
    unsafe {
        let seen = clip(entry, lo, lo.wrapping_add(len).wrapping_sub(1));
        if seen.ids > 0 {
            add(&raw mut (*entry).pieces[copied as usize & 1], seen.ids);
            write(kind::PIECE, cookie, &seen, copied, 0, way);
        }
        if !way.is_null() {
            Trail::free(way);
        }
    }
}

/// `sock_dequeue_err_skb(sk)` returned an skb of the error queue, or nothing. Whatever the caller
/// asked for, it is off the queue (MSG_PEEK makes no difference).
#[inline(always)]
fn read(ctx: &FExitContext) {
    let sk: Ptr = ctx.arg(0);
    let skb: u64 = ctx.arg(1);
    if skb == 0 {
        return;
    }
    let cookie = cookie_of(sk);
    let Some(entry) = socket::lookup(cookie) else { return };
    let Some(n) = Notification::at(skb) else { return };
    if !first(skb + 1, cookie, n.lo) {
        return;
    }
    let which = n.copied as usize & 1;
    // SAFETY: a live map value.
    unsafe {
        let seen = clip(entry, n.lo, n.hi);
        add(&raw mut (*entry).before, seen.below);
        if seen.ids > 0 {
            add(&raw mut (*entry).notifications_read, 1);
            add(&raw mut (*entry).reads[which], seen.ids);
            add(&raw mut (*entry).merged_into[which], seen.ids);
            write(kind::READ, cookie, &seen, n.copied, 0, core::ptr::null_mut());
        }
    }
}

/// There is one program only that counts it.
#[cfg(feature = "early")]
#[inline(always)]
fn first(_: u64, _: u64, _: u32) -> bool {
    true
}

/// Is this the first to count the skb at this address as this socket's `id`? Its memory may be
/// another id's later, never the same one's: an id completes once, and is read once.
#[cfg(not(feature = "early"))]
#[inline(always)]
fn first(skb: u64, cookie: u64, id: u32) -> bool {
    let key = way_key(cookie, id);
    for _ in 0..2 {
        if let Some(counted) = COUNTED.get_ptr_mut(skb) {
            let counted = crate::atomic::word(counted);
            let old = counted.load();
            return old != key && counted.replace(old, key);
        }
        match COUNTED.insert(skb, key, BPF_NOEXIST as u64) {
            Ok(()) => return true,
            // The other one was quicker, on its CPU.
            Err(e) if e as i64 == socket::EEXIST => {}
            Err(_) => {
                count(zcwatch_common::stat::COUNTED_FULL);
                return true;
            }
        }
    }
    false
}
