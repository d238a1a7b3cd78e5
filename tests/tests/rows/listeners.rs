//! Packet sockets: which of them cost copies, and whom zcwatch names.

use anyhow::{Context, Result};
use zcwatch::lab::{
    Family, Feature,
    Layout::{
        self, Bridge, Forwarded, ForwardedDrop, Loopback, Macvlan, Tun, Veth, VethXdp, Vxlan,
    },
    Netns, Sniffer, Topology, Tweak,
};
use zcwatch_tests::{cpu::OneCpu, scenario::workload, zcwatch::Zcwatch};

use super::{
    assert_findings,
    table::{Copied, Fate, Hidden, HiddenBut, Row, Untouched, check, tcp, udp},
};

impl Row {
    /// With a packet socket at the sender's.
    fn tapped(self, device: Option<&str>) -> Result<Self> {
        let sniffer = Sniffer::open(self.path.client(), device)?;
        Ok(self.with(&format!("tapped at the sender on {device:?}"), sniffer))
    }

    /// With one that ignores what is sent.
    fn overheard(self, device: Option<&str>) -> Result<Self> {
        let sniffer = Sniffer::incoming(self.path.client(), device)?;
        Ok(self.with(&format!("tapped at the sender on {device:?}, incoming"), sniffer))
    }

    fn tapped_there(self, device: Option<&str>) -> Result<Self> {
        let sniffer = Sniffer::open(self.path.server(), device)?;
        Ok(self.with(&format!("tapped at the receiver on {device:?}"), sniffer))
    }

    fn tapped_between(self, device: Option<&str>) -> Result<Self> {
        let sniffer = Sniffer::open(self.path.router().context("no router")?, device)?;
        Ok(self.with(&format!("tapped between on {device:?}"), sniffer))
    }

    fn both(self, fate: Fate) -> Result<Self> {
        self.sends(&tcp(16 << 10), fate)?.sends(&udp(1400), fate)
    }
}

fn row(layout: Layout) -> Result<Row> {
    Row::new(layout, &[])
}

#[test]
fn on_the_sending_device_they_copy() -> Result<()> {
    let one = OneCpu::share()?;
    let copied = Copied("tap_tx@client0");
    let report = check(
        &one,
        &[
            row(VethXdp)?.tapped(Some("client0"))?.both(copied)?,
            row(Veth)?.tapped(Some("client0"))?.both(copied)?,
            row(Loopback)?.tapped(Some("lo"))?.both(Copied("tap_tx@lo"))?,
            row(Tun)?.tapped(Some("tun0"))?.sends(&udp(1400), Copied("tap_tx@tun0"))?,
            row(Macvlan)?.tapped(Some("macvlan0"))?.both(Copied("tap_tx@macvlan0"))?,
            // The device below.
            row(Macvlan)?.tapped(Some("client0"))?.both(copied)?,
            row(Vxlan)?.tapped(Some("client0"))?.both(copied)?,
        ],
    )?;
    let finding = report.finding("copied/tap_tx")?;
    assert_eq!(finding["certainty"], "measured");
    let this = format!("(pid {})", std::process::id());
    assert!(finding["sentence"].as_str().is_some_and(|s| s.contains(&this)), "{finding:#}");
    assert_eq!(finding["remedies"][0], format!("kill {}", std::process::id()));
    Ok(())
}

/// Up to 6.12 such a one copies what others send elsewhere, too.
#[test]
fn on_all_devices_they_copy() -> Result<()> {
    let one = OneCpu::share()?;
    let row = row(VethXdp)?.tapped(None)?.both(Copied("tap_tx@client0"))?;
    check(&one, &[row]).map(drop)
}

