//! Why was it copied, how sure is that, and what is to be done?

use std::net::{Ipv4Addr, Ipv6Addr};

use zcwatch_common::{mark, stage};

use super::scene::{
    Burst, ETH0, ETH1, HERE, HW_CSUM, IP_CSUM, IPV6_CSUM, LO, SG, Scene, THERE, VETH0, VETH1,
    at_send, context, copied_between, delivered, marked, out, sniffer, tapped, v6, way,
};
use crate::{
    diagnosis::{CAUSES, Context, Finding, FindingId, Severity, causes_of, diagnose},
    event::{Family, Way},
    host::packet::Sniffer,
    probe::hooks::Certainty,
    tracker::Snapshot,
};

/// Cause, sends and certainty, the most frequent first.
pub fn causes(snapshot: &Snapshot) -> Vec<(&'static str, u64, Certainty)> {
    let all = snapshot.sockets.iter().flat_map(|s| causes_of(s, snapshot));
    all.map(|c| (c.cause.key, c.group.sends, c.certainty)).collect()
}

pub fn copied(snapshot: &Snapshot) -> Finding {
    let mut all = diagnose(snapshot, &context());
    all.retain(|f| f.id == FindingId::Copied);
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// A TCP sender on eth0 whose 37 of 100 sends were copied between queue and driver.
fn tapped_scene() -> Scene {
    Scene::new().sends(Burst::of(63, out(ETH0))).sends(Burst::copied(37, tapped(ETH0)))
}

#[test]
fn a_packet_socket_is_named_with_what_to_do_about_it() {
    let f = copied(&tapped_scene().sniffers(&[sniffer(90, 812, "tcpdump")]).snapshot());
    assert_eq!(
        f.sentence,
        "37 of 100 completed sends copied on eth0 (37 %): handed to a packet socket of tcpdump \
         (pid 812)"
    );
    assert_eq!(f.evidence, "intact at net_dev_queue on eth0, copied at net_dev_start_xmit on eth0");
    assert_eq!(
        f.remedies,
        ["kill 812", "or bind it to another device, or set PACKET_IGNORE_OUTGOING in it"]
    );
    assert_eq!((f.cause, f.severity), (Some("tap_tx"), Severity::Problem));
    assert_eq!(f.certainty, Certainty::Measured);
}

#[test]
fn every_packet_socket_that_hears_the_device_is_named() {
    let all = Sniffer { ifindex: 0, ..sniffer(80, 400, "collectd") };
    let f = copied(&tapped_scene().sniffers(&[sniffer(90, 812, "tcpdump"), all]).snapshot());
    assert!(
        f.sentence.ends_with("a packet socket of collectd (pid 400) and of tcpdump (pid 812)"),
        "{}",
        f.sentence
    );
    assert_eq!(f.remedies[..2], ["kill 400", "kill 812"]);
}

#[test]
fn a_packet_socket_that_cannot_hear_the_device_is_not_blamed() {
    let nobody = "handed to a packet socket of a process that zcwatch did not see";
    let other_device = Sniffer { ifindex: 9, ..sniffer(90, 812, "tcpdump") };
    let elsewhere = Sniffer { netns: THERE, ..sniffer(90, 812, "tcpdump") };
    for list in [vec![], vec![other_device], vec![elsewhere]] {
        let f = copied(&tapped_scene().sniffers(&list).snapshot());
        assert!(f.sentence.ends_with(nobody), "{list:?}: {}", f.sentence);
        // On a device that needs no help nothing else copies there.
        assert_eq!((f.cause, f.certainty), (Some("tap_tx"), Certainty::Inferred));
        assert_eq!(f.remedies.len(), 1, "{:?}", f.remedies);
    }
}

#[test]
fn a_cause_is_as_sure_as_the_least_sure_of_its_sockets() {
    let snapshot = Scene::new()
        .sends(Burst::copied(20, tapped(ETH0)))
        .socket(|_| {})
        .sends(Burst::copied(10, tapped(ETH1)))
        .sniffers(&[sniffer(90, 812, "tcpdump")])
        .snapshot();
    let f = copied(&snapshot);
    assert!(f.sentence.starts_with("30 of 30 completed sends copied on eth0, eth1"), "{f:?}");
    assert_eq!(f.certainty, Certainty::Inferred);
}

#[test]
fn a_packet_socket_in_the_namespace_of_the_device_is_found_there() {
    let there = Sniffer { netns: THERE, ifindex: 3, ..sniffer(90, 812, "tcpdump") };
    let scene = Scene::new().sends(Burst::copied(20, tapped(ETH1))).sniffers(&[there]);
    let f = copied(&scene.snapshot());
    assert!(f.sentence.contains("on eth1") && f.sentence.contains("pid 812"), "{}", f.sentence);
}

#[test]
fn a_packet_socket_without_a_visible_holder_is_named_by_its_inode() {
    let hidden = Sniffer { pid: None, comm: None, ..sniffer(4711, 0, "") };
    let f = copied(&tapped_scene().sniffers(&[hidden]).snapshot());
    assert!(
        f.sentence.ends_with("of a process not visible to zcwatch (socket inode 4711)"),
        "{}",
        f.sentence
    );
    assert_eq!(f.remedies.len(), 1, "there is nobody to kill: {:?}", f.remedies);
    assert_eq!(f.certainty, Certainty::Measured);
}

#[test]
fn a_packet_socket_that_has_gone_is_blamed_but_not_killed() {
    let scene = tapped_scene().sniffers(&[sniffer(90, 812, "tcpdump")]).wait(1).sniffers(&[]);
    let f = copied(&scene.snapshot());
    assert!(f.sentence.ends_with("of tcpdump (pid 812)"), "{}", f.sentence);
    assert_eq!(f.remedies, ["Nothing any more: the listener has gone."]);
}

#[test]
fn local_delivery_is_found_on_loopback_and_behind_a_veth() {
    for (from, to, name) in [(LO, LO, "lo"), (VETH0, VETH1, "veth1")] {
        let snapshot = Scene::new().sends(Burst::copied(20, delivered(from, to))).snapshot();
        let f = copied(&snapshot);
        assert_eq!(
            f.sentence,
            format!("20 of 20 completed sends copied on {name} (100 %): delivered on this host")
        );
        assert_eq!(f.evidence, format!("still the sender's pages when {name} received them"));
        assert_eq!(
            f.remedies,
            ["Zerocopy never helps between processes of one host: use plain send for local peers."]
        );
        assert_eq!((f.cause, f.certainty), (Some("local_delivery"), Certainty::Measured));
    }
}

#[test]
fn a_datagram_needs_a_device_with_scatter_gather() {
    let sends = Burst::copied(20, at_send(ETH0)).bytes(1000);
    let snapshot = Scene::new().udp().features(ETH0, HW_CSUM).sends(sends).snapshot();
    let f = copied(&snapshot);
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): copied at send: the device has no \
         scatter-gather"
    );
    assert_eq!(f.evidence, "already copied when first queued on eth0");
    assert_eq!(f.remedies, ["ethtool -K eth0 sg on"]);
    assert_eq!((f.cause, f.certainty), (Some("udp_no_sg"), Certainty::Measured));
}

