//! Latencies: how long until a buffer came back, and until the application knew.

use hdrhistogram::Histogram;

/// A distribution of times, ns. Percentiles are exact to 1 %, minimum and maximum exactly.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Option<Histogram<u64>>,
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
        Self { histogram: None, min: u64::MAX, max: 0, count: 0 }
    }
}

impl Latency {
    /// Adds `n` samples of one time.
    pub fn record(&mut self, ns: u64, n: u64) {
        if n == 0 {
            return;
        }
        self.min = self.min.min(ns);
        self.max = self.max.max(ns);
        self.count += n;
        if self.histogram.is_none() {
            // Grows as needed; fails only for a precision above 5 digits.
            self.histogram = Histogram::new(2).ok();
        }
        if let Some(h) = &mut self.histogram {
            let _ = h.record_n(ns.max(1), n);
        }
    }

    /// Adds all of another one's samples.
    pub fn merge(&mut self, other: &Self) {
        let Some(theirs) = &other.histogram else { return };
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.count += other.count;
        match &mut self.histogram {
            Some(mine) => {
                let _ = mine.add(theirs);
            }
            None => self.histogram = Some(theirs.clone()),
        }
    }

    /// `None` without samples.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let h = self.histogram.as_ref().filter(|_| self.count > 0)?;
        let at = |q| h.value_at_quantile(q).clamp(self.min, self.max);
        Some(Summary {
            count: self.count,
            min: self.min,
            p50: at(0.50),
            p90: at(0.90),
            p99: at(0.99),
            max: self.max,
        })
    }
}

#[cfg(test)]
mod tests {
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
}
