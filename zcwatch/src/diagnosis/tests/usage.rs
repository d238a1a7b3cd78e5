//! Is zerocopy used, was it given up, and how does the application wait?

use super::{
    findings::{findings, ids, only},
    scene::{Burst, ETH0, ETH1, LO, Scene, at_send, delivered, out, tapped},
};
use crate::{
    diagnosis::{Context, FindingId, Severity, diagnose},
    event::{Losses, SocketId},
    probe::hooks::Certainty,
};

const SECOND: u64 = 1_000_000_000;

#[test]
fn large_sends_without_the_flag_are_told_with_who_sends_them() {
    let f = only(
        &Scene::idle()
            .process(812, "iperf3")
            .plain(812, 1240, Some(5))
            .wait(10 * SECOND)
            .snapshot(),
    );
    assert_eq!(
        f.sentence,
        "no MSG_ZEROCOPY send seen in 10.0 s: 1 240 sends of 10 KB or more by iperf3 (pid 812) \
         went without the flag"
    );
    assert_eq!(
        f.evidence,
        "the flags of each send were looked at, the last on fd 5; those of io_uring and of 32-bit \
         programs cannot be"
    );
    assert_eq!(
        f.remedies,
        ["int one = 1; setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)); then send(fd, \
          buf, len, MSG_ZEROCOPY);"]
    );
    assert_eq!((f.id, f.severity), (FindingId::NeverUsed, Severity::Warning));
    assert_eq!((f.sockets.len(), f.certainty), (0, Certainty::Measured));
}

#[test]
fn a_hundred_large_sends_are_needed_and_none_with_the_flag() {
    let plain = |n| Scene::new().plain(10, n, None);
    assert_eq!(ids(&plain(99).snapshot()), Vec::<&str>::new());
    assert_eq!(ids(&plain(100).snapshot()), ["never-used"]);
    for (asked, names) in [
        (plain(100).sends(Burst::of(1, out(ETH0))), vec![]),
        (plain(100).counters(|c| c.ignored = 1), vec!["flag-ignored"]),
        (plain(100).counters(|c| c.failed_other = 1), vec![]),
        (plain(100).counters(|c| c.before = 1), vec![]),
        (plain(100).io_uring(10, 3, 1), vec![]),
        (plain(100).losses(Losses { sockets: 1, ..Losses::default() }), vec![]),
    ] {
        assert_eq!(ids(&asked.snapshot()), names);
    }
}

#[test]
fn each_process_is_told_the_busiest_first() {
    let scene = Scene::idle().process(1, "a\x1b").plain(1, 100, None).plain(2, 300, None);
    let all = findings(&scene.plain(3, 99, None).snapshot());
    let by: Vec<_> = all
        .iter()
        .map(|f| f.sentence.split(" by ").nth(1).unwrap().split(" went").next())
        .collect();
    assert_eq!(by, [Some("pid 2"), Some(r"a\u{1b} (pid 1)")]);
}

#[test]
fn sends_on_a_socket_that_is_watched_count_if_they_are_large_on_average() {
    let scene = |bytes| {
        Scene::new().plain(10, 40, None).counters(|c| {
            c.plain = 60;
            c.plain_bytes = bytes;
        })
    };
    let f = only(&scene(600_000).snapshot());
    assert!(f.sentence.contains(": 100 sends of 10 KB or more by sender (pid 10)"), "{f:?}");
    assert_eq!((f.certainty, f.sockets), (Certainty::Inferred, vec![SocketId(1)]));
    assert_eq!(
        f.remedies,
        ["SO_ZEROCOPY is set on tcp 10.0.0.4:41822 → 10.0.0.9:4444: pass MSG_ZEROCOPY with each \
          large send too."]
    );
    assert_eq!(ids(&scene(599_999).snapshot()), Vec::<&str>::new());
}

