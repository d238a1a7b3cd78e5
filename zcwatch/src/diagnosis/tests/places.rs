//! Causes told by the place of the copy, what was noticed there, and the device.

use std::net::Ipv6Addr;

use zcwatch_common::{mark, sign, stage};

use super::{
    causes::{causes, copied},
    scene::{
        Burst, ETH0, ETH1, HW_CSUM, IP_CSUM, IPV6_CSUM, LO, SG, Scene, THERE, TUN0, VETH0, VETH1,
        at_send, copied_between, delivered, heard, linear, marked, out, signed, sniffer, tapped,
        unheard, v6, way,
    },
};
use crate::{
    diagnosis::{Finding, causes_of},
    event::{Family, Way},
    host::packet::Sniffer,
    probe::hooks::Certainty::{self, Inferred, Measured},
    tracker::Snapshot,
};

const SECOND: u64 = 1_000_000_000;

fn tcpdump() -> Sniffer {
    sniffer(90, 812, "tcpdump")
}

/// Who listens on the second veth end.
fn on_veth1() -> Sniffer {
    Sniffer { netns: THERE, ifindex: 0, ..tcpdump() }
}

/// Twenty sends, all copied on this way.
fn all(way: Way) -> Scene {
    Scene::new().sends(Burst::copied(20, way))
}

/// By a device with these features only.
fn lacking(features: u64, way: Way) -> Scene {
    Scene::new().features(ETH0, features).sends(Burst::copied(20, way))
}

fn one(snapshot: &Snapshot) -> (&'static str, Certainty) {
    let all = causes(snapshot);
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0].0, all[0].2)
}

/// Received on one device, forwarded, and copied by the time it was queued on another.
fn forwarded() -> Way {
    let (q, x, r) = (stage::QUEUE, stage::XMIT, stage::RECEIVE);
    way(&[(VETH0, q | x, 0), (VETH1, r, 0), (ETH1, 0, q | x)], 0)
}

#[test]
fn how_sure_a_packet_socket_is() {
    let none: &[Sniffer] = &[];
    for (way, listeners, certainty) in [
        // The kernel's lists say it.
        (heard(tapped(ETH0), ETH0), none, Measured),
        (heard(tapped(ETH0), ETH0), &[tcpdump()], Measured),
        // They cannot be read: one that is known to listen, or nobody.
        (tapped(ETH0), &[tcpdump()], Measured),
        (tapped(ETH0), none, Inferred),
        // It came in between.
        (unheard(tapped(ETH0)), none, Inferred),
        (unheard(tapped(ETH0)), &[tcpdump()], Inferred),
    ] {
        let snapshot = all(way).sniffers(listeners).snapshot();
        assert_eq!(one(&snapshot), ("tap_tx", certainty), "{way:?} {listeners:?}");
    }
}

#[test]
fn whether_packet_sockets_heard_is_said() {
    for (way, heard) in [
        (tapped(ETH0), ""),
        (heard(tapped(ETH0), ETH0), "; packet sockets heard eth0 then"),
        (unheard(tapped(ETH0)), "; no packet socket heard eth0 when it was queued"),
    ] {
        let places = "intact at net_dev_queue on eth0, copied at net_dev_start_xmit on eth0";
        assert_eq!(copied(&all(way).snapshot()).evidence, format!("{places}{heard}"));
    }
}

#[test]
fn without_its_listener_loopback_copies_too() {
    let f = copied(&all(tapped(LO)).sniffers(&[Sniffer { ifindex: 0, ..tcpdump() }]).snapshot());
    assert_eq!(
        f.remedies,
        [
            "What goes over loopback is copied without the listener as well: use plain send for \
             local peers.",
            "kill 812",
            "or bind it to another device, or set PACKET_IGNORE_OUTGOING in it",
        ]
    );
}

