//! Sends that failed: on which limit, and what is enough?

use super::{
    findings::{ids, only},
    scene::{Burst, ETH0, ETH1, HERE, Scene, THERE, out},
};
use crate::{
    diagnosis::{FindingId, Severity},
    event::{Family, Limits, SocketId},
    probe::hooks::Certainty,
};

const SECOND: u64 = 1_000_000_000;
const WAIT: &str = "When a send fails so, wait for completions, and send on then.";

/// 26 sends in flight, and `n` refused for option memory.
fn optmem(n: u64, used: u32, max: u32) -> Scene {
    let scene = (0..26).fold(Scene::new(), |s, _| s.in_flight(20_000));
    let scene = scene.fails(|f| (f.optmem_used, f.optmem_max) = (used, Some(max)));
    scene.counters(|c| {
        (c.sends, c.bytes) = (26, 520_000);
        c.failed_optmem = n;
        c.optmem_max = Some(max);
    })
}

#[test]
fn option_memory_is_told_with_its_limit_and_what_would_do() {
    let f = only(&optmem(12, 19_968, 20_480).snapshot());
    assert_eq!(
        f.sentence,
        "ENOBUFS from optmem on 12 sends: 19 968 of 20 480 B with 26 sends in flight"
    );
    assert_eq!(
        f.evidence,
        "by the option memory in use right after; each send holds some until it has completed and \
         its notification has merged or was read"
    );
    assert_eq!(f.remedies, ["sysctl -w net.core.optmem_max=131072", WAIT]);
    assert_eq!((f.id, f.severity), (FindingId::EnobufsOptmem, Severity::Problem));
    assert_eq!((f.cause, f.certainty), (None, Certainty::Inferred));
    assert_eq!(f.sockets, [SocketId(1)]);
    // Any is enough.
    assert!(only(&optmem(1, 20_480, 20_480).snapshot()).sentence.contains("on 1 send: 20 480 of"));
    assert_eq!(ids(&optmem(0, 20_480, 20_480).snapshot()), Vec::<&str>::new());
}

#[test]
fn enough_option_memory_is_twice_what_was_there_and_no_less_than_today() {
    for (max, enough) in
        [(20_480, 131_072), (65_536, 131_072), (65_537, 262_144), (131_072, 262_144)]
    {
        let f = only(&optmem(1, max, max).snapshot());
        assert_eq!(f.remedies[0], format!("sysctl -w net.core.optmem_max={enough}"));
    }
}

#[test]
fn option_memory_is_the_namespaces() {
    let scene = optmem(3, 20_480, 20_480).socket(|s| s.netns = THERE);
    let snapshot = scene.counters(|c| c.failed_optmem = 5).snapshot();
    let all = super::findings::findings(&snapshot);
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(all[0].remedies[0], "sysctl -w net.core.optmem_max=131072");
    // Of this one no failure was told, and no limit is known.
    assert_eq!(all[1].sentence, "ENOBUFS from optmem on 5 sends");
    assert_eq!(all[1].remedies[0], "nsenter -t 10 -n sysctl -w net.core.optmem_max=131072");
}

#[test]
fn another_failure_does_not_stand_for_this_one() {
    // The last ENOBUFS was for locked memory: option memory was far from its limit.
    let snapshot = optmem(2, 131_072 - 1024, 131_072).snapshot();
    let f = only(&snapshot);
    assert_eq!(f.sentence, "ENOBUFS from optmem on 2 sends: at most 131 072 B for a socket");
    let f = only(&optmem(2, 131_072 - 1023, 131_072).snapshot());
    assert!(f.sentence.ends_with(": 130 049 of 131 072 B with 26 sends in flight"), "{f:?}");
}

#[test]
fn a_full_send_buffer_does_not_stand_for_a_limit() {
    let scene = Scene::new().fails(|f| {
        f.errno = libc::EAGAIN;
        (f.optmem_used, f.optmem_max) = (20_480, Some(20_480));
    });
    let f = only(&scene.counters(|c| c.failed_optmem = 1).snapshot());
    assert_eq!(f.sentence, "ENOBUFS from optmem on 1 send");
}

#[test]
fn a_limit_that_was_raised_is_told() {
    let raised = |max| {
        optmem(12, 20_480, 20_480)
            .limit(Limits::Optmem { netns: HERE, max: 20_480 })
            .wait(4_200_000_000)
            .limit(Limits::Optmem { netns: HERE, max })
            .limit(Limits::Optmem { netns: THERE, max: 1 << 30 })
    };
    let f = only(&raised(131_072).snapshot());
    assert_eq!(
        f.sentence,
        "ENOBUFS from optmem on 12 sends: 20 480 of 20 480 B with 26 sends in flight; raised to \
         131 072 B at 4.2 s of the watch"
    );
    assert_eq!(f.remedies, [WAIT]);
    let f = only(&raised(40_960).snapshot());
    assert!(f.sentence.contains("; raised to 40 960 B"), "{}", f.sentence);
    assert_eq!(f.remedies[0], "sysctl -w net.core.optmem_max=131072");
    assert!(!only(&raised(20_480).snapshot()).sentence.contains("raised"));
}

