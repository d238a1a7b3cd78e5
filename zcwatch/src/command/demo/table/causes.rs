//! One for each cause that can be made on any host.

use super::{BRIEFLY, LOOPBACK, TCP, UDP, UNCOPIED, WIDE};
use crate::{
    command::demo::scenario::{Path, Place, Scenario, Traffic},
    lab::{
        Direction, End, Family, Feature, Layout, Tweak,
        sender::{Coalesce, ExtensionHeader, Options, Timestamps},
    },
};

const NO_SG: Tweak = Tweak::Without(Feature::ScatterGather);
const NO_CHECKSUM: Tweak = Tweak::Without(Feature::TxChecksum);

pub(super) const ROWS: &[Scenario] = &[
    Scenario {
        name: "loopback",
        shows: "TCP to a receiver on the same host: every send is copied when it is delivered",
        path: LOOPBACK,
        traffic: TCP,
        time: BRIEFLY,
        expected: &["copied/local_delivery"],
    },
    Scenario {
        name: "veth",
        shows: "TCP to a container: the other end of a veth is this host too",
        path: Path { layout: Layout::Veth, ..LOOPBACK },
        traffic: TCP,
        time: BRIEFLY,
        expected: &["copied/local_delivery"],
    },
    Scenario {
        name: "tap",
        shows: "a packet socket listens on the sender's device, like tcpdump; without it nothing \
                would be copied (see: demo zerocopy)",
        path: Path { listener: Some(Place::Sender), ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/tap_tx"],
    },
    Scenario {
        name: "tap-rx",
        shows: "a packet socket listens on the router, where the packets come in on their way; \
                without it nothing would be copied",
        path: Path { listener: Some(Place::Router), ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/tap_rx"],
    },
    Scenario {
        name: "tun-tap",
        shows: "UDP into a tun device, whose packets a process reads, like those of a VPN",
        path: Path { layout: Layout::Tun, ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/tun_tap"],
    },
    Scenario {
        name: "tx-timestamp",
        shows: "the sender asks when each packet left (SO_TIMESTAMPING), and gets the packet \
                back with the answer",
        path: UNCOPIED,
        traffic: Traffic { but: |o| Options { timestamps: Timestamps::WithPayload, ..o }, ..UDP },
        time: BRIEFLY,
        expected: &["copied/tx_timestamp"],
    },
    Scenario {
        name: "checksum-help",
        shows: "TCP by a device that does not checksum: the kernel does, on a copy",
        path: Path { layout: Layout::Veth, tweaks: &[WIDE, NO_CHECKSUM], ..LOOPBACK },
        traffic: TCP,
        time: BRIEFLY,
        expected: &["copied/checksum_help"],
    },
    Scenario {
        name: "gso-no-csum",
        shows: "TCP by a device that does not checksum where each send is several packets: the kernel \
                cuts them, and makes copies for that",
        path: Path { layout: Layout::Veth, tweaks: &[NO_CHECKSUM], ..LOOPBACK },
        traffic: TCP,
        time: BRIEFLY,
        expected: &["copied/gso_no_csum"],
    },
    Scenario {
        name: "linearize-no-sg",
        shows: "TCP by a device without scatter-gather: each packet is made linear",
        path: Path { layout: Layout::Veth, tweaks: &[WIDE, NO_SG], ..LOOPBACK },
        traffic: TCP,
        time: BRIEFLY,
        expected: &["copied/linearize_no_sg"],
    },
    Scenario {
        name: "udp-no-sg",
        shows: "UDP by a device without scatter-gather: copied before there is a packet",
        path: Path { tweaks: &[WIDE, NO_SG], ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/udp_no_sg"],
    },
    Scenario {
        name: "udp-no-csum-offload",
        shows: "UDP by a device that does not checksum: copied before there is a packet",
        path: Path { tweaks: &[WIDE, NO_CHECKSUM], ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/udp_no_csum_offload"],
    },
    Scenario {
        name: "udp-larger-than-mtu",
        shows: "datagrams of 16 KiB over an MTU of 1500 B",
        path: Path { tweaks: &[], ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/udp_larger_than_mtu"],
    },
    Scenario {
        name: "udp-cork",
        shows: "two sends make one datagram, by MSG_MORE",
        path: UNCOPIED,
        traffic: Traffic { but: |o| Options { coalesce: Coalesce::MsgMore, batch: 2, ..o }, ..UDP },
        time: BRIEFLY,
        expected: &["copied/udp_cork"],
    },
    Scenario {
        name: "udp6-ext-headers",
        shows: "UDP over IPv6 with destination options in each packet",
        path: UNCOPIED,
        traffic: Traffic {
            family: Family::V6,
            but: |o| Options { extension_header: Some(ExtensionHeader::Destination), ..o },
            ..UDP
        },
        time: BRIEFLY,
        expected: &["copied/udp6_ext_headers"],
    },
    Scenario {
        name: "pull-small",
        shows: "a tc program on the sender's device reads whole packets, and pulls them into \
                their linear head for that",
        path: Path { tweaks: &[WIDE, Tweak::TcPull(End::Client, Direction::Egress)], ..UNCOPIED },
        traffic: UDP,
        time: BRIEFLY,
        expected: &["copied/pull_small"],
    },
];