/// Three bursts of ten seconds; tcpdump is there for the middle one.
fn for_a_while(middle: Burst) -> Scene {
    Scene::new()
        .sends(Burst::of(10, out(ETH0)))
        .wait(10 * SECOND)
        .sniffers(&[tcpdump()])
        .sends(middle)
        .wait(4_700_000_000)
        .sends(middle)
        .sniffers(&[])
        .wait(10 * SECOND)
        .sends(Burst::of(10, out(ETH0)))
}

#[test]
fn copies_over_a_part_of_the_time_say_which() {
    let f = copied(&for_a_while(Burst::copied(10, tapped(ETH0))).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 40 completed sends copied on eth0 (50 %): handed to a packet socket of tcpdump \
         (pid 812), from 10.0 s to 14.7 s of the watch"
    );
    assert_eq!(f.remedies, ["Nothing any more: the listener has gone."]);
    let f = copied(
        &Scene::new()
            .sends(Burst::of(10, out(ETH0)))
            .wait(3 * SECOND)
            .sniffers(&[tcpdump()])
            .sends(Burst::copied(10, tapped(ETH0)))
            .snapshot(),
    );
    assert!(f.sentence.ends_with("(pid 812), at 3.0 s of the watch"), "{}", f.sentence);
    let f = copied(
        &Scene::new()
            .sniffers(&[tcpdump()])
            .sends(Burst::copied(10, tapped(ETH0)))
            .wait(3 * SECOND)
            .sends(Burst::of(10, out(ETH0)).unread())
            .snapshot(),
    );
    assert!(f.sentence.ends_with("(pid 812), at 0.0 s of the watch"), "{}", f.sentence);
}

#[test]
fn copies_over_nearly_all_the_time_need_no_times() {
    // Nine tenths of the time are nearly all of it, and in less than a second nobody comes and goes.
    for (before, copied_for, said) in [
        (1_000_000_000, 9_000_000_000, false),
        (1_000_000_000, 8_900_000_000, true),
        (600_000_000, 390_000_000, false),
    ] {
        let scene = Scene::new()
            .sends(Burst::of(1, out(ETH0)))
            .wait(before)
            .sniffers(&[tcpdump()])
            .sends(Burst::copied(10, tapped(ETH0)))
            .wait(copied_for)
            .sends(Burst::copied(10, tapped(ETH0)));
        let f = copied(&scene.snapshot());
        assert_eq!(f.sentence.contains("of the watch"), said, "{}", f.sentence);
    }
}

#[test]
fn a_listener_of_another_time_is_not_named() {
    let burst = Burst::copied(10, tapped(ETH0));
    // Found gone half a second before the copies began; found half a second after they ended.
    let early = |ns| {
        Scene::new().sniffers(&[tcpdump()]).wait(1).sniffers(&[]).wait(ns).sends(burst).snapshot()
    };
    let late = |ns| Scene::new().sends(burst).wait(ns).sniffers(&[tcpdump()]).snapshot();
    let named = |s: &Snapshot| copied(s).sentence.contains("tcpdump");
    // The first send completes 20 \u{b5}s after it begins, the last 30 \u{b5}s before it is read.
    assert!(named(&early(499_980_000)) && !named(&early(499_980_001)));
    assert!(named(&late(499_970_000)) && !named(&late(499_970_001)));
}

#[test]
fn a_packet_socket_on_the_receiving_device_comes_before_the_receiver() {
    let scene = all(heard(delivered(VETH0, VETH1), VETH1));
    let f = copied(&scene.sniffers(&[on_veth1()]).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on veth1 (100 %): received, and handed to a packet \
         socket of tcpdump (pid 812)"
    );
    assert_eq!(
        f.evidence,
        "still the sender's pages when veth1 received them; packet sockets get a packet before \
         its receiver does"
    );
    assert_eq!(
        f.remedies,
        [
            "kill 812",
            "or bind it to another device",
            "If the receiver is on this host, these sends are copied without the listener as \
             well.",
        ]
    );
    assert_eq!((f.cause, f.certainty), (Some("tap_rx"), Measured));
}

