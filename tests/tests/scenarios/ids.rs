//! Ids: every call that sends, notifications that lie, are never read, or never come.

use std::{net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result};
use zcwatch::lab::{Family, Layout, Reading, TcpSink, Topology, UdpSink};
use zcwatch_tests::{
    cpu::OneCpu,
    expect::Expected,
    scenario::{undisturbed, watch, workload},
    zcwatch::{WITHOUT_TIMING, Zcwatch},
};

use super::assert_findings;

#[test]
fn every_call_makes_one_send_a_message() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let udp6 = path.udp_sink(Family::V6)?;
    let mut lines = Vec::new();
    for api in ["send", "sendto", "sendmsg", "sendmmsg"] {
        let common = format!("--api {api} --batch 8 --count 50 --sizes 1200,1400,1000");
        lines.push(format!("send --to {} {common}", tcp.address()));
        lines.push(format!("send --protocol udp --to {} {common}", udp.address()));
        if api != "send" {
            for to in [udp.address(), udp6.address()] {
                lines.push(format!("send --protocol udp --unconnected --to {to} {common}"));
            }
        }
    }
    let (report, truths) = watch(path.client(), &lines)?;
    for (line, truth) in lines.iter().zip(&truths) {
        println!("{line}");
        assert_eq!((truth.notified, truth.copied), (50, 50));
        Expected::of(truth)
            .but("/device", "client0")
            .but("/sends/p50", 1200)
            .cause("local_delivery@server0", 50)
            .check(&report)?;
    }
    Ok(())
}

#[test]
fn a_stream_takes_msg_more_as_it_takes_all_sends() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let more = "--coalesce msg-more --batch 4 --sizes 300 --count 42";
    let (report, truths) = watch(path.client(), &[format!("send --to {} {more}", sink.address())])?;
    assert_eq!(truths[0].notified, 42);
    Expected::of(&truths[0]).cause("local_delivery@lo", 42).check(&report)
}

#[test]
fn what_waits_for_a_neighbour_is_in_flight() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let line = "send --protocol udp --to 10.99.1.77:9 --sizes 1400 --count 3 --drain never";
    let (report, truths) = watch(path.client(), &[line.to_owned()])?;
    assert_eq!((truths[0].sends.count, truths[0].notified), (3, 0));
    Expected::of(&truths[0]).but("/in_flight", 3).check(&report)
}

/// Every second datagram is dropped at the far end, the others delivered half-way.
struct Alternating {
    path: Topology,
    dropped: SocketAddr,
    delivered: SocketAddr,
    _sink: UdpSink,
}

impl Alternating {
    fn new() -> Result<Self> {
        let path = Topology::new(Layout::ForwardedDrop)?;
        let dropped = SocketAddr::new(path.server_ip(Family::V4), 9);
        let router_ip = path.router_ip(Family::V4).context("no router")?;
        let router = path.router().context("no router")?;
        let sink = UdpSink::start(router, SocketAddr::new(router_ip, 0))?;
        Ok(Self { path, dropped, delivered: sink.address(), _sink: sink })
    }
}

#[test]
fn a_merged_notification_misleads_by_the_number_that_differ() -> Result<()> {
    let place = Alternating::new()?;
    let Alternating { dropped, delivered, .. } = &place;
    let common = "send --protocol udp --api sendto --sizes 1400";
    let (report, truths) = watch(
        place.path.client(),
        &[
            format!("{common} --to {dropped},{delivered} --count 6 --drain at-end"),
            format!("{common} --to {delivered},{dropped} --count 6 --drain at-end"),
            format!("{common} --to {dropped},{delivered},{delivered} --count 300 --drain at-end"),
            // Read one by one, each is told the truth.
            format!("{common} --to {delivered},{dropped} --count 100"),
        ],
    )?;
    let said: Vec<_> = truths.iter().map(|t| (t.notifications, t.notified, t.copied)).collect();
    assert_eq!(said, [(1, 6, 0), (1, 6, 6), (1, 300, 0), (100, 100, 50)]);
    for (truth, (copied, misled)) in truths.iter().zip([(3, 3), (3, 3), (200, 200), (50, 0)]) {
        Expected::of(truth)
            .but("/device", "client0")
            .but("/completed/copied", copied)
            .but("/completed/reported_zerocopy", truth.notified - copied)
            .but("/misled", misled)
            .cause("local_delivery@router0", copied)
            .check(&report)?;
    }
    assert_eq!(report.at("/totals/misled"), 206);
    assert_findings(&report, &["copied/local_delivery", "misled", "small-sends"]);
    Ok(())
}

