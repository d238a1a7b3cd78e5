//! Causes told by the calls that led to a copy.

use super::{
    causes::causes,
    scene::{
        Burst, ETH0, Scene, VETH0, VETH1, at_send, context, delivered, heard, led_to, out, tapped,
        unheard,
    },
};
use crate::{
    diagnosis::{CAUSES, causes_of, diagnose},
    event::{CopySeen, FailedSend, Limit, Way},
    probe::hooks::Certainty::{self, Inferred, Measured},
    tracker::Snapshot,
};

const RECEIVED: &[&str] = &["skb_copy_ubufs", "__netif_receive_skb_core", "process_backlog"];

fn by(calls: &[&str], way: Way) -> Scene {
    Scene::new().stack(1, calls).sends(Burst::copied(20, way))
}

fn one(snapshot: &Snapshot) -> (&'static str, Certainty) {
    let all = causes(snapshot);
    assert_eq!(all.len(), 1, "{all:?}");
    (all[0].0, all[0].2)
}

#[test]
fn each_row_is_told_by_its_own_calls() {
    for cause in CAUSES {
        for calls in cause.calls {
            let mut calls: Vec<String> = calls.iter().map(|c| c.replace('*', "x_")).collect();
            calls.push("ip_output".into());
            let calls: Vec<&str> = calls.iter().map(String::as_str).collect();
            let snapshot = by(&calls, led_to(out(ETH0), ETH0, 1)).snapshot();
            assert_eq!(one(&snapshot), (cause.key, Measured), "{calls:?}");
        }
    }
}

#[test]
fn what_called_says_more_than_where_it_was() {
    // By its places it would have been made at send, or by a packet socket.
    for way in [at_send(ETH0), heard(tapped(ETH0), ETH0), delivered(VETH0, VETH1)] {
        let snapshot = by(&["skb_copy_ubufs", "tun_net_xmit"], led_to(way, ETH0, 1)).snapshot();
        assert_eq!(one(&snapshot), ("tun_tap", Measured), "{way:?}");
    }
    // Of the calls that begin alike the longer row counts, and a name goes before a part of one.
    for (calls, key) in [
        (&["__pskb_pull_tail", "skb_checksum_help", "validate_xmit_skb"], "checksum_help"),
        (&["__pskb_pull_tail", "skb_checksum_help", "xfrm_output"], "ipsec"),
        (&["__pskb_pull_tail", "validate_xmit_skb", "__dev_queue_xmit"], "linearize_no_sg"),
        (&["__pskb_pull_tail", "start_xmit", "dev_hard_start_xmit"], "driver_linearize"),
        (&["__pskb_pull_tail", "bpf_skb_pull_data", "bpf_prog_1"], "pull_small"),
    ] {
        let snapshot = by(calls, led_to(out(ETH0), ETH0, 1)).snapshot();
        assert_eq!(one(&snapshot), (key, Measured), "{calls:?}");
    }
}

#[test]
fn calls_that_no_row_knows_leave_it_to_the_places() {
    let strange = ["skb_copy_ubufs", "quite_new", "ip_rcv"];
    let snapshot = by(&strange, led_to(delivered(VETH0, VETH1), VETH1, 1)).snapshot();
    assert_eq!(one(&snapshot), ("local_delivery", Inferred));
    let snapshot = by(&strange, led_to(out(ETH0), ETH0, 1)).snapshot();
    assert_eq!(one(&snapshot).0, "unknown");
    let finding = &diagnose(&snapshot, &context())[0];
    assert!(finding.evidence.starts_with("skb_copy_ubufs < quite_new < ip_rcv; "), "{finding:?}");
    // Without their record, too.
    let snapshot = Scene::new()
        .sends(Burst::copied(20, led_to(heard(tapped(ETH0), ETH0), ETH0, 7)))
        .snapshot();
    assert_eq!(one(&snapshot), ("tap_tx", Measured));
}