#[test]
fn of_what_is_delivered_here_only_a_heard_packet_socket_is_blamed() {
    let there = delivered(VETH0, VETH1);
    let none: &[Sniffer] = &[];
    for (way, listeners, cause) in [
        (heard(there, VETH1), none, ("tap_rx", Measured)),
        (unheard(there), none, ("local_delivery", Measured)),
        (unheard(there), &[on_veth1()], ("local_delivery", Measured)),
        // The sending device's listeners did not copy.
        (heard(there, VETH0), none, ("local_delivery", Measured)),
        // Lists that cannot be read: the listener may have been first.
        (there, none, ("local_delivery", Measured)),
        (there, &[on_veth1()], ("local_delivery", Inferred)),
    ] {
        let snapshot = all(way).sniffers(listeners).snapshot();
        assert_eq!(one(&snapshot), cause, "{way:?} {listeners:?}");
    }
}

#[test]
fn of_what_is_forwarded_a_packet_socket_where_it_came_in_is_blamed() {
    let none: &[Sniffer] = &[];
    for (way, listeners, cause) in [
        (heard(forwarded(), VETH1), none, ("tap_rx", Measured)),
        (forwarded(), &[on_veth1()], ("tap_rx", Inferred)),
        (forwarded(), &[tcpdump()], ("unknown", Measured)),
        (forwarded(), none, ("unknown", Measured)),
        (unheard(forwarded()), &[on_veth1()], ("unknown", Measured)),
    ] {
        let snapshot = all(way).sniffers(listeners).snapshot();
        assert_eq!(one(&snapshot), cause, "{way:?} {listeners:?}");
    }
    let f = copied(&all(heard(forwarded(), VETH1)).snapshot());
    assert!(
        f.sentence.ends_with(
            "on veth1 (100 %): received, and handed to a packet socket of a process that zcwatch \
             did not see"
        ),
        "{}",
        f.sentence
    );
    assert_eq!(
        f.evidence,
        "intact at netif_receive_skb on veth1, copied at net_dev_queue on eth1; packet sockets \
         get a packet before its receiver does"
    );
}

#[test]
fn a_tc_program_where_it_was_received_makes_delivery_less_sure() {
    let f = copied(&all(signed(delivered(LO, LO), LO, sign::FILTERED)).snapshot());
    assert_eq!((f.cause, f.certainty), (Some("local_delivery"), Inferred));
    assert_eq!(
        f.evidence,
        "still the sender's pages when lo received them; a tc program at the ingress of lo may \
         have been first"
    );
}

#[test]
fn a_tunnel_is_named_with_who_reads_it() {
    let readers = [("tun0", 812, "openvpn"), ("tun1", 9, "other")];
    let f = copied(&all(out(TUN0)).tunnels(&readers).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on tun0 (100 %): handed to a tun or tap device, read by \
         openvpn (pid 812)"
    );
    assert_eq!(f.evidence, "still the sender's pages when handed to tun0");
    assert_eq!(
        f.remedies,
        [
            "Use plain send for what goes through tun0: zerocopy never gets past a tun or tap device."
        ]
    );
    assert_eq!((f.cause, f.certainty), (Some("tun_tap"), Measured));
    // The first look may take long; whoever is found by a later one may have come after the copies.
    let named = |f: &Finding| f.sentence.contains("openvpn");
    assert!(named(&copied(&all(out(TUN0)).wait(3 * SECOND).tunnels(&readers).snapshot())));
    let late = all(out(TUN0)).tunnels(&readers[1..]).wait(3 * SECOND).tunnels(&readers);
    assert!(!named(&copied(&late.snapshot())));
    // Nobody that zcwatch could see.
    let f = copied(&all(out(TUN0)).snapshot());
    assert!(f.sentence.ends_with(": handed to a tun or tap device"), "{}", f.sentence);
    // On a card the same place is none that is known.
    assert_eq!(one(&all(out(ETH0)).snapshot()), ("unknown", Measured));
}

