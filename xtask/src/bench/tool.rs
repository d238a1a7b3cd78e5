//! What watches: zcwatch, and what one would do without it.

use std::{env, path::Path, process::Command};

use anyhow::{Context, Result};
use clap::ValueEnum;
use serde::Serialize;
use serde_json::Value;

use super::{
    build::Programs,
    child::{Child, Stream},
};

/// A program that watches a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tool {
    /// zcwatch report -p PID
    Zcwatch,
    /// The nearest one-liner of bpftrace: system calls and freed packets, counted
    Bpftrace,
    /// strace -f -c -p PID
    Strace,
}

impl Tool {
    /// All, in the order of the table.
    pub const ALL: [Self; 3] = [Self::Zcwatch, Self::Bpftrace, Self::Strace];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zcwatch => "zcwatch",
            Self::Bpftrace => "bpftrace",
            Self::Strace => "strace",
        }
    }

    /// What to do where it is not installed; `None` where it is.
    pub fn missing(self) -> Option<String> {
        let name = self.name();
        let found = self == Self::Zcwatch
            || env::var_os("PATH").is_some_and(|path| {
                env::split_paths(&path).any(|folder| folder.join(name).is_file())
            });
        (!found).then(|| format!("{name} is not installed: `apt-get install {name}` adds its rows"))
    }

    /// Its version, where it tells it.
    pub fn version(self, programs: &Programs) -> Option<String> {
        let program = match self {
            Self::Zcwatch => programs.zcwatch.as_path(),
            Self::Bpftrace | Self::Strace => Path::new(self.name()),
        };
        let output = Command::new(program).arg("--version").output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned())
    }

    /// Starts it on a process, and waits until it watches.
    ///
    /// # Errors
    /// When it can't be started, or can't watch.
    pub fn watch(self, programs: &Programs, pid: u32, cpu: Option<usize>) -> Result<Child> {
        let (mut command, stream, ready) = match self {
            Self::Zcwatch => {
                let mut command = Command::new(&programs.zcwatch);
                // Until it is interrupted.
                let arguments = ["report", "--format", "json", "--duration", "1h", "--pid"];
                command.args(arguments).arg(pid.to_string());
                (command, Stream::Stderr, "watching")
            }
            Self::Bpftrace => {
                let mut command = Command::new("bpftrace");
                command.args(["-B", "line", "-e", &one_liner(pid)]);
                (command, Stream::Stdout, "watching")
            }
            Self::Strace => {
                let mut command = Command::new("strace");
                command.args(["-f", "-c", "-p", &pid.to_string()]);
                (command, Stream::Stderr, "attached")
            }
        };
        let child = Child::start(self.name(), &mut command, cpu)?;
        child
            .hear(stream, ready)
            .with_context(|| format!("{} can't watch: leave it out by --tools", self.name()))?;
        Ok(child)
    }

    /// Events that it says it has lost.
    ///
    /// # Errors
    /// When its report is not one.
    pub fn events_lost(self, report: &str) -> Result<Option<u64>> {
        if self != Self::Zcwatch {
            return Ok(None);
        }
        let report: Value = serde_json::from_str(report)
            .context("zcwatch printed no JSON: run `zcwatch report --format json` to see why")?;
        let lost = report.pointer("/host/events_lost").and_then(Value::as_u64);
        Ok(Some(lost.context("zcwatch's report has no host.events_lost: correct xtask")?))
    }
}

/// Counts the process's zerocopy calls and the packets that were freed while it ran, by who freed
/// them: as near as one line comes to what zcwatch tells. It says that it watches from a probe of
/// its own: what it prints by itself comes before anything is attached.
fn one_liner(pid: u32) -> String {
    const ZEROCOPY: u32 = 0x400_0000;
    format!(
        "interval:ms:200 {{ printf(\"watching\\n\"); }} \
         tracepoint:syscalls:sys_enter_sendto,tracepoint:syscalls:sys_enter_sendmsg \
         /pid == {pid} && (args->flags & {ZEROCOPY}) != 0/ {{ @calls = count(); }} \
         tracepoint:syscalls:sys_exit_sendto,tracepoint:syscalls:sys_exit_sendmsg \
         /pid == {pid}/ {{ @bytes = sum(args->ret); }} \
         tracepoint:skb:consume_skb /pid == {pid}/ {{ @freed[args->location] = count(); }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_lost_is_taken_from_the_report() {
        let report = r#"{"host": {"events_lost": 3}}"#;
        assert_eq!(Tool::Zcwatch.events_lost(report).unwrap(), Some(3));
        assert_eq!(Tool::Strace.events_lost("% time").unwrap(), None);
        assert!(Tool::Zcwatch.events_lost("").is_err());
        assert!(Tool::Zcwatch.events_lost("{}").is_err());
    }
}
