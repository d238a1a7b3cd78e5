//! What buffers that come back late wait for, where the times on the way say it.

use super::scene::{Burst, ETH0, Scene, context, out};
use crate::{
    diagnosis::{Finding, FindingId, diagnose},
    event::Counters,
    probe::hooks::Certainty::{self, Inferred, Measured},
};

const MS: u64 = 1_000_000;

/// A hundred sends that take 100 ms each: so long before the queue, and in it.
fn slow(scene: Scene, before: u64, queued: u64, change: impl FnOnce(&mut Counters)) -> Finding {
    let burst = Burst::of(100, out(ETH0)).release(100 * MS).early().on_the_way(before, queued);
    let snapshot = scene
        .sends(burst)
        .counters(|c| {
            (c.sends, c.bytes, c.reads, c.notifications_read) = (100, 2_000_000, [100, 0], 100);
            (c.unread, c.srtt, c.min_rtt) = (Some([0, 0]), Some(MS), Some(MS));
            change(c);
        })
        .snapshot();
    let all = diagnose(&snapshot, &context());
    all.into_iter().find(|f| f.id == FindingId::SlowRelease).unwrap()
}

fn assert_waits(finding: &Finding, why: &str, seen: &str, certainty: Certainty) {
    let (sentence, evidence) = (&finding.sentence, &finding.evidence);
    assert!(sentence.ends_with(&format!(": waits for {why}")), "{sentence}, not {why}");
    assert!(evidence.starts_with(seen), "{evidence}, not {seen}");
    assert_eq!(finding.certainty, certainty);
}

#[test]
fn the_longest_part_of_the_way_is_named() {
    let nothing = |_: &mut Counters| {};
    let queue = slow(Scene::new(), MS, 90 * MS, nothing);
    let seen = "90 % of the time until the release in that queue; ";
    assert_waits(&queue, "the queue on eth0", seen, Measured);
    assert_eq!(queue.remedies[0], "tc -s qdisc show dev eth0");
    let udp = || Scene::new().udp();
    assert_waits(&slow(udp(), MS, 90 * MS, nothing), "the queue on eth0", seen, Measured);

    let seen = "90 % of the time until the release before it was queued on a device; ";
    let neighbour = slow(udp(), 90 * MS, MS, nothing);
    assert_waits(&neighbour, "the neighbour's address (ARP, ND)", seen, Measured);
    let congested = slow(Scene::new(), 90 * MS, MS, nothing);
    assert_waits(&congested, "the congestion window, or pacing", seen, Measured);
    let lossy = slow(Scene::new(), 90 * MS, MS, |c| c.retransmits = Some(7));
    assert_waits(&lossy, "the congestion window: 7 segments sent again", seen, Measured);

    let seen = "98 % of the time until the release after the driver had it; ";
    let driver = slow(udp(), MS, MS, nothing);
    assert_waits(&driver, "the driver of eth0, or what is behind it", seen, Measured);
}

#[test]
fn of_a_stream_that_the_peer_has_its_own_account_is_asked() {
    let seen = "98 % of the time until the release after the driver had it; ";
    let again = slow(Scene::new(), MS, MS, |c| c.retransmits = Some(1));
    assert_waits(&again, "retransmissions: 1 segment sent again", seen, Measured);
    for before in [MS, 90 * MS] {
        let closed = slow(Scene::new(), before, MS, |c| c.ticks = Some([10, 80, 10]));
        let seen = "the window was closed for 80 % of the time; ";
        let why = "the receiver's window: the peer reads too slowly";
        assert_waits(&closed, why, seen, Measured);
    }
    let rule = "TCP keeps a buffer until the peer has acknowledged all of it";
    let far = |least| {
        slow(Scene::new(), MS, MS, move |c| (c.srtt, c.min_rtt) = (Some(60 * MS), Some(least)))
    };
    assert_waits(&far(60 * MS), "the round trip: no ACK comes sooner", rule, Inferred);
    let why = "queues on the way: a round trip took 15 ms at least";
    assert_waits(&far(15 * MS), why, rule, Inferred);
    // A window that was closed now and then, and one lost segment of very many, explain nothing.
    let open = slow(Scene::new(), MS, MS, |c| c.ticks = Some([60, 30, 10]));
    let why = "the peer's ACK, a queue on eth0, or the receiver's window";
    assert_waits(&open, why, rule, Inferred);
}