#[test]
fn timestamps_bring_the_packet_back_from_the_driver_on() {
    let asked = |way| marked(way, mark::TIMESTAMPED);
    for (way, cause) in [
        (out(ETH0), ("tx_timestamp", Measured)),
        (copied_between(VETH0, VETH1), ("tx_timestamp", Measured)),
        // Scheduling timestamps come before the first sight.
        (at_send(ETH0), ("tx_timestamp", Inferred)),
        (out(TUN0), ("tun_tap", Measured)),
        (tapped(ETH0), ("tap_tx", Inferred)),
        (linear(ETH0), ("unknown", Measured)),
        (delivered(LO, LO), ("local_delivery", Measured)),
        (Way::default(), ("unknown", Measured)),
    ] {
        assert_eq!(one(&all(asked(way)).snapshot()), cause, "{way:?}");
        let without = one(&all(way).snapshot());
        assert_ne!(without.0, "tx_timestamp", "{way:?}");
    }
}

#[test]
fn what_explains_a_datagram_at_send_comes_before_its_timestamp() {
    let way = marked(at_send(ETH0), mark::TIMESTAMPED);
    let sends = |bytes| Scene::new().udp().sends(Burst::copied(20, way).bytes(bytes)).snapshot();
    assert_eq!(one(&sends(1473)), ("udp_larger_than_mtu", Measured));
    assert_eq!(one(&sends(1472)), ("tx_timestamp", Inferred));
}

#[test]
fn what_to_do_about_timestamps() {
    let f = copied(&all(marked(out(ETH0), mark::TIMESTAMPED)).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): returned to the sender with a TX \
         timestamp"
    );
    assert_eq!(
        f.evidence,
        "last seen at net_dev_start_xmit on eth0, intact; its sender asked for TX timestamps \
         without OPT_TSONLY"
    );
    let tsonly = "Add SOF_TIMESTAMPING_OPT_TSONLY to the flags of SO_TIMESTAMPING: the timestamp \
                  then comes without the packet.";
    assert_eq!(f.remedies, [tsonly]);
    // It was received on this host: perhaps for good.
    let f = copied(&all(marked(copied_between(VETH0, VETH1), mark::TIMESTAMPED)).snapshot());
    assert!(f.sentence.contains("copied on veth0 "), "the driver's end: {}", f.sentence);
    assert_eq!(
        f.remedies,
        [
            tsonly,
            "If the receiver is on this host, these sends are copied without timestamps as well.",
        ]
    );
}

#[test]
fn what_a_device_lacks_is_made_up_for_in_software() {
    let gso = |way| signed(way, ETH0, sign::GSO);
    for (features, way, cause) in [
        (HW_CSUM, linear(ETH0), Some("linearize_no_sg")),
        (0, linear(ETH0), Some("linearize_no_sg")),
        (SG, linear(ETH0), Some("checksum_help")),
        (SG | IPV6_CSUM, linear(ETH0), Some("checksum_help")),
        (SG, gso(linear(ETH0)), Some("gso_no_csum")),
        (SG | IPV6_CSUM, gso(linear(ETH0)), Some("gso_no_csum")),
        (SG | IP_CSUM, linear(ETH0), None),
        (SG | HW_CSUM, gso(linear(ETH0)), None),
    ] {
        let snapshot = lacking(features, way).snapshot();
        assert_eq!(one(&snapshot), (cause.unwrap_or("unknown"), Measured), "{features} {way:?}");
    }
}

#[test]
fn a_family_is_checksummed_by_its_own_feature() {
    let scene = |features| {
        lacking(features, linear(ETH0)).with(|s| {
            s.family = Family::V6;
            s.local = v6(Ipv6Addr::LOCALHOST, 1);
            s.remote = Some(v6(Ipv6Addr::LOCALHOST, 2));
        })
    };
    let f = copied(&scene(SG | IP_CSUM).snapshot());
    assert_eq!(f.cause, Some("checksum_help"));
    assert_eq!(
        f.evidence,
        "last seen at net_dev_queue on eth0, intact; eth0 has no checksum offload for IPv6"
    );
    assert_eq!(one(&scene(SG | IPV6_CSUM).snapshot()).0, "unknown");
}

