//! When does a finding hold, and what does it say?

use zcwatch_common::mark;

use super::scene::{
    Burst, ETH0, ETH1, LO, Scene, THERE, VETH0, at_send, context, delivered, marked, out, sniffer,
    tapped,
};
use crate::{
    diagnosis::{Context, Finding, FindingId, Severity, diagnose},
    event::{Losses, SocketFacts, SocketId, Way},
    probe::hooks::Certainty,
    tracker::Snapshot,
};

const SECOND: u64 = 1_000_000_000;

pub fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    diagnose(snapshot, &context())
}

pub fn ids(snapshot: &Snapshot) -> Vec<&'static str> {
    findings(snapshot).iter().map(|f| f.id.name()).collect()
}

/// The only finding there is.
pub fn only(snapshot: &Snapshot) -> Finding {
    let mut all = findings(snapshot);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

#[test]
fn five_in_a_hundred_copied_are_a_finding_and_less_is_not() {
    let scene = |copied, intact| {
        let scene = Scene::new().sends(Burst::copied(copied, delivered(LO, LO)));
        scene.sends(Burst::of(intact, out(ETH0))).snapshot()
    };
    let f = only(&scene(5, 95));
    assert_eq!(f.sentence, "5 of 100 completed sends copied on lo (5 %): delivered on this host");
    let f = only(&scene(5, 96));
    assert_eq!(f.id, FindingId::Healthy);
    assert_eq!(f.sentence, "healthy: 101 sends completed, 5 copied (5 %)");
}

#[test]
fn fewer_than_ten_completed_sends_are_an_anecdote() {
    let scene = |n| Scene::new().sends(Burst::copied(n, delivered(LO, LO))).snapshot();
    assert_eq!(ids(&scene(9)), Vec::<&str>::new());
    assert_eq!(ids(&scene(10)), ["copied"]);
    let well = |n| Scene::new().sends(Burst::of(n, out(ETH0))).snapshot();
    assert_eq!(ids(&well(9)), Vec::<&str>::new());
    assert_eq!(ids(&well(10)), ["healthy"]);
}

#[test]
fn copies_of_one_cause_are_one_finding_about_all_its_sockets() {
    let snapshot = Scene::new()
        .sends(Burst::copied(10, delivered(LO, LO)))
        .socket(|_| {})
        .sends(Burst::of(20, out(ETH0)))
        .socket(|_| {})
        .sends(Burst::copied(30, delivered(VETH0, LO)))
        .snapshot();
    let f = only(&snapshot);
    assert_eq!(f.sentence, "40 of 40 completed sends copied on lo (100 %): delivered on this host");
    assert_eq!(f.sockets, [SocketId(1), SocketId(3)]);
}

#[test]
fn where_several_processes_send_the_sentence_begins_with_those_it_is_about() {
    let beside = |more: &[u32], way: Way| {
        let first = Scene::new().sends(Burst::copied(10, delivered(LO, LO)));
        let socket = |scene: Scene, pid: &u32| {
            let socket = |f: &mut SocketFacts| (f.pid, f.comm) = (*pid, "proxy".into());
            scene.socket(socket).sends(Burst::copied(10, way))
        };
        let all = findings(&more.iter().fold(first, socket).snapshot());
        all.into_iter().map(|f| (f.sentence, f.pids)).collect::<Vec<_>>()
    };
    let (alone, pids) = &beside(&[], delivered(LO, LO))[0];
    assert!(alone.starts_with("10 of 10 "), "{alone}");
    let pid = pids[0];
    let here = |sends| {
        format!("{sends} of {sends} completed sends copied on lo (100 %): delivered on this host")
    };
    let name = format!("sender (pid {pid})");
    let both = beside(&[77], delivered(LO, LO));
    let of = |pids: &[u32]| [&[pid], pids].concat();
    assert_eq!(both, [(format!("{name}, proxy (pid 77): {}", here(20)), of(&[77]))]);
    let each = beside(&[77], at_send(ETH0));
    assert_eq!(each[0], (format!("{name}: {}", here(10)), of(&[])), "{each:?}");
    assert!(each[1].0.starts_with("proxy (pid 77): "), "{each:?}");
    let many = beside(&[77, 78, 79], delivered(LO, LO));
    assert_eq!(many, [(format!("4 processes: {}", here(40)), of(&[77, 78, 79]))]);
}

#[test]
fn the_cause_of_most_copies_comes_first() {
    let snapshot = Scene::new()
        .sends(Burst::copied(10, delivered(LO, LO)))
        .sends(Burst::copied(20, at_send(ETH0)))
        .snapshot();
    let causes: Vec<_> = findings(&snapshot).iter().map(|f| f.cause.unwrap()).collect();
    assert_eq!(causes, ["unknown", "local_delivery"]);
}

#[test]
fn where_events_were_lost_the_sentence_says_how_many_ways_were_seen() {
    let snapshot = Scene::new()
        .sends(Burst::copied(20, delivered(LO, LO)))
        .counters(|c| {
            c.key = 100;
            c.sends = 100;
            c.reads = [0, 100];
            c.unread = Some([0, 0]);
        })
        .losses(Losses { events: 240, ..Losses::default() })
        .snapshot();
    let f = only(&snapshot);
    assert_eq!(
        f.sentence,
        "100 of 100 completed sends copied (100 %); of the 20 whose way was seen, 20 on lo: \
         delivered on this host"
    );
}

#[test]
fn segmentation_in_software_is_a_hidden_copy() {
    let way = marked(out(ETH1), mark::GSO_WITHOUT_SG);
    let scene = Scene::new().with(|s| s.netns = THERE).features(ETH1, 0);
    let scene = scene.sends(Burst::of(19, way)).sends(Burst::of(1, out(ETH1)));
    // A copy that the kernel reports is none of the 20.
    let f = only(&scene.sends(Burst::copied(1, delivered(LO, LO))).snapshot());
    assert_eq!(
        f.sentence,
        "19 of 20 sends reported zero-copy, and copied all the same: segmented in software on \
         eth1, which has no scatter-gather"
    );
    assert_eq!(f.evidence, "skb_segment copies each segment's payload, and tells nobody");
    assert_eq!(f.remedies, ["nsenter -t 10 -n ethtool -K eth1 sg on"]);
    assert_eq!((f.id, f.cause), (FindingId::HiddenCopy, None));
    assert_eq!((f.severity, f.certainty), (Severity::Problem, Certainty::Inferred));
}

#[test]
fn what_wireguard_segments_is_no_matter_of_the_devices_features() {
    let way = marked(out(ETH1), mark::SEGMENTED);
    let scene = Scene::new().change(ETH1, |d| d.kind = "wireguard".into());
    let f = only(&scene.sends(Burst::of(20, way)).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 sends reported zero-copy, and copied all the same: segmented in software on \
         eth1, before WireGuard encrypts"
    );
    assert_eq!(
        f.remedies,
        ["Use plain send for what goes through eth1: whatever is encrypted is copied."]
    );
    assert_eq!(f.certainty, Certainty::Measured);
}

#[test]
fn xdp_behind_a_veth_is_a_hidden_copy() {
    let way = marked(out(VETH0), mark::VETH_PEER_XDP);
    let f = only(&Scene::new().sends(Burst::of(20, way)).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 sends reported zero-copy, and copied all the same: handed by veth0 to a veth \
         that runs native XDP"
    );
    assert_eq!(
        f.remedies,
        ["Run the XDP program on the physical device instead of the veth, or use plain send for \
          this peer."]
    );
    assert_eq!((f.severity, f.certainty), (Severity::Problem, Certainty::Inferred));
}

#[test]
fn a_send_that_is_known_to_be_copied_is_no_hidden_copy() {
    let way = marked(delivered(LO, LO), mark::GSO_WITHOUT_SG);
    assert_eq!(ids(&Scene::new().sends(Burst::copied(20, way)).snapshot()), ["copied"]);
}

#[test]
fn even_one_hidden_copy_on_the_way_is_not_healthy() {
    let way = marked(out(ETH0), mark::GSO_WITHOUT_SG);
    let scene = Scene::new().sends(Burst::of(99, out(ETH0))).sends(Burst::of(1, way));
    assert_eq!(ids(&scene.snapshot()), ["hidden-copy"]);
}

#[test]
fn a_flag_without_the_option_is_ignored() {
    let scene = |n| {
        Scene::new().with(|s| s.so_zerocopy = false).counters(|c| {
            c.ignored = n;
            c.ignored_bytes = n * 1000;
            c.so_zerocopy = false;
        })
    };
    let f = only(&scene(37).snapshot());
    assert_eq!(
        f.sentence,
        "MSG_ZEROCOPY was ignored on 37 sends: SO_ZEROCOPY is not set on the socket"
    );
    assert_eq!(
        f.evidence,
        "the kernel copies such a send like any other, returns no error, and notifies nothing"
    );
    assert_eq!(
        f.remedies,
        ["int one = 1; setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));"]
    );
    assert_eq!((f.severity, f.certainty), (Severity::Problem, Certainty::Measured));
    // It needs no ten sends.
    assert!(only(&scene(1).snapshot()).sentence.contains("on 1 send:"));
    assert_eq!(ids(&scene(0).snapshot()), Vec::<&str>::new());
}

#[test]
fn notifications_that_lie_are_told() {
    let snapshot = Scene::new()
        .sends(Burst::of(30, out(ETH0)).unread())
        .reads(0, true)
        .in_flight(20_000)
        .snapshot();
    let all = findings(&snapshot);
    // The first of the 30 was told as it was; here the notification is made to say the contrary.
    let f = &all[0];
    assert_eq!(
        f.sentence,
        "the notifications told the application wrong about 29 of 30 sends: they were merged, and \
         carry the copied flag of the first only"
    );
    assert_eq!((f.id, f.severity), (FindingId::Misled, Severity::Warning));
    assert_eq!(f.certainty, Certainty::Measured);
    assert_eq!(
        f.evidence,
        "skb_zerocopy_notify_extend merges a completion into the notification before it without \
         comparing their flags"
    );
}

#[test]
fn completions_that_wait_too_long_in_too_great_a_number_are_told() {
    // The last completion is at the end of a burst of 64 · 50 µs.
    let burst =
        |n| Scene::new().sends(Burst::of(9, out(ETH0))).sends(Burst::of(n, out(ETH0)).unread());
    let f = only(&burst(64).wait(SECOND).snapshot());
    assert_eq!(f.id, FindingId::UnreadNotifications);
    assert_eq!(f.sentence, "64 completions unread on fd 3 for 1.0 s");
    assert_eq!((f.severity, f.certainty), (Severity::Warning, Certainty::Measured));
    assert_eq!(
        f.remedies,
        ["Read with recvmsg(fd, &msg, MSG_ERRQUEUE) until it returns EAGAIN, whenever poll shows \
          POLLERR."]
    );
    // The oldest is 20 µs into the burst.
    let to_the_second = SECOND - 64 * 50_000 + 20_000;
    assert_eq!(ids(&burst(64).wait(to_the_second).snapshot()), ["unread-notifications"]);
    assert_eq!(ids(&burst(64).wait(to_the_second - 1).snapshot()), ["healthy"]);
    assert_eq!(ids(&burst(63).wait(SECOND).snapshot()), ["healthy"]);
    // A moment later the socket is closed: what was so stays so.
    let f = only(&burst(64).wait(SECOND).closed().wait(SECOND).snapshot());
    assert_eq!(f.sentence, "64 completions unread on fd 3, for 1.0 s when it was closed");
    assert_eq!(ids(&burst(64).closed().wait(SECOND).snapshot()), ["healthy"]);
    // Of several the one with the most is named.
    let two = burst(64).socket(|_| {}).sends(Burst::of(9, out(ETH0)));
    let f = only(&two.sends(Burst::of(70, out(ETH0)).unread()).wait(SECOND).snapshot());
    assert!(f.sentence.starts_with("134 completions unread on 2 sockets, most on fd "), "{f:?}");
}

#[test]
fn an_error_queue_that_nobody_reads_is_told_after_five_seconds() {
    let scene = |n: u32| Scene::new().sends(Burst::of(n, out(ETH0)).unread());
    let first = |n: u64| 5 * SECOND - n * 50_000 + 20_000;
    let f = only(&scene(10).wait(first(10)).snapshot());
    assert_eq!(
        f.sentence,
        "10 completions unread on fd 3 for 5.0 s: the error queue is never read"
    );
    assert_eq!(ids(&scene(10).wait(first(10) - 1).snapshot()), ["healthy"]);
    // Fewer than ten sends say nothing.
    assert_eq!(ids(&scene(9).wait(10 * SECOND).snapshot()), Vec::<&str>::new());
    // Whoever has read once will again.
    let once = Scene::new().sends(Burst::of(1, out(ETH0))).sends(Burst::of(10, out(ETH0)).unread());
    assert_eq!(ids(&once.wait(10 * SECOND).snapshot()), ["healthy"]);
}

#[test]
fn sends_are_small_below_ten_kilobytes() {
    let scene = |bytes| Scene::new().sends(Burst::of(20, out(ETH0)).bytes(bytes)).snapshot();
    let f = only(&scene(9_999));
    assert_eq!(
        f.sentence,
        "median send 9999 B on tcp 10.0.0.4:41822 → 10.0.0.9:4444: below break-even (about 10 KB)"
    );
    assert_eq!((f.id, f.severity), (FindingId::SmallSends, Severity::Note));
    assert_eq!(f.remedies, ["Use MSG_ZEROCOPY for large sends only, or gather small ones."]);
    assert_eq!(only(&scene(10_000)).id, FindingId::Healthy);
}

#[test]
fn the_median_decides_whether_sends_are_small() {
    let scene = |small, large| {
        Scene::new()
            .sends(Burst::of(small, out(ETH0)).bytes(100))
            .sends(Burst::of(large, out(ETH0)).bytes(100_000))
            .snapshot()
    };
    assert_eq!(ids(&scene(10, 10)), ["small-sends"]);
    assert_eq!(ids(&scene(10, 11)), ["healthy"]);
    assert_eq!(ids(&scene(9, 0)), Vec::<&str>::new());
}

#[test]
fn small_sends_of_several_sockets_are_one_note_about_the_busiest() {
    let snapshot = Scene::new()
        .sends(Burst::of(20, out(ETH0)).bytes(10))
        .socket(|s| s.remote = None)
        .sends(Burst::of(30, out(ETH0)).bytes(700))
        .socket(|_| {})
        .sends(Burst::of(10, out(ETH0)).bytes(10))
        .snapshot();
    let f = only(&snapshot);
    assert_eq!(
        f.sentence,
        "median send 700 B on tcp 10.0.0.4:41822 (and on 2 sockets more): below break-even (about \
         10 KB)"
    );
}

#[test]
fn healthy_is_said_as_clearly_as_a_problem() {
    let f = only(&Scene::new().sends(Burst::of(20, out(ETH0))).snapshot());
    assert_eq!(f.sentence, "healthy: 20 sends completed, 0 copied");
    assert_eq!((f.severity, f.certainty), (Severity::Note, Certainty::Measured));
    assert_eq!(f.sockets, [SocketId(1)]);
    assert_eq!(f.remedies, Vec::<String>::new());
}

#[test]
fn nobody_is_healthy_while_sockets_went_unseen() {
    let losses = Losses { sockets: 1, ..Losses::default() };
    let snapshot = Scene::new().sends(Burst::of(20, out(ETH0))).losses(losses).snapshot();
    assert_eq!(ids(&snapshot), Vec::<&str>::new());
}

#[test]
fn the_worst_comes_first_and_nothing_is_healthy_beside_it() {
    let snapshot = Scene::new()
        .sends(Burst::of(100, marked(out(ETH0), mark::GSO_WITHOUT_SG)).bytes(100).unread())
        .reads(0, true)
        .socket(|_| {})
        .sends(Burst::copied(40, tapped(ETH0)).bytes(100))
        .sniffers(&[sniffer(90, 812, "tcpdump")])
        .socket(|_| {})
        .sends(Burst::of(64, out(ETH0)).unread())
        .wait(10 * SECOND)
        .snapshot();
    let all = findings(&snapshot);
    let severities: Vec<_> = all.iter().map(|f| f.severity).collect();
    assert!(severities.is_sorted(), "{severities:?}");
    let names: Vec<_> = all.iter().map(|f| f.id.name()).collect();
    assert_eq!(names, ["copied", "hidden-copy", "misled", "unread-notifications", "small-sends"]);
}

#[test]
fn where_packets_cannot_be_followed_only_the_number_of_copies_is_told() {
    let blind = Context { places_unknown: true, ..context() };
    let way = Way::default();
    let scene = Scene::new().sends(Burst::copied(10, way)).sends(Burst::of(30, way));
    let all = diagnose(&scene.snapshot(), &blind);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(
        all[0].sentence,
        "10 of 40 completed sends copied (25 %); where cannot be known on this host"
    );
    assert_eq!((all[0].cause, all[0].certainty), (None, Certainty::Measured));
    assert_eq!(all[0].remedies, ["zcwatch doctor"]);
    // Then nobody can be sure that nothing is copied in secret.
    let f = diagnose(&Scene::new().sends(Burst::of(20, way)).snapshot(), &blind).remove(0);
    assert_eq!((f.id, f.certainty), (FindingId::Healthy, Certainty::Inferred));
}
