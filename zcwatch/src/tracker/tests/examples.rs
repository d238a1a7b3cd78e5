//! Single stories, for what the properties pass too seldom or cannot say in a word.

use std::net::Ipv4Addr;

use zcwatch_common::mark;

use super::{
    call::{Look, Past},
    kernel::Kernel,
};
use crate::{
    event::{
        DeviceFacts, Event, FailedSend, Protocol, Range, Sent, SocketFacts, SocketId, Way, What,
    },
    host::packet::Sniffer,
    tracker::{
        Tracker,
        evidence::Place,
        latency::{Latency, Summary},
        snapshot::{Counts, Presence, SocketSnapshot},
        socket::LATE,
    },
};

const SOCKET: SocketId = SocketId(7);

/// A tracker that knows one socket.
fn tracker(base: u32) -> Tracker {
    let mut tracker = Tracker::default();
    let facts = Kernel::new(SOCKET.0, Protocol::Tcp, base, &[], false).facts;
    tracker.apply(&Event { ts: 0, what: What::Socket(Box::new(facts)) });
    tracker
}

fn range(lo: u32, hi: u32, copied: bool) -> Range {
    Range { socket: SOCKET, lo, hi, copied, way: Way::default() }
}

fn sent(id: u32) -> What {
    What::Send(Sent {
        socket: SOCKET,
        id,
        id_exact: true,
        bytes: 1,
        errno: None,
        dropped: None,
        entry: None,
        pid: 1,
        tid: 1,
        fd: None,
        more: false,
        before: false,
    })
}

fn tell(tracker: &mut Tracker, story: impl IntoIterator<Item = (u64, What)>) {
    for (ts, what) in story {
        tracker.apply(&Event { ts, what });
    }
}

/// A tracker that was told what a kernel did.
fn fed(base: u32, events: &[Event]) -> Tracker {
    let mut tracker = tracker(base);
    events.iter().for_each(|e| tracker.apply(e));
    tracker
}

/// The summary of one time.
fn times(ns: u64) -> Option<Summary> {
    let mut latency = Latency::default();
    latency.record(ns, 1);
    latency.summary()
}

fn socket(tracker: &mut Tracker) -> SocketSnapshot {
    tracker.snapshot(0, u64::MAX - LATE, true).sockets.remove(0)
}

fn counts(tracker: &mut Tracker) -> Counts {
    socket(tracker).counts
}

#[test]
fn one_flag_for_many_misleads_about_those_merged_into_it() {
    let mut t = tracker(0);
    tell(
        &mut t,
        [
            (10, What::Started(range(0, 0, false))),
            (20, What::Merged(range(1, 2, true))),
            (30, What::Merged(range(3, 3, false))),
            (40, What::Read(range(0, 3, false))),
            (50, What::Started(range(4, 4, true))),
            (60, What::Merged(range(5, 9, false))),
            (70, What::Read(range(4, 9, true))),
        ],
    );
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.misled, c.unread), (3, 7, 2 + 5, 0));
}

#[test]
fn pieces_seen_long_after_their_read_count_once_and_by_their_own_bit() {
    let mut t = tracker(0);
    tell(
        &mut t,
        [
            (100, What::Read(range(0, 9, false))),
            (200 + LATE, What::Merged(range(3, 4, true))),
            (300 + LATE, What::Merged(range(0, 2, false))),
            (400 + LATE, What::Merged(range(5, 9, false))),
            (500 + LATE, What::Merged(range(10, 11, false))),
        ],
    );
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.misled, c.read, c.unread), (2, 10, 2, 10, 2));
}

#[test]
fn a_piece_seen_after_its_read_counts_once_and_has_no_reap_latency() {
    let mut t = tracker(0);
    tell(
        &mut t,
        [
            (10, What::Started(range(0, 0, false))),
            (100, What::Read(range(0, 1, false))),
            (100 + LATE - 1, What::Merged(range(1, 1, true))),
        ],
    );
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.misled, c.read), (1, 1, 1, 2));
    assert_eq!(c.reap.summary().map(|s| (s.count, s.min)), Some((1, 90)));
}