/// Sends of 20 KB, then as many without the flag, of this size.
fn giving_up(burst: Burst, plain: u64, bytes: u64) -> Scene {
    let n = u64::from(burst.count);
    Scene::new().sends(burst).counters(|c| {
        (c.sends, c.bytes) = (n, n * 20_000);
        c.reads = if burst.copied { [0, n] } else { [n, 0] };
        c.unread = Some([0, 0]);
        c.notifications_read = n;
        (c.plain, c.plain_run, c.plain_bytes) = (plain, plain, plain * bytes);
    })
}

#[test]
fn giving_up_after_a_copy_is_told_with_its_cause() {
    let copied = Burst::copied(1, delivered(LO, LO));
    let f = only(&giving_up(copied, 240, 20_000).snapshot());
    assert_eq!(
        f.sentence,
        "gave up after 1 send on tcp 10.0.0.4:41822 → 10.0.0.9:4444, which was copied (delivered \
         on this host): 240 sends without the flag since"
    );
    assert_eq!(
        f.evidence,
        "the kernel's document advises so: a send that is copied all the same costs more than one \
         without the flag"
    );
    assert_eq!(
        f.remedies,
        ["Zerocopy never helps between processes of one host: use plain send for local peers."]
    );
    assert_eq!((f.id, f.severity), (FindingId::GaveUp, Severity::Note));
    assert_eq!((f.cause, f.certainty), (Some("local_delivery"), Certainty::Inferred));
}

#[test]
fn where_packets_cannot_be_followed_giving_up_has_no_cause() {
    let blind = Context { places_unknown: true, ..super::scene::context() };
    let snapshot = giving_up(Burst::copied(1, delivered(LO, LO)), 240, 20_000).snapshot();
    let f = diagnose(&snapshot, &blind).remove(0);
    assert!(f.sentence.ends_with("which was copied: 240 sends without the flag since"), "{f:?}");
    assert_eq!((f.cause, f.remedies.len()), (None, 0));
}

#[test]
fn what_looks_like_giving_up_and_is_not() {
    let copied = Burst::copied(1, delivered(LO, LO));
    for (scene, holds) in [
        (giving_up(copied, 100, 20_000), true),
        (giving_up(copied, 99, 20_000), false),
        // No copy was a reason to.
        (giving_up(Burst::of(1, out(ETH0)), 240, 20_000), false),
        // Small messages between large ones.
        (giving_up(copied, 240, 10_000), true),
        (giving_up(copied, 240, 9_999), false),
    ] {
        assert_eq!(ids(&scene.snapshot()), if holds { vec!["gave-up"] } else { vec![] });
    }
}

#[test]
fn giving_up_says_how_many_were_copied() {
    for (first, second, said) in [
        (
            Burst::copied(3, at_send(ETH0)),
            None,
            "3 sends on tcp 10.0.0.4:41822 → 10.0.0.9:4444, which were copied (by",
        ),
        (
            Burst::copied(3, tapped(ETH0)),
            Some(Burst::of(2, out(ETH0))),
            "5 sends on tcp 10.0.0.4:41822 → 10.0.0.9:4444, of which 3 were copied (handed to",
        ),
    ] {
        let scene = Scene::new().sends(first);
        let scene = second.into_iter().fold(scene, Scene::sends);
        let n = 3 + second.map_or(0, |b| u64::from(b.count));
        let scene = scene.counters(|c| {
            (c.sends, c.bytes, c.reads) = (n, n * 20_000, [n - 3, 3]);
            c.unread = Some([0, 0]);
            (c.plain, c.plain_run, c.plain_bytes) = (100, 100, 2_000_000);
        });
        let f = only(&scene.snapshot());
        assert!(f.sentence.starts_with(&format!("gave up after {said}")), "{}", f.sentence);
    }
}

/// Each is read 90 µs after it began, 85 µs after its call returned.
fn one_by_one(n: u32, pause: u64) -> Scene {
    Scene::new().sends(Burst::of(n, out(ETH0)).early().release(60_000).pause(pause))
}

