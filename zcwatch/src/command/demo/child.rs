//! The processes that make the traffic and that listen.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, anyhow};
use nix::sys::{prctl, signal::Signal};

use super::scenario::Scenario;
use crate::{
    command::{print, sentence},
    lab::Netns,
};

/// A helper process, and the pipe by which it is told what to do. Dropping it ends the process.
pub(super) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts the traffic's process; it waits, with its path laid, for [`Child::go`].
    pub(super) fn traffic(scenario: &Scenario) -> anyhow::Result<Self> {
        let mut command = this_program()?;
        command.args(["demo-traffic", scenario.name]);
        Self::spawn(&mut command)
    }

    /// Starts a listener in this namespace.
    pub(super) fn sniffer(netns: &Netns) -> anyhow::Result<Self> {
        let mut command = this_program()?;
        netns.enter(&mut command)?;
        command.arg("demo-sniffer");
        Self::spawn(&mut command)
    }

    fn spawn(command: &mut Command) -> anyhow::Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Not in the terminal's group: Ctrl-C is for us, who then print what was seen.
        command.process_group(0);
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        unsafe {
            command.pre_exec(|| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
        }
        let mut child = Self { process: command.spawn()? };
        let stdout = child.process.stdout.take().context("the child has no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match line.trim() {
            READY => Ok(child),
            "" => Err(anyhow!("its process ended before it was ready")),
            why => Err(anyhow!("{why}")),
        }
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Lets it begin.
    pub(super) fn go(&self) -> anyhow::Result<()> {
        let mut pipe = self.process.stdin.as_ref().context("the child has no input")?;
        pipe.write_all(b"go\n").context("the demo's traffic has ended early")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Our own child, by its handle: its id cannot belong to another process yet.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const READY: &str = "ready";

fn this_program() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe().context("zcwatch's own program file is gone")?))
}

/// In the child: says that we are ready, and waits for the word; `false`: the parent has gone.
pub(super) fn ready() -> anyhow::Result<bool> {
    print(&format!("{READY}\n"))?;
    Ok(std::io::stdin().lock().read_line(&mut String::new())? > 0)
}

/// In the child: says why we never will be.
pub(super) fn refuse(why: &anyhow::Error) -> anyhow::Result<()> {
    // The parent takes one line.
    print(&format!("{}\n", sentence(why).replace('\n', " ")))
}
