//! What zcwatch finds in real traffic: which findings hold, and their numbers.

use std::net::SocketAddr;

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Direction, End, Family, Layout, Reading, TcpSink, Topology, Tweak, UdpSink, sender::Truth,
    set_mtu,
};
use zcwatch_tests::{
    cpu::OneCpu,
    release,
    report::Report,
    scenario::{undisturbed, workload},
    zcwatch::{WITHOUT_TIMING, Zcwatch},
};

use super::assert_findings;

/// Watches one sender, with these arguments.
pub fn watch(path: &Topology, line: &str, arguments: &str) -> Result<(Report, Truth)> {
    println!("{line}");
    let mut sender = workload(path.client(), line)?;
    let zcwatch = Zcwatch::watch_with(&[sender.pid()], &format!("-d 60s {arguments}"))?;
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    Ok((report, truth))
}

/// The sentence of a finding begins so, and has these words.
pub fn assert_says(report: &Report, finding: &str, begin: &str, words: &[&str]) -> Result<()> {
    let sentence = report.finding(finding)?["sentence"].as_str().context("no sentence")?;
    println!("{sentence}");
    ensure!(sentence.starts_with(begin), "{sentence:?} does not begin with {begin:?}");
    for word in words {
        ensure!(sentence.contains(word), "{word:?} is not in {sentence:?}");
    }
    Ok(())
}

/// The first remedy of a finding.
fn remedy<'r>(report: &'r Report, finding: &str) -> Result<&'r str> {
    report.finding(finding)?["remedies"][0].as_str().context("no remedy")
}

#[test]
fn enobufs_optmem() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    path.client().set_sysctl("net/core/optmem_max", "4096")?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let sink = TcpSink::start(path.server(), address, Reading::No)?;
    let to = sink.address();
    let line = format!("send --to {to} --sizes 16384 --count 600 --drain never --nonblocking");
    let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
    let refused = truth.errors["ENOBUFS"];
    let begin = format!("ENOBUFS from optmem on {refused} sends: ");
    let words = [" of 4 096 B with ", " in flight"];
    assert_says(&report, "enobufs-optmem", &begin, &words)?;
    let sentence = report.finding("enobufs-optmem")?["sentence"].as_str().unwrap_or_default();
    let flying = sentence.split(words[0]).nth(1).and_then(|rest| rest.split(' ').next());
    let flying: u64 = flying.context("no number")?.parse()?;
    // Some may have come back since.
    let in_flight = report.at("/totals/in_flight").as_u64().context("no number")?;
    ensure!((in_flight..=truth.ids()).contains(&flying), "{flying}, {in_flight} in the end");
    let command = format!("nsenter -t {} -n sysctl -w net.core.optmem_max=131072", truth.pid);
    assert_eq!(remedy(&report, "enobufs-optmem")?, command);
    Ok(())
}

#[test]
fn enobufs_memlock() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address();
    let line = format!("send --to {to} --memlock 16384 --uid 65534 --count 40 --sizes 65536,4096");
    let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
    assert_eq!(truth.errors["ENOBUFS"], 20);
    let begin = "ENOBUFS from locked memory on 20 sends of ";
    let who = format!("workload (pid {}): ", truth.pid);
    assert_says(&report, "enobufs-memlock", begin, &[&who, "of 16 KiB, 0 in flight"])?;
    let command = format!("prlimit --pid {} --memlock=", truth.pid);
    ensure!(remedy(&report, "enobufs-memlock")?.starts_with(&command));
    Ok(())
}

#[test]
fn device_drop() -> Result<()> {
    let drop = Tweak::TcDrop(End::Client, Direction::Egress);
    assert_dropped(&[drop], Family::V6, 1400, "a tc program")
}

#[test]
fn device_drop_by_a_queue() -> Result<()> {
    // It takes no packet that is larger than the MTU was when it was made.
    let tweaks = [Tweak::Rate(1_000_000), Tweak::Mtu(9000)];
    assert_dropped(&tweaks, Family::V4, 8000, "the device's queue")
}

/// Datagrams of this size are dropped in the call, and zcwatch says by whom.
fn assert_dropped(tweaks: &[Tweak], family: Family, size: u32, by: &'static str) -> Result<()> {
    let path = Topology::with(Layout::Veth, tweaks)?;
    let to = path.closed_port(family);
    let line = format!("send --protocol udp --to {to} --recverr --sizes {size} --count 20");
    let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
    assert_eq!(truth.sends_with_error, 20);
    assert_findings(&report, &["device-drop"]);
    let end = format!("and kept their ids: {} dropped them", culprit(by)?);
    assert_says(&report, "device-drop", "20 sends failed with ENOBUFS", &[&end])
}