#[test]
fn what_is_never_read_is_unread() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let common = "--sizes 16384 --drain never";
    let mut workloads = [
        workload(path.client(), &format!("send --to {} --count 90 {common}", tcp.address()))?,
        workload(
            path.client(),
            &format!("send --protocol udp --to {} --count 80 {common}", udp.address()),
        )?,
    ];
    let pids = workloads.each_ref().map(zcwatch_tests::Workload::pid);
    // The finding wants them unread for a second.
    let mut zcwatch = Zcwatch::watch_with(&pids, &format!("-d 1500ms {WITHOUT_TIMING}"))?;
    let mut truths = Vec::new();
    for workload in &mut workloads {
        workload.step()?;
        truths.push(workload.truth()?);
    }
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let report = ended.report()?;
    undisturbed(&report)?;
    for (truth, count) in truths.iter().zip([90, 80]) {
        assert_eq!((truth.sends.count, truth.notified), (count, 0));
        Expected::of(truth)
            .but("/completed/count", count)
            .but("/completed/copied", count)
            .but("/unread", count)
            .cause("local_delivery@lo", count)
            .check(&report)?;
    }
    assert_findings(&report, &["copied/local_delivery", "unread-notifications"]);
    let sentence = &report.finding("unread-notifications")?["sentence"];
    assert!(sentence.as_str().is_some_and(|s| s.contains("170")), "{sentence}");
    Ok(())
}

#[test]
fn what_is_in_flight_at_the_close_stays_counted() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let sink = TcpSink::start(path.server(), address, Reading::No)?;
    let to = sink.address();
    let line =
        format!("send --to {to} --sizes 65536 --count 1000 --drain at-end --patience-ms 300");
    let mut sender = workload(path.client(), &line)?;
    let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
    sender.step()?;
    let truth = sender.truth()?;
    println!("{} sent, {} notified, {:?}", truth.ids(), truth.notified, truth.errors);
    assert!(truth.notified < truth.ids());
    sender.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("ended while it was watched"), "{ended:?}");
    let report = ended.report()?;
    undisturbed(&report)?;
    Expected::of(&truth)
        .but("/failed/other", truth.errors.values().sum::<u64>())
        .but("/closed_in_flight", truth.ids() - truth.notified)
        .cause("local_delivery@server0", truth.notified)
        .check(&report)
}

#[test]
fn what_was_unread_before_the_watch_counts_as_unread() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --forever --delay-us 5000 --drain never", sink.address());
    let mut sender = workload(path.client(), &line)?;
    sender.step()?;
    thread::sleep(Duration::from_millis(1200));
    let mut zcwatch = Zcwatch::watch_with(&[sender.pid()], "-d 1500ms")?;
    let report = zcwatch.wait()?.report()?;
    let finding = report.finding("unread-notifications")?;
    let sentence = finding["sentence"].as_str().unwrap_or_default();
    let number = |text: &str| text.split(' ').next().and_then(|n| n.parse::<u64>().ok());
    let all = number(sentence).context("no number")?;
    let (_, rest) = sentence.split_once(" (").context("nothing from before")?;
    assert!(rest.contains("of them from before the watch"), "{sentence}");
    let before = number(rest).context("no number")?;
    // All that were sent before, but for one that was on its way.
    let unread = report.at("/totals/unread").as_u64().context("no number")?;
    assert_eq!(all, unread + before, "{sentence}");
    assert!(before >= 64, "{sentence}");
    Ok(())
}