#[test]
fn a_start_told_after_its_read_has_no_reap_latency() {
    let mut t = tracker(0);
    tell(&mut t, [(100, What::Read(range(0, 1, true))), (110, What::Started(range(0, 1, true)))]);
    let c = counts(&mut t);
    assert_eq!((c.copied, c.read, c.reap.summary()), (2, 2, None));
}

#[test]
fn the_way_is_known_whichever_of_start_and_read_took_it() {
    let mut way = Way { first: Some(5), marks: mark::COPIED_AT_SEND, ..Way::default() };
    way.hops[0].device = 3;
    let with = |way| Range { way, ..range(0, 1, true) };
    let none = Way::default();
    for story in [
        [What::Started(with(way)), What::Read(with(none))],
        [What::Started(with(none)), What::Read(with(way))],
        [What::Read(with(none)), What::Started(with(way))],
        [What::Read(with(way)), What::Started(with(none))],
    ] {
        let mut t = tracker(0);
        tell(&mut t, [100, 110].into_iter().zip(story.clone()));
        // The first of them is old enough to conclude from, the second is not.
        let _ = t.snapshot(0, 100 + LATE, false);
        let s = socket(&mut t);
        let places: Vec<_> = s.evidence.iter().map(|(e, g)| (e.place, g.sends)).collect();
        assert_eq!(places, [(Place::AtSend { device: 3 }, 2)], "{story:?}");
    }
}

#[test]
fn nothing_is_concluded_from_a_notification_before_its_pieces_had_their_time() {
    let mut t = tracker(0);
    tell(&mut t, [(10, What::Started(range(0, 4, false)))]);
    let open = |t: &mut Tracker, now| t.snapshot(0, now, false).sockets[0].counts.in_flight;
    assert_eq!(open(&mut t, 10 + LATE - 1), 5);
    assert_eq!(open(&mut t, 10 + LATE), 0);
}

#[test]
fn a_start_told_by_two_processors_counts_once() {
    let mut t = tracker(0);
    tell(
        &mut t,
        [
            (10, What::Started(range(0, 1, true))),
            (11, What::Started(range(0, 2, true))),
            (12, What::Merged(range(2, 2, false))),
            (13, What::Read(range(0, 2, true))),
        ],
    );
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.read, c.misled), (2, 1, 3, 1));
}

#[test]
fn a_notification_behind_which_another_came_at_once_is_found_on_the_queue() {
    let mut kernel = Kernel::new(SOCKET.0, Protocol::Udp, 0, &[], false);
    let mut events = Vec::new();
    for _ in 0..3 {
        kernel.send_plainly(1, &mut events);
    }
    // Id 2 completes first; the probe looks for the start of 0 when 0 is not the tail any more.
    kernel.copy(0);
    kernel.complete(10, 0, Look::Missed, 0, &mut events);
    kernel.complete(10, 1, Look::AtOnce, 0, &mut events);
    let mut t = fed(0, &events);
    assert_eq!(counts(&mut t).completed(), 1);
    let counters = kernel.counters(true);
    tell(&mut t, [(20, What::Counters(Box::new(counters)))]);
    let s = socket(&mut t);
    assert_eq!((s.counts.copied, s.counts.reported, s.counts.in_flight), (1, 1, 1));
    assert_eq!(s.evidence.iter().map(|(_, g)| g.sends).sum::<u64>(), 1);
    // What completes after the look at the queue is ahead of it, and stands.
    let ahead = events.len();
    kernel.complete(30, 0, Look::AtOnce, 0, &mut events);
    events[ahead..].iter().for_each(|e| t.apply(e));
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.in_flight), (0, 2, 1));
}

