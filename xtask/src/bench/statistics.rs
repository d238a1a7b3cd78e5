//! The median, and how sure it is.

use serde::Serialize;

/// How sure an interval is to hold the median, at least.
const CONFIDENCE: f64 = 0.95;

/// A median and its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Median {
    pub median: f64,
    /// `None` where the values are too few: with less than six, not even all of them hold the
    /// median with 95 %.
    pub interval: Option<Interval>,
}

/// Two of the values, between which the median lies with this probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub low: f64,
    pub high: f64,
    pub confidence: f64,
}

impl Median {
    /// The median of some values, and the narrowest pair of order statistics, as far from one end
    /// as from the other, that holds it with 95 % or more. It takes nothing for granted but that
    /// the values are independent: no normal distribution, and no chance of its own.
    ///
    /// `None` without values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let median = quantile(&sorted, 0.5)?;
        let interval = outer_rank(sorted.len()).map(|(rank, confidence)| Interval {
            low: sorted[rank],
            high: sorted[sorted.len() - 1 - rank],
            confidence,
        });
        Some(Self { median, interval })
    }
}

/// The part of the middle value by which the values differ, leaving out the outermost tenths:
/// (p90 − p10) ÷ median. 0 without values.
pub fn spread(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (quantile(&sorted, 0.1), quantile(&sorted, 0.5), quantile(&sorted, 0.9)) {
        (Some(low), Some(middle), Some(high)) if middle > 0.0 => (high - low) / middle,
        _ => 0.0,
    }
}

/// The value at this part of the way through sorted values; between two, in proportion.
fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = part * last as f64;
    let (below, above) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

/// How many values may be left out at each end, and how sure the rest then holds the median: each
/// value is below it with a chance of one half, so the number below is binomial.
fn outer_rank(count: usize) -> Option<(usize, f64)> {
    let mut best = None;
    // P(exactly `rank` of `count` are below), and P(`rank` or fewer).
    let mut exactly = 0.5_f64.powi(i32::try_from(count).ok()?);
    let mut tail = 0.0;
    for rank in 0..count / 2 {
        tail += exactly;
        let confidence = 1.0 - 2.0 * tail;
        if confidence < CONFIDENCE {
            break;
        }
        best = Some((rank, confidence));
        exactly *= (count - rank) as f64 / (rank + 1) as f64;
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 5e-4
    }

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(Median::of(&[]), None);
        assert!(close(Median::of(&[3.0]).unwrap().median, 3.0));
        assert!(close(Median::of(&[9.0, 1.0, 2.0]).unwrap().median, 2.0));
        assert!(close(Median::of(&[4.0, 1.0, 2.0, 9.0]).unwrap().median, 3.0));
    }

    /// The ranks and their confidence of the usual tables for the sign test.
    #[test]
    fn the_interval_is_that_of_the_sign_test() {
        let table = [
            (6, 1, 0.9688),
            (8, 1, 0.9922),
            (9, 2, 0.9609),
            (10, 2, 0.9785),
            (12, 3, 0.9614),
            (15, 4, 0.9648),
            (20, 6, 0.9586),
            (30, 10, 0.9572),
        ];
        for (count, nth, confidence) in table {
            let values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            let interval = Median::of(&values).unwrap().interval.unwrap();
            assert!(close(interval.low, f64::from(nth)), "{count}: {interval:?}");
            assert!(close(interval.high, f64::from(count + 1 - nth)), "{count}: {interval:?}");
            assert!(close(interval.confidence, confidence), "{count}: {interval:?}");
        }
    }

    #[test]
    fn five_values_are_too_few() {
        assert_eq!(Median::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap().interval, None);
    }

    #[test]
    fn the_spread_leaves_the_outermost_out() {
        let values: Vec<f64> = (0..=10).map(|n| 100.0 + f64::from(n)).collect();
        assert!(close(spread(&values), 8.0 / 105.0));
        assert!(close(spread(&[]), 0.0) && close(spread(&[7.0]), 0.0));
    }
}
