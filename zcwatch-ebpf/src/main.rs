//! zcwatch's probes: programs on BTF tracepoints that fill exact per-socket counters and one
//! ring buffer. Offsets come from the running kernel's BTF, as read-only globals ([`layout`]).
//! With the feature `early` they are made for kernels before 5.12.
//!
//! What runs where:
//!
//! | program | on | for |
//! |---|---|---|
//! | `tcp_entry` | `tcp_sendmsg_locked` | a TCP send's id, flags and entry, under the socket's lock |
//! | `send_return` | `sock_send_length` | what a send returned, and its id |
//! | `path_queue`, `path_xmit`, `path_receive` | `net_dev_queue`, `net_dev_start_xmit`, `netif_receive_skb` | where a uarg's zerocopy bit turned |
//! | `notified` | `inet_sk_error_report` | a notification was queued |
//! | `consumed` | `consume_skb` | a merged piece, or a notification that was read |
//! | `tcp_closed`, `sock_released` | `tcp_destroy_sock`, `cgroup/sock_release` | the end of a socket |
//! | `*_called`, `realloc_returned`, `put_aborted`, `*_returned` | functions, by trampoline | the same, exactly, on every kernel that has trampolines |
//! | `uarg_held`, `uarg_shorter`, `part_over`, `part_gone`, `abort_gone` | `msg_zerocopy_realloc`, `_put_abort`, `_complete` | completions where the last function is inlined |
//! | `completed`, `dequeued` | `__msg_zerocopy_callback`, `sock_dequeue_err_skb` | completions and reads, likewise |
//! | `left_over` | `iter/task` | the end of a uarg that passed unseen |
//! | `inet_released`, `socket_freed` | `inet_release`, `inet_sock_destruct` | the end of a socket, where the programs know it by its address |
//! | `held_sockets` | `iter/task_file` | sockets that were there before |
//! | `task_forked`, `task_executed`, `task_exited` | `sched_process_fork`, `_exec`, `_exit` | who is watched |
//! | `dropped` | `kfree_skb` | where and why a send was dropped in the call that sent it |
//! | `ring_submit` | `io_uring_submit_req` | zerocopy requests of io_uring |
#![no_std]
#![no_main]
// The atomic operations, which this target's core leaves out.
#![feature(core_intrinsics)]
#![allow(internal_features)]

mod atomic;
mod close;
mod complete;
mod copies;
mod device;
mod drop;
mod exact;
mod filter;
mod kernel;
mod last;
mod layout;
mod maps;
mod path;
mod ring;
mod send;
mod slots;
mod socket;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
