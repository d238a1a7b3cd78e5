//! The end of a socket. Its entry stays until userspace has read it.

use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_get_socket_cookie},
    macros::{btf_tracepoint, cgroup_sock},
    programs::{BtfTracePointContext, SockContext},
};
#[cfg(feature = "early")]
use aya_ebpf::{macros::fentry, programs::FEntryContext};
use zcwatch_common::{Socket, kind, state};

use crate::{atomic::word, kernel::*, layout::*, maps::*, socket};

/// `tcp_destroy_sock(sk)`.
#[btf_tracepoint(function = "tcp_destroy_sock")]
pub fn tcp_closed(ctx: BtfTracePointContext) -> i32 {
    let sk: Ptr = ctx.arg(0);
    let cookie = cookie_of(sk);
    if let Some(entry) = socket::lookup(cookie) {
        // SAFETY: the tracepoint's own socket, and its map value.
        unsafe {
            socket::raise_key(&raw mut (*entry).key, field(sk, &SK_ZCKEY));
            (*entry).ended = socket::connection(sk);
            socket::keep_cookie(entry, sk);
            closed(entry, cookie);
        }
    }
    0
}

/// `inet_release`: the application's close, of TCP and UDP sockets. Needs CAP_NET_ADMIN.
#[cgroup_sock(sock_release)]
pub fn sock_released(ctx: SockContext) -> i32 {
    // SAFETY: the helper takes the program's own context.
    let cookie = unsafe { bpf_get_socket_cookie(ctx.sock.cast()) };
    if let Some(entry) = socket::lookup(cookie) {
        // SAFETY: a live map value.
        unsafe { closed(entry, cookie) };
    }
    1
}

/// `inet_release(sock)`: the application's close, which `inet6_release` calls too.
#[cfg(feature = "early")]
#[fentry(function = "inet_release")]
pub fn inet_released(ctx: FEntryContext) -> i32 {
    let of: Ptr = ctx.arg(0);
    // SAFETY: the function's own struct socket.
    let sk = unsafe { field::<Ptr>(of, &SOCKET_SK) };
    let cookie = cookie_of(sk);
    if let Some(entry) = socket::lookup(cookie) {
        // SAFETY: the function's own socket, and its map value.
        unsafe {
            socket::keep_cookie(entry, sk);
            closed(entry, cookie);
        }
    }
    0
}

/// `inet_sock_destruct(sk)`: nothing refers to it any more, and its address may be another one's.
#[cfg(feature = "early")]
#[fentry(function = "inet_sock_destruct")]
pub fn socket_freed(ctx: FEntryContext) -> i32 {
    let _ = IDS.remove(ctx.arg::<u64>(0));
    0
}

/// # Safety
/// `entry` is a live map value.
#[inline(always)]
unsafe fn closed(entry: *mut Socket, cookie: u64) {
    // SAFETY: as promised by the caller.
    unsafe {
        let state = word(&raw mut (*entry).state);
        if state.load() & state::CLOSED == 0 {
            state.set(state::CLOSED);
            (*entry).closed_ns = bpf_ktime_get_ns();
            emit(header(kind::CLOSED, cookie));
        }
    }
}