#[test]
fn elsewhere_or_for_what_comes_in_they_copy_nothing() -> Result<()> {
    let one = OneCpu::share()?;
    let delivered = Copied("local_delivery@server0");
    let elsewhere = Netns::new()?;
    check(
        &one,
        &[
            row(VethXdp)?.tapped(Some("lo"))?.both(Hidden)?,
            row(VethXdp)?.tapped_there(Some("server0"))?.both(Hidden)?,
            row(VethXdp)?.tapped_there(None)?.both(Hidden)?,
            row(VethXdp)?
                .with("tapped elsewhere", Sniffer::open(&elsewhere, None)?)
                .both(Hidden)?,
            row(VethXdp)?.overheard(Some("client0"))?.both(Hidden)?,
            row(VethXdp)?.overheard(None)?.both(Hidden)?,
            row(Veth)?.overheard(Some("client0"))?.both(delivered)?,
            row(Veth)?.overheard(None)?.both(delivered)?,
            row(Veth)?.tapped(Some("lo"))?.both(delivered)?,
            row(ForwardedDrop)?.overheard(None)?.sends(&udp(1400), Untouched)?,
        ],
    )
    .map(drop)
}

#[test]
fn on_a_receiving_device_they_copy_before_the_receiver_does() -> Result<()> {
    let one = OneCpu::share()?;
    let received = Copied("tap_rx@server0");
    let routed = Copied("tap_rx@router0");
    check(
        &one,
        &[
            row(Veth)?.tapped_there(Some("server0"))?.both(received)?,
            row(Veth)?.tapped_there(None)?.both(received)?,
            row(Loopback)?.overheard(Some("lo"))?.both(Copied("tap_rx@lo"))?,
            row(Forwarded)?.tapped_between(Some("router0"))?.both(routed)?,
            row(Forwarded)?.tapped_between(None)?.both(routed)?,
            row(Forwarded)?.tapped_between(Some("router1"))?.both(Copied("tap_tx@router1"))?,
            row(Forwarded)?.tapped_there(Some("server0"))?.both(received)?,
            row(Bridge)?.tapped_between(Some("port0"))?.both(Copied("tap_rx@port0"))?,
            // Dropped in the end.
            row(ForwardedDrop)?.tapped_between(Some("router0"))?.sends(&udp(1400), routed)?,
        ],
    )
    .map(drop)
}

#[test]
fn what_is_copied_before_them_is_not_theirs() -> Result<()> {
    let one = OneCpu::share()?;
    let without = |feature| Row::new(VethXdp, &[Tweak::Without(feature)]);
    check(
        &one,
        &[
            without(Feature::ScatterGather)?
                .tapped(Some("client0"))?
                .sends(&udp(1400), Copied("udp_no_sg@client0"))?
                .sends(&tcp(1000), Copied("linearize_no_sg@client0"))?
                .sends(
                    &format!("{} --count 100", tcp(16 << 10)),
                    HiddenBut("linearize_no_sg@client0", "inferred"),
                )?,
            without(Feature::TxChecksum)?
                .tapped(Some("client0"))?
                .sends(&udp(1400), Copied("udp_no_csum_offload@client0"))?
                .sends(&tcp(1000), Copied("checksum_help@client0"))?
                .sends(&tcp(16 << 10), Copied("gso_no_csum@client0"))?,
            row(Veth)?.tapped(Some("client0"))?.sends_by(
                Family::V4,
                &udp(60_000),
                Copied("udp_larger_than_mtu@client0"),
            )?,
        ],
    )
    .map(drop)
}

#[test]
fn whoever_holds_one_is_named() -> Result<()> {
    let one = OneCpu::share()?;
    for device in ["--device client0", ""] {
        let tapped = Copied("tap_tx@client0");
        let row = row(VethXdp)?.both(tapped)?;
        let line = format!("--comm eavesdropper sniff {device}");
        let sniffer = workload(row.path.client(), &line)?;
        let report = check(&one, &[row])?;
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
fn a_holder_elsewhere_is_named_when_the_sender_has_ended_too() -> Result<()> {
    let path = Topology::new(VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let _sniffer = Sniffer::open(path.client(), Some("client0"))?;
    let mut sender = workload(path.client(), &format!("send --to {} --count 20", sink.address()))?;
    let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let report = zcwatch.wait()?.report()?;
    let finding = report.finding("copied/tap_tx")?;
    let who = format!("(pid {})", std::process::id());
    assert!(finding["sentence"].as_str().is_some_and(|s| s.contains(&who)), "{finding:#}");
    assert_eq!(finding["remedies"][0], format!("kill {}", std::process::id()), "{finding:#}");
    assert_eq!(finding["certainty"], "measured");
    Ok(())
}
