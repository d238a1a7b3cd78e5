//! The hidden `demo-traffic`: lays the path, and sends until the parent has gone.

use std::{
    io::BufRead,
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Context;

use super::{
    child::{Child, ready, refuse},
    scenario::{Place, Scenario, To},
    user,
};
use crate::{
    command::{Exit, Usage},
    lab::{
        Family, Netns, Sniffer, TcpSink, Topology, UdpSink,
        sender::{Protocol, Sender},
        set_comm,
    },
};

pub(in crate::command) fn traffic(name: &str) -> anyhow::Result<Exit> {
    let scenario = Scenario::named(name).map_err(Usage)?;
    set_comm("demo-sender")?;
    user::hurry();
    match Stage::set(scenario) {
        Ok(stage) => stage.play(scenario)?,
        Err(error) => refuse(&error)?,
    }
    Ok(Exit::Done)
}

/// The path with all that is on it.
struct Stage {
    sender: Sender,
    _listener: Option<Child>,
    _sinks: Vec<Sink>,
    path: Topology,
}

enum Sink {
    Tcp(#[expect(dead_code, reason = "receives until it is dropped")] TcpSink),
    Udp(#[expect(dead_code, reason = "receives until it is dropped")] UdpSink),
}

impl Stage {
    fn set(scenario: &Scenario) -> anyhow::Result<Self> {
        let path = Topology::with(scenario.path.layout, scenario.path.tweaks)?;
        let listener = scenario.path.listener.map(|place| listen(&path, place)).transpose()?;
        let mut sinks = Vec::new();
        let to = destinations(&path, scenario, &mut sinks)?;
        let options = scenario.traffic.options(to).context("it sends to nobody")?;
        let sender = path.client().run(|| Sender::open(options))??;
        Ok(Self { sender, _listener: listener, _sinks: sinks, path })
    }

    fn play(self, scenario: &Scenario) -> anyhow::Result<()> {
        if !ready()? {
            return Ok(());
        }
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                // End of file: the parent has what it wanted, or is no more.
                let _ = std::io::stdin().lock().read_line(&mut String::new());
                stop.store(true, Ordering::Relaxed);
            });
            // On a thread of its own, which alone gives its privileges away.
            self.path.client().run(|| {
                if let Some(bytes) = scenario.traffic.memlock {
                    user::lock_at_most(bytes)?;
                }
                self.sender.run(&stop).map_err(Into::into)
            })?
        })
    }
}

fn destinations(
    path: &Topology,
    scenario: &Scenario,
    sinks: &mut Vec<Sink>,
) -> anyhow::Result<Vec<SocketAddr>> {
    let (traffic, family) = (&scenario.traffic, scenario.traffic.family);
    let first = if path.has_receiver() {
        receiver(path, traffic.protocol, family, sinks)?
    } else {
        path.closed_port(family)
    };
    let Some((every, place)) = traffic.elsewhere else { return Ok(vec![first]) };
    let mut all = vec![first; every];
    let second = all.get_mut(1).context("one of two at least goes elsewhere")?;
    *second = match place {
        To::Router => {
            let ip = path.router_ip(family).context("the path has no router")?;
            let sink = UdpSink::start(router(path)?, SocketAddr::new(ip, 0))?;
            let address = sink.address();
            sinks.push(Sink::Udp(sink));
            address
        }
        To::Nobody => {
            let ip = path.nobody_ip(family).context("the path has no network")?;
            SocketAddr::new(ip, first.port())
        }
    };
    Ok(all)
}

fn receiver(
    path: &Topology,
    protocol: Protocol,
    family: Family,
    sinks: &mut Vec<Sink>,
) -> anyhow::Result<SocketAddr> {
    let (address, sink) = match protocol {
        Protocol::Tcp => {
            let sink = path.tcp_sink(family)?;
            (sink.address(), Sink::Tcp(sink))
        }
        Protocol::Udp => {
            let sink = path.udp_sink(family)?;
            (sink.address(), Sink::Udp(sink))
        }
    };
    sinks.push(sink);
    Ok(address)
}

fn router(path: &Topology) -> anyhow::Result<&Netns> {
    path.router().context("the path has no router")
}

/// A process of its own, so that the report can name it.
fn listen(path: &Topology, place: Place) -> anyhow::Result<Child> {
    Child::sniffer(match place {
        Place::Sender => path.client(),
        Place::Router => router(path)?,
    })
}

/// The hidden `demo-sniffer`: a packet socket on every device of the namespace it starts in.
pub(in crate::command) fn sniffer() -> anyhow::Result<Exit> {
    set_comm("demo-sniffer")?;
    match Sniffer::open_here(None) {
        Ok(_socket) => {
            ready()?;
        }
        Err(error) => refuse(&error.into())?,
    }
    Ok(Exit::Done)
}
