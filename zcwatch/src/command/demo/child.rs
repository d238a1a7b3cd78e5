//! The process that makes the traffic, and the one that listens.

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use nix::sys::{prctl, signal::Signal};

use super::scenario::{MTU, Scenario};
use crate::{
    command::Exit,
    lab::{
        Family, Layout, Sniffer, TcpSink, Topology, UdpSink,
        sender::{Options, Protocol, Sender},
        set_comm, set_mtu,
    },
};

/// A helper process, and the pipe by which it is told what to do. Dropping it ends the process.
pub(super) struct Child {
    process: std::process::Child,
}

impl Child {
    /// Starts the traffic's process; it waits, with its path laid, for [`Child::go`].
    pub(super) fn start(scenario: &Scenario) -> anyhow::Result<Self> {
        let mut command = this_program()?;
        command.args(["demo-traffic", scenario.name]);
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
        if line.trim() != READY {
            bail!("its process ended before it was ready");
        }
        Ok(child)
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

/// Says that we are ready, and waits for the word; `false`: the parent has gone.
fn ready() -> std::io::Result<bool> {
    crate::command::print(&format!("{READY}\n")).map_err(std::io::Error::other)?;
    Ok(std::io::stdin().lock().read_line(&mut String::new())? > 0)
}

/// The hidden `demo-traffic`: lays the path, and sends until the parent has gone.
pub(in crate::command) fn traffic(name: &str) -> anyhow::Result<Exit> {
    let scenario = Scenario::named(name).map_err(crate::command::Usage)?;
    set_comm("demo-sender")?;
    let path = Topology::new(scenario.layout)?;
    if scenario.layout == Layout::ForwardedDrop {
        widen(&path)?;
    }
    let _sniffer = scenario.sniffer.then(|| listen(&path)).transpose()?;
    let (to, _sink) = receiver(&path, scenario.protocol)?;
    if !ready()? {
        return Ok(Exit::Done);
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            // End of file: the parent has what it wanted, or is no more.
            let _ = std::io::stdin().lock().read_line(&mut String::new());
            stop.store(true, Ordering::Relaxed);
        });
        path.client().run(|| {
            let options = Options {
                protocol: scenario.protocol,
                sizes: vec![scenario.size],
                count: u64::MAX,
                delay: Duration::from_millis(1),
                ..Options::tcp(to)
            };
            Sender::open(options)?.run(&stop)
        })?
    })?;
    Ok(Exit::Done)
}

fn widen(path: &Topology) -> anyhow::Result<()> {
    set_mtu(path.client(), "client0", MTU)?;
    if let Some(router) = path.router() {
        set_mtu(router, "router0", MTU)?;
        set_mtu(router, "router1", MTU)?;
    }
    Ok(set_mtu(path.server(), "server0", MTU)?)
}

enum Sink {
    Tcp(#[expect(dead_code, reason = "receives until it is dropped")] TcpSink),
    Udp(#[expect(dead_code, reason = "receives until it is dropped")] UdpSink),
}

fn receiver(path: &Topology, protocol: Protocol) -> anyhow::Result<(SocketAddr, Sink)> {
    Ok(match protocol {
        Protocol::Tcp => {
            let sink = path.tcp_sink(Family::V4)?;
            (sink.address(), Sink::Tcp(sink))
        }
        Protocol::Udp => {
            let sink = path.udp_sink(Family::V4)?;
            (sink.address(), Sink::Udp(sink))
        }
    })
}

/// A process of its own, so that the report can name it.
fn listen(path: &Topology) -> anyhow::Result<Child> {
    let mut command = this_program()?;
    path.client().enter(&mut command)?;
    command.arg("demo-sniffer");
    Child::spawn(&mut command)
}

/// The hidden `demo-sniffer`: a packet socket on every device of the namespace it starts in.
pub(in crate::command) fn sniffer() -> anyhow::Result<Exit> {
    set_comm("demo-sniffer")?;
    let _socket = Sniffer::open_here(None)?;
    ready()?;
    Ok(Exit::Done)
}
