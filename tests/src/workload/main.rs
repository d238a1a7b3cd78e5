//! A process that sends, taps or holds a path, for zcwatch to watch. It works in the network
//! namespace that it is started in, speaks one line of JSON at a time on stdout, and takes each
//! step when it reads a line on stdin. At the end of stdin it goes on without waiting.

mod child;
mod puppet;
mod send;

use std::{
    io::{self, Write},
    os::fd::{AsFd, AsRawFd},
    process,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::json;
use zcwatch::lab::{
    Family, Layout, Sniffer, Topology,
    sender::{Options, churn},
    set_comm,
};

use send::Send;

#[derive(Parser)]
#[command(about = "Zerocopy senders and their surroundings, for tests")]
struct Cli {
    /// The name that the process goes by, at most 15 bytes.
    #[arg(long, global = true, value_name = "NAME")]
    comm: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Say ready, wait for a line, send, print the truth, wait for a line, close.
    Send(Send),
    /// Say ready, wait for a line, send by many sockets in turn, one to three messages each,
    /// print what they did all in all, wait for a line.
    Churn {
        #[command(flatten)]
        options: Options,
        /// How many sockets.
        #[arg(long, default_value_t = 10_000)]
        sockets: u64,
    },
    /// Say ready, then do what each line says, and tell.
    Puppet {
        #[command(flatten)]
        options: Options,
    },
    /// Open a packet socket, say ready, wait for a line.
    Sniff {
        /// The device to tap; all of them without.
        #[arg(long)]
        device: Option<String>,
    },
    /// Lay a path with receivers, say ready and where all is, wait for a line, let all go, say
    /// so, wait for a line.
    Hold {
        #[arg(value_enum)]
        layout: Layout,
    },
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(name) = cli.comm {
        set_comm(&name)?;
    }
    match cli.command {
        Command::Send(send) => send.execute(),
        Command::Churn { options, sockets } => {
            say(&json!({ "ready": true, "pid": process::id() }))?;
            await_line()?;
            say(&churn(&options, sockets)?)?;
            await_line()
        }
        Command::Puppet { options } => puppet::obey(&options),
        Command::Sniff { device } => {
            let _sniffer = Sniffer::open_here(device.as_deref())?;
            say(&json!({ "ready": true, "pid": process::id() }))?;
            await_line()
        }
        Command::Hold { layout } => hold(layout),
    }
}

fn hold(layout: Layout) -> anyhow::Result<()> {
    let topology = Topology::new(layout)?;
    let sinks = match topology.has_receiver() {
        true => Some((topology.tcp_sink(Family::V4)?, topology.udp_sink(Family::V4)?)),
        false => None,
    };
    let udp = sinks.as_ref().map_or_else(|| topology.closed_port(Family::V4), |s| s.1.address());
    say(&json!({
        "ready": true,
        "pid": process::id(),
        "client_fd": topology.client().as_fd().as_raw_fd(),
        "server_fd": topology.server().as_fd().as_raw_fd(),
        "device": topology.client_device(),
        "programs": topology.program_ids(),
        "tcp": sinks.as_ref().map(|sinks| sinks.0.address()),
        "udp": udp,
    }))?;
    await_line()?;
    drop((sinks, topology));
    say(&json!({ "gone": true }))?;
    await_line()
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    writeln!(out)?;
    Ok(out.flush()?)
}

fn await_line() -> anyhow::Result<()> {
    io::stdin().read_line(&mut String::new()).context("could not read stdin")?;
    Ok(())
}
