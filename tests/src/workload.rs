//! A process that sends, taps or holds a path, for zcwatch to watch. It works in the network
//! namespace that it is started in, speaks one line of JSON at a time on stdout, and takes each
//! step when it reads a line on stdin. At the end of stdin it goes on without waiting.

use std::{
    io::{self, Write},
    os::fd::{AsFd, AsRawFd},
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Context;
use clap::{Parser, Subcommand};
use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};
use serde::Serialize;
use serde_json::json;
use zcwatch::lab::{
    Family, Layout, Sniffer, Topology,
    sender::{Options, Sender},
    set_comm,
};

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

#[derive(clap::Args)]
struct Send {
    #[command(flatten)]
    options: Options,
    /// Open and connect the socket before saying ready.
    #[arg(long)]
    connect_first: bool,
    /// Send until the next line, whatever the count.
    #[arg(long)]
    forever: bool,
    /// Limit locked memory; root is above the limit, so this wants --uid.
    #[arg(long, value_name = "BYTES")]
    memlock: Option<u64>,
    /// Become this user before anything else.
    #[arg(long)]
    uid: Option<u32>,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    if let Some(name) = cli.comm {
        set_comm(&name)?;
    }
    match cli.command {
        Command::Send(send) => send.execute(),
        Command::Sniff { device } => {
            let _sniffer = Sniffer::open_here(device.as_deref())?;
            say(&json!({ "ready": true, "pid": process::id() }))?;
            await_line()
        }
        Command::Hold { layout } => hold(layout),
    }
}

impl Send {
    fn execute(mut self) -> anyhow::Result<()> {
        self.become_other()?;
        if self.forever {
            self.options.count = u64::MAX;
        }
        let ready = json!({ "ready": true, "pid": process::id() });
        let sender = if self.connect_first {
            let sender = Sender::open(self.options)?;
            say(&ready)?;
            await_line()?;
            sender
        } else {
            say(&ready)?;
            await_line()?;
            Sender::open(self.options)?
        };
        run(&sender, self.forever)?;
        say(&sender.truth()?)?;
        await_line()
    }

    fn become_other(&self) -> anyhow::Result<()> {
        if let Some(bytes) = self.memlock {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: the pointer is to a live rlimit.
            let result = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
            if result < 0 {
                return Err(io::Error::last_os_error()).context("could not limit locked memory");
            }
        }
        if let Some(uid) = self.uid {
            setgroups(&[])
                .and_then(|()| setgid(Gid::from_raw(uid)))
                .and_then(|()| setuid(Uid::from_raw(uid)))
                .with_context(|| format!("could not become user {uid}"))?;
        }
        Ok(())
    }
}

/// Sends; with `forever` until a line comes, which a thread of its own waits for so that the
/// main thread is the one that sends.
fn run(sender: &Sender, forever: bool) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    if !forever {
        return Ok(sender.run(&stop)?);
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let line = await_line();
            stop.store(true, Ordering::Relaxed);
            line
        });
        let sent = sender.run(&stop);
        let line = waiting.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        sent.map_err(Into::into).and(line)
    })
}

fn hold(layout: Layout) -> anyhow::Result<()> {
    let topology = Topology::new(layout)?;
    let (tcp, udp) = (topology.tcp_sink(Family::V4)?, topology.udp_sink(Family::V4)?);
    say(&json!({
        "ready": true,
        "pid": process::id(),
        "client_fd": topology.client().as_fd().as_raw_fd(),
        "server_fd": topology.server().as_fd().as_raw_fd(),
        "device": topology.client_device(),
        "programs": topology.program_ids(),
        "tcp": tcp.address(),
        "udp": udp.address(),
    }))?;
    await_line()?;
    drop((tcp, udp, topology));
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
