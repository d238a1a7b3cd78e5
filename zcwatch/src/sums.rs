//! Sums that stay at the largest number instead of beginning again at none. Counts of a kernel
//! never get there; those of a recording are whatever its writer put in.

/// Adds to a count.
pub fn add(to: &mut u64, n: u64) {
    *to = to.saturating_add(n);
}

/// All together.
pub fn sum(all: impl IntoIterator<Item = u64>) -> u64 {
    all.into_iter().fold(0, u64::saturating_add)
}