#[test]
fn who_waits_for_each_notification_is_told() {
    let f = only(&one_by_one(40, 0).snapshot());
    assert_eq!(
        f.sentence,
        "one send in flight on tcp 10.0.0.4:41822 → 10.0.0.9:4444: each waits for its own \
         notification, 95 % of the time"
    );
    assert_eq!(
        f.evidence,
        "no send returned before the notification of the one before it was read; release p50 60 \
         µs; read after p50 30 µs"
    );
    assert_eq!(
        f.remedies,
        ["Send on from other buffers, and read notifications when poll shows POLLERR: a buffer \
          must rest until its notification, the socket need not."]
    );
    assert_eq!((f.id, f.severity), (FindingId::OneInFlight, Severity::Warning));
    assert_eq!((f.cause, f.certainty), (None, Certainty::Measured));
}

#[test]
fn who_waits_for_less_than_half_of_the_time_does_not_wait() {
    // n × 85 µs of waiting in n × 85 + (n - 1) × (5 + pause).
    let half = |n: u64| n * 85_000 / (n - 1) - 5_000;
    assert_eq!(ids(&one_by_one(10, half(10)).snapshot()), ["one-in-flight"]);
    assert_eq!(ids(&one_by_one(10, half(10) + 1).snapshot()), ["healthy"]);
    // Whose notification is ready for most of that time reads late: what it waits for is not that.
    let late = Scene::new().sends(Burst::of(40, out(ETH0)).early());
    assert_eq!(ids(&late.snapshot()), ["healthy"]);
    // Fewer than ten sends say nothing.
    assert_eq!(ids(&one_by_one(9, 0).snapshot()), Vec::<&str>::new());
    // Two in flight even once are more than one.
    let two = Scene::new().crossed(out(ETH0)).sends(Burst::of(40, out(ETH0)).early());
    assert_eq!(ids(&two.snapshot()), ["out-of-order"]);
}

/// Sends of 20 KB that come back after this time, over a connection with this round trip.
fn released(n: u32, bytes: u32, release: u64, rtt: Option<u64>) -> Scene {
    let burst = Burst::of(n, out(ETH0)).bytes(bytes).release(release);
    Scene::new().sends(burst).counters(|c| {
        let n = u64::from(n);
        (c.sends, c.bytes, c.reads) = (n, n * u64::from(bytes), [n, 0]);
        c.unread = Some([0, 0]);
        c.notifications_read = n;
        c.srtt = rtt;
    })
}

#[test]
fn buffers_that_come_back_late_are_told_with_what_they_may_wait_for() {
    let f = only(&released(100, 20_000, 137_000_000, Some(96_000)).snapshot());
    assert_eq!(
        f.sentence,
        "release p99 137 ms (p50 137 ms, RTT 96 µs) on tcp 10.0.0.4:41822 → 10.0.0.9:4444: waits \
         for the peer's ACK, a queue on eth0, or the receiver's window"
    );
    assert_eq!(f.evidence, "TCP keeps a buffer until the peer has acknowledged all of it");
    assert_eq!(
        f.remedies,
        [
            "Keep more buffers, so that sends need not wait for the release of others.",
            "tc -s qdisc show dev eth0",
        ]
    );
    assert_eq!((f.id, f.severity), (FindingId::SlowRelease, Severity::Warning));
    assert_eq!(f.certainty, Certainty::Inferred);
}

