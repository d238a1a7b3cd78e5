//! The demos say what their paths do.

use anyhow::Result;
use zcwatch_tests::{report::Report, zcwatch::run};

fn demo(scenario: &str) -> Result<Report> {
    let ended = run(["demo", scenario, "-d", "1s", "--format", "json"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let report = ended.report()?;
    assert!(report.at("/totals/completed/count").as_u64() > Some(50), "{:#}", report.0);
    assert_eq!(*report.at("/host/events_lost"), 0);
    Ok(report)
}

#[test]
fn local_peers_are_copied_on_delivery() -> Result<()> {
    for scenario in ["loopback", "veth"] {
        let findings = demo(scenario)?.findings();
        assert!(findings.contains("copied/local_delivery"), "{scenario}: {findings:?}");
    }
    Ok(())
}

#[test]
fn the_listener_is_named() -> Result<()> {
    let report = demo("tap")?;
    let sentence = report.finding("copied/tap_tx")?["sentence"].to_string();
    assert!(sentence.contains("demo-sniffer (pid "), "{sentence}");
    Ok(())
}

#[test]
fn nothing_copied_is_healthy_and_a_hidden_copy_is_not() -> Result<()> {
    let report = demo("zerocopy")?;
    assert!(report.findings().contains("healthy"), "{:?}", report.findings());
    assert_eq!(*report.at("/totals/completed/copied"), 0);
    let report = demo("veth-xdp")?;
    assert_eq!(*report.at("/totals/completed/copied"), 0);
    let findings = report.findings();
    assert!(findings.contains("hidden-copy") && !findings.contains("healthy"), "{findings:?}");
    Ok(())
}

#[test]
fn the_list_names_each() -> Result<()> {
    let ended = run(["demo", "--list"])?;
    assert_eq!(ended.code(), Some(0));
    let names: Vec<_> =
        ended.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["loopback", "veth", "tap", "zerocopy", "veth-xdp"]);
    Ok(())
}
