//! What the scenarios are made with: the workload as a child process (here), zcwatch as another
//! ([`zcwatch`]), what it printed ([`report`]), and what that must be ([`expect`]).

pub mod confine;
pub mod cpu;
pub mod expect;
pub mod kernel;
pub mod loaded;
pub mod modules;
#[path = "guest/protocol.rs"]
pub mod protocol;
pub mod puppet;
pub mod report;
pub mod scenario;
pub mod tcpdump;
pub mod traces;
pub mod uring;
pub mod zcwatch;

use std::{
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use ::zcwatch::lab::{Netns, sender::Truth};
use anyhow::Context;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A running `workload`. Dropped, it is killed.
#[derive(Debug)]
pub struct Workload {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    ready: Value,
}

impl Workload {
    /// Starts `binary` (`env!("CARGO_BIN_EXE_workload")`) inside `netns` with these arguments,
    /// and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it can't be started, or ends before; then it has said why on stderr.
    pub fn start<'a>(
        binary: impl AsRef<Path>,
        netns: &Netns,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Self> {
        let mut command = Command::new(binary.as_ref());
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = netns.enter(&mut command)?.spawn().context("could not start workload")?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().context("workload has no stdout")?);
        let mut workload = Self { child, stdin, stdout, ready: Value::Null };
        workload.ready = workload.hear()?;
        Ok(workload)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it said when it was ready.
    #[must_use]
    pub fn ready(&self) -> &Value {
        &self.ready
    }

    /// Lets it take its next step: it goes on at a line.
    ///
    /// # Errors
    /// When it is gone.
    pub fn step(&mut self) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => stdin.write_all(b"\n"),
            None => Ok(()),
        }
    }

    /// Gives it an order.
    ///
    /// # Errors
    /// When it is gone.
    pub fn tell(&mut self, order: &str) -> io::Result<()> {
        match &mut self.stdin {
            Some(stdin) => writeln!(stdin, "{order}"),
            None => Ok(()),
        }
    }

    /// Waits for the line with its truth.
    ///
    /// # Errors
    /// When it ends before.
    pub fn truth(&mut self) -> anyhow::Result<Truth> {
        self.hear()
    }

    /// Lets it go on to its end, and waits for that.
    ///
    /// # Errors
    /// When it fails.
    pub fn finish(mut self) -> anyhow::Result<()> {
        self.end()
    }

    /// As [`Workload::finish`]; what it has started can still be heard.
    ///
    /// # Errors
    /// When it fails.
    pub fn end(&mut self) -> anyhow::Result<()> {
        self.stdin = None;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "workload failed: {status}");
        Ok(())
    }

    /// Waits for its next line.
    ///
    /// # Errors
    /// When it ends before, or says something else.
    pub fn hear<T: DeserializeOwned>(&mut self) -> anyhow::Result<T> {
        let mut line = String::new();
        self.stdout.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("workload said {line:?}"))
    }
}

impl Drop for Workload {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The running kernel's version: 6 and 12 of "6.12.107+deb13-cloud-amd64".
///
/// # Errors
/// When its release does not begin so.
pub fn release() -> anyhow::Result<(u32, u32)> {
    let text = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let mut numbers = text.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next =
        || numbers.next().and_then(Result::ok).with_context(|| format!("release {text}"));
    Ok((next()?, next()?))
}
