//! Latencies: how long until a buffer came back, and until the application knew.

use crate::sums::add;

/// Bits of a time that are kept: percentiles are then exact to 1 %.
const KEPT: u32 = 7;

/// A distribution of times, ns. Percentiles are exact to 1 %, minimum and maximum exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Samples by the bucket of their time, in its order. A socket has few buckets: most of its
    /// times are alike.
    buckets: Vec<(u16, u64)>,
    min: u64,
    max: u64,
    count: u64,
}

/// What is reported of it, ns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Samples.
    pub count: u64,
    /// Smallest.
    pub min: u64,
    /// Median.
    pub p50: u64,
    /// 90th percentile.
    pub p90: u64,
    /// 99th percentile.
    pub p99: u64,
    /// Largest.
    pub max: u64,
}

impl Default for Latency {
    fn default() -> Self {
        Self { buckets: Vec::new(), min: u64::MAX, max: 0, count: 0 }
    }
}

/// The bucket of a time: itself where it is short, else its leading bits and how many follow.
fn bucket(ns: u64) -> u16 {
    let shift = (u64::BITS - ns.leading_zeros()).saturating_sub(KEPT + 1);
    // At most 56 << 7 | 255.
    u16::try_from((u64::from(shift) << KEPT) + (ns >> shift)).unwrap_or(u16::MAX)
}

/// The longest time in a bucket, ns.
fn longest(bucket: u16) -> u64 {
    let bucket = u64::from(bucket);
    let shift = (bucket >> KEPT).saturating_sub(1);
    let lead = bucket - (shift << KEPT);
    // The last bucket ends with the largest number there is.
    (lead + 1).checked_mul(1 << shift).map_or(u64::MAX, |above| above - 1)
}

impl Latency {
    /// Adds `n` samples of one time.
    pub fn record(&mut self, ns: u64, n: u64) {
        if n == 0 {
            return;
        }
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
        add(&mut self.count, n);
        self.put(bucket(ns), n);
    }

    fn put(&mut self, bucket: u16, n: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(b, _)| *b) {
            Ok(at) => add(&mut self.buckets[at].1, n),
            Err(at) => self.buckets.insert(at, (bucket, n)),
        }
    }

    /// Adds all of another one's samples.
    pub fn merge(&mut self, other: &Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        add(&mut self.count, other.count);
        other.buckets.iter().for_each(|(bucket, n)| self.put(*bucket, *n));
    }

    /// Keeps of the samples what the summary is made of.
    pub fn reduce(&mut self) {
        let mut kept: Vec<(u16, u64)> = Vec::new();
        let mut below = 0;
        for percent in [50, 90, 99, 100] {
            let (Some(bucket), rank) = (self.at(percent), self.rank(percent)) else { return };
            // As many as are not above it, so that it is found at the same rank.
            let n = rank.saturating_sub(below);
            below = below.max(rank);
            match kept.last_mut().filter(|(last, _)| *last == bucket) {
                Some((_, known)) => add(known, n),
                None if n > 0 => kept.push((bucket, n)),
                None => {}
            }
        }
        kept.shrink_to_fit();
        self.buckets = kept;
    }

    /// Which sample, in the order of their times, is the percentile; the first is 1.
    fn rank(&self, percent: u64) -> u64 {
        let rank = (u128::from(self.count) * u128::from(percent)).div_ceil(100);
        u64::try_from(rank).unwrap_or(u64::MAX).max(1)
    }

    /// The bucket of a percentile.
    fn at(&self, percent: u64) -> Option<u16> {
        let rank = self.rank(percent);
        let mut upto: u64 = 0;
        let found = self.buckets.iter().find(|(_, n)| {
            add(&mut upto, *n);
            upto >= rank
        });
        found.or(self.buckets.last()).map(|(bucket, _)| *bucket)
    }

    /// Samples by the power of two (ns) that they reach: each with how many were at least as long,
    /// and less than twice as long. The shortest first; none is left out between.
    #[must_use]
    pub fn octaves(&self) -> Vec<(u64, u64)> {
        let power = |ns: u64| u64::BITS - 1 - ns.max(1).leading_zeros();
        let (Some((first, _)), Some((last, _))) = (self.buckets.first(), self.buckets.last())
        else {
            return Vec::new();
        };
        let (first, last) = (power(longest(*first)), power(longest(*last)));
        let mut all: Vec<(u64, u64)> = (first..=last).map(|p| (1 << p, 0)).collect();
        for (bucket, n) in &self.buckets {
            let at = power(longest(*bucket)) - first;
            if let Some((_, sum)) = all.get_mut(at as usize) {
                add(sum, *n);
            }
        }
        all
    }

    /// `None` without samples.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let at = |percent| Some(longest(self.at(percent)?).clamp(self.min, self.max));
        Some(Summary {
            count: self.count,
            min: self.min,
            p50: at(50)?,
            p90: at(90)?,
            p99: at(99)?,
            max: self.max,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn percentiles_are_within_one_percent_and_never_outside_what_was_seen() {
        let mut l = Latency::default();
        assert_eq!(l.summary(), None);
        for ns in 1..=1000 {
            l.record(ns * 1000, 1);
        }
        let s = l.summary().unwrap();
        assert_eq!((s.count, s.min, s.max), (1000, 1000, 1_000_000));
        for (got, want) in [(s.p50, 500_000), (s.p90, 900_000), (s.p99, 990_000)] {
            assert!(got.abs_diff(want) * 100 <= want, "{got} is not {want}");
        }
        let mut other = Latency::default();
        other.record(5, 1000);
        other.merge(&l);
        assert_eq!(other.summary().map(|s| (s.count, s.min, s.p50)), Some((2000, 5, 5)));
    }

    #[test]
    fn octaves_have_every_sample_once() {
        let mut l = Latency::default();
        assert_eq!(l.octaves(), []);
        for (ns, n) in [(1024, 3), (2047, 4), (9000, 5)] {
            l.record(ns, n);
        }
        assert_eq!(l.octaves(), [(1024, 7), (2048, 0), (4096, 0), (8192, 5)]);
    }

    #[test]
    fn every_time_is_in_its_bucket() {
        for bits in 0..64 {
            for ns in [1 << bits, (1 << bits) | ((1 << bits) - 1), (1 << bits) + (1 << bits) / 3] {
                let longest = longest(bucket(ns));
                assert!(longest >= ns && longest - ns <= ns / 128, "{ns}: {longest}");
                assert_eq!(bucket(longest), bucket(ns));
                assert!(longest == u64::MAX || bucket(longest + 1) == bucket(ns) + 1);
            }
        }
        assert_eq!(longest(bucket(0)), 0);
    }

    proptest! {
        #[test]
        fn a_reduced_distribution_has_the_same_summary(
            all in prop::collection::vec((any::<u64>(), 0_u32..64, 0..100_u64), 0..50)
        ) {
            let mut l = Latency::default();
            all.iter().for_each(|(ns, shift, n)| l.record(ns >> shift, *n));
            let whole = l.summary();
            l.reduce();
            prop_assert_eq!(l.summary(), whole);
            prop_assert!(l.buckets.len() <= 4);
            l.reduce();
            prop_assert_eq!(l.summary(), whole);
        }
    }
}
