//! As much of io_uring as a zerocopy send needs.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Result, ensure};

const ENTRIES: u32 = 8;
/// `IORING_OFF_SQES`; the two rings are at 0 (`IORING_FEAT_SINGLE_MMAP`, 5.4 and later).
const OFF_SQES: i64 = 0x1000_0000;
const ENTER_GETEVENTS: u32 = 1;
const OP_SEND_ZC: u8 = 47;
/// `IORING_CQE_F_MORE`: a notification follows.
const MORE: u32 = 2;

/// `struct io_sqring_offsets` and `struct io_cqring_offsets` of linux/io_uring.h.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Offsets {
    head: u32,
    tail: u32,
    ring_mask: u32,
    ring_entries: u32,
    flags_or_overflow: u32,
    dropped_or_cqes: u32,
    array_or_flags: u32,
    reserved: u32,
    user_addr: u64,
}

/// `struct io_uring_params`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Params {
    sq_entries: u32,
    cq_entries: u32,
    flags: u32,
    others: [u32; 7],
    sq: Offsets,
    cq: Offsets,
}

/// `struct io_uring_sqe`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Sqe {
    opcode: u8,
    flags: u8,
    ioprio: u16,
    fd: i32,
    off: u64,
    addr: u64,
    len: u32,
    rest: [u32; 9],
}

const _: () = assert!(size_of::<Params>() == 120 && size_of::<Sqe>() == 64);

/// A mapping of the ring's.
struct Mapped {
    start: *mut u8,
    len: usize,
}

impl Mapped {
    fn new(ring: &OwnedFd, len: usize, offset: i64) -> io::Result<Self> {
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping, wherever the kernel chooses.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), len, protection, flags, ring.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { start: start.cast(), len })
    }

    fn word(&self, offset: u32) -> &AtomicU32 {
        // SAFETY: the kernel's offsets are inside the mapping, and aligned.
        unsafe { &*self.start.add(offset as usize).cast() }
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: our own mapping, whole.
        unsafe { libc::munmap(self.start.cast(), self.len) };
    }
}

/// A ring that sends, one request at a time.
pub struct Uring {
    ring: OwnedFd,
    params: Params,
    rings: Mapped,
    sqes: Mapped,
}

impl Uring {
    /// Makes a ring.
    ///
    /// # Errors
    /// When the kernel has none, or refuses it (`kernel.io_uring_disabled`).
    pub fn new() -> Result<Self> {
        let mut params = Params::default();
        // SAFETY: the kernel fills in the parameters, which live on this frame.
        let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, ENTRIES, &raw mut params) };
        ensure!(fd >= 0, "io_uring_setup: {}", io::Error::last_os_error());
        // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
        let ring = unsafe { OwnedFd::from_raw_fd(fd as i32) };
        // The completions are the later part; a completion has 16 bytes.
        let len = params.cq.dropped_or_cqes + params.cq_entries * 16;
        let array = params.sq.array_or_flags + params.sq_entries * 4;
        let rings = Mapped::new(&ring, len.max(array) as usize, 0)?;
        let sqes = Mapped::new(&ring, params.sq_entries as usize * size_of::<Sqe>(), OFF_SQES)?;
        Ok(Self { ring, params, rings, sqes })
    }

    /// Sends by `IORING_OP_SEND_ZC`, and waits for its result and its notification. Returns the
    /// bytes that were taken.
    ///
    /// # Errors
    /// When the send fails.
    pub fn send_zc(&self, socket: BorrowedFd<'_>, payload: &[u8]) -> Result<u32> {
        let sq = &self.params.sq;
        let tail = self.rings.word(sq.tail);
        let at = tail.load(Ordering::Relaxed);
        let slot = at & self.rings.word(sq.ring_mask).load(Ordering::Relaxed);
        let request = Sqe {
            opcode: OP_SEND_ZC,
            fd: socket.as_raw_fd(),
            addr: payload.as_ptr() as u64,
            len: u32::try_from(payload.len())?,
            ..Sqe::default()
        };
        // SAFETY: the slot is inside the mapping, and not submitted yet.
        unsafe { self.sqes.start.cast::<Sqe>().add(slot as usize).write(request) };
        self.rings.word(sq.array_or_flags + slot * 4).store(slot, Ordering::Relaxed);
        tail.store(at.wrapping_add(1), Ordering::Release);

        let (taken, flags) = self.complete(1)?;
        ensure!(taken >= 0, "SEND_ZC: {}", io::Error::from_raw_os_error(-taken));
        if flags & MORE != 0 {
            self.complete(0)?;
        }
        Ok(taken.cast_unsigned())
    }

    /// Submits so many requests, and takes one completion: its result and flags.
    fn complete(&self, submit: u32) -> Result<(i32, u32)> {
        let cq = &self.params.cq;
        let null = ptr::null::<u8>();
        // SAFETY: no memory is passed.
        let done = unsafe {
            let fd = self.ring.as_raw_fd();
            libc::syscall(libc::SYS_io_uring_enter, fd, submit, 1, ENTER_GETEVENTS, null, 0)
        };
        ensure!(done >= 0, "io_uring_enter: {}", io::Error::last_os_error());
        let head = self.rings.word(cq.head);
        let at = head.load(Ordering::Relaxed);
        ensure!(at != self.rings.word(cq.tail).load(Ordering::Acquire), "no completion");
        let slot = at & self.rings.word(cq.ring_mask).load(Ordering::Relaxed);
        // `struct io_uring_cqe`: user_data in eight bytes, the result, the flags.
        let cqe = cq.dropped_or_cqes + slot * 16;
        let result = self.rings.word(cqe + 8).load(Ordering::Relaxed).cast_signed();
        let flags = self.rings.word(cqe + 12).load(Ordering::Relaxed);
        head.store(at.wrapping_add(1), Ordering::Release);
        Ok((result, flags))
    }
}
