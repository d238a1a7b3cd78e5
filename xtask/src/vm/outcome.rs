//! How the scenarios went on a kernel.

use super::doctor::Doctor;

/// All of a kernel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// As it was asked for.
    pub series: String,
    /// As `uname -r` says it.
    pub release: String,
    /// The scenarios by name, in the order of the table.
    pub cells: Vec<(String, Outcome)>,
    /// How guests died by no fault of a scenario, and were booted again.
    pub deaths: Vec<String>,
    /// What `zcwatch doctor` answered there, by the scenario's name and the `--hooks` that it was
    /// asked with.
    pub doctors: Vec<(String, Option<&'static str>, Doctor)>,
    /// From the start of the first guest to the end of the last, in seconds.
    pub seconds: f64,
}

/// How one went.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// As it must, in so many seconds.
    Ok(f64),
    /// Not so.
    Failed {
        /// A line.
        why: String,
        /// What it printed, or the guest's console.
        output: String,
    },
    /// It does not run on this kernel: why.
    NotHere(String),
}

impl Column {
    /// How many scenarios failed.
    pub fn failures(&self) -> usize {
        self.cells.iter().filter(|(_, outcome)| matches!(outcome, Outcome::Failed { .. })).count()
    }
}
