//! What packet sockets, device features and corking do to sends, and whom zcwatch names.

use anyhow::Result;
use serde_json::Value;
use zcwatch::lab::{Family, Feature, Layout, Sniffer, TcpSink, Topology, UdpSink, set_feature};
use zcwatch_tests::{
    cpu::OneCpu,
    expect::Expected,
    report::Report,
    scenario::{watch, workload},
    zcwatch::Zcwatch,
};

use super::assert_findings;

const COUNT: u64 = 20;

/// A path, with receivers of IPv4.
struct Place {
    path: Topology,
    tcp: TcpSink,
    udp: UdpSink,
    _one: OneCpu,
}

impl Place {
    fn new(layout: Layout) -> Result<Self> {
        let path = Topology::new(layout)?;
        let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
        Ok(Self { path, tcp, udp, _one: OneCpu::share()? })
    }

    fn without(layout: Layout, feature: Feature) -> Result<Self> {
        let place = Self::new(layout)?;
        set_feature(place.path.client(), place.path.client_device(), feature, false)?;
        Ok(place)
    }

    fn tcp(&self, size: usize) -> String {
        format!("send --to {} --sizes {size} --count {COUNT}", self.tcp.address())
    }

    fn udp(&self, more: &str) -> String {
        let to = self.udp.address();
        format!("send --protocol udp --to {to} --sizes 1400 --count {COUNT} {more}")
    }

    /// Each line's sends were all copied by its cause, or, without one, all in secret.
    fn check(&self, sends: &[(String, Option<&str>)]) -> Result<Report> {
        let lines: Vec<_> = sends.iter().map(|(line, _)| line.clone()).collect();
        let (report, truths) = watch(self.path.client(), &lines)?;
        for (truth, (line, cause)) in truths.iter().zip(sends) {
            println!("{line}");
            let ids = truth.ids();
            assert_eq!(truth.notified, ids, "{truth:?}");
            let expected = Expected::of(truth).but("/device", self.path.client_device());
            match cause {
                Some(cause) => expected.cause(cause, ids),
                None => expected.but("/hidden_copies", ids),
            }
            .check(&report)?;
        }
        Ok(report)
    }
}

#[test]
fn a_packet_socket_on_the_sending_device_is_named() -> Result<()> {
    let place = Place::new(Layout::VethXdp)?;
    for device in ["--device client0", ""] {
        let line = format!("--comm eavesdropper sniff {device}");
        let sniffer = workload(place.path.client(), &line)?;
        let tapped = Some("tap_tx@client0");
        let report = place.check(&[(place.tcp(16 << 10), tapped), (place.udp(""), tapped)])?;
        assert_findings(&report, &["copied/tap_tx", "small-sends"]);
        let finding = report.finding("copied/tap_tx")?;
        let sentence = finding["sentence"].as_str().unwrap_or_default();
        let who = format!("eavesdropper (pid {})", sniffer.pid());
        assert!(sentence.contains(&who), "{who:?} is not in {sentence:?}");
        assert_eq!(finding["remedies"][0], format!("kill {}", sniffer.pid()));
        assert_eq!(finding["certainty"], "measured");
        sniffer.finish()?;
    }
    Ok(())
}

/// Its holder is in another namespace, so that none is left in the sender's when that has ended.
#[test]
fn a_packet_socket_of_a_process_elsewhere_is_named() -> Result<()> {
    let place = Place::new(Layout::VethXdp)?;
    let _sniffer = Sniffer::open(place.path.client(), Some("client0"))?;
    for ends in [false, true] {
        println!("the sender ends: {ends}");
        let mut sender = workload(place.path.client(), &place.tcp(16 << 10))?;
        let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
        sender.step()?;
        sender.truth()?;
        let report = if ends {
            sender.finish()?;
            zcwatch.wait()?.report()?
        } else {
            zcwatch.interrupt()?
        };
        let finding = report.finding("copied/tap_tx")?;
        let who = format!("(pid {})", std::process::id());
        assert!(finding["sentence"].as_str().is_some_and(|s| s.contains(&who)), "{finding:#}");
        assert_eq!(finding["remedies"][0], format!("kill {}", std::process::id()), "{finding:#}");
        assert_eq!(finding["certainty"], "measured");
    }
    Ok(())
}