#[test]
fn a_range_half_before_the_watch_counts_from_its_first_id() {
    let past = [Past { len: 3, copied: true, queued: false }];
    let mut kernel = Kernel::new(SOCKET.0, Protocol::Tcp, u32::MAX - 1, &past, false);
    let mut events = Vec::new();
    assert_eq!(kernel.facts.base, 1);
    kernel.join_plainly(1, &mut events);
    kernel.complete(10, 0, Look::AtOnce, 0, &mut events);
    kernel.read(20, &mut events);
    assert!(matches!(&events[1].what, What::Started(r) if (r.lo, r.hi) == (1, 1)));
    // The probe cuts the ranges, and so does the tracker, for records that were made elsewhere.
    let mut t = tracker(1);
    tell(
        &mut t,
        [
            (1, events[0].what.clone()),
            (5, What::Merged(range(u32::MAX - 9, u32::MAX - 2, true))),
            (10, What::Started(range(u32::MAX - 1, 1, true))),
            (20, What::Read(range(u32::MAX - 1, 1, true))),
        ],
    );
    for tracker in [&mut t, &mut fed(1, &events)] {
        let c = counts(tracker);
        assert_eq!((c.sends, c.copied, c.read, c.in_flight), (1, 1, 1, 0));
        assert_eq!((c.release.summary(), c.reap.summary()), (times(9), times(10)));
    }
    assert_eq!(kernel.counters(true).before, 3);
}

#[test]
fn pieces_that_nobody_reads_are_all_counted_though_not_all_kept_apart() {
    const N: u32 = 10_000;
    let mut t = tracker(0);
    tell(&mut t, [(10, What::Started(range(0, 0, false)))]);
    // Long stretches of one bit, and one short of the other.
    let copied = |id: u32| id.is_multiple_of(1000);
    tell(&mut t, (1..N).map(|id| (u64::from(id) + 10, What::Merged(range(id, id, copied(id))))));
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.unread), (9, 9991, u64::from(N)));
    tell(&mut t, [(20_010, What::Read(range(0, N - 1, false)))]);
    let c = counts(&mut t);
    assert_eq!((c.copied, c.reported, c.unread, c.misled), (9, 9991, 0, 9));
    // Who waited longest was joined to others, and its time is not made up: what is left is the
    // end of the queue.
    let reap = c.reap.summary().unwrap();
    assert!(reap.count < u64::from(N) && (10_001..15_000).contains(&reap.p90), "{reap:?}");
}

#[test]
fn a_socket_described_again_after_billions_of_sends_keeps_its_window() {
    let mut t = tracker(5);
    let facts: SocketFacts = t.snapshot(0, 1, false).sockets[0].facts.clone();
    let third = u32::MAX / 3;
    tell(&mut t, (1..=4).map(|n: u32| (1, sent(5_u32.wrapping_add(third.wrapping_mul(n))))));
    let sends = counts(&mut t).sends;
    assert_eq!(sends, 4 * u64::from(third) + 1);
    tell(&mut t, [(2, What::Socket(Box::new(facts)))]);
    assert_eq!(counts(&mut t).sends, sends);
}

#[test]
fn the_first_id_of_the_window_may_turn_out_lower_than_first_told() {
    let mut t = tracker(0);
    let mut facts: SocketFacts = t.snapshot(0, 1, false).sockets[0].facts.clone();
    facts.base = u32::MAX;
    tell(&mut t, [(1, sent(0)), (2, What::Socket(Box::new(facts)))]);
    assert_eq!(counts(&mut t).sends, 2);
}

#[test]
fn an_error_that_kept_its_id_is_a_send_without_bytes() {
    let mut t = tracker(0);
    let What::Send(ok) = sent(0) else { unreachable!() };
    let failed = Sent { id: 1, bytes: 0, errno: Some(1), ..ok };
    tell(&mut t, [(1, What::Send(ok)), (2, What::Send(failed))]);
    let c = counts(&mut t);
    assert_eq!((c.sends, c.with_error, c.bytes, c.in_flight), (2, 1, 1, 2));
    assert_eq!(c.sizes.summary(), Some((1, 1, 1)));
}

#[test]
fn the_device_is_the_one_that_packets_were_first_seen_on() {
    let mut t = tracker(0);
    let mut way = Way { first: Some(1), ..Way::default() };
    way.hops[0].device = 3;
    way.hops[1].device = 4;
    let facts = DeviceFacts {
        index: 3,
        ifindex: 3,
        netns: 1,
        name: "eth3".into(),
        kind: String::new(),
        mtu: 1500,
        features: 0,
        loopback: false,
        peer_xdp: None,
        heard: Some(false),
    };
    let what = What::Merged(Range { way, ..range(0, 0, false) });
    tell(&mut t, [(1, What::Device(facts)), (2, what)]);
    assert_eq!(socket(&mut t).device, Some(3));
}

