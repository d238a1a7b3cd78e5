//! io_uring's zerocopy sends. They take no id: they are counted as seen, and not analysed.

use aya_ebpf::{bindings::BPF_NOEXIST, macros::btf_tracepoint, programs::BtfTracePointContext};
use zcwatch_common::RingKey;

use crate::{atomic::add, filter::watched, kernel::*, layout::*, maps::*};

/// `IORING_OP_SEND_ZC` and `IORING_OP_SENDMSG_ZC` (6.0, 6.1 and later).
const SEND_ZC: u8 = 47;
const SENDMSG_ZC: u8 = 48;

/// `io_uring_submit_req(req)`.
#[btf_tracepoint(function = "io_uring_submit_req")]
pub fn ring_submit(ctx: BtfTracePointContext) -> i32 {
    let req: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own request.
    let opcode = unsafe { field::<u8>(req, &KIOCB_OPCODE) };
    if opcode != SEND_ZC && opcode != SENDMSG_ZC {
        return 0;
    }
    if !watched() {
        return 0;
    }
    let tgid = tgid();
    // SAFETY: as above.
    let key = RingKey { tgid, fd: unsafe { field::<i32>(req, &KIOCB_FD) } };
    let _ = IO_URING.insert(key, 0, BPF_NOEXIST as u64);
    if let Some(n) = IO_URING.get_ptr_mut(key) {
        add(n, 1);
    }
    0
}
