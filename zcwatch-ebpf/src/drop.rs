//! What drops a send on its way out, in the call that sends it.

use aya_ebpf::{
    bindings::BPF_ANY, helpers::bpf_get_current_pid_tgid, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};

use crate::{filter::watched, kernel::*, layout::*, maps::*, socket};

/// These have the address of a socket, and are none.
const TIME_WAIT: u8 = 6;
const NEW_SYN_RECV: u8 = 12;

/// `kfree_skb(skb, location, reason…)`: a packet was dropped. The reason is there from 5.17 on.
#[btf_tracepoint(function = "kfree_skb")]
pub fn dropped(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own typed argument, and its socket.
    unsafe {
        let sk = field::<Ptr>(skb, &SKB_SK);
        if sk.is_null() || ended() {
            return 0;
        }
        let state = field::<u8>(sk, &SK_STATE);
        if state == TIME_WAIT || state == NEW_SYN_RECV || !zerocopy_set(sk) {
            return 0;
        }
        if socket::lookup(cookie_of(sk)).is_none() && !watched() {
            return 0;
        }
        let reason = if known(&DROP_REASONS) { ctx.arg::<u32>(2) } else { 0 };
        let drop = Dropped {
            sk: sk as u64,
            at: ctx.arg::<u64>(1),
            id: field::<u32>(sk, &SK_ZCKEY).wrapping_sub(1),
            reason,
        };
        let _ = DROPPED.insert(bpf_get_current_pid_tgid(), drop, BPF_ANY as u64);
    }
    0
}

/// Where and why the packet of this thread's send was dropped; zeroes: that was not seen.
#[inline(always)]
pub fn of(sk: Ptr, id: u32) -> (u64, u32) {
    let thread = bpf_get_current_pid_tgid();
    let Some(last) = DROPPED.get_ptr(thread) else { return (0, 0) };
    // SAFETY: a live map value, written by this thread only.
    let last = unsafe { *last };
    let _ = DROPPED.remove(thread);
    if last.sk == sk as u64 && last.id == id { (last.at, last.reason) } else { (0, 0) }
}
