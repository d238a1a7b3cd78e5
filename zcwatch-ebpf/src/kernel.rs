//! Reading the kernel: typed pointer walks that the verifier checks, and the few reads through
//! untyped memory that need a helper.

use aya_ebpf::{
    Global,
    helpers::{bpf_probe_read_kernel, generated::bpf_probe_read_kernel_str},
};
use zcwatch_common::ABSENT;

use crate::layout::*;

/// A kernel pointer. Typed by the verifier, not by us.
pub type Ptr = *const u8;

/// `SOCK_ZEROCOPY` in `skc_flags`, all versions.
const SOCK_ZEROCOPY: u64 = 1 << 18;
/// The task is a worker of io_uring (include/linux/sched.h).
const PF_IO_WORKER: u32 = 0x10;
const PF_KTHREAD: u32 = 0x20_0000;
/// `__USER_CS` of a 64-bit x86 task; a compat task has other registers and numbers.
const USER_CS: u16 = 0x33;

/// A direct load from a pointer that the verifier knows.
///
/// # Safety
/// `base` is a typed kernel pointer, and `off` was resolved for a member of type `T` in it.
#[inline(always)]
pub unsafe fn field<T>(base: Ptr, off: &Global<u32>) -> T {
    // SAFETY: as promised by the caller.
    unsafe { load(base, off.load() as usize) }
}

/// The same, `off` bytes behind `base`.
///
/// # Safety
/// As [`field`].
#[cfg(not(feature = "early"))]
#[inline(always)]
pub unsafe fn load<T>(base: Ptr, off: usize) -> T {
    // SAFETY: as promised by the caller; the verifier checks the access again.
    unsafe { core::ptr::read_volatile(base.add(off).cast::<T>()) }
}

/// The same by a checked read: early verifiers know few pointers by their type. What cannot be read
/// is 0, as it is in a direct load.
///
/// # Safety
/// As [`field`], and `T` may be all zeroes.
#[cfg(feature = "early")]
#[inline(always)]
pub unsafe fn load<T>(base: Ptr, off: usize) -> T {
    // SAFETY: as promised by the caller.
    unsafe {
        let mut out = core::mem::MaybeUninit::<T>::zeroed();
        aya_ebpf::helpers::generated::bpf_probe_read_kernel(
            out.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            (base as u64).wrapping_add(off as u64) as *const _,
        );
        out.assume_init()
    }
}

/// The word `n` of an array in a typed struct.
///
/// # Safety
/// As [`field`], of an array with more than `n` words.
#[inline(always)]
pub unsafe fn nth(base: Ptr, off: &Global<u32>, n: usize) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe { load(base, off.load() as usize + 4 * n) }
}

/// A load from memory that the verifier cannot type.
#[inline(always)]
pub fn peek<T>(addr: u64) -> Option<T> {
    // SAFETY: bpf_probe_read_kernel checks the address, and fails instead of faulting.
    unsafe { bpf_probe_read_kernel(addr as *const T) }.ok()
}

/// A stretch of untyped memory, read at once: each call of the helper costs more than what it
/// copies.
pub struct Stretch([u64; STRETCH / 8]);

/// Bytes in a [`Stretch`].
pub const STRETCH: usize = 64;

impl Stretch {
    #[inline(always)]
    pub fn read(addr: u64) -> Option<Self> {
        peek(addr).map(Self)
    }

    /// The member at `off`, a row of the layout, less `from`. The verifier sees numbers, and
    /// refuses what reaches beyond.
    #[inline(always)]
    pub fn get<T>(&self, off: &Global<u32>, from: u32) -> T {
        let at = off.load().wrapping_sub(from) as usize;
        // SAFETY: inside the array, or the program does not load; any bytes are valid integers.
        unsafe { core::ptr::read_volatile(self.0.as_ptr().cast::<u8>().add(at).cast::<T>()) }
    }
}

/// A name of up to 15 bytes, NUL-padded.
///
/// # Safety
/// `to` points to sixteen writable bytes.
#[inline(always)]
pub unsafe fn peek_name(addr: u64, to: *mut [u8; 16]) {
    // SAFETY: as promised by the caller; the helper checks the address, stops at the NUL, and
    // leaves the rest, which was cleared.
    unsafe {
        *to = [0; 16];
        bpf_probe_read_kernel_str(to.cast(), 16, addr as *const _);
    }
}

#[inline(always)]
pub fn known(off: &Global<u32>) -> bool {
    off.load() != ABSENT
}

/// Is `a` before `b` on the circle of u32 ids?
#[inline(always)]
pub fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

#[inline(always)]
pub fn zerocopy_set(sk: Ptr) -> bool {
    // SAFETY: sk is a struct sock.
    unsafe { field::<u64>(sk, &SK_FLAGS) & SOCK_ZEROCOPY != 0 }
}

