//! Atomic operations on map values. The target's core has the types without the operations,
//! though every kernel these programs load on has the instructions (5.12 and later); so they
//! come straight from the compiler.

use core::intrinsics::{AtomicOrdering::*, atomic_cxchg, atomic_or, atomic_xadd, atomic_xchg};

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
    #[inline(always)]
    pub fn replace(self, old: T, new: T) -> bool {
        // SAFETY: as promised to `word`.
        unsafe { atomic_cxchg::<T, { SeqCst }, { SeqCst }>(self.0, old, new).1 }
    }

    /// Stores `new`. A full barrier.
    #[inline(always)]
    pub fn put(self, new: T) {
        // SAFETY: as promised to `word`.
        unsafe { atomic_xchg::<T, { SeqCst }>(self.0, new) };
    }
}

impl Word<u32> {
    /// Sets bits. Where they are set already, as most are, that costs one load.
    #[inline(always)]
    pub fn set(self, bits: u32) {
        if self.load() & bits == bits {
            return;
        }
        // SAFETY: as promised to `word`.
        unsafe { atomic_or::<u32, u32, { Relaxed }>(self.0, bits) };
    }

    /// Adds one, and returns what was there before.
    #[inline(always)]
    pub fn next(self) -> u32 {
        // SAFETY: as promised to `word`.
        unsafe { atomic_xadd::<u32, u32, { SeqCst }>(self.0, 1) }
    }
}
