//! How findings are named and printed.

use serde_json::{Value, json};

use zcwatch_common::mark;

use super::scene::{
    Burst, ETH0, LO, SG, Scene, TUN0, context, delivered, linear, marked, out, sniffer, tapped,
};
use crate::{
    diagnosis::{FindingId, diagnose},
    event::{Counters, Way},
};

#[test]
fn a_finding_in_json_has_the_keys_of_the_schema() {
    let snapshot = Scene::new().sends(Burst::copied(20, delivered(LO, LO))).snapshot();
    let findings = serde_json::to_value(diagnose(&snapshot, &context())).unwrap();
    assert_eq!(
        findings,
        json!([{
            "id": "copied",
            "cause": "local_delivery",
            "severity": "problem",
            "sockets": ["1"],
            "folded": 0,
            "pids": [10],
            "sentence": "20 of 20 completed sends copied on lo (100 %): delivered on this host",
            "evidence": "still the sender's pages when lo received them",
            "remedies": [
                "Zerocopy never helps between processes of one host: use plain send for local \
                 peers."
            ],
            "certainty": "measured",
        }])
    );
}

#[test]
fn a_finding_without_a_cause_has_null() {
    let snapshot = Scene::new().sends(Burst::of(20, out(ETH0))).snapshot();
    let findings = serde_json::to_value(diagnose(&snapshot, &context())).unwrap();
    assert_eq!(findings[0]["cause"], Value::Null);
    assert_eq!(findings[0]["severity"], "note");
}

#[test]
fn every_name_of_a_finding_is_found_again_and_is_that_of_json() {
    for id in FindingId::ALL {
        assert_eq!(id.name().parse(), Ok(id));
        assert_eq!(serde_json::to_value(id).unwrap(), id.name());
    }
    let error = "copyed".parse::<FindingId>().unwrap_err();
    assert_eq!(
        error,
        "there is no finding \"copyed\"; there are copied, hidden-copy, flag-ignored, \
         enobufs-optmem, enobufs-memlock, device-drop, never-used, gave-up, small-sends, \
         one-in-flight, slow-release, unread-notifications, misled, out-of-order, healthy"
    );
}

#[test]
fn names_of_others_cannot_steer_the_terminal_from_a_finding() {
    let nasty = "a\x1b[2Jb\n";
    let scene = || {
        let scene = Scene::new().process(10, nasty).with(|s| s.comm = nasty.into());
        [ETH0, TUN0].into_iter().fold(scene, |s, d| s.change(d, |d| d.name = nasty.into()))
    };
    let limits = |s: Scene, change: fn(&mut Counters)| s.fails(|_| {}).counters(change);
    let listener = sniffer(9, 812, nasty);
    let quoted = marked(out(ETH0), mark::GSO_WITHOUT_SG);
    let reports: Vec<(&str, Scene)> = vec![
        ("tap_tx", scene().sends(Burst::copied(20, tapped(ETH0))).sniffers(&[listener])),
        ("tun_tap", scene().sends(Burst::copied(20, out(TUN0))).tunnels(&[(nasty, 812, nasty)])),
        ("checksum_help", scene().features(ETH0, SG).sends(Burst::copied(20, linear(ETH0)))),
        (
            "pull_small",
            scene().sends(Burst::copied(20, Way::default())).counters(|c| {
                (c.sends, c.bytes, c.reads) = (20, 400_000, [0, 20]);
                (c.unread, c.pulled, c.pulled_device) = (Some([0, 0]), 1, Some(ETH0));
            }),
        ),
        ("hidden-copy", scene().sends(Burst::of(20, quoted))),
        ("enobufs-optmem", limits(scene(), |c| c.failed_optmem = 1)),
        ("enobufs-memlock", limits(scene(), |c| c.failed_memlock = 1)),
        ("device-drop", scene().udp().errors(1, libc::ENOBUFS, out(ETH0))),
        ("never-used", scene().plain(10, 100, None)),
        ("slow-release", scene().sends(Burst::of(20, out(ETH0)).release(20_000_000))),
    ];
    for (name, scene) in reports {
        let all = diagnose(&scene.snapshot(), &context());
        let f = all.iter().find(|f| f.id.name() == name || f.cause == Some(name));
        let f = f.unwrap_or_else(|| panic!("no {name} in {all:?}"));
        let said = [&[f.sentence.clone(), f.evidence.clone()], &f.remedies[..]].concat();
        assert!(!said.iter().any(|s| s.chars().any(char::is_control)), "{f:?}");
        let named = name == "enobufs-optmem" || said.iter().any(|s| s.contains(r"a\u{1b}[2Jb\n"));
        assert!(named, "{f:?}");
    }
}