#[test]
fn a_datagram_needs_checksum_offload_of_its_own_family() {
    let offload = |family, features| {
        let scene = Scene::new().udp().features(ETH0, SG | features).with(|s| {
            s.family = family;
            if family == Family::V6 {
                s.local = v6(Ipv6Addr::LOCALHOST, 1);
                s.remote = Some(v6(Ipv6Addr::LOCALHOST, 2));
            }
        });
        scene.sends(Burst::copied(20, at_send(ETH0)).bytes(1000)).snapshot()
    };
    for (family, features) in
        [(Family::V4, 0), (Family::V4, IPV6_CSUM), (Family::V6, 0), (Family::V6, IP_CSUM)]
    {
        let f = copied(&offload(family, features));
        assert_eq!(f.cause, Some("udp_no_csum_offload"), "{family:?} {features}");
        assert_eq!(f.remedies, ["ethtool -K eth0 tx on"]);
    }
    for (family, features) in [
        (Family::V4, IP_CSUM),
        (Family::V4, HW_CSUM),
        (Family::V6, IPV6_CSUM),
        (Family::V6, HW_CSUM),
    ] {
        let snapshot = offload(family, features);
        assert_eq!(causes(&snapshot), [("unknown", 20, Certainty::Measured)], "{family:?}");
    }
}

