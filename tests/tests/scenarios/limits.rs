//! Sends that the kernel refuses, drops, or takes as if they had no flag.

use std::net::SocketAddr;

use anyhow::Result;
use zcwatch::lab::{Family, Layout, Reading, TcpSink, Topology, UdpSink};
use zcwatch_tests::{cpu::OneCpu, expect::Expected, scenario::watch};

use super::assert_findings;

#[test]
fn option_memory() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    path.client().set_sysctl("net/core/optmem_max", "4096")?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let sink = TcpSink::start(path.server(), address, Reading::No)?;
    let to = sink.address();
    let line = format!("send --to {to} --sizes 1024 --count 3000 --drain at-end --patience-ms 300");
    let (report, truths) = watch(path.client(), &[line])?;
    let truth = &truths[0];
    println!("{} sent, {} notified, {:?}", truth.ids(), truth.notified, truth.errors);
    let refused = truth.errors["ENOBUFS"];
    let other = truth.errors.values().sum::<u64>() - refused;
    Expected::of(truth)
        .but("/failed/enobufs_optmem", refused)
        .but("/failed/other", other)
        .but("/in_flight", truth.ids() - truth.notified)
        .but("/limits/optmem_max", 4096)
        .cause("local_delivery@server0", truth.notified)
        .check(&report)
}

#[test]
fn locked_memory() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    // Four pages may be locked: each second message fits.
    let common = "--memlock 16384 --uid 65534 --count 40";
    let (report, truths) = watch(
        path.client(),
        &[
            format!("send --to {} {common} --sizes 65536,4096", tcp.address()),
            format!("send --protocol udp --to {} {common} --sizes 40000,1400", udp.address()),
        ],
    )?;
    for truth in &truths {
        println!("{:?}: {} sent, {:?}", truth.protocol, truth.ids(), truth.errors);
        let refused = truth.errors["ENOBUFS"];
        assert_eq!((refused, truth.ids(), truth.notified), (20, 20, 20));
        Expected::of(truth)
            .but("/failed/enobufs_memlock", refused)
            .but("/limits/memlock_limit", 16384)
            .cause("local_delivery@server0", 20)
            .check(&report)?;
    }
    Ok(())
}

#[test]
fn a_refused_datagram_gives_its_id_to_the_next() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    let closed = SocketAddr::new(path.server_ip(Family::V4), 9);
    let sink = path.udp_sink(Family::V4)?;
    let (report, truths) = watch(
        path.client(),
        &[
            format!("send --protocol udp --to {closed} --count 40 --sizes 1400"),
            // Larger than any datagram.
            format!("send --protocol udp --to {} --count 40 --sizes 1400,70000", sink.address()),
        ],
    )?;
    for (truth, error) in truths.iter().zip(["ECONNREFUSED", "EMSGSIZE"]) {
        println!("{} sent, {:?}", truth.ids(), truth.errors);
        let refused = truth.errors[error];
        assert_eq!((truth.ids(), truth.notified), (40 - refused, 40 - refused));
        let expected = Expected::of(truth).but("/failed/other", refused);
        expected.cause("local_delivery@server0", truth.ids()).check(&report)?;
    }
    Ok(())
}

#[test]
fn the_flag_without_so_zerocopy_is_ignored() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let mut lines = Vec::new();
    let mut sinks: Vec<(TcpSink, UdpSink)> = Vec::new();
    for family in [Family::V4, Family::V6] {
        let (tcp, udp) = (path.tcp_sink(family)?, path.udp_sink(family)?);
        let common = "--no-so-zerocopy --count 50 --sizes 16384,1000";
        lines.push(format!("send --to {} {common}", tcp.address()));
        lines.push(format!("send --protocol udp --to {} {common}", udp.address()));
        lines.push(format!("send --connect-first --to {} {common}", tcp.address()));
        sinks.push((tcp, udp));
    }
    let (report, truths) = watch(path.client(), &lines)?;
    for (line, truth) in lines.iter().zip(&truths) {
        println!("{line}");
        assert_eq!((truth.ids(), truth.ignored.count), (0, 50));
        Expected::of(truth).but("/device", ()).check(&report)?;
    }
    assert_eq!(report.at("/totals/ignored/count"), 300);
    assert_findings(&report, &["flag-ignored"]);
    Ok(())
}

#[test]
fn sends_without_the_flag_are_not_counted() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let (report, truths) = watch(
        path.client(),
        &[
            format!("send --to {} --count 50 --flagged 20", tcp.address()),
            format!("send --protocol udp --to {} --count 50 --flagged 20", udp.address()),
            format!("send --to {} --count 50 --flagged 0", tcp.address()),
        ],
    )?;
    for truth in &truths[..2] {
        assert_eq!((truth.ids(), truth.plain.count), (20, 30));
        Expected::of(truth).cause("local_delivery@lo", 20).check(&report)?;
    }
    assert_eq!(truths[2].plain.count, 50);
    assert_eq!(report.sockets().len(), 2, "a socket that only sends plainly has no row");
    Ok(())
}
