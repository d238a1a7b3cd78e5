//! What the sender's options do.

use std::{
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Family,
    Layout::{Veth, VethXdp},
    Reading, TcpSink, Topology, Tweak,
    sender::{Api, Drain, ExtensionHeader, Options, Timestamps, Truth},
};
use zcwatch_tests::cpu::OneCpu;

use super::{Copied, NotCopied, assert_all, send};

const COUNT: u64 = 20;

#[test]
fn timestamps_that_bring_the_packet_along_copy_it() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = Topology::new(VethXdp)?;
    for family in [Family::V4, Family::V6] {
        let (tcp, udp) = (path.tcp_sink(family)?, path.udp_sink(family)?);
        for (timestamps, said) in [
            (Timestamps::Off, NotCopied),
            (Timestamps::WithPayload, Copied),
            (Timestamps::Only, NotCopied),
        ] {
            for options in [Options::tcp(tcp.address()), Options::udp(udp.address())] {
                println!("{family:?} {:?} {timestamps:?}", options.protocol);
                let options = Options { timestamps, count: COUNT, ..options };
                let truth = send(path.client(), options)?;
                assert_all(said, COUNT, &truth);
                let stamped = timestamps != Timestamps::Off;
                assert_eq!(truth.timestamps >= COUNT, stamped, "{truth:?}");
                assert_eq!(truth.notifications, COUNT, "{truth:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn datagrams_with_an_extension_header_are_copied_at_send() -> Result<()> {
    let _one = OneCpu::share()?;
    let path = Topology::new(VethXdp)?;
    let (tcp, udp) = (path.tcp_sink(Family::V6)?, path.udp_sink(Family::V6)?);
    for header in [ExtensionHeader::HopByHop, ExtensionHeader::Destination] {
        println!("{header:?}");
        let extension_header = Some(header);
        let datagrams = Options { extension_header, count: COUNT, ..Options::udp(udp.address()) };
        assert_all(Copied, COUNT, &send(path.client(), datagrams)?);
        let stream = Options { extension_header, count: COUNT, ..Options::tcp(tcp.address()) };
        assert_all(NotCopied, COUNT, &send(path.client(), stream)?);
    }
    Ok(())
}

#[test]
fn what_does_not_wait_is_taken_in_part_or_refused() -> Result<()> {
    const SIZE: usize = 1 << 18;
    let path = Topology::new(Veth)?;
    let address = SocketAddr::new(path.server_ip(Family::V4), 0);
    let slowly = Reading::Slowly(Duration::from_millis(1));
    let sink = TcpSink::start(path.server(), address, slowly)?;
    let options = Options {
        sizes: vec![SIZE],
        count: 200,
        nonblocking: true,
        drain: Drain::AtEnd,
        delay: Duration::from_micros(200),
        ..Options::tcp(sink.address())
    };
    let truth = send(path.client(), options)?;
    println!("{:?}, {:?}", truth.sends, truth.errors);
    let refused = truth.errors.get("EAGAIN").copied().unwrap_or(0);
    assert_eq!(truth.sends.count + refused, 200);
    assert!(refused > 0);
    assert!(truth.sends.min < Some(SIZE as u64), "none was taken in part");
    assert_all(Copied, truth.sends.count, &truth);
    let start = Instant::now();
    while sink.received() != truth.sends.bytes {
        let received = sink.received();
        ensure!(start.elapsed() < Duration::from_secs(10), "{received} received of {truth:?}");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// How many of the earlier messages were not notified when each was sent.
fn in_flight(truth: &Truth) -> Result<Vec<usize>> {
    let notified: Option<Vec<u64>> = truth.log.iter().map(|record| record.t_notified).collect();
    let notified = notified.context("not all were notified")?;
    let open = |(turn, at): (usize, u64)| notified[..turn].iter().filter(|&&t| t > at).count();
    Ok(truth.log.iter().map(|record| record.t_before).enumerate().map(open).collect())
}

/// Of datagrams, which complete one by one as they leave: a stream's are acknowledged several at
/// a time.
#[test]
fn a_window_is_filled_and_never_exceeded() -> Result<()> {
    let path = Topology::with(VethXdp, &[Tweak::Rate(1_000_000)])?;
    let sink = path.udp_sink(Family::V4)?;
    for (window, count) in [(1, 10), (4, 40)] {
        let drain = Drain::Window;
        let options = Options { window, drain, count, log: true, ..Options::udp(sink.address()) };
        let truth = send(path.client(), options)?;
        assert_all(NotCopied, count, &truth);
        let open = in_flight(&truth)?;
        println!("{open:?}");
        assert_eq!(open.iter().max(), Some(&(window as usize - 1)));
        // It is kept full: were it emptied each time, every fourth message would find none.
        let alone = open.iter().filter(|&&open| open == 0).count();
        assert!(window == 1 || alone < 7, "{open:?}");
    }
    Ok(())
}

#[test]
fn the_flag_is_passed_as_the_options_say() -> Result<()> {
    let path = Topology::new(Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    let options = || Options { count: 150, ..Options::tcp(sink.address()) };
    let some = Options { plain_first: 3, flag_every: 5, flagged: 4, ..options() };
    for (options, flagged) in [
        (Options { plain_first: 100, ..options() }, 50),
        (Options { flag_every: 10, ..options() }, 15),
        (some, 4),
        // Never used.
        (Options { flagged: 0, ..options() }, 0),
        // Gave up.
        (Options { give_up_after: 3, ..options() }, 3),
    ] {
        let truth = send(path.client(), options)?;
        assert_all(Copied, flagged, &truth);
        assert_eq!((truth.plain.count, truth.errors.len()), (150 - flagged, 0));
    }
    Ok(())
}

#[test]
fn nobody_gives_up_what_is_not_copied() -> Result<()> {
    let path = Topology::new(VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let options = Options { give_up_after: 1, ..Options::tcp(sink.address()) };
    assert_all(NotCopied, 100, &send(path.client(), options)?);
    Ok(())
}

#[test]
fn one_destination_may_complete_long_after_another() -> Result<()> {
    let path = Topology::new(Veth)?;
    // Three requests in vain, not a second apart.
    path.client().set_sysctl("net/ipv4/neigh/client0/retrans_time_ms", "100")?;
    let sink = path.udp_sink(Family::V4)?;
    let nobody = SocketAddr::new(path.nobody_ip(Family::V4).context("no network")?, 9);
    let options = Options {
        destinations: vec![nobody, sink.address()],
        api: Api::Sendto,
        count: 6,
        drain: Drain::AtEnd,
        log: true,
        ..Options::udp(nobody)
    };
    let truth = send(path.client(), options)?;
    let said: Vec<_> = truth.log.iter().map(|record| record.copied).collect();
    assert_eq!(said, [false, true, false, true, false, true].map(Some));
    let order: Vec<_> = truth.notification_log.iter().map(|said| said.lo).collect();
    println!("{order:?}");
    assert_eq!(order, [1, 3, 5, 0, 2, 4]);
    Ok(())
}