/// Who dropped what failed with ENOBUFS: the kernel gives its reasons from 5.17 on.
fn culprit(seen: &'static str) -> Result<&'static str> {
    Ok(if release()? < (5, 17) { "a full queue or a tc program" } else { seen })
}

#[test]
fn never_used() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    for (count, findings) in [(120, &["never-used"][..]), (99, &[])] {
        let line = format!("send --to {} --flagged 0 --count {count}", sink.address());
        let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
        assert_eq!(truth.plain.count, count);
        assert_findings(&report, findings);
        if !findings.is_empty() {
            let sends = format!("120 sends of 10 KB or more by workload (pid {})", truth.pid);
            assert_says(&report, "never-used", "no MSG_ZEROCOPY send seen in ", &[&sends])?;
        }
    }
    Ok(())
}

#[test]
fn gave_up() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --give-up-after 3 --count 150", sink.address());
    let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
    assert_eq!((truth.ids(), truth.copied, truth.plain.count), (3, 3, 147));
    assert_findings(&report, &["gave-up/local_delivery"]);
    assert_says(
        &report,
        "gave-up/local_delivery",
        "gave up after 3 sends on ",
        &["which were copied (delivered on this host): 147 sends without the flag since"],
    )
}

/// 13 ms for each message.
fn slow(window: u64) -> Result<(Report, Truth)> {
    let path = Topology::with(Layout::VethXdp, &[Tweak::Rate(10_000_000)])?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address();
    let line = format!("send --to {to} --count 30 --drain window --window {window}");
    watch(&path, &line, "")
}

#[test]
fn one_in_flight_and_slow_release() -> Result<()> {
    let (report, truth) = slow(1)?;
    assert_eq!((truth.ids(), truth.copied), (30, 0));
    assert_findings(&report, &["hidden-copy", "one-in-flight", "slow-release"]);
    let begin = "one send in flight on ";
    assert_says(&report, "one-in-flight", begin, &["each waits for its own notification"])?;
    assert_says(&report, "slow-release", "release p99 ", &[" ms (p50 ", "waits for "])?;

    let (report, truth) = slow(8)?;
    assert_eq!((truth.ids(), truth.copied), (30, 0));
    assert_findings(&report, &["hidden-copy", "slow-release"]);
    Ok(())
}

#[test]
fn out_of_order() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    path.client().set_sysctl("net/ipv4/neigh/client0/retrans_time_ms", "100")?;
    let sink = path.udp_sink(Family::V4)?;
    let nobody = SocketAddr::new(path.nobody_ip(Family::V4).context("no network")?, 9);
    let line = format!(
        "send --protocol udp --api sendto --to {nobody},{} --sizes 1400 --count 6 --drain at-end \
         --log",
        sink.address()
    );
    let (report, truth) = watch(&path, &line, WITHOUT_TIMING)?;
    let order: Vec<_> = truth.notification_log.iter().map(|said| said.lo).collect();
    assert_eq!(order, [1, 3, 5, 0, 2, 4]);
    assert_findings(&report, &["out-of-order"]);
    let says = "notifications out of order: 3 of 6 read after one with later ids";
    assert_says(&report, "out-of-order", says, &[])
}

#[test]
fn healthy() -> Result<()> {
    // Truly not copied, and large enough.
    let path = Topology::new(Layout::ForwardedDrop)?;
    let router = path.router().context("no router")?;
    for (netns, device) in [
        (path.client(), "client0"),
        (router, "router0"),
        (router, "router1"),
        (path.server(), "server0"),
    ] {
        set_mtu(netns, device, 40_000)?;
    }
    let to = path.closed_port(Family::V4);
    let line = format!("send --protocol udp --to {to} --sizes 30000 --count 50 --drain at-end");
    let (report, truth) = watch(&path, &line, "")?;
    assert_eq!((truth.notified, truth.copied), (50, 0));
    assert_findings(&report, &["healthy"]);
    assert_says(&report, "healthy", "healthy: 50 sends completed, 0 copied", &[])
}

#[test]
fn small_sends() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let _one = OneCpu::share()?;
    let udp: UdpSink = path.udp_sink(Family::V4)?;
    for (size, small) in [(9_999, true), (10_000, false)] {
        let to = udp.address();
        let line = format!("send --protocol udp --to {to} --sizes {size} --count 10");
        let (report, _) = watch(&path, &line, WITHOUT_TIMING)?;
        let findings: &[&str] = if small {
            &["copied/local_delivery", "small-sends"]
        } else {
            &["copied/local_delivery"]
        };
        assert_findings(&report, findings);
        if small {
            assert_says(&report, "small-sends", "median send 9999 B on ", &[])?;
        }
    }
    Ok(())
}