#[test]
fn late_is_after_ten_milliseconds_or_twenty_round_trips() {
    let (ms, us) = (1_000_000, 1000);
    for (release, rtt, late) in [
        (10 * ms, None, false),
        (10 * ms + 1, None, true),
        (8 * ms, Some(400 * us), false),
        (8 * ms + 1, Some(400 * us), true),
        // Twenty round trips of a local link are a scheduler's moment.
        (5 * ms, Some(10 * us), false),
        (5 * ms + 1, Some(10 * us), true),
        (10 * ms, Some(100 * ms), false),
    ] {
        let names = ids(&released(100, 20_000, release, rtt).snapshot());
        assert_eq!(names, [if late { "slow-release" } else { "healthy" }], "{release} {rtt:?}");
    }
    assert_eq!(ids(&released(9, 20_000, SECOND, None).snapshot()), Vec::<&str>::new());
}

#[test]
fn one_late_buffer_of_a_few_is_an_anecdote() {
    let scene = |quick, late| {
        Scene::new()
            .sends(Burst::of(quick, out(ETH0)))
            .sends(Burst::of(late, out(ETH0)).release(20_000_000))
            .snapshot()
    };
    assert_eq!(ids(&scene(98, 1)), ["healthy"]);
    assert_eq!(ids(&scene(89, 10)), ["slow-release"]);
    assert_eq!(ids(&scene(98, 2)), ["slow-release"]);
    assert_eq!(ids(&scene(99, 1)), ["healthy"]);
}

#[test]
fn a_delayed_acknowledgement_is_known_by_its_time() {
    let ms = 1_000_000;
    let small = |release, rtt| {
        let all = findings(&released(100, 13, release, rtt).snapshot());
        assert_eq!(all[0].id, FindingId::SlowRelease, "{all:?}");
        all.into_iter().next().unwrap()
    };
    let f = small(40 * ms, Some(96_000));
    assert_eq!(
        f.sentence,
        "release p99 40 ms (p50 40 ms, RTT 96 µs) on tcp 10.0.0.4:41822 → 10.0.0.9:4444: waits \
         for the peer's delayed ACK; median send 13 B"
    );
    assert_eq!(
        f.remedies,
        [
            "Use plain send for small messages: their buffers are free at once.",
            "or let the peer acknowledge at once (TCP_QUICKACK there)",
        ]
    );
    let delayed = |f: &crate::diagnosis::Finding| f.sentence.contains("delayed ACK");
    assert!(delayed(&small(38 * ms, None)) && delayed(&small(48 * ms, None)));
    assert!(!delayed(&small(37 * ms, None)) && !delayed(&small(49 * ms, None)));
    assert!(!delayed(&small(40 * ms, Some(20 * ms))), "the round trip explains it");
    let large = only(&released(100, 10_000, 40 * ms, None).snapshot());
    assert!(!delayed(&large), "two full segments are acknowledged at once");
}

#[test]
fn a_long_way_is_no_queue() {
    let f = only(&released(100, 20_000, 120_000_000, Some(60_000_000)).snapshot());
    assert!(f.sentence.ends_with("RTT 60 ms) on tcp 10.0.0.4:41822 → 10.0.0.9:4444: waits for the round trip: no ACK comes sooner"), "{}", f.sentence);
    let f = only(&released(100, 20_000, 122_000_000, Some(60_000_000)).snapshot());
    assert!(f.sentence.ends_with("or the receiver's window"), "{}", f.sentence);
}

#[test]
fn datagrams_wait_for_the_device_only() {
    let burst = Burst::of(20, out(ETH1)).release(126_000_000);
    let f = only(&Scene::new().udp().sends(burst).snapshot());
    assert!(f.sentence.ends_with(": waits for a queue on eth1, or for its driver"), "{f:?}");
    assert_eq!(f.evidence, "a datagram's buffer comes back when the device has sent it");
    assert!(f.remedies[0].starts_with("tc -s qdisc show dev eth1"), "{f:?}");
}

