//! The command line: types only.

mod whom;

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    diagnosis::FindingId,
    probe::{Settings, attach::Hooks},
    tui::theme::Theme,
};
pub use whom::Whom;

/// Says why a process's MSG_ZEROCOPY sends are copied, refused or slow to complete.
///
/// Without a command it shows that on the screen, of the processes that the options choose, or of
/// all.
#[derive(Debug, Parser)]
#[command(
    name = "zcwatch",
    version,
    arg_required_else_help = false,
    args_conflicts_with_subcommands = true,
    override_usage = "zcwatch [OPTIONS] [-- <CMD>...]\n       zcwatch <COMMAND> [OPTIONS]",
    after_help = "Exit codes: 0 done, 1 error, 2 usage, 3 a finding of --fail-on holds, 4 nothing \
                  could be watched, 130/143 interrupted."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Without a command: the screen.
    #[command(flatten)]
    pub screen: Screen,
}

/// The screen: whom to watch, and how it looks. Without a command, zcwatch shows it.
#[derive(Debug, Args)]
pub struct Screen {
    /// Whom to watch
    #[command(flatten)]
    pub whom: Whom,
    /// Leave this finding out; may be given more than once
    #[arg(long, value_name = "FINDING")]
    pub ignore: Vec<FindingId>,
    /// By what
    #[command(flatten)]
    pub means: Means,
    /// Say from which functions of the programs is sent; costs a walk over the stack a send
    #[arg(long)]
    pub user_stacks: bool,
    /// How the screen looks
    #[command(flatten)]
    pub looks: Appearance,
    /// Where CMD's output goes, which must not go to the screen [default: nowhere]
    #[arg(long, value_name = "FILE", requires = "command")]
    pub output: Option<PathBuf>,
    /// Print the configuration file as it is without any change, and end
    #[arg(long)]
    pub print_config: bool,
}

/// By what is watched.
#[derive(Clone, Copy, Debug, Args)]
pub struct Means {
    /// Size of the event buffer in bytes, a power of two
    #[arg(long, value_name = "BYTES", default_value_t = 16 << 20)]
    pub ring_size: u32,
    /// Which hooks to use
    #[arg(long, value_enum, value_name = "WHICH", default_value_t)]
    pub hooks: Hooks,
}

impl Means {
    /// What the probes are told of it.
    #[must_use]
    pub fn settings(self) -> Settings {
        Settings { ring_bytes: self.ring_size, hooks: self.hooks, ..Settings::default() }
    }
}

/// How the screen looks, and what it leaves behind.
#[derive(Clone, Debug, Default, Args)]
pub struct Appearance {
    /// Colours and keys; else ~/.config/zcwatch/config.toml, if it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which colours [default: as configured, or dark]
    #[arg(long, value_enum, value_name = "WHICH")]
    pub theme: Option<Theme>,
    /// Write what happens to zcwatch itself to this file
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watch processes for a while, then say what is wrong and what to change
    Report(Report),
    /// Tell each send as it completes: copied or not, why, and how long it took
    Trace(Trace),
    /// Say what this kernel and these privileges allow, question by question
    Doctor(Doctor),
    /// Make real zerocopy traffic in namespaces of its own, and watch it
    Demo(Demo),
    /// Explain why sends are copied, and what helps
    Causes(Causes),
    /// The traffic of a demo
    #[command(hide = true)]
    DemoTraffic {
        /// Which.
        scenario: String,
    },
    /// The listener of a demo
    #[command(hide = true)]
    DemoSniffer,
}

/// `report`.
#[derive(Debug, Args)]
pub struct Report {
    /// Whom to watch
    #[command(flatten)]
    pub whom: Whom,
    /// How long to watch: 10s, 500ms, 2m [default: 10s; with CMD, until it ends]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Write all events to this file too, which is overwritten; --from reads it
    #[arg(long, value_name = "FILE")]
    pub save: Option<PathBuf>,
    /// Do not watch, but read what --save or `trace --format ndjson` wrote; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "pids", "follow", "comm", "cgroup", "user", "command", "duration", "save", "ring_size",
            "hooks", "user_stacks"
        ]
    )]
    pub from: Option<PathBuf>,
    /// How to print it
    #[command(flatten)]
    pub output: Output,
    /// Exit with 3 when this finding holds; may be given more than once
    #[arg(long, value_name = "FINDING")]
    pub fail_on: Vec<FindingId>,
    /// Leave this finding out; may be given more than once
    #[arg(long, value_name = "FINDING")]
    pub ignore: Vec<FindingId>,
    /// By what
    #[command(flatten)]
    pub means: Means,
    /// Say from which functions of the programs is sent; costs a walk over the stack a send
    #[arg(long)]
    pub user_stacks: bool,
}

/// `trace`.
#[derive(Debug, Args)]
pub struct Trace {
    /// Whom to watch
    #[command(flatten)]
    pub whom: Whom,
    /// How long to watch: 10s, 500ms, 2m [default: until Ctrl-C, or until the processes end]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// A line a send for a person, or every event for a program (docs/events.md)
    #[arg(long, value_enum, default_value_t = TraceFormat::Text)]
    pub format: TraceFormat,
    /// End after so many sends
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Of sends, tell only those that completed, and took at least so long to: 5ms, 300us
    #[arg(long, value_name = "TIME", value_parser = latency)]
    pub min_latency: Option<Duration>,
    /// Seconds since the start instead of the time of day
    #[arg(long)]
    pub relative: bool,
    /// By what
    #[command(flatten)]
    pub means: Means,
}

/// `trace --format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceFormat {
    /// For a person
    Text,
    /// For a program
    Ndjson,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Args)]
pub struct Output {
    /// For a person or for a program
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For a person
    Text,
    /// For a program
    Json,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// How to print it
    #[command(flatten)]
    pub output: Output,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// What is to be seen, one of --list [default: loopback]
    pub scenario: Option<String>,
    /// List the scenarios, and what each shows
    #[arg(long, conflicts_with_all = ["scenario", "all"])]
    pub list: bool,
    /// Run all of them, and compare what is said of each with what should be; exits with 1 where
    /// that differs
    #[arg(long, conflicts_with = "scenario")]
    pub all: bool,
    /// Show it on the screen instead of a report, until it is left
    #[arg(long, conflicts_with_all = ["all", "list", "duration", "format"])]
    pub tui: bool,
    /// Colours, keys and log of the screen
    #[command(flatten)]
    pub looks: Appearance,
    /// How long to watch each: 3s, 500ms [default: 3s, with --all as long as it needs]
    #[arg(short, long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// How to print it
    #[command(flatten)]
    pub output: Output,
}

/// `causes`.
#[derive(Debug, Args)]
pub struct Causes {
    /// One cause, by its key
    pub key: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let d = humantime::parse_duration(text)
        .map_err(|e| format!("{e}; write it like 10s, 500ms or 2m"))?;
    if d.is_zero() {
        return Err("nothing can be seen in no time; give at least 1ms".into());
    }
    if d > Duration::from_hours(24 * 365) {
        return Err("that is more than a year".into());
    }
    Ok(d)
}

fn latency(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it like 5ms or 300us"))
}