/// A UDP sender of datagrams of this size, copied at send, to this address.
fn datagrams(bytes: u32, remote: Ipv6Addr) -> Snapshot {
    let v4 = remote.is_unspecified();
    let scene = Scene::new().udp().with(|s| {
        if !v4 {
            s.family = Family::V6;
            s.local = v6(Ipv6Addr::UNSPECIFIED, 1);
            s.remote = Some(v6(remote, 9));
        }
    });
    scene.sends(Burst::copied(20, at_send(ETH0)).bytes(bytes)).snapshot()
}

#[test]
fn a_datagram_is_too_large_from_the_first_byte_over_the_mtu() {
    let v4 = Ipv6Addr::UNSPECIFIED;
    let v6 = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9);
    let mapped = Ipv4Addr::new(10, 0, 0, 9).to_ipv6_mapped();
    // The MTU is 1500; an IPv4 header takes 20, an IPv6 header 40, and a UDP header 8 of them.
    for (remote, largest) in [(v4, 1472), (v6, 1452), (mapped, 1472)] {
        let fits = datagrams(largest, remote);
        assert_eq!(causes(&fits), [("unknown", 20, Certainty::Measured)], "{remote}");
        let over = datagrams(largest + 1, remote);
        assert_eq!(causes(&over), [("udp_larger_than_mtu", 20, Certainty::Measured)], "{remote}");
    }
}

#[test]
fn what_fits_the_mtu_is_said_in_bytes() {
    let f = copied(&datagrams(1473, Ipv6Addr::UNSPECIFIED));
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): copied at send: larger than the MTU of \
         1500 B"
    );
    assert_eq!(f.evidence, "median send 1473 B, MTU of eth0 is 1500");
    assert_eq!(
        f.remedies,
        ["Use UDP_SEGMENT, or send at most 1472 B at a time (MTU 1500 less the headers)."]
    );
    let f = copied(&datagrams(1473, Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 9)));
    assert!(f.remedies[0].contains("at most 1452 B"), "{:?}", f.remedies);
}

#[test]
fn the_reasons_of_datagrams_are_none_of_a_stream() {
    let sends = Burst::copied(20, at_send(ETH0)).bytes(100_000).more();
    let snapshot = Scene::new().features(ETH0, 0).sends(sends).snapshot();
    assert_eq!(causes(&snapshot), [("unknown", 20, Certainty::Measured)]);
}

#[test]
fn corked_datagrams_are_told_by_their_flag_or_by_sharing_a_notification() {
    let flag = Burst::copied(20, at_send(ETH0)).bytes(700).more();
    let shared = Burst::copied(20, marked(at_send(ETH0), mark::CORKED)).bytes(700);
    for burst in [flag, shared] {
        let f = copied(&Scene::new().udp().sends(burst).snapshot());
        assert_eq!(
            f.sentence,
            "20 of 20 completed sends copied on eth0 (100 %): copied at send: corked"
        );
        assert_eq!(
            f.remedies,
            ["Gather with one sendmsg and an iovec instead of MSG_MORE or UDP_CORK."]
        );
        assert_eq!((f.cause, f.certainty), (Some("udp_cork"), Certainty::Measured));
    }
}

#[test]
fn of_several_reasons_at_send_the_one_that_must_go_first_is_named() {
    let worst = Burst::copied(20, marked(at_send(ETH0), mark::CORKED)).bytes(9000).more();
    for (features, key) in
        [(0, "udp_no_sg"), (SG, "udp_no_csum_offload"), (SG | HW_CSUM, "udp_larger_than_mtu")]
    {
        let snapshot = Scene::new().udp().features(ETH0, features).sends(worst).snapshot();
        assert_eq!(causes(&snapshot)[0].0, key);
    }
}

