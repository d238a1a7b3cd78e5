//! What buffers that come back late wait for.

use std::{fs, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result, anyhow, ensure};
use zcwatch::lab::{Family, Layout, Reading, TcpSink, Topology, Tweak, add_address};
use zcwatch_tests::report::Report;

use super::findings::{assert_says, watch};

/// It waits for this, and that was measured; most of the time until the release went there.
fn assert_waits(report: &Report, why: &str, part: &str) -> Result<()> {
    assert_says(report, "slow-release", "release p99 ", &[&format!(": waits for {why}")])?;
    assert_eq!(report.finding("slow-release")?["certainty"], "measured");
    let spent = |part: &str| {
        let of = &report.at("/totals/spent_ns")[part];
        of.as_u64().with_context(|| format!("no {part} in spent_ns"))
    };
    let all = spent("before_queue")? + spent("queued")? + spent("after")?;
    println!("{part}: {} of {all} ns", spent(part)?);
    ensure!(spent(part)? * 2 > all, "{part}: {} of {all} ns", spent(part)?);
    Ok(())
}

#[test]
fn a_slow_device() -> Result<()> {
    // 13 ms for each message.
    let path = Topology::with(Layout::VethXdp, &[Tweak::Rate(10_000_000)])?;
    let sink = path.udp_sink(Family::V4)?;
    let line = format!(
        "send --protocol udp --to {} --sizes 1400 --count 200 --drain window --window 50",
        sink.address()
    );
    let (report, truth) = watch(&path, &line, "")?;
    assert_eq!(truth.ids(), 200);
    assert_waits(&report, "the queue on client0", "queued")
}

#[test]
fn a_slow_reader() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let slowly = Reading::Slowly(Duration::from_millis(5));
    let sink = TcpSink::start(path.server(), address, slowly)?;
    let line = format!(
        "send --to {} --sizes 65536 --count 120 --drain window --window 40",
        sink.address()
    );
    let (report, truth) = watch(&path, &line, "")?;
    assert_eq!(truth.ids(), 120);
    assert_waits(&report, "the receiver's window: the peer reads too slowly", "before_queue")
}

#[test]
fn a_neighbour_that_answers_late() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    path.client().set_sysctl("net/ipv4/neigh/client0/retrans_time_ms", "50")?;
    path.client().set_sysctl("net/ipv4/neigh/client0/mcast_solicit", "100")?;
    let nobody = path.nobody_ip(Family::V4).context("no network")?;
    let line = format!(
        "send --protocol udp --to {nobody}:9 --unconnected --api sendto --sizes 1400 --count 20 --drain at-end"
    );
    let (report, truth) = thread::scope(|scope| {
        let late = scope.spawn(|| -> Result<()> {
            let asked = || fs::read_to_string("/proc/thread-self/net/arp");
            while !path.client().run(asked)??.contains(&nobody.to_string()) {
                thread::sleep(Duration::from_millis(10));
            }
            thread::sleep(Duration::from_millis(300));
            add_address(path.server(), "server0", nobody, 24)?;
            Ok(())
        });
        let watched = watch(&path, &line, "");
        late.join().map_err(|_| anyhow!("the thread panicked"))??;
        watched
    })?;
    assert_eq!((truth.ids(), truth.copied), (20, 20));
    assert_waits(&report, "the neighbour's address (ARP, ND)", "before_queue")
}
