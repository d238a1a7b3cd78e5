//! A real tcpdump.

use std::{
    fs,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use zcwatch::lab::Netns;

/// tcpdump. Dropped, it is killed.
#[derive(Debug)]
pub struct Tcpdump(Child);

impl Tcpdump {
    /// Starts one inside `netns` with these arguments, parted by spaces, and waits until it
    /// listens. What it hears it throws away.
    ///
    /// # Errors
    /// When it is not installed, or does not listen.
    pub fn start(netns: &Netns, arguments: &str) -> Result<Self> {
        let mut command = Command::new("tcpdump");
        command.args(arguments.split_whitespace()).args(["-w", "/dev/null"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let this = Self(netns.enter(&mut command)?.spawn().context("apt-get install tcpdump")?);
        let listens = || fs::read_to_string(format!("/proc/{}/net/packet", this.0.id()));
        let start = Instant::now();
        // Its socket is bound to a protocol when it has chosen its filter.
        while !listens()?.lines().skip(1).any(|row| row.contains(" 0003 ")) {
            ensure!(start.elapsed() < Duration::from_secs(10), "tcpdump does not listen");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(this)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Tcpdump {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