#[test]
fn no_device_is_named_where_none_had_the_packet() {
    let sentence = |snapshot: &Snapshot| diagnose(snapshot, &context())[0].sentence.clone();
    let calls = ["__pskb_pull_tail", "skb_checksum_help", "xfrm_output", "ip_output"];
    let copy = CopySeen { device: None, stack: Some(1) };
    let before = || by(&calls, Way { copy: Some(copy), ..Way::default() });
    assert_eq!(
        sentence(&before().snapshot()),
        "20 of 20 completed sends copied (100 %): checksummed in software for IPsec"
    );
    let both = before().sends(Burst::copied(20, led_to(out(ETH0), ETH0, 1)));
    assert_eq!(
        sentence(&both.snapshot()),
        "40 of 40 completed sends copied on an unknown device, eth0 (100 %): checksummed in \
         software for IPsec"
    );
}

#[test]
fn what_is_copied_when_received_was_delivered_heard_or_forwarded() {
    let way = |way| led_to(way, VETH1, 1);
    let end = |forwarded| move |s: Scene| s.counters(|c| c.forwarded = forwarded).snapshot();
    let delivered = unheard(delivered(VETH0, VETH1));
    assert_eq!(one(&end(0)(by(RECEIVED, way(delivered)))), ("local_delivery", Measured));
    assert_eq!(one(&end(3)(by(RECEIVED, way(delivered)))), ("local_rx", Measured));
    let listened = heard(delivered, VETH1);
    assert_eq!(one(&end(0)(by(RECEIVED, way(listened)))), ("tap_rx", Measured));
    assert_eq!(one(&end(3)(by(RECEIVED, way(listened)))), ("local_rx", Measured));
    // Where it went on to is not known before the end.
    assert_eq!(one(&by(RECEIVED, way(delivered)).snapshot()), ("local_rx", Measured));
    // Without the calls the places and the packets that went on say the same.
    let scene = Scene::new().sends(Burst::copied(20, delivered));
    assert_eq!(one(&end(3)(scene)), ("local_rx", Measured));
}

#[test]
fn the_report_has_the_calls_of_the_largest_group() {
    let way = |stack| led_to(out(ETH0), ETH0, stack);
    let snapshot = Scene::new()
        .stack(1, &["skb_copy_ubufs", "dev_queue_xmit_nit", "a"])
        .stack(2, &["skb_copy_ubufs", "dev_queue_xmit_nit", "b"])
        .sends(Burst::copied(20, way(1)))
        .sends(Burst::copied(30, way(2)))
        .snapshot();
    let all = causes_of(&snapshot.sockets[0], &snapshot);
    assert_eq!(all.len(), 1);
    assert_eq!(all[0].group.sends, 50);
    assert_eq!(all[0].calls(&snapshot), ["skb_copy_ubufs", "dev_queue_xmit_nit", "b"]);
}

#[test]
fn a_limit_that_was_seen_refusing_is_measured() {
    let seen = crate::diagnosis::Context { limits_seen: true, ..context() };
    // By what was left it would have been the option memory.
    let refuse = |limit| {
        move |f: &mut FailedSend| {
            (f.optmem_used, f.memlock_limit, f.limit) = (131_000, Some(65_536), Some(limit));
        }
    };
    let scene = Scene::new().sends(Burst::copied(20, out(ETH0))).fails(refuse(Limit::Memlock));
    let snapshot = scene.counters(|c| c.failed_memlock = 1).snapshot();
    let findings = diagnose(&snapshot, &seen);
    let finding = findings.iter().find(|f| f.id.name() == "enobufs-memlock").unwrap();
    assert_eq!(finding.certainty, Measured);
    assert!(finding.evidence.starts_with("mm_account_pinned_pages refused"), "{finding:?}");
    assert!(
        finding.sentence.contains("of 64 KiB") || finding.sentence.contains("65"),
        "{finding:?}"
    );
}