#[test]
fn notifications_to_read_are_told_where_they_are_many() {
    let scene = |n| {
        Scene::new()
            .sends(Burst::of(n, out(ETH0)).unread())
            .fails(|f| (f.optmem_used, f.optmem_max) = (20_480, Some(20_480)))
            .counters(|c| {
                (c.sends, c.bytes) = (n.into(), u64::from(n) * 20_000);
                c.pieces = [u64::from(n) - 1, 0];
                c.merged_into = c.pieces;
                c.unread = Some([n.into(), 0]);
                c.failed_optmem = 1;
            })
    };
    let f = only(&scene(64).snapshot());
    assert_eq!(
        f.remedies,
        [
            "sysctl -w net.core.optmem_max=131072",
            "Read the notifications of 64 completed sends too: those that did not merge hold \
             option memory.",
            WAIT,
        ]
    );
    assert_eq!(only(&scene(63).snapshot()).remedies.len(), 2);
}

/// Sends of this size, and `n` refused for locked memory with `flying` in flight.
fn memlock(n: u64, bytes: u32, flying: u32, used: u64, limit: u64) -> Scene {
    let scene = (0..flying).fold(Scene::new(), |s, _| s.in_flight(bytes));
    let scene = scene.fails(|f| (f.memlock_used, f.memlock_limit) = (used, Some(limit)));
    scene.counters(|c| {
        (c.sends, c.bytes) = (flying.into(), u64::from(flying) * u64::from(bytes));
        c.failed_memlock = n;
        c.memlock_limit = Some(limit);
    })
}

#[test]
fn locked_memory_is_told_with_its_limit_and_what_would_do() {
    let f = only(&memlock(3, 20_000, 0, 65_536, 65_536).snapshot());
    assert_eq!(
        f.sentence,
        "ENOBUFS from locked memory on 3 sends of sender (pid 10): 64 KiB of 64 KiB, 0 in flight"
    );
    assert_eq!(
        f.evidence,
        "by the memory locked right after; RLIMIT_MEMLOCK counts the pages of all sends that the \
         user has in flight, and what else is locked"
    );
    assert_eq!(
        f.remedies,
        [
            "prlimit --pid 10 --memlock=8388608:8388608",
            "or LimitMEMLOCK=8388608 in its unit, for good",
            WAIT,
        ]
    );
    assert_eq!((f.id, f.severity), (FindingId::EnobufsMemlock, Severity::Problem));
    assert_eq!(f.certainty, Certainty::Inferred);
    assert_eq!(ids(&memlock(0, 20_000, 0, 65_536, 65_536).snapshot()), Vec::<&str>::new());
}

#[test]
fn enough_locked_memory_is_twice_what_the_sends_in_flight_and_one_more_need() {
    const MIB: u64 = 1 << 20;
    for (bytes, flying, limit, enough) in [
        // 256 pages and two, of five and of sixteen sends, and twice as much.
        (1 << 20, 4, 4 * MIB, 16 * MIB),
        (1 << 20, 15, 4 * MIB, 64 * MIB),
        // No less than today's default, and than twice what there is.
        (20_000, 3, 65_536, 8 * MIB),
        (20_000, 3, 8 * MIB, 16 * MIB),
        (20_000, 3, u64::MAX, 1 << 62),
    ] {
        let f = only(&memlock(1, bytes, flying, limit, limit).snapshot());
        assert_eq!(f.remedies[0], format!("prlimit --pid 10 --memlock={enough}:{enough}"));
    }
}

#[test]
fn a_process_that_may_lock_more_by_now_is_told() {
    let raised = |max| {
        memlock(1, 20_000, 2, 65_536, 65_536)
            .wait(SECOND)
            .limit(Limits::Memlock { pid: 10, max })
            .limit(Limits::Memlock { pid: 11, max: None })
    };
    let f = only(&raised(None).snapshot());
    assert!(f.sentence.ends_with("2 in flight; lifted at 1.0 s of the watch"), "{}", f.sentence);
    assert_eq!(f.remedies, [WAIT]);
    let f = only(&raised(Some(1 << 20)).snapshot());
    assert!(f.sentence.ends_with("; raised to 1 MiB at 1.0 s of the watch"), "{}", f.sentence);
    assert_eq!(f.remedies.len(), 3);
}

#[test]
fn both_limits_of_one_socket_are_told_apart() {
    let scene = memlock(1, 20_000, 26, 65_536, 65_536).counters(|c| {
        (c.sends, c.bytes) = (26, 520_000);
        c.failed_memlock = 1;
        c.failed_optmem = 2;
    });
    let names = ids(&scene.snapshot());
    assert_eq!(names, ["enobufs-optmem", "enobufs-memlock"]);
}

