//! Which calls take ids, and what notifications say of them.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use zcwatch::lab::{
    Direction, End, Family, Layout, Topology, Tweak, UdpSink,
    sender::{Api, Coalesce, Drain, Options},
};

use super::{Copied, NotCopied, assert_all, send};

#[test]
fn four_threads_and_a_busy_reader_lose_no_id() -> Result<()> {
    for layout in [Layout::Loopback, Layout::VethXdp] {
        let said = if layout == Layout::Loopback { Copied } else { NotCopied };
        let path = Topology::new(layout)?;
        let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
        for options in [Options::tcp(tcp.address()), Options::udp(udp.address())] {
            let busy = Options { threads: 4, count: 2000, drain: Drain::BusyReader, ..options };
            let truth = send(path.client(), busy)?;
            println!("{layout:?} {:?}: {} notifications", truth.protocol, truth.notifications);
            // Threads' completions out of order don't merge. While the reader is off its CPU
            // they fill optmem, so some sends may be refused: those have taken no id.
            let refused = truth.errors.get("ENOBUFS").copied().unwrap_or(0);
            assert_all(said, 8000 - refused, &truth);
            assert_eq!(truth.first_id, Some(0));
            assert_eq!(truth.last_id.map(u64::from), Some(truth.sends.count - 1));
        }
    }
    Ok(())
}

#[test]
fn four_threads_that_each_drain_lose_no_id() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let options = Options { threads: 4, count: 500, ..Options::tcp(sink.address()) };
    assert_all(Copied, 2000, &send(path.client(), options)?);
    Ok(())
}

#[test]
fn a_merged_notification_says_of_all_what_held_for_the_first() -> Result<()> {
    let path = Topology::new(Layout::ForwardedDrop)?;
    let dropped = SocketAddr::new(path.server_ip(Family::V4), 9);
    let router_ip = path.router_ip(Family::V4).context("no router")?;
    let router = path.router().context("no router")?;
    let delivered = UdpSink::start(router, SocketAddr::new(router_ip, 0))?.address();
    for (first, second, copied) in [(dropped, delivered, false), (delivered, dropped, true)] {
        let options = Options {
            destinations: vec![first, second],
            api: Api::Sendto,
            count: 6,
            drain: Drain::AtEnd,
            log: true,
            ..Options::udp(first)
        };
        let truth = send(path.client(), options)?;
        let said: Vec<_> =
            truth.notification_log.iter().map(|said| (said.lo, said.hi, said.copied)).collect();
        assert_eq!(said, [(0, 5, copied)], "of three copied and three not");
    }
    Ok(())
}

#[test]
fn the_same_six_read_one_by_one_are_told_apart() -> Result<()> {
    let path = Topology::new(Layout::ForwardedDrop)?;
    let dropped = SocketAddr::new(path.server_ip(Family::V4), 9);
    let router_ip = path.router_ip(Family::V4).context("no router")?;
    let router = path.router().context("no router")?;
    let sink = UdpSink::start(router, SocketAddr::new(router_ip, 0))?;
    let options = Options {
        destinations: vec![dropped, sink.address()],
        api: Api::Sendmsg,
        count: 6,
        log: true,
        ..Options::udp(dropped)
    };
    let truth = send(path.client(), options)?;
    let said: Vec<_> = truth.log.iter().map(|record| record.copied).collect();
    assert_eq!(said, [false, true, false, true, false, true].map(Some));
    Ok(())
}

#[test]
fn every_call_takes_one_id_a_message() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let (tcp, udp) = (path.tcp_sink(Family::V6)?, path.udp_sink(Family::V6)?);
    for api in [Api::Send, Api::Sendto, Api::Sendmsg, Api::Sendmmsg] {
        println!("{api:?}");
        for options in [Options::tcp(tcp.address()), Options::udp(udp.address())] {
            let options = Options { api, batch: 8, count: 50, log: true, ..options };
            let truth = send(path.client(), options)?;
            assert_all(NotCopied, 50, &truth);
            assert!(truth.log.iter().all(|record| record.copied == Some(false)));
            assert!(truth.log.iter().all(|record| record.t_before <= record.t_after));
        }
        if api != Api::Send {
            let options = Options { api, unconnected: true, ..Options::udp(udp.address()) };
            let truth = send(path.client(), options)?;
            assert_all(NotCopied, 100, &truth);
            assert_eq!(truth.remote, None);
        }
    }
    Ok(())
}