#[test]
fn a_packet_socket_elsewhere_is_not_blamed() -> Result<()> {
    let place = Place::new(Layout::VethXdp)?;
    let _on_lo = workload(place.path.client(), "sniff --device lo")?;
    let _on_the_receiving_device = workload(place.path.server(), "sniff --device server0")?;
    let _on_every_device_there = workload(place.path.server(), "sniff")?;
    let report = place.check(&[(place.tcp(16 << 10), None), (place.udp(""), None)])?;
    assert_findings(&report, &["hidden-copy", "small-sends"]);
    Ok(())
}

#[test]
fn without_sg_datagrams_are_copied_at_send_and_streams_in_secret() -> Result<()> {
    for layout in [Layout::Veth, Layout::VethXdp] {
        println!("{layout:?}");
        let place = Place::without(layout, Feature::ScatterGather)?;
        let report = place.check(&[(place.udp(""), Some("udp_no_sg@client0"))])?;
        assert_findings(&report, &["copied/udp_no_sg", "small-sends"]);
        let remedies = &report.finding("copied/udp_no_sg")?["remedies"];
        assert!(remedies[0].as_str().is_some_and(|r| r.contains("ethtool -K client0 sg on")));

        // While the congestion window opens, a segment may be cut so that one is left that is
        // small enough for the driver, which linearizes it.
        let (report, truths) = watch(
            place.path.client(),
            &[place.tcp(16 << 10).replace("--count 20", "--count 200")],
        )?;
        let (ids, copied) = (truths[0].ids(), truths[0].copied);
        println!("{copied} of {ids} copied");
        assert_eq!(ids, 200);
        assert!(copied < 20, "{copied} of {ids} copied");
        let expected =
            Expected::of(&truths[0]).but("/device", "client0").but("/hidden_copies", ids - copied);
        let expected =
            if copied > 0 { expected.cause("linearize_no_sg@client0", copied) } else { expected };
        expected.check(&report)?;
        let hidden = report.finding("hidden-copy")?;
        assert_eq!(hidden["certainty"], "inferred");
    }
    Ok(())
}

#[test]
fn without_checksum_offload_datagrams_are_copied_at_send() -> Result<()> {
    let place = Place::without(Layout::VethXdp, Feature::TxChecksum)?;
    let report = place.check(&[
        (place.udp(""), Some("udp_no_csum_offload@client0")),
        (place.tcp(1000), Some("checksum_help@client0")),
        (place.tcp(16 << 10), Some("gso_no_csum@client0")),
    ])?;
    let remedies = &report.finding("copied/udp_no_csum_offload")?["remedies"];
    assert!(remedies[0].as_str().is_some_and(|r| r.contains("ethtool -K client0 tx on")));
    Ok(())
}

#[test]
fn without_tso_and_gso_nothing_changes() -> Result<()> {
    let place = Place::without(Layout::VethXdp, Feature::Tso)?;
    set_feature(place.path.client(), "client0", Feature::Gso, false)?;
    place.check(&[(place.tcp(16 << 10), None), (place.udp(""), None)]).map(drop)
}

#[test]
fn corked_datagrams_are_copied_at_send() -> Result<()> {
    let place = Place::new(Layout::VethXdp)?;
    let sizes = "--batch 4 --sizes 300 --count 42";
    let to = place.udp.address();
    let line = |how| format!("send --protocol udp --to {to} --coalesce {how} {sizes}");
    let corked = Some("udp_cork@client0");
    let report = place.check(&[(line("msg-more"), corked), (line("udp-cork"), corked)])?;
    assert_findings(&report, &["copied/udp_cork", "small-sends"]);
    let all: Vec<&Value> = report.sockets().iter().map(|row| &row["sends"]["count"]).collect();
    assert_eq!(all, [42, 42], "a send each, not a datagram each");
    Ok(())
}