#[inline(always)]
pub fn cookie_of(sk: Ptr) -> u64 {
    // SAFETY: sk is a struct sock. 0 until somebody asked for the cookie, and we ask when we
    // begin to watch: a socket without one is certainly not watched.
    #[cfg(not(feature = "early"))]
    return unsafe { field::<u64>(sk, &SK_COOKIE) };
    #[cfg(feature = "early")]
    cookie_at(sk as u64)
}

/// The same of a socket that the verifier does not know as one.
#[inline(always)]
pub fn cookie_at(sk: u64) -> u64 {
    #[cfg(not(feature = "early"))]
    return peek::<u64>(sk + SK_COOKIE.load() as u64).unwrap_or(0);
    #[cfg(feature = "early")]
    // SAFETY: a live map value, written once.
    crate::maps::IDS.get_ptr(sk).map_or(0, |id| unsafe { *id })
}

/// The current task, a trusted pointer.
#[inline(always)]
pub fn current() -> Ptr {
    // SAFETY: a helper without arguments.
    #[cfg(not(feature = "early"))]
    return unsafe { aya_ebpf::helpers::generated::bpf_get_current_task_btf() as Ptr };
    #[cfg(feature = "early")]
    // SAFETY: as above.
    unsafe {
        aya_ebpf::helpers::generated::bpf_get_current_task() as Ptr
    }
}

/// The registers that a task entered the kernel with.
///
/// # Safety
/// `task` is a task_struct that belongs to a process.
#[inline(always)]
unsafe fn registers(task: Ptr) -> Ptr {
    // SAFETY: as promised by the caller.
    #[cfg(not(feature = "early"))]
    return unsafe { aya_ebpf::helpers::generated::bpf_task_pt_regs(task as *mut _) as Ptr };
    #[cfg(feature = "early")]
    // SAFETY: as promised by the caller. They are at the top of its stack (`task_pt_regs`).
    unsafe {
        (field::<u64>(task, &TASK_STACK) + REGS_IN_STACK.load() as u64) as Ptr
    }
}

/// The system call that the current task is in, as far as it concerns a send.
pub enum Call {
    /// send, sendto, sendmsg or sendmmsg, with its descriptor and flags.
    Send { fd: i32, flags: u32 },
    /// Another call without `msg_flags` (write, sendfile…).
    Other,
    /// Registers that say nothing: io_uring, a kernel thread, a 32-bit task.
    Hidden,
}

/// Reads the registers that the task entered the kernel with: the flags and the descriptor of a
/// UDP send without a probe on any system call.
#[inline(always)]
pub fn current_call() -> Call {
    let task = current();
    // SAFETY: task is a trusted task_struct, and its registers belong to it.
    unsafe {
        if field::<u32>(task, &TASK_FLAGS) & (PF_IO_WORKER | PF_KTHREAD) != 0 {
            return Call::Hidden;
        }
        let regs = registers(task);
        if known(&REGS_CS) && field::<u16>(regs, &REGS_CS) != USER_CS {
            return Call::Hidden;
        }
        let nr = field::<u64>(regs, &REGS_NR) as u32;
        if nr == NR_SENDTO.load() || nr == NR_SENDMMSG.load() {
            let flags = field::<u64>(regs, &REGS_ARG3) as u32;
            return Call::Send { fd: field::<u64>(regs, &REGS_ARG0) as i32, flags };
        }
        if nr == NR_SENDMSG.load() {
            let flags = field::<u64>(regs, &REGS_ARG2) as u32;
            return Call::Send { fd: field::<u64>(regs, &REGS_ARG0) as i32, flags };
        }
        if nr == NR_IO_URING_ENTER.load() { Call::Hidden } else { Call::Other }
    }
}

/// Does descriptor `fd` of the current task name this socket?
#[cfg(not(feature = "early"))]
#[inline(always)]
pub fn current_holds(fd: i32, sk: Ptr) -> bool {
    // SAFETY: a walk from the trusted current task over typed members; the table itself is an
    // array of pointers, which only a checked read can take from.
    unsafe {
        let files = field::<Ptr>(current(), &TASK_FILES);
        let fdt = field::<Ptr>(files, &FILES_FDT);
        if fd < 0 || fd as u32 >= field::<u32>(fdt, &FDT_MAX_FDS) {
            return false;
        }
        let table = field::<u64>(fdt, &FDT_FD);
        let Some(file) = peek::<u64>(table + 8 * fd as u64) else { return false };
        let Some(socket) = peek::<u64>(file + FILE_PRIVATE.load() as u64) else { return false };
        peek::<u64>(socket + SOCKET_SK.load() as u64) == Some(sk as u64)
    }
}
