//! Atomic operations on map values. The target's core has the types without the operations,
//! though kernels have the instructions from 5.12 on; so they come straight from the compiler. What
//! older kernels lack is done with a table of locks.

use core::intrinsics::{AtomicOrdering::Relaxed, atomic_xadd};
#[cfg(not(feature = "early"))]
use core::intrinsics::{AtomicOrdering::SeqCst, atomic_cxchg, atomic_or, atomic_xchg};

#[cfg(feature = "early")]
use crate::maps::{LOCKS, lock_of};

/// Adds to a counter that other CPUs write too.
#[inline(always)]
pub fn add(counter: *mut u64, n: u64) {
    // SAFETY: points into a map value, aligned.
    unsafe { atomic_xadd::<u64, u64, { Relaxed }>(counter, n) };
}

/// A word of a map value.
#[derive(Clone, Copy)]
pub struct Word<T>(*mut T);

/// The word at `p`, which points into a map value and is aligned.
#[inline(always)]
pub fn word<T: Copy>(p: *mut T) -> Word<T> {
    Word(p)
}

impl<T: Copy + PartialEq> Word<T> {
    #[inline(always)]
    pub fn load(self) -> T {
        // SAFETY: as promised to `word`; an aligned load of one word does not tear.
        unsafe { core::ptr::read_volatile(self.0) }
    }

    /// Stores `new` if the word still is `old`. A full barrier.
    #[cfg(not(feature = "early"))]
    #[inline(always)]
    pub fn replace(self, old: T, new: T) -> bool {
        // SAFETY: as promised to `word`.
        unsafe { atomic_cxchg::<T, { SeqCst }, { SeqCst }>(self.0, old, new).1 }
    }

    /// Stores `new` if the word still is `old`, and nobody else is about to change it: who is there
    /// first has its entry in a table, which takes a key once.
    #[cfg(feature = "early")]
    #[inline(always)]
    pub fn replace(self, old: T, new: T) -> bool {
        let key = lock_of(self.0.cast());
        if !taken(key) {
            return false;
        }
        let same = self.load() == old;
        if same {
            // SAFETY: as promised to `word`.
            unsafe { core::ptr::write_volatile(self.0, new) };
        }
        let _ = LOCKS.remove(key);
        same
    }

    /// Stores `new`. A full barrier.
    #[cfg(not(feature = "early"))]
    #[inline(always)]
    pub fn put(self, new: T) {
        // SAFETY: as promised to `word`.
        unsafe { atomic_xchg::<T, { SeqCst }>(self.0, new) };
    }

    /// Stores `new`.
    #[cfg(feature = "early")]
    #[inline(always)]
    pub fn put(self, new: T) {
        // SAFETY: as promised to `word`.
        unsafe { core::ptr::write_volatile(self.0, new) };
    }
}

/// Has nobody else this lock? Whoever has it holds it for a few instructions.
#[cfg(feature = "early")]
#[inline(always)]
fn taken(key: u64) -> bool {
    const FLAG: u64 = aya_ebpf::bindings::BPF_NOEXIST as u64;
    LOCKS.insert(key, 1, FLAG).is_ok() || LOCKS.insert(key, 1, FLAG).is_ok()
}

impl Word<u32> {
    /// Sets bits. Where they are set already, as most are, that costs one load.
    #[inline(always)]
    pub fn set(self, bits: u32) {
        if self.load() & bits == bits {
            return;
        }
        #[cfg(not(feature = "early"))]
        // SAFETY: as promised to `word`.
        unsafe {
            atomic_or::<u32, u32, { Relaxed }>(self.0, bits)
        };
        #[cfg(feature = "early")]
        self.change(|old| old | bits);
    }

    /// Adds one, and returns what was there before.
    #[inline(always)]
    pub fn next(self) -> u32 {
        #[cfg(not(feature = "early"))]
        // SAFETY: as promised to `word`.
        return unsafe { atomic_xadd::<u32, u32, { SeqCst }>(self.0, 1) };
        #[cfg(feature = "early")]
        self.change(|old| old.wrapping_add(1))
    }

    /// Stores what becomes of what was there, and returns that. Only where the lock's holder was
    /// interrupted on this CPU, it goes without.
    #[cfg(feature = "early")]
    #[inline(always)]
    fn change(self, by: impl Fn(u32) -> u32) -> u32 {
        let key = lock_of(self.0.cast());
        let mine = taken(key);
        let old = self.load();
        // SAFETY: as promised to `word`.
        unsafe { core::ptr::write_volatile(self.0, by(old)) };
        if mine {
            let _ = LOCKS.remove(key);
        }
        old
    }
}
