//! Each path of the table in `docs/kernel-notes.md`, and what its notifications say.

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Direction, End, Family, Feature,
    Layout::{self, Bridge, Ifb, Macvlan, Tap, Tun, TunUnopened, Veth, VethXdp, Vxlan},
    Netns, Topology, Tweak,
    sender::Options,
};
use zcwatch_tests::cpu::OneCpu;

use super::{Copied, NotCopied, Said, assert_all, send};

const COUNT: u64 = 20;

fn lay(layout: Layout, tweaks: &[Tweak]) -> Result<Topology> {
    println!("{layout:?} {tweaks:?}");
    Ok(Topology::with(layout, tweaks)?)
}

fn tcp(path: &Topology, family: Family, said: Said) -> Result<()> {
    println!("TCP {family:?}");
    let sink = path.tcp_sink(family)?;
    let options = Options { count: COUNT, ..Options::tcp(sink.address()) };
    assert_all(said, COUNT, &send(path.client(), options)?);
    Ok(())
}

fn udp(path: &Topology, family: Family, said: Said) -> Result<()> {
    let sink = path.udp_sink(family)?;
    datagrams(path.client(), sink.address(), 1400, said)
}

/// To a port that may have nobody.
fn datagrams(netns: &Netns, to: SocketAddr, size: usize, said: Said) -> Result<()> {
    println!("UDP {size} bytes to {to}");
    let options = Options { sizes: vec![size], count: COUNT, ..Options::udp(to) };
    assert_all(said, COUNT, &send(netns, options)?);
    Ok(())
}

fn both(path: &Topology, said: Said) -> Result<()> {
    for family in [Family::V4, Family::V6] {
        tcp(path, family, said)?;
        udp(path, family, said)?;
    }
    Ok(())
}

#[test]
fn a_device_above_a_cable_changes_nothing() -> Result<()> {
    let _one = OneCpu::share()?;
    for layout in [Macvlan, Bridge, Vxlan] {
        both(&lay(layout, &[])?, Copied)?;
        both(&lay(layout, &[Tweak::XdpPass])?, NotCopied)?;
    }
    Ok(())
}

#[test]
fn xdp_that_drops_reports_as_one_that_passes() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = lay(Veth, &[Tweak::XdpDrop])?;
    for family in [Family::V4, Family::V6] {
        datagrams(path.client(), path.closed_port(family), 1400, NotCopied)?;
        datagrams(path.client(), path.closed_port(family), 60_000, Copied)?;
    }
    Ok(())
}

/// Packets that a device has sent.
fn sent_by(netns: &Netns, device: &str) -> Result<u64> {
    let table = netns.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    let prefix = format!("{device}:");
    let row = table.lines().find_map(|line| line.trim_start().strip_prefix(&prefix));
    // After eight columns of what it has received: bytes, packets.
    let packets = row.and_then(|row| row.split_whitespace().nth(9)).context("no such device")?;
    Ok(packets.parse()?)
}

#[test]
fn a_tunnel_copies_at_once_whether_it_is_read_or_not() -> Result<()> {
    for layout in [Tun, Tap] {
        for (tweaks, read) in [(&[][..], true), (&[Tweak::Unread], false)] {
            let path = lay(layout, tweaks)?;
            for family in [Family::V4, Family::V6] {
                datagrams(path.client(), path.closed_port(family), 1400, Copied)?;
                datagrams(path.client(), path.closed_port(family), 60_000, Copied)?;
            }
            // Its reader takes them in its own time.
            let start = Instant::now();
            let sent = || sent_by(path.client(), path.client_device());
            let expected = || {
                Ok::<_, anyhow::Error>(if read { sent()? >= 2 * COUNT } else { sent()? < COUNT })
            };
            while !expected()? {
                ensure!(start.elapsed() < Duration::from_secs(5), "{} were read", sent()?);
                thread::sleep(Duration::from_millis(1));
            }
        }
    }
    Ok(())
}

