//! Calls that take part of what they are given, or stop on the way; and sends that wait.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;
use zcwatch::lab::{Direction, End, Family, Layout, Reading, TcpSink, Topology, Tweak, UdpSink};
use zcwatch_tests::{
    cpu::OneCpu,
    expect::{Expected, again_if_unseen},
    scenario::{watch, workload},
    zcwatch::Zcwatch,
};

#[test]
fn what_does_not_wait_is_taken_in_part_or_refused() -> Result<()> {
    again_if_unseen(taken_in_part_or_refused)
}

fn taken_in_part_or_refused() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let slowly = Reading::Slowly(Duration::from_millis(1));
    let sink = TcpSink::start(path.server(), address, slowly)?;
    let to = sink.address();
    let line = format!(
        "send --to {to} --sizes 262144 --count 200 --nonblocking --delay-us 200 --drain at-end"
    );
    let (report, truths) = watch(path.client(), &[line])?;
    let truth = &truths[0];
    println!("{:?}, {:?}", truth.sends, truth.errors);
    let refused = truth.errors["EAGAIN"];
    assert_eq!(truth.ids() + refused, 200);
    assert!(truth.sends.min < Some(262_144), "none was taken in part");
    Expected::of(truth)
        .but("/failed/other", refused)
        .but("/sends/p50", report.socket(truth.cookie)?["sends"]["p50"].clone())
        .cause("local_delivery@server0", truth.ids())
        .check(&report)
}

#[test]
fn a_batch_stops_at_a_message_that_is_refused() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    for family in [Family::V4, Family::V6] {
        let sink = path.udp_sink(family)?;
        let mut lines = Vec::new();
        for (batch, count) in [(4, 16), (8, 16), (16, 15)] {
            let to = sink.address();
            lines.push(format!(
                "send --protocol udp --api sendmmsg --to {to} --sizes 1400,1400,1400,70000 \
                 --batch {batch} --count {count}"
            ));
        }
        let (report, truths) = watch(path.client(), &lines)?;
        for (truth, refused) in truths.iter().zip([4, 4, 3]) {
            assert_eq!(truth.errors["EMSGSIZE"], refused);
            // Each is tried twice: the first call reports those before it only.
            let expected = Expected::of(truth).but("/failed/other", 2 * refused);
            expected.cause("local_delivery@server0", truth.ids()).check(&report)?;
        }
    }
    Ok(())
}

#[test]
fn a_message_that_ends_a_batch_may_keep_its_id() -> Result<()> {
    let path = Topology::with(Layout::Veth, &[Tweak::TcDrop(End::Client, Direction::Egress)])?;
    let _one = OneCpu::share()?;
    let dropped = path.closed_port(Family::V4);
    let here = UdpSink::start(path.client(), SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let line = format!(
        "send --protocol udp --api sendmmsg --to {},{dropped} --batch 4 --count 12 --recverr \
         --sizes 1400",
        here.address()
    );
    let (report, truths) = watch(path.client(), &[line])?;
    let truth = &truths[0];
    assert_eq!((truth.sends.count, truth.sends_with_error, truth.notified), (6, 12, 18));
    assert_eq!(truth.copied, 12, "each first two are in one notification");
    Expected::of(truth)
        .but("/device", "lo")
        .but("/completed/copied", 6)
        .but("/completed/reported_zerocopy", 12)
        .but("/misled", 6)
        .cause("local_delivery@lo", 6)
        .check(&report)
}

#[test]
fn a_datagram_dropped_on_its_way_out_keeps_its_id() -> Result<()> {
    let path = Topology::with(Layout::Veth, &[Tweak::TcDrop(End::Client, Direction::Egress)])?;
    let lines = [Family::V4, Family::V6].map(|family| {
        let to = path.closed_port(family);
        format!("send --protocol udp --to {to} --sizes 1400 --count 20 --recverr")
    });
    let (report, truths) = watch(path.client(), &lines)?;
    for truth in &truths {
        assert_eq!((truth.sends.count, truth.sends_with_error), (0, 20));
        assert_eq!((truth.notified, truth.copied, truth.errors["ENOBUFS"]), (20, 0, 20));
        Expected::of(truth).check(&report)?;
    }
    Ok(())
}

#[test]
fn a_datagram_for_a_closed_port_is_copied_and_a_refused_one_takes_no_id() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _one = OneCpu::share()?;
    let lines = [Family::V4, Family::V6].map(|family| {
        format!("send --protocol udp --to {} --sizes 1400 --count 40", path.closed_port(family))
    });
    let (report, truths) = watch(path.client(), &lines)?;
    for truth in &truths {
        let refused = truth.errors["ECONNREFUSED"];
        assert_eq!(truth.ids(), 40 - refused);
        let expected = Expected::of(truth).but("/failed/other", refused);
        expected.cause("local_delivery@server0", truth.ids()).check(&report)?;
    }
    Ok(())
}

#[test]
fn what_waits_for_a_neighbour_is_released_when_that_is_given_up() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    // Three requests in vain, not a second apart.
    path.client().set_sysctl("net/ipv4/neigh/client0/retrans_time_ms", "300")?;
    let nobody = SocketAddr::new(path.nobody_ip(Family::V4).context("no network")?, 9);
    let line = format!("send --protocol udp --to {nobody} --sizes 1400 --count 1 --log");
    let (report, truths) = watch(path.client(), &[line])?;
    let truth = &truths[0];
    Expected::of(truth).but("/device", ()).check(&report)?;
    let release = &report.socket(truth.cookie)?["release_ns"];
    assert_eq!((&release["count"], &release["from"]), (&1.into(), &"return".into()));
    // It was released after the call returned, and before its notification was read.
    let send = &truth.log[0];
    let known = send.t_notified.context("not notified")? - send.t_after;
    let said = release["max"].as_u64().context("no latency")?;
    println!("released after {said} ns, told after {known} ns");
    assert!(said > 800_000_000 && said < known + 1_000_000, "{said}, {known}");
    Ok(())
}

#[test]
fn where_a_program_sends_is_told_when_asked() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.udp_sink(Family::V4)?;
    let line = format!("send --protocol udp --to {} --sizes 1400 --count 30", sink.address());
    for asked in [true, false] {
        let mut sender = workload(path.client(), &line)?;
        let asks = if asked { "-d 60s --user-stacks" } else { "-d 60s" };
        let zcwatch = Zcwatch::watch_with(&[sender.pid()], asks)?;
        sender.step()?;
        let truth = sender.truth()?;
        let report = zcwatch.interrupt()?;
        let sites = report.socket(truth.cookie)?["call_sites"].as_array().context("no list")?;
        println!("{sites:?}");
        let sends: u64 = sites.iter().filter_map(|site| site["sends"].as_u64()).sum();
        assert_eq!(sends, if asked { truth.ids() } else { 0 });
        // The innermost is the C library's, whatever it calls it.
        let innermost =
            |site: &Value| site["calls"][0].as_str().is_some_and(|f| f.contains("send"));
        assert!(sites.iter().all(innermost), "{sites:?}");
    }
    Ok(())
}