#[test]
fn a_drop_below_the_socket_is_no_limit() {
    let scene =
        |errno| Scene::new().udp().sends(Burst::of(20, out(ETH1))).errors(7, errno, out(ETH1));
    let f = only(&scene(libc::ENOBUFS).snapshot());
    assert_eq!(
        f.sentence,
        "7 sends failed with ENOBUFS on eth1 and kept their ids: a full queue or a tc program \
         dropped them"
    );
    assert_eq!(
        f.evidence,
        "the call returned an error after the id was taken, so the send completes and is notified \
         like any other; it is no limit on zerocopy"
    );
    assert_eq!(
        f.remedies,
        [
            format!("tc -s qdisc show dev eth1   (in network namespace {THERE})"),
            format!("tc filter show dev eth1 egress   (in network namespace {THERE})"),
        ]
    );
    assert_eq!((f.id, f.severity), (FindingId::DeviceDrop, Severity::Warning));
    assert_eq!(f.certainty, Certainty::Measured);
    let f = only(&scene(libc::EPERM).snapshot());
    assert_eq!(
        f.sentence,
        "7 sends failed with EPERM on eth1 and kept their ids: a firewall dropped them"
    );
    assert_eq!(f.remedies, [format!("nft list ruleset   (in network namespace {THERE})")]);
    let f = only(&scene(libc::ENETDOWN).snapshot());
    assert_eq!(f.sentence, "7 sends failed with ENETDOWN on eth1 and kept their ids");
    assert_eq!(f.remedies, Vec::<String>::new());
    assert!(only(&scene(9999).snapshot()).sentence.contains("with errno 9999 on eth1"));
}

#[test]
fn what_was_seen_dropping_is_named() {
    let scene = |reason, function| {
        let scene = Scene::new().udp().sends(Burst::of(20, out(ETH1)));
        only(&scene.drops(7, libc::ENOBUFS, reason, function).snapshot())
    };
    let f = scene(Some("TC_EGRESS"), "__dev_queue_xmit");
    assert_eq!(
        f.sentence,
        "7 sends failed with ENOBUFS on eth1 and kept their ids: a tc program dropped them"
    );
    assert!(f.evidence.starts_with("dropped in __dev_queue_xmit (TC_EGRESS); the call"));
    assert_eq!(
        f.remedies,
        [format!("tc filter show dev eth1 egress   (in network namespace {THERE})")]
    );
    let by = |reason, function, by: &str| {
        let f = scene(reason, function);
        assert!(f.sentence.ends_with(by), "{}", f.sentence);
        f.remedies.len()
    };
    let queue = ": the device's queue dropped them";
    assert_eq!(by(Some("QDISC_DROP"), "kfree_skb_list_reason", queue), 1);
    assert_eq!(by(Some("QDISC_OVERLIMIT"), "kfree_skb_list_reason", queue), 1);
    assert_eq!(by(Some("NETFILTER_DROP"), "nf_hook_slow", ": a firewall dropped them"), 1);
    let program = ": a cgroup's eBPF program dropped them";
    assert_eq!(by(Some("BPF_CGROUP_EGRESS"), "ip_finish_output", program), 1);
    // A reason that this version does not know is the kernel's own word; without one, the error tells.
    assert_eq!(by(Some("NEIGH_FAILED"), "neigh_x", ": they were dropped (NEIGH_FAILED)"), 0);
    let either = ": a full queue or a tc program dropped them";
    assert_eq!(by(None, "__dev_queue_xmit", either), 2);
    assert!(scene(None, "__dev_queue_xmit").evidence.starts_with("dropped in __dev_queue_xmit; "));
}

#[test]
fn drops_of_one_kind_are_one_finding() {
    let snapshot = Scene::new()
        .udp()
        .errors(1, libc::ENOBUFS, out(ETH0))
        .socket(|s| s.family = Family::V6)
        .errors(2, libc::ENOBUFS, out(ETH0))
        .errors(1, libc::EPERM, out(ETH0))
        .snapshot();
    let all = super::findings::findings(&snapshot);
    let said: Vec<_> = all.iter().map(|f| f.sentence.split(" and ").next().unwrap()).collect();
    assert_eq!(said, ["1 send failed with EPERM on eth0", "3 sends failed with ENOBUFS on eth0"]);
    assert_eq!(all[1].sockets, [SocketId(1), SocketId(2)]);
}

#[test]
fn with_lost_events_the_number_of_drops_is_known_and_not_their_error() {
    let scene = Scene::new().udp().errors(1, libc::ENOBUFS, out(ETH0)).counters(|c| {
        c.key = 20;
        c.with_error = 20;
        c.overlapped = true;
        c.reads = [20, 0];
        c.unread = Some([0, 0]);
    });
    let f = only(&scene.snapshot());
    assert_eq!(f.sentence, "20 sends failed on eth0 and kept their ids");
    assert_eq!(f.certainty, Certainty::Inferred);
}
