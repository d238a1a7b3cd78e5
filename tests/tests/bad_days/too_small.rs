//! A ring buffer that is too small: events are lost, and the totals are exact all the same.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use zcwatch::lab::{Family, Layout, Netns, Topology, UdpSink, sender::Truth};
use zcwatch_tests::{expect::impossible, report::Report, scenario::workload, zcwatch::Zcwatch};

fn watch(netns: &Netns, line: &str) -> Result<(Report, Truth)> {
    println!("{line}");
    let mut sender = workload(netns, line)?;
    let zcwatch = Zcwatch::watch_with(&[sender.pid()], "-d 60s --ring-size 4096")?;
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;
    sender.finish()?;
    Ok((report, truth))
}

/// What the counters alone tell, exactly; and what they can't, as unknown.
fn check(report: &Report, truth: &Truth, copied: u64) -> Result<()> {
    let lost = report.at("/host/events_lost").as_u64().unwrap_or(0);
    println!("{lost} events lost of {} sends", truth.ids());
    assert!(lost > 0);
    assert_eq!(*report.at("/host/counters_agree"), json!(false));
    let row = report.socket(truth.cookie)?;
    let at = |pointer| row.pointer(pointer).and_then(Value::as_u64);
    assert_eq!(at("/sends/count"), Some(truth.ids()), "{row:#}");
    assert_eq!(at("/sends/bytes"), Some(truth.sends.bytes));
    assert_eq!(at("/completed/count"), Some(truth.notified));
    assert_eq!(at("/completed/copied"), Some(copied));
    assert_eq!(at("/completed/reported_zerocopy"), Some(truth.notified - copied));
    assert_eq!(at("/in_flight"), Some(0));
    assert_eq!(at("/unread"), Some(0));
    let refused = truth.errors.get("ENOBUFS").copied().unwrap_or(0);
    assert_eq!(at("/failed/enobufs_optmem"), Some(refused));
    for pointer in ["/sends/min", "/sends/p50", "/sends/max", "/hidden_copies", "/misled"] {
        assert_eq!(row.pointer(pointer), Some(&json!(null)), "{pointer}");
    }
    // What explains the copies is not whole.
    let sums: Vec<_> =
        impossible(row).into_iter().filter(|wrong| !wrong.contains("explained")).collect();
    assert_eq!(sums, Vec::<String>::new());
    Ok(())
}

#[test]
fn one_thread() -> Result<()> {
    for layout in [Layout::Loopback, Layout::VethXdp] {
        let path = Topology::new(layout)?;
        let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
        for line in [
            format!("send --to {} --count 3000 --sizes 1400", tcp.address()),
            format!("send --protocol udp --to {} --count 3000 --sizes 1400", udp.address()),
        ] {
            let (report, truth) = watch(path.client(), &line)?;
            let copied = if layout == Layout::Loopback { 3000 } else { 0 };
            assert_eq!((truth.notified, truth.copied), (3000, copied));
            check(&report, &truth, copied)?;
        }
    }
    Ok(())
}

#[test]
fn four_threads_and_a_busy_reader() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let common = "--threads 4 --count 5000 --drain busy-reader --sizes 1400";
    for line in [
        format!("send --to {} {common}", tcp.address()),
        format!("send --protocol udp --to {} {common}", udp.address()),
    ] {
        let (report, truth) = watch(path.client(), &line)?;
        check(&report, &truth, truth.notified)?;
    }
    Ok(())
}

/// The copied ids among merged ones, which no notification tells.
#[test]
fn merged_notifications() -> Result<()> {
    let path = Topology::new(Layout::ForwardedDrop)?;
    let dropped = std::net::SocketAddr::new(path.server_ip(Family::V4), 9);
    let router_ip = path.router_ip(Family::V4).context("no router")?;
    let router = path.router().context("no router")?;
    let sink = UdpSink::start(router, std::net::SocketAddr::new(router_ip, 0))?;
    let to = sink.address();
    for (to, copied) in
        [(format!("{dropped},{to},{dropped}"), 1000), (format!("{to},{dropped},{to}"), 2000)]
    {
        let line = format!(
            "send --protocol udp --api sendto --to {to} --count 3000 --sizes 1400 --drain at-end"
        );
        let (report, truth) = watch(path.client(), &line)?;
        assert_eq!((truth.notifications, truth.notified), (1, 3000));
        check(&report, &truth, copied)?;
    }
    Ok(())
}

#[test]
fn the_text_says_so() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 3000 --sizes 16384", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let mut zcwatch = Zcwatch::start(["report", "-p", &pid, "-d", "60s", "--ring-size", "4096"])?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    println!("{}", ended.stdout);
    assert!(ended.stdout.contains("events lost"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("events lost 0"), "{}", ended.stdout);
    assert!(ended.stdout.contains("3000 sends") || ended.stdout.contains("3 000 sends"));
    assert!(ended.stdout.contains("--ring-size"), "what to do: {}", ended.stdout);
    Ok(())
}