#[test]
fn a_batch_goes_on_after_the_message_it_stopped_at() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.udp_sink(Family::V4)?;
    for (batch, count) in [(4, 16), (8, 16), (16, 15)] {
        println!("{count} in batches of {batch}");
        let sizes = vec![1400, 1400, 1400, 70_000];
        let options =
            Options { sizes, api: Api::Sendmmsg, batch, count, ..Options::udp(sink.address()) };
        let truth = send(path.client(), options)?;
        let refused = count / 4;
        assert_all(Copied, count - refused, &truth);
        assert_eq!(truth.errors.get("EMSGSIZE"), Some(&refused));
        assert_eq!(truth.sends_with_error, 0);
    }
    Ok(())
}

/// A batch that has sent something says nothing of the message that it stopped at. That one is
/// sent again, and has taken an id before.
#[test]
fn a_message_that_ends_a_batch_may_keep_its_id() -> Result<()> {
    let path = Topology::with(Layout::Veth, &[Tweak::TcDrop(End::Client, Direction::Egress)])?;
    let dropped = path.closed_port(Family::V4);
    let here = UdpSink::start(path.client(), SocketAddr::from(([127, 0, 0, 1], 0)))?;
    let options = Options {
        destinations: vec![here.address(), dropped],
        api: Api::Sendmmsg,
        batch: 4,
        count: 12,
        recverr: true,
        log: true,
        ..Options::udp(dropped)
    };
    let truth = send(path.client(), options)?;
    assert_eq!((truth.sends.count, truth.sends_with_error, truth.notified), (6, 12, 18));
    assert_eq!(truth.errors.get("ENOBUFS"), Some(&6));
    let said: Vec<_> = truth.log.iter().map(|record| record.copied).collect();
    // The first two are in one notification, which says of both what held for the first.
    assert_eq!(said, [true, true, false].map(Some).repeat(6));
    assert!(truth.log.iter().map(|record| record.id).eq((0..18).map(Some)));
    Ok(())
}

#[test]
fn messages_of_one_datagram_take_an_id_each_and_are_copied() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.udp_sink(Family::V4)?;
    for coalesce in [Coalesce::MsgMore, Coalesce::UdpCork] {
        println!("{coalesce:?}");
        let options = Options::udp(sink.address());
        let options = Options { coalesce, sizes: vec![300], batch: 4, count: 42, ..options };
        assert_all(Copied, 42, &send(path.client(), options)?);
    }
    Ok(())
}

#[test]
fn sizes_take_turns() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let options = Options { sizes: vec![100, 5000], count: 5, ..Options::tcp(sink.address()) };
    let truth = send(path.client(), options)?;
    assert_eq!((truth.sends.min, truth.sends.max), (Some(100), Some(5000)));
    assert_eq!(truth.sends.bytes, 3 * 100 + 2 * 5000);
    Ok(())
}

#[test]
fn without_so_zerocopy_or_the_flag_no_id_is_taken() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for options in [Options::tcp(tcp.address()), Options::udp(udp.address())] {
        let ignored = send(path.client(), Options { no_so_zerocopy: true, ..options.clone() })?;
        assert_eq!((ignored.ids(), ignored.ignored.count, ignored.notified), (0, 100, 0));
        assert!(!ignored.so_zerocopy);

        let given_up = send(path.client(), Options { flagged: 10, ..options })?;
        assert_all(Copied, 10, &given_up);
        assert_eq!(given_up.plain.count, 90);
    }
    Ok(())
}
