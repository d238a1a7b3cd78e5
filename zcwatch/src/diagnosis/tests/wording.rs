//! How findings are named and printed.

use serde_json::{Value, json};

use super::scene::{Burst, ETH0, LO, Scene, context, delivered, out, sniffer, tapped};
use crate::diagnosis::{FindingId, diagnose};

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
    let scene = Scene::new().sends(Burst::copied(20, tapped(ETH0)));
    let scene = scene.change(ETH0, |d| d.name = nasty.into()).sniffers(&[sniffer(9, 812, nasty)]);
    let all = diagnose(&scene.snapshot(), &context());
    let said = |text: &str| !text.chars().any(char::is_control);
    for f in &all {
        assert!(said(&f.sentence) && said(&f.evidence), "{f:?}");
        assert!(f.remedies.iter().all(|r| said(r)), "{f:?}");
    }
    assert!(all[0].sentence.contains(r"a\u{1b}[2Jb\n (pid 812)"), "{}", all[0].sentence);
}
