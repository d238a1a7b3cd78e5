//! What was measured, as it is written to `--json`. Rates are per second, parts of a whole
//! between 0 and 1.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    cpus::Cpus,
    load::Window,
    machine::Machine,
    row::Row,
    statistics::{Median, spread},
    tool::Tool,
};

/// Everything.
#[derive(Debug, Serialize)]
pub struct Results {
    pub schema: &'static str,
    pub machine: Machine,
    pub cpus: Cpus,
    pub pairs: u32,
    pub seconds: u32,
    pub versions: BTreeMap<&'static str, String>,
    pub rows: Vec<Compared>,
    pub probes: Vec<Probed>,
    /// Tools that could not be compared, and what to install.
    pub missing: Vec<String>,
}

/// One row and one tool.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub row: Row,
    pub tool: Tool,
    /// Watched ÷ unwatched throughput, over the pairs.
    pub ratio: Median,
    /// The same of what was done by CPU time, not by time.
    pub cpu_ratio: Median,
    /// zcwatch's own.
    pub aim: Option<f64>,
    pub verdict: Option<Verdict>,
    /// Median of the unwatched windows, per second.
    pub unwatched_per_second: f64,
    /// How far the unwatched windows differ: (p90 − p10) ÷ median.
    pub spread: f64,
    /// Median part of the unwatched windows that the process spent on a CPU.
    pub busy: f64,
    /// Medians over the watched windows; of lost events, the sum.
    pub watcher: Watcher,
    pub pairs: Vec<Pair>,
}

/// Whether an aim was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Met,
    /// By the median, but the interval reaches below the aim.
    MetUnsurely,
    /// By the median, but the interval reaches up to the aim.
    MissedUnsurely,
    Missed,
}

/// Two windows that belong together.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    pub unwatched_first: bool,
    pub unwatched: Window,
    pub watched: Window,
    pub ratio: f64,
    pub cpu_ratio: f64,
    pub watcher: Watcher,
}

/// What the watcher took for itself.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Watcher {
    /// CPUs, user and system.
    pub cpu: f64,
    /// VmHWM at the end of the window.
    pub peak_kib: u64,
    /// `null` for tools that don't tell.
    pub events_lost: Option<u64>,
}

/// The programs of zcwatch while a row's process worked.
#[derive(Debug, Serialize)]
pub struct Probed {
    pub row: Row,
    pub operations: u64,
    /// How long an operation took, with all this going on.
    pub ns_per_operation: f64,
    pub programs: Vec<Probe>,
}

/// One program, in the window.
#[derive(Debug, Serialize)]
pub struct Probe {
    pub name: String,
    pub runs: u64,
    pub ns: u64,
    /// Runs that were skipped, because it was running on that CPU.
    pub skipped: u64,
}

impl Compared {
    /// The account of some pairs; `None` without any.
    pub fn of(row: Row, tool: Tool, pairs: Vec<Pair>) -> Option<Self> {
        let each = |value: fn(&Pair) -> f64| pairs.iter().map(value).collect::<Vec<_>>();
        let median = |value| Median::of(&each(value)).map(|found| found.median);
        let ratio = Median::of(&each(|pair| pair.ratio))?;
        let aim = if tool == Tool::Zcwatch { row.aim() } else { None };
        let watcher = Watcher {
            cpu: median(|pair| pair.watcher.cpu)?,
            peak_kib: median(|pair| pair.watcher.peak_kib as f64)? as u64,
            events_lost: pairs.iter().map(|pair| pair.watcher.events_lost).sum(),
        };
        Some(Self {
            row,
            tool,
            ratio,
            cpu_ratio: Median::of(&each(|pair| pair.cpu_ratio))?,
            aim,
            verdict: aim.map(|aim| Verdict::of(&ratio, aim)),
            unwatched_per_second: median(|pair| pair.unwatched.per_second)?,
            spread: spread(&each(|pair| pair.unwatched.per_second)),
            busy: median(|pair| pair.unwatched.busy)?,
            watcher,
            pairs,
        })
    }
}

impl Verdict {
    fn of(ratio: &Median, aim: f64) -> Self {
        let (low, high) = ratio
            .interval
            .map_or((f64::NEG_INFINITY, f64::INFINITY), |interval| (interval.low, interval.high));
        match (ratio.median >= aim, low >= aim, high < aim) {
            (true, true, _) => Self::Met,
            (true, false, _) => Self::MetUnsurely,
            (false, _, false) => Self::MissedUnsurely,
            (false, _, true) => Self::Missed,
        }
    }
}

impl Probed {
    /// The account of a window.
    pub fn of(row: Row, window: &Window, programs: Vec<Probe>) -> Self {
        let ns_per_operation = 1e9 / window.per_second;
        Self { row, operations: window.operations, ns_per_operation, programs }
    }

    /// What all programs took together, ns an operation of the row's process.
    pub fn ns_of_programs(&self) -> f64 {
        self.programs.iter().map(|program| program.ns).sum::<u64>() as f64 / self.operations as f64
    }
}

#[cfg(test)]
mod tests {
    use super::{super::statistics::Interval, *};

    #[test]
    fn an_aim_is_surely_met_only_by_the_whole_interval() {
        let verdict = |low, median, high| {
            let interval = Some(Interval { low, high, confidence: 0.96 });
            Verdict::of(&Median { median, interval }, 0.95)
        };
        assert_eq!(verdict(0.95, 0.97, 0.99), Verdict::Met);
        assert_eq!(verdict(0.94, 0.97, 0.99), Verdict::MetUnsurely);
        assert_eq!(verdict(0.91, 0.94, 0.96), Verdict::MissedUnsurely);
        assert_eq!(verdict(0.91, 0.92, 0.94), Verdict::Missed);
        let few = |median| Verdict::of(&Median { median, interval: None }, 0.95);
        assert_eq!((few(0.96), few(0.9)), (Verdict::MetUnsurely, Verdict::MissedUnsurely));
    }
}
