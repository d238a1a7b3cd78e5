//! One for each finding besides `copied`.

use std::time::Duration;

use super::{BRIEFLY, LOOPBACK, TCP, UDP, UNCOPIED, WIDE};
use crate::{
    command::demo::scenario::{Path, Scenario, To, Traffic},
    lab::{
        Direction, End, Feature, Layout, Tweak,
        sender::{Drain, Options},
    },
};

/// Each send waits for its turn, 262 µs.
const QUEUED: Tweak = Tweak::Rate(500_000_000);

/// More sends than have left by then.
const EAGER: Traffic =
    Traffic { but: |o| Options { window: 16, delay: Duration::from_micros(20), ..o }, ..UDP };

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "veth-xdp",
        shows: "TCP over a veth whose peer runs native XDP: reported zero-copy, and yet copied",
        path: Path { layout: Layout::VethXdp, ..LOOPBACK },
        traffic: TCP,
        time: BRIEFLY,
        expected: &["hidden-copy"],
    },
    Scenario {
        name: "gso-no-sg",
        shows: "TCP by a device without scatter-gather where each send is several packets: \
                reported zero-copy, and yet copied when it is cut",
        path: Path {
            layout: Layout::Veth,
            tweaks: &[Tweak::Without(Feature::ScatterGather)],
            ..LOOPBACK
        },
        // Now and then one is copied in the open: notifications that are merged would mislead.
        traffic: Traffic { but: |o| Options { drain: Drain::EverySend, ..o }, ..TCP },
        time: BRIEFLY,
        expected: &["hidden-copy"],
    },
    Scenario {
        name: "flag-ignored",
        shows: "MSG_ZEROCOPY on a socket without SO_ZEROCOPY: the kernel copies, and says nothing",
        path: LOOPBACK,
        traffic: Traffic { but: |o| Options { no_so_zerocopy: true, ..o }, ..TCP },
        time: BRIEFLY,
        expected: &["flag-ignored"],
    },
    Scenario {
        name: "enobufs-optmem",
        shows: "more sends in flight than net.core.optmem_max has room for: ENOBUFS",
        path: Path {
            tweaks: &[WIDE, QUEUED, Tweak::Sysctl("net/core/optmem_max", "4096")],
            ..UNCOPIED
        },
        traffic: EAGER,
        time: BRIEFLY,
        expected: &["enobufs-optmem"],
    },
    Scenario {
        name: "enobufs-memlock",
        shows: "more bytes in flight than a user may lock (ulimit -l): ENOBUFS as well",
        path: Path { tweaks: &[WIDE, QUEUED], ..UNCOPIED },
        traffic: Traffic { memlock: Some(64 << 10), ..EAGER },
        time: BRIEFLY,
        expected: &["enobufs-memlock"],
    },
    Scenario {
        name: "device-drop",
        shows: "a tc program drops what leaves: with IP_RECVERR that is ENOBUFS too, and no limit \
                helps",
        path: Path { tweaks: &[WIDE, Tweak::TcDrop(End::Client, Direction::Egress)], ..UNCOPIED },
        traffic: Traffic {
            but: |o| Options { recverr: true, drain: Drain::EverySend, ..o },
            ..UDP
        },
        time: BRIEFLY,
        expected: &["device-drop"],
    },
    Scenario {
        name: "never-used",
        shows: "large sends, and none with MSG_ZEROCOPY",
        path: LOOPBACK,
        traffic: Traffic { but: |o| Options { flagged: 0, ..o }, ..TCP },
        time: BRIEFLY,
        expected: &["never-used"],
    },
    Scenario {
        name: "gave-up",
        shows: "a program that stops passing MSG_ZEROCOPY when it hears of the first copy, as the \
                kernel's document advises",
        path: LOOPBACK,
        traffic: Traffic {
            but: |o| Options { give_up_after: 1, drain: Drain::EverySend, ..o },
            ..TCP
        },
        time: BRIEFLY,
        expected: &["gave-up/local_delivery"],
    },
    Scenario {
        name: "small-sends",
        shows: "datagrams of 1400 B: nothing is copied, and yet plain sends would cost less",
        path: UNCOPIED,
        traffic: Traffic { but: |o| Options { sizes: vec![1400], ..o }, ..UDP },
        time: BRIEFLY,
        expected: &["small-sends"],
    },
    Scenario {
        name: "one-in-flight",
        shows: "a program that waits for each send's notification before it sends again",
        path: Path { tweaks: &[WIDE, Tweak::Rate(200_000_000)], ..UNCOPIED },
        traffic: Traffic {
            but: |o| Options { drain: Drain::EverySend, delay: Duration::ZERO, ..o },
            ..UDP
        },
        time: BRIEFLY,
        expected: &["one-in-flight"],
    },
    Scenario {
        name: "slow-release",
        shows: "a device that sends 10 Mbit/s (tbf): buffers wait in its queue",
        path: Path { tweaks: &[WIDE, Tweak::Rate(10_000_000)], ..UNCOPIED },
        traffic: UDP,
        time: Duration::from_millis(1500),
        expected: &["slow-release"],
    },
    Scenario {
        name: "unread-notifications",
        shows: "a program that never reads its error queue",
        path: UNCOPIED,
        traffic: Traffic { but: |o| Options { drain: Drain::Never, ..o }, ..UDP },
        // Many, for a second.
        time: Duration::from_millis(1800),
        expected: &["unread-notifications"],
    },
    Scenario {
        name: "misled",
        shows: "one datagram of 32 is copied, and all are read as one notification: it says \
                that none was",
        path: UNCOPIED,
        traffic: Traffic {
            elsewhere: Some((32, To::Router)),
            but: |o| Options { window: 32, ..o },
            ..UDP
        },
        time: BRIEFLY,
        expected: &["misled"],
    },
    Scenario {
        name: "out-of-order",
        shows: "one datagram of 200 waits for a neighbour that never answers, and completes long \
                after those behind it",
        path: Path {
            tweaks: &[WIDE, Tweak::Sysctl("net/ipv4/neigh/client0/retrans_time_ms", "30")],
            ..UNCOPIED
        },
        traffic: Traffic { elsewhere: Some((200, To::Nobody)), ..UDP },
        time: BRIEFLY,
        expected: &["out-of-order"],
    },
];
