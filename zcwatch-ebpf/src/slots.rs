//! Small things that are looked up with each packet or send, by a number that comes again and
//! again: a uarg's address, a thread. An array of buckets, whose look-up the kernel inlines, costs a
//! tenth of a hash map's look-up, update and delete; in turn the least useful of a full bucket
//! makes room.

use aya_ebpf::maps::Array;

use crate::atomic::word;

/// Slots in a bucket.
pub const WAYS: usize = 4;

/// What a slot holds. All zeroes is a free one.
pub trait Slot {
    /// The key, which is claimed atomically.
    fn key(this: *mut Self) -> *mut u64;
    /// 0: it is not needed any more; else since when it is, the older the smaller.
    fn needed(this: *mut Self) -> u64;
}

/// A bucket.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Bucket<T>([T; WAYS]);

/// A number spread over 32 bits.
#[inline(always)]
pub fn spread(n: u64) -> u32 {
    // Multiplied by 2^64 divided by the golden ratio, the high bits are as good as random.
    (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// A bucket's first slot. `N`: how many buckets there are, a power of two.
#[inline(always)]
fn bucket<T, const N: u32>(array: &'static Array<Bucket<T>>, at: u32) -> Option<*mut T> {
    array.get_ptr_mut(at & (N - 1)).map(|b| b.cast::<T>())
}

/// One slot of the bucket `at`, whatever is in it.
#[inline(always)]
pub fn slot<T, const N: u32>(
    array: &'static Array<Bucket<T>>,
    at: u32,
    way: u32,
) -> Option<*mut T> {
    let first = bucket::<T, N>(array, at)?;
    // SAFETY: one of the bucket's slots.
    Some(unsafe { first.add(way as usize & (WAYS - 1)) })
}

/// The slot of a key in the bucket `at`, if it has one.
#[inline(always)]
pub fn find<T: Slot, const N: u32>(
    array: &'static Array<Bucket<T>>,
    at: u32,
    key: u64,
) -> Option<*mut T> {
    let first = bucket::<T, N>(array, at)?;
    let mut i = 0;
    while i < WAYS {
        // SAFETY: one of the bucket's slots.
        let slot = unsafe { first.add(i) };
        if word(T::key(slot)).load() == key {
            return Some(slot);
        }
        i += 1;
    }
    None
}

/// A slot in the bucket `at` for a key that has none, and whether something was lost by taking it.
/// `None`: others took what we would have, again and again.
#[inline(always)]
pub fn claim<T: Slot, const N: u32>(
    array: &'static Array<Bucket<T>>,
    at: u32,
    key: u64,
) -> Option<(*mut T, bool)> {
    let first = bucket::<T, N>(array, at)?;
    let mut best = first;
    let mut least = u64::MAX;
    let mut i = 0;
    while i < WAYS {
        // SAFETY: one of the bucket's slots.
        let slot = unsafe { first.add(i) };
        let needed = T::needed(slot);
        if needed < least {
            least = needed;
            best = slot;
        }
        i += 1;
    }
    let word = word(T::key(best));
    let old = word.load();
    word.replace(old, key).then_some((best, least != 0))
}
