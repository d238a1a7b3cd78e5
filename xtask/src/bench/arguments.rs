//! The command line of the benchmarks: types only.

use std::{num::NonZeroU32, path::PathBuf};

use clap::{Args, Subcommand};

use super::{row::Row, tool::Tool};

/// The benchmarks.
#[derive(Debug, Subcommand)]
pub enum BenchTask {
    /// What watching costs the watched sender and its neighbours (as root)
    Overhead(Overhead),
    /// What the screen costs while nothing happens, and how soon a key is seen while much does (as
    /// root)
    Tui(Tui),
}

/// `bench tui`.
#[derive(Debug, Args)]
pub struct Tui {
    /// How long the idle screen is watched
    #[arg(long, default_value = "30")]
    pub seconds: NonZeroU32,
    /// Keys pressed, for each load
    #[arg(long, default_value = "200")]
    pub keys: NonZeroU32,
    #[command(flatten)]
    pub cpus: Cpus,
}

/// `bench overhead`.
#[derive(Debug, Args)]
pub struct Overhead {
    /// Pairs of an unwatched and a watched window, for each row and tool
    #[arg(long, default_value = "15")]
    pub pairs: NonZeroU32,
    /// How long a window is
    #[arg(long, default_value = "3")]
    pub seconds: NonZeroU32,
    /// Measure these rows only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "ROW")]
    pub only: Vec<Row>,
    /// Watch by these only
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TOOL")]
    pub tools: Vec<Tool>,
    /// Write the results there as JSON, with every window
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    #[command(flatten)]
    pub cpus: Cpus,
}

/// Where the processes run.
#[derive(Clone, Debug, Args)]
pub struct Cpus {
    /// The CPU of the process whose throughput is measured; the first by default
    #[arg(long, value_name = "CPU")]
    pub sender_cpu: Option<usize>,
    /// The CPU of the receiver; the second by default
    #[arg(long, value_name = "CPU")]
    pub receiver_cpu: Option<usize>,
    /// The CPU of zcwatch, bpftrace or strace; any by default, as where a user starts it
    #[arg(long, value_name = "CPU")]
    pub watcher_cpu: Option<usize>,
    /// Leave all of them to the scheduler
    #[arg(long, conflicts_with_all = ["sender_cpu", "receiver_cpu", "watcher_cpu"])]
    pub unpinned: bool,
}