#[test]
fn notifications_in_another_order_are_told() {
    let scene = (0..3).fold(Scene::new(), |s, _| s.crossed(out(ETH0)));
    let snapshot = scene.sends(Burst::of(3, out(ETH0))).snapshot();
    let f = &findings(&snapshot)[0];
    assert_eq!(f.sentence, "notifications out of order: 3 of 9 read after one with later ids");
    assert_eq!(
        f.evidence,
        "sends complete when the last of their packets is freed, and that is not always in the \
         order in which they were sent"
    );
    assert_eq!(
        f.remedies,
        [
            "Release the buffers of the ids that a notification names, ee_info to ee_data, and of no \
          others."
        ]
    );
    assert_eq!((f.id, f.severity), (FindingId::OutOfOrder, Severity::Warning));
    assert_eq!(f.certainty, Certainty::Measured);
    assert_eq!(ids(&Scene::new().sends(Burst::of(9, out(ETH0))).snapshot()), Vec::<&str>::new());
}

fn without(names: &[FindingId]) -> Context {
    Context { ignored: names.to_vec(), ..super::scene::context() }
}

#[test]
fn what_is_ignored_is_left_out_and_healthy_says_so() {
    let snapshot = Scene::new()
        .sends(Burst::of(80, out(ETH0)).bytes(100))
        .sends(Burst::copied(20, delivered(LO, LO)).bytes(100))
        .snapshot();
    let said = |ignored: &[FindingId]| -> Vec<String> {
        diagnose(&snapshot, &without(ignored)).into_iter().map(|f| f.sentence).collect()
    };
    use FindingId::{Copied, Healthy, Misled, SmallSends};
    assert_eq!(ids(&snapshot), ["copied", "small-sends"]);
    assert_eq!(said(&[SmallSends]).len(), 1);
    assert_eq!(
        said(&[SmallSends, Copied, Misled]),
        ["healthy but for what was ignored (copied, small-sends): 100 sends completed, 20 copied \
          (20 %)"]
    );
    assert_eq!(said(&[SmallSends, Copied, Healthy]), Vec::<String>::new());
    // Each is named once.
    let two = Scene::new()
        .sends(Burst::copied(20, delivered(LO, LO)))
        .sends(Burst::copied(20, at_send(ETH0)))
        .snapshot();
    let all = diagnose(&two, &without(&[Copied]));
    assert_eq!(
        all[0].sentence,
        "healthy but for what was ignored (copied): 40 sends completed, 40 copied (100 %)"
    );
    // What does not hold was not ignored.
    let well = Scene::new().sends(Burst::of(20, out(ETH0))).snapshot();
    let all = diagnose(&well, &without(&[Copied, SmallSends]));
    assert_eq!(all[0].sentence, "healthy: 20 sends completed, 0 copied");
}

#[test]
fn healthy_says_what_was_copied_all_the_same() {
    let f = |copied, intact| {
        let scene = Scene::new().sends(Burst::copied(copied, delivered(LO, LO)));
        only(&scene.sends(Burst::of(intact, out(ETH0))).snapshot()).evidence
    };
    let secret = "and no packet was seen to take a way that copies in secret";
    assert_eq!(f(0, 100), format!("no copy was reported, {secret}"));
    assert_eq!(f(1, 99), format!("1 copy was reported, {secret}"));
    assert_eq!(f(4, 96), format!("4 copies were reported, {secret}"));
    let way = super::scene::marked(out(ETH0), zcwatch_common::mark::GSO_WITHOUT_SG);
    let hidden = Scene::new().sends(Burst::of(20, way)).snapshot();
    let all = diagnose(&hidden, &without(&[FindingId::HiddenCopy]));
    assert_eq!(
        all[0].evidence,
        "no copy was reported, and 20 sends took a way that copies in secret"
    );
}

#[test]
fn nobody_is_healthy_by_ignoring_what_was_not_seen() {
    let losses = Losses { events: 1, ..Losses::default() };
    let snapshot =
        Scene::new().sends(Burst::copied(20, delivered(LO, LO))).losses(losses).snapshot();
    assert!(diagnose(&snapshot, &without(&[FindingId::Copied])).is_empty());
}
