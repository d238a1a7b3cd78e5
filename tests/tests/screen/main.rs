//! The screen, driven in a real terminal over real traffic.

mod ends;
mod input;
mod person;

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::Result;
use zcwatch::lab::{Family, Layout, Netns, Topology};
use zcwatch_terminal::{Size, Terminal};
use zcwatch_tests::{Workload, scenario::workload, zcwatch as binary};

/// What takes longer does not come: an emulated kernel takes half a minute to verify the probes.
const LIMIT: Duration = Duration::from_secs(120);
const USUAL: Size = (160, 45);

/// zcwatch with these arguments, parted by spaces, in a UTF-8 terminal.
fn command(arguments: &str) -> Result<Command> {
    let mut command = binary::command(arguments.split_whitespace())?;
    command
        .env("RUST_BACKTRACE", "0")
        .env("LC_ALL", "C.UTF-8")
        .env_remove("NO_COLOR")
        .env("HOME", "/nonexistent");
    command.stdin(Stdio::inherit());
    Ok(command)
}

fn open(arguments: &str, size: Size) -> Result<Terminal> {
    Terminal::spawn(command(arguments)?, size)
}

/// A sender that is busy until its end.
fn sender(netns: &Netns, to: &str) -> Result<Workload> {
    let mut sender = workload(netns, &format!("send --to {to} --forever --delay-us 2000"))?;
    sender.step()?;
    Ok(sender)
}

/// A sender on loopback, with where it sends to.
fn on_loopback(check: impl FnOnce(&Workload) -> Result<()>) -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let sender = sender(path.client(), &sink.address().to_string())?;
    check(&sender)
}