fn sniffer(ifindex: u32, inode: u64) -> Sniffer {
    Sniffer { netns: 1, ifindex, inode, pid: None, comm: None }
}

#[test]
fn a_packet_socket_is_remembered_with_the_time_that_it_was_there() {
    let mut t = tracker(0);
    let look = |list, unreadable| What::Sniffers { list, unreadable };
    let presence = |t: &mut Tracker| -> Vec<_> {
        let seen = t.snapshot(0, 0, false).sniffers;
        seen.iter().map(|s| (s.sniffer.ifindex, s.presence)).collect()
    };
    // A sniffer opens its socket before it binds it.
    tell(&mut t, [(10, look(vec![sniffer(0, 8)], vec![]))]);
    tell(&mut t, [(20, look(vec![sniffer(2, 8)], vec![]))]);
    assert_eq!(presence(&mut t), [(0, Presence::Between(10, 20)), (2, Presence::Since(20))]);
    // A namespace that cannot be read for once says nothing.
    tell(&mut t, [(30, look(vec![], vec![1]))]);
    assert_eq!(presence(&mut t)[1], (2, Presence::Since(20)));
    tell(&mut t, [(40, look(vec![], vec![]))]);
    assert_eq!(presence(&mut t)[1], (2, Presence::Between(20, 40)));
    tell(&mut t, [(50, look(vec![sniffer(2, 8)], vec![]))]);
    assert_eq!(presence(&mut t)[1], (2, Presence::Since(20)));
}

#[test]
fn totals_are_the_sums_of_all_sockets() {
    let mut t = tracker(0);
    let mut other = Kernel::new(8, Protocol::Udp, 9, &[], false).facts;
    other.remote = other
        .remote
        .map(|r| crate::event::Endpoint { addr: Ipv4Addr::new(10, 0, 0, 9).into(), ..r });
    let range =
        |lo, hi, copied| What::Merged(Range { socket: SocketId(8), ..range(lo, hi, copied) });
    tell(
        &mut t,
        [
            (1, What::Socket(Box::new(other))),
            (2, sent(0)),
            (3, range(9, 11, true)),
            (4, What::Merged(self::range(0, 0, false))),
            (5, What::Closed { socket: SOCKET }),
        ],
    );
    let all = t.snapshot(0, 6, true).totals();
    assert_eq!((all.sends, all.copied, all.reported, all.unread), (4, 3, 1, 4));
    assert_eq!(all.release.summary().map(|s| (s.count, s.max)), Some((1, 2)));
}

#[test]
fn a_full_send_buffer_does_not_hide_a_limit() {
    let failed = |errno| {
        What::Failed(FailedSend {
            socket: SOCKET,
            errno,
            pid: 1,
            tid: 1,
            fd: None,
            optmem_used: 0,
            optmem_max: None,
            memlock_used: 0,
            memlock_limit: None,
            limit: None,
        })
    };
    let mut t = tracker(0);
    tell(&mut t, [(10, failed(libc::EAGAIN))]);
    assert_eq!(socket(&mut t).last_failure.unwrap().errno, libc::EAGAIN);
    tell(&mut t, [(20, sent(0)), (30, failed(libc::ENOBUFS)), (40, failed(libc::EAGAIN))]);
    let s = socket(&mut t);
    assert_eq!(s.last_failure.unwrap().errno, libc::ENOBUFS);
}

#[test]
fn first_and_last_completion_are_of_all_that_completed() {
    let mut t = tracker(0);
    assert_eq!(socket(&mut t).last_completion, None);
    tell(
        &mut t,
        [
            (10, What::Started(range(0, 0, false))),
            (20, What::Merged(range(1, 2, true))),
            (30, What::Read(range(0, 2, false))),
        ],
    );
    let s = socket(&mut t);
    assert_eq!((s.first_completion, s.last_completion), (Some(10), Some(20)));
}