#[test]
fn what_was_copied_for_want_of_a_feature_stays_so_when_that_is_back() {
    let scene = lacking(SG, linear(ETH0)).features(ETH0, SG | HW_CSUM);
    assert_eq!(one(&scene.snapshot()), ("checksum_help", Measured));
}

#[test]
fn of_gso_packets_without_scatter_gather_nobody_is_told_so_it_was_another_one() {
    let snapshot = lacking(HW_CSUM, signed(linear(ETH0), ETH0, sign::GSO)).snapshot();
    assert_eq!(one(&snapshot), ("linearize_no_sg", Inferred));
}

#[test]
fn a_packet_socket_comes_after_what_the_device_lacks() {
    for (features, key) in [(SG, "checksum_help"), (HW_CSUM, "linearize_no_sg")] {
        // Made linear, it is not seen at the driver: no listener did that.
        let gone = lacking(features, heard(linear(ETH0), ETH0)).sniffers(&[tcpdump()]);
        assert_eq!(one(&gone.snapshot()), (key, Measured));
        // Seen there all the same: perhaps the feature went later.
        let seen = |way| lacking(features, way);
        assert_eq!(one(&seen(heard(tapped(ETH0), ETH0)).snapshot()), (key, Inferred));
        let known = seen(tapped(ETH0)).sniffers(&[tcpdump()]);
        assert_eq!(one(&known.snapshot()), (key, Inferred));
        assert_eq!(one(&seen(unheard(tapped(ETH0))).snapshot()), (key, Measured));
        assert_eq!(one(&seen(tapped(ETH0)).snapshot()), (key, Measured));
    }
}

#[test]
fn what_to_do_about_what_a_device_lacks() {
    let gso = |way| signed(way, ETH0, sign::GSO);
    let said = |features, way| copied(&lacking(features, way).snapshot());
    let f = said(HW_CSUM, linear(ETH0));
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): made linear: the device has no \
         scatter-gather"
    );
    assert_eq!(
        f.evidence,
        "last seen at net_dev_queue on eth0, intact; eth0 has no scatter-gather"
    );
    assert_eq!(f.remedies, ["ethtool -K eth0 sg on"]);
    let f = said(SG, linear(ETH0));
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): checksummed in software: the device \
         does not checksum"
    );
    assert_eq!(f.remedies, ["ethtool -K eth0 tx on"]);
    let f = said(SG, gso(linear(ETH0)));
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): segmented and checksummed in software: \
         the device does not checksum"
    );
    assert_eq!(
        f.evidence,
        "last seen at net_dev_queue on eth0, intact; eth0 has no checksum offload for IPv4"
    );
    assert_eq!(f.remedies, ["ethtool -K eth0 tx on"]);
    // Whoever listens there would be next.
    let scene = lacking(SG, heard(linear(ETH0), ETH0)).sniffers(&[tcpdump()]);
    assert_eq!(
        copied(&scene.snapshot()).remedies,
        [
            "ethtool -K eth0 tx on",
            "Then packet sockets on eth0 would copy these sends: tcpdump (pid 812).",
        ]
    );
}

#[test]
fn a_device_with_a_nasty_name_gets_no_command_run() {
    let scene = lacking(SG, linear(ETH0)).change(ETH0, |d| d.name = "$(reboot)".into());
    assert_eq!(copied(&scene.snapshot()).remedies, ["ethtool -K '$(reboot)' tx on"]);
}

#[test]
fn ipsec_keeps_a_datagram_from_checksum_offload_whatever_the_device_has() {
    let sends = Burst::copied(20, marked(at_send(ETH0), mark::ESP)).bytes(1000);
    for scene in [Scene::new(), Scene::new().features(ETH0, 0)] {
        let f = copied(&scene.udp().sends(sends).snapshot());
        assert_eq!((f.cause, f.certainty), (Some("udp_ipsec"), Measured));
        assert_eq!(f.evidence, "already copied when first queued on eth0, inside ESP");
    }
    assert_eq!(one(&Scene::new().sends(sends).snapshot()).0, "unknown");
}

