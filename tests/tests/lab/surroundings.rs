//! What a packet socket and the device's features change.

use std::net::SocketAddr;

use anyhow::Result;
use zcwatch::lab::{
    Attachment, Direction, Family, Feature, Layout, Sniffer, Topology, Tweak, sender::Options,
    set_feature,
};

use super::{Copied, NotCopied, Said, assert_all, send};

const COUNT: u64 = 20;

fn tcp(path: &Topology, size: usize, said: Said) -> Result<()> {
    let sink = path.tcp_sink(Family::V4)?;
    let options = Options { sizes: vec![size], count: COUNT, ..Options::tcp(sink.address()) };
    assert_all(said, COUNT, &send(path.client(), options)?);
    Ok(())
}

fn udp(path: &Topology, said: Said) -> Result<()> {
    let sink = path.udp_sink(Family::V4)?;
    let options = Options { count: COUNT, ..Options::udp(sink.address()) };
    assert_all(said, COUNT, &send(path.client(), options)?);
    Ok(())
}

#[test]
fn a_packet_socket_on_the_sending_device_makes_copies() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    for device in [Some(path.client_device()), None] {
        println!("tapped: {device:?}");
        let sniffer = Sniffer::open(path.client(), device)?;
        tcp(&path, 16 << 10, Copied)?;
        udp(&path, Copied)?;
        drop(sniffer);
        tcp(&path, 16 << 10, NotCopied)?;
        udp(&path, NotCopied)?;
    }
    Ok(())
}

#[test]
fn a_packet_socket_elsewhere_makes_none() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let _on_lo = Sniffer::open(path.client(), Some("lo"))?;
    let _on_the_receiving_device = Sniffer::open(path.server(), Some(path.server_device()))?;
    let _on_every_device_there = Sniffer::open(path.server(), None)?;
    tcp(&path, 16 << 10, NotCopied)?;
    udp(&path, NotCopied)
}

#[test]
fn without_sg_small_segments_and_datagrams_are_copied() -> Result<()> {
    for layout in [Layout::Veth, Layout::VethXdp] {
        println!("{layout:?}");
        let path = Topology::with(layout, &[Tweak::Without(Feature::ScatterGather)])?;
        tcp(&path, 1000, Copied)?;
        // Whole segments of 16 KB are split by software: a hidden copy, in skb_segment. While the
        // congestion window opens, and under load, some are cut so that a small one is left over.
        let sink = path.tcp_sink(Family::V4)?;
        let options = Options { count: 100, log: true, ..Options::tcp(sink.address()) };
        let truth = send(path.client(), options)?;
        let copied = truth.log.iter().filter(|send| send.copied == Some(true));
        let copied: Vec<_> = copied.filter_map(|send| send.id).collect();
        println!("copied: {copied:?}");
        assert_eq!(truth.notified, 100);
        assert!(copied.len() < 50, "{copied:?}");
        udp(&path, Copied)?;
    }
    Ok(())
}

#[test]
fn without_tx_checksums_everything_is_copied() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    set_feature(path.client(), path.client_device(), Feature::TxChecksum, false)?;
    tcp(&path, 1000, Copied)?;
    tcp(&path, 16 << 10, Copied)?;
    udp(&path, Copied)
}

#[test]
fn without_tso_and_gso_nothing_changes() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    set_feature(path.client(), path.client_device(), Feature::Tso, false)?;
    set_feature(path.client(), path.client_device(), Feature::Gso, false)?;
    tcp(&path, 16 << 10, NotCopied)?;
    udp(&path, NotCopied)
}

#[test]
fn a_send_dropped_on_its_way_out_keeps_its_id_though_it_fails() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let _drop = Attachment::tc_drop(path.client(), path.client_device(), Direction::Egress)?;
    let to = SocketAddr::new(path.server_ip(Family::V4), 9);
    let silent = Options { count: COUNT, log: true, ..Options::udp(to) };
    assert_all(NotCopied, COUNT, &send(path.client(), silent.clone())?);

    let truth = send(path.client(), Options { recverr: true, ..silent })?;
    assert_eq!((truth.sends.count, truth.sends_with_error), (0, COUNT));
    assert_eq!(truth.errors.get("ENOBUFS"), Some(&COUNT));
    assert_eq!((truth.notified, truth.copied), (COUNT, 0));
    let ids: Vec<_> = truth.log.iter().map(|record| (record.id, record.copied)).collect();
    let all: Vec<_> = (0..COUNT as u32).map(|id| (Some(id), Some(false))).collect();
    assert_eq!(ids, all);
    Ok(())
}

#[test]
fn a_neighbour_that_never_resolves_holds_the_buffer_for_three_seconds() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let nobody = SocketAddr::from(([10, 99, 1, 77], 9));
    let truth = send(path.client(), Options { count: 1, log: true, ..Options::udp(nobody) })?;
    assert_all(NotCopied, 1, &truth);
    let held = truth.log.iter().filter_map(|r| Some(r.t_notified? - r.t_after)).max();
    println!("held for {held:?} ns");
    assert!(held.is_some_and(|ns| (2_500_000_000..5_000_000_000).contains(&ns)));
    Ok(())
}
