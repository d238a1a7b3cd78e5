//! Each path, by TCP and UDP, IPv4, IPv6 and IPv4 over an IPv6 socket: how many sends were
//! copied, and why.

use anyhow::Result;
use zcwatch::lab::sender::Truth;
use zcwatch::lab::{Family, Layout, TcpSink, Topology, UdpSink};
use zcwatch_tests::{cpu::OneCpu, expect::Expected, report::Report, scenario::watch};

use super::assert_findings;

const COUNT: u64 = 20;
const WAYS: [(Family, &str); 3] = [(Family::V4, ""), (Family::V6, ""), (Family::V4, "--v4-mapped")];

/// What becomes of every send.
#[derive(Clone, Copy)]
enum Fate {
    /// Copied by this cause, on this device.
    Copied(&'static str),
    /// Copied, and reported zero-copy.
    Hidden,
    /// Not copied.
    Untouched,
}

use Fate::{Copied, Hidden, Untouched};

/// Sends so by each address family, and holds what zcwatch says against what became of it.
fn check(path: &Topology, sends: &[(&str, usize, Fate)]) -> Result<Report> {
    let _one = OneCpu::share()?;
    let mut sinks: Vec<(TcpSink, UdpSink)> = Vec::new();
    let mut lines = Vec::new();
    for (family, more) in WAYS {
        let (tcp, udp) = (path.tcp_sink(family)?, path.udp_sink(family)?);
        for (protocol, size, _) in sends {
            let to = if *protocol == "tcp" { tcp.address() } else { udp.address() };
            lines.push(format!(
                "send --protocol {protocol} --to {to} --sizes {size} --count {COUNT} {more}"
            ));
        }
        sinks.push((tcp, udp));
    }
    let (report, truths) = watch(path.client(), &lines)?;
    for (truth, (line, (_, _, fate))) in truths.iter().zip(lines.iter().zip(sends.iter().cycle())) {
        println!("{line}");
        assert_eq!(truth.notified, COUNT, "{truth:?}");
        let expected = Expected::of(truth).but("/device", path.client_device());
        match fate {
            Copied(cause) => expected.cause(cause, COUNT),
            Hidden => expected.but("/hidden_copies", COUNT),
            Untouched => expected,
        }
        .check(&report)?;
    }
    let all: u64 = truths.iter().map(Truth::ids).sum();
    assert_eq!(report.at("/totals/sends/count"), all);
    assert_eq!(report.sockets().len(), lines.len());
    Ok(report)
}

#[test]
fn loopback_copies_everything_on_delivery() -> Result<()> {
    let here = Copied("local_delivery@lo");
    let sends = [("tcp", 16 << 10, here), ("tcp", 1 << 20, here), ("udp", 60_000, here)];
    let report = check(&Topology::new(Layout::Loopback)?, &sends)?;
    assert_findings(&report, &["copied/local_delivery"]);
    Ok(())
}

#[test]
fn veth_copies_everything_on_delivery() -> Result<()> {
    let here = Copied("local_delivery@server0");
    let sends = [
        ("tcp", 1000, here),
        ("tcp", 16 << 10, here),
        ("udp", 1400, here),
        ("udp", 60_000, Copied("udp_larger_than_mtu@client0")),
    ];
    let report = check(&Topology::new(Layout::Veth)?, &sends)?;
    assert_findings(
        &report,
        &["copied/local_delivery", "copied/udp_larger_than_mtu", "small-sends"],
    );
    Ok(())
}

#[test]
fn veth_with_xdp_copies_in_secret() -> Result<()> {
    let sends = [
        ("tcp", 1000, Hidden),
        ("tcp", 16 << 10, Hidden),
        ("tcp", 1 << 20, Hidden),
        ("udp", 1400, Hidden),
        ("udp", 60_000, Copied("udp_larger_than_mtu@client0")),
    ];
    let report = check(&Topology::new(Layout::VethXdp)?, &sends)?;
    assert_findings(&report, &["copied/udp_larger_than_mtu", "hidden-copy", "small-sends"]);
    Ok(())
}

#[test]
fn forwarding_copies_on_delivery() -> Result<()> {
    let here = Copied("local_delivery@server0");
    let sends = [("tcp", 16 << 10, here), ("udp", 1400, here)];
    let report = check(&Topology::new(Layout::Forwarded)?, &sends)?;
    assert_findings(&report, &["copied/local_delivery", "small-sends"]);
    Ok(())
}

#[test]
fn forwarding_to_a_drop_copies_nothing() -> Result<()> {
    let path = Topology::new(Layout::ForwardedDrop)?;
    let report = check(&path, &[("udp", 1400, Untouched)])?;
    assert_findings(&report, &["small-sends"]);
    let report = check(&path, &[("udp", 60_000, Copied("udp_larger_than_mtu@client0"))])?;
    assert_findings(&report, &["copied/udp_larger_than_mtu"]);
    Ok(())
}