#[test]
fn what_is_dropped_on_its_way_out_is_not_copied() -> Result<()> {
    let _one = OneCpu::share()?;
    let dropped = [
        lay(Veth, &[Tweak::TcDrop(End::Client, Direction::Egress)])?,
        lay(Veth, &[Tweak::FarEndDown])?,
        lay(Ifb, &[])?,
        lay(TunUnopened, &[])?,
    ];
    for path in dropped {
        println!("{:?}", path.layout());
        let to = path.closed_port(Family::V4);
        datagrams(path.client(), to, 1400, NotCopied)?;
        datagrams(path.client(), to, 60_000, Copied)?;
    }
    Ok(())
}

#[test]
fn a_turn_through_an_ifb_changes_nothing() -> Result<()> {
    let _one = OneCpu::share()?;
    for (layout, said) in [(Veth, Copied), (VethXdp, NotCopied)] {
        let path = lay(layout, &[Tweak::ByIfb])?;
        both(&path, said)?;
        assert!(sent_by(path.client(), "ifb0")? > 4 * COUNT);
    }
    Ok(())
}

#[test]
fn a_program_that_pulls_the_packet_copies_it() -> Result<()> {
    let _one = OneCpu::share()?;
    let egress = Tweak::TcPull(End::Client, Direction::Egress);
    both(&lay(VethXdp, &[egress])?, Copied)?;
    both(&lay(Veth, &[Tweak::TcPull(End::Server, Direction::Ingress)])?, Copied)?;
    // Where it leaves by no device that would copy it otherwise.
    let path = lay(Ifb, &[egress])?;
    datagrams(path.client(), path.closed_port(Family::V4), 1400, Copied)
}

#[test]
fn a_slow_device_holds_the_buffer_and_does_not_copy() -> Result<()> {
    let path = lay(VethXdp, &[Tweak::Rate(1_000_000)])?;
    let (streams, packets) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let streams = Options { count: 4, log: true, ..Options::tcp(streams.address()) };
    let truth = send(path.client(), streams)?;
    assert_all(NotCopied, 4, &truth);
    for record in &truth.log {
        let held = record.t_notified.map(|t| (t - record.t_after) / 1_000_000);
        println!("held for {held:?} ms");
        // 16 KiB and its headers; less what the burst lets through at once.
        assert!(held.is_some_and(|ms| (100..400).contains(&ms)));
    }
    let packets = Options { count: 20, ..Options::udp(packets.address()) };
    assert_all(NotCopied, 20, &send(path.client(), packets)?);
    Ok(())
}

#[test]
fn a_datagram_to_a_closed_port_is_copied_and_a_refused_one_takes_no_id() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = lay(Veth, &[])?;
    for family in [Family::V4, Family::V6] {
        let options = Options { count: 40, ..Options::udp(path.closed_port(family)) };
        let truth = send(path.client(), options)?;
        println!("{} sent, {:?}", truth.sends.count, truth.errors);
        let refused = truth.errors.get("ECONNREFUSED").copied().unwrap_or(0);
        assert!(refused > 0);
        assert_all(Copied, 40 - refused, &truth);
        assert_eq!(truth.last_id.map(u64::from), Some(40 - refused - 1));
    }
    Ok(())
}

#[test]
fn without_sg_tx_or_tso_as_the_table_says() -> Result<()> {
    let _one = OneCpu::share()?;
    for layout in [Veth, VethXdp] {
        let without = |feature| lay(layout, &[Tweak::Without(feature)]);
        udp(&without(Feature::ScatterGather)?, Family::V4, Copied)?;
        both(&without(Feature::TxChecksum)?, Copied)?;
    }
    let neither = [Tweak::Without(Feature::Tso), Tweak::Without(Feature::Gso)];
    both(&lay(VethXdp, &neither)?, NotCopied)?;
    both(&lay(Veth, &neither)?, Copied)
}

#[test]
fn a_path_without_such_a_part_can_t_be_changed_so() {
    for (layout, tweak, part) in [
        (Layout::Loopback, Tweak::XdpPass, "cable"),
        (Tun, Tweak::FarEndDown, "cable"),
        (Veth, Tweak::Unread, "tunnel"),
    ] {
        let error = Topology::with(layout, &[tweak]).map(drop).map_err(|error| error.to_string());
        assert_eq!(error, Err(format!("this path can't be changed so: it has no {part}")));
    }
}