#[test]
fn extension_headers_keep_a_datagram_from_checksum_offload() {
    let way = marked(at_send(ETH0), mark::EXT_HEADERS);
    let sends = Burst::copied(20, way).bytes(1000);
    let f = copied(&Scene::new().udp().sends(sends).snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth0 (100 %): copied at send: IPv6 extension headers"
    );
    assert_eq!(
        f.evidence,
        "already copied when first queued on eth0, with extension headers behind its IPv6 header"
    );
    assert_eq!(
        f.remedies,
        ["Send without IPV6_HOPOPTS, IPV6_RTHDR and IPV6_DSTOPTS (socket options or control \
          messages), or with plain send."]
    );
    assert_eq!((f.cause, f.certainty), (Some("udp6_ext_headers"), Measured));
    let no_offload = Scene::new().udp().features(ETH0, SG).sends(sends);
    assert_eq!(one(&no_offload.snapshot()).0, "udp_no_csum_offload");
    assert_eq!(one(&Scene::new().sends(sends).snapshot()).0, "unknown");
}

#[test]
fn a_payload_in_the_head_was_pulled_there() {
    let scene = |pulled| {
        all(Way::default()).counters(|c| {
            c.pulled = pulled;
            c.pulled_device = Some(ETH1);
        })
    };
    // The counters are told of nothing else here, which is as with lost events.
    let snapshot = scene(40).snapshot();
    let cause = &causes_of(&snapshot.sockets[0], &snapshot)[0];
    assert_eq!((cause.cause.key, cause.certainty), ("pull_small", Inferred));
    assert_eq!((cause.device, cause.group.sends), (Some(ETH1), 20));
    let none = scene(0).snapshot();
    assert_eq!(causes_of(&none.sockets[0], &none)[0].cause.key, "unknown");
    // What was seen on its way was not pulled.
    let seen = all(out(ETH0)).counters(|c| c.pulled = 40).snapshot();
    assert_eq!(causes_of(&seen.sockets[0], &seen)[0].cause.key, "unknown");
}

#[test]
fn who_pulled_the_payload_can_be_looked_up() {
    let scene = all(Way::default()).counters(|c| {
        (c.sends, c.bytes) = (20, 400_000);
        c.reads = [0, 20];
        c.unread = Some([0, 0]);
        c.notifications_read = 20;
        c.pulled = 40;
        c.pulled_device = Some(ETH1);
    });
    let f = copied(&scene.snapshot());
    assert_eq!(
        f.sentence,
        "20 of 20 completed sends copied on eth1 (100 %): pulled into the linear head before the \
         device queue by a tc or netfilter program"
    );
    assert_eq!(f.evidence, "40 packets queued on eth1 with the payload in the linear head");
    assert_eq!(
        f.remedies,
        [
            "Let the program pull no more than the headers (the second argument of \
             bpf_skb_pull_data)."
                .to_owned(),
            format!("tc filter show dev eth1 egress   (in network namespace {THERE})"),
        ]
    );
}

#[test]
fn listeners_of_all_sockets_of_a_cause_are_named() {
    let snapshot = Scene::new()
        .sends(Burst::copied(20, heard(tapped(ETH0), ETH0)))
        .socket(|_| {})
        .sends(Burst::copied(10, heard(tapped(ETH1), ETH1)))
        .sniffers(&[tcpdump(), Sniffer { netns: THERE, ifindex: 0, ..sniffer(91, 9, "agent") }])
        .snapshot();
    let f = copied(&snapshot);
    assert!(
        f.sentence.ends_with("a packet socket of agent (pid 9) and of tcpdump (pid 812)"),
        "{}",
        f.sentence
    );
    assert_eq!(f.remedies[0], "kill 812");
    assert_eq!(f.remedies[2], "kill 9");
}