#[test]
fn a_cause_that_nobody_knows_prints_its_evidence() {
    let elsewhere = copied_between(VETH0, VETH1);
    let in_the_driver = out(ETH0);
    let between_two = way(&[(VETH0, stage::QUEUE, 0), (ETH0, 0, stage::XMIT)], 0);
    for (way, evidence) in [
        (elsewhere, "intact at net_dev_start_xmit on veth0, copied at netif_receive_skb on veth1"),
        (between_two, "intact at net_dev_queue on veth0, copied at net_dev_start_xmit on eth0"),
        (in_the_driver, "last seen at net_dev_start_xmit on eth0, intact"),
        (at_send(ETH0), "already copied when first queued on eth0"),
        (Way::default(), "no packet of it was seen"),
    ] {
        let f = copied(&Scene::new().sends(Burst::copied(20, way)).snapshot());
        assert!(f.sentence.ends_with("by a cause that zcwatch does not know"), "{}", f.sentence);
        assert_eq!(f.evidence, evidence);
        assert_eq!((f.cause, f.severity), (Some("unknown"), Severity::Problem));
        assert_eq!(
            f.remedies,
            ["Please report this, with the evidence above and the output of `zcwatch doctor`."]
        );
    }
}

#[test]
fn a_device_that_was_never_described_is_not_guessed() {
    let snapshot = Scene::new().udp().sends(Burst::copied(20, at_send(77))).snapshot();
    let f = copied(&snapshot);
    assert!(f.sentence.contains("copied on an unknown device (100 %)"), "{}", f.sentence);
    assert_eq!(f.cause, Some("unknown"));
}

#[test]
fn a_copy_behind_a_forwarding_host_is_placed_on_the_second_device() {
    let forwarded = way(
        &[
            (VETH0, stage::QUEUE | stage::XMIT, 0),
            (VETH1, stage::RECEIVE, 0),
            (ETH1, stage::QUEUE, stage::XMIT),
        ],
        0,
    );
    let snapshot = Scene::new().sends(Burst::copied(20, forwarded)).snapshot();
    assert!(copied(&snapshot).sentence.contains("copied on eth1"));
}

#[test]
fn commands_for_another_namespace_say_how_to_get_there() {
    let scene = |netns| {
        let sends = Burst::copied(20, at_send(ETH1)).bytes(1000);
        Scene::new().udp().with(|s| s.netns = netns).features(ETH1, HW_CSUM).sends(sends)
    };
    // A socket lives there: its process leads the way.
    assert_eq!(
        copied(&scene(THERE).snapshot()).remedies,
        ["nsenter -t 10 -n ethtool -K eth1 sg on"]
    );
    // The packet was forwarded, and no process there is known.
    assert_eq!(
        copied(&scene(HERE).snapshot()).remedies,
        [format!("ethtool -K eth1 sg on   (in network namespace {THERE})")]
    );
    // zcwatch does not know where it is itself.
    let unknown = Context::default();
    let f = diagnose(&scene(THERE).snapshot(), &unknown).remove(0);
    assert_eq!(f.remedies, ["ethtool -K eth1 sg on"]);
}

#[test]
fn causes_come_in_the_order_of_their_number_and_groups_of_one_cause_are_one() {
    let snapshot = Scene::new()
        .sends(Burst::copied(5, tapped(ETH0)).bytes(10))
        .sends(Burst::copied(13, delivered(LO, LO)).bytes(100))
        .sends(Burst::copied(4, at_send(ETH0)))
        .sends(Burst::copied(7, out(ETH0)).bytes(1000))
        .sends(Burst::of(6, out(ETH0)))
        .snapshot();
    assert_eq!(
        causes(&snapshot),
        [
            ("local_delivery", 13, Certainty::Measured),
            ("unknown", 4 + 7, Certainty::Measured),
            ("tap_tx", 5, Certainty::Inferred),
        ]
    );
    let all = causes_of(&snapshot.sockets[0], &snapshot);
    let bytes: Vec<_> = all.iter().map(|c| c.group.bytes).collect();
    assert_eq!(bytes, [1300, 4 * 20_000 + 7000, 50]);
}

#[test]
fn every_key_is_its_own_and_the_last_row_takes_what_is_left() {
    let mut keys: Vec<_> = CAUSES.iter().map(|c| c.key).collect();
    assert_eq!(keys.pop(), Some("unknown"));
    let before = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), before);
}
