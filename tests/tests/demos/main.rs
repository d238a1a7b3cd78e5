//! The demos say what they are there to show, and `doctor` what this host allows. Needs root.

mod all;

use anyhow::Result;
use serde_json::Value;
use zcwatch_tests::{expect::impossible, report::Report, scenario::undisturbed, zcwatch::run};

fn demo(name: &str) -> Result<Report> {
    let ended = run(["demo", name, "-d", "500ms", "--format", "json"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let report = ended.report()?;
    undisturbed(&report)?;
    assert_eq!(report.at("/schema"), "zcwatch.report/1");
    assert_eq!(report.sockets().len(), 1, "{:#}", report.0);
    let row = &report.sockets()[0];
    assert_eq!(row["comm"], "demo-sender");
    assert_eq!(impossible(row), Vec::<String>::new());
    assert!(count(row, "/sends/count") > 50, "{row:#}");
    Ok(report)
}

fn count(row: &Value, pointer: &str) -> u64 {
    row.pointer(pointer).and_then(Value::as_u64).unwrap_or(u64::MAX)
}

#[test]
fn listeners_are_named_wherever_they_are() -> Result<()> {
    for (name, cause) in [("tap", "copied/tap_tx"), ("tap-rx", "copied/tap_rx")] {
        let report = demo(name)?;
        let finding = report.finding(cause)?;
        let sentence = finding["sentence"].as_str().unwrap_or_default();
        assert!(sentence.contains("demo-sniffer (pid "), "{sentence}");
        assert!(finding["remedies"][0].as_str().is_some_and(|r| r.starts_with("kill ")));
        assert_eq!(finding["certainty"], "measured");
    }
    Ok(())
}

#[test]
fn veth_xdp_is_not_healthy_though_nothing_is_reported_copied() -> Result<()> {
    let report = demo("veth-xdp")?;
    let row = &report.sockets()[0];
    assert_eq!(count(row, "/completed/copied"), 0);
    assert_eq!(count(row, "/hidden_copies"), count(row, "/completed/reported_zerocopy"));
    assert_eq!(report.finding("hidden-copy")?["certainty"], "inferred");
    Ok(())
}

#[test]
fn each_says_so_in_text() -> Result<()> {
    for (name, words) in [
        ("tap", "handed to a packet socket of demo-sniffer (pid "),
        ("zerocopy", "✔ healthy: "),
        ("veth-xdp", "reported zero-copy, and copied all the same"),
    ] {
        let ended = run(["demo", name, "-d", "500ms"])?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        assert!(ended.stdout.contains(words), "{}", ended.stdout);
        assert!(ended.stdout.starts_with(&format!("demo {name}: ")), "{}", ended.stdout);
        assert!(ended.stdout.contains("events lost 0"), "{}", ended.stdout);
    }
    // The first is the default.
    let ended = run(["demo", "-d", "500ms"])?;
    assert!(ended.stdout.contains("delivered on this host"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn doctor() -> Result<()> {
    let text = run(["doctor"])?;
    assert_eq!(text.code(), Some(0), "{text:?}");
    assert_eq!(text.stderr, "");
    let json = run(["doctor", "--format", "json"])?;
    assert_eq!(json.code(), Some(0), "{json:?}");
    let doctor: Value = serde_json::from_str(&json.stdout)?;
    assert_eq!(doctor["schema"], "zcwatch.doctor/1");
    assert_eq!((&doctor["usable"], &doctor["error"]), (&true.into(), &Value::Null));
    let questions = doctor["questions"].as_array().map_or(&[][..], Vec::as_slice);
    assert!(questions.len() >= 11, "{questions:?}");
    for answer in questions {
        // On the kernels that the tests are for, each has its answer.
        assert!(answer["hook"].is_string(), "{answer:#}");
        assert!(text.stdout.contains(answer["asks"].as_str().unwrap_or("?")), "{}", text.stdout);
        assert!(text.stdout.contains(answer["hook"].as_str().unwrap_or("?")), "{}", text.stdout);
    }
    for capability in doctor["capabilities"].as_array().into_iter().flatten() {
        assert_eq!(capability["held"], true, "{capability}");
    }
    Ok(())
}
