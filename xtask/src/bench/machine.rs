//! What was measured on.

use std::{fs, thread};

use serde::Serialize;

/// The machine, as far as it matters to a figure.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    pub kernel: String,
    pub cpu: String,
    pub cpus: usize,
    /// Processes that wanted a CPU when the benchmark began, over a minute.
    pub load_average: Option<f64>,
}

impl Machine {
    /// This one. What can't be read is said to be unknown: it changes no figure.
    pub fn here() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let or_unknown = |text: &str| match text.trim() {
            "" => "unknown".to_owned(),
            text => text.to_owned(),
        };
        let info = read("/proc/cpuinfo");
        let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        Self {
            kernel: or_unknown(&read("/proc/sys/kernel/osrelease")),
            cpu: or_unknown(model.map_or("", |(_, model)| model)),
            cpus: thread::available_parallelism().map_or(0, usize::from),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|n| n.parse().ok()),
        }
    }
}
