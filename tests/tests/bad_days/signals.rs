//! Signals, closed pipes and SIGKILL: what was seen is printed, and nothing stays behind.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use zcwatch_tests::{
    kernel,
    zcwatch::{Zcwatch, command, run},
};

use super::Sender;

/// Nothing that the kernel cleans up takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

fn until(what: &str, mut holds: impl FnMut() -> bool) -> Result<()> {
    let start = Instant::now();
    while !holds() {
        ensure!(start.elapsed() < PATIENCE, "not so after 20 s: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    Ok(())
}

/// Programs of anybody that are loaded now.
fn loaded() -> BTreeSet<u32> {
    aya::programs::loaded_programs().flatten().map(|p| p.id()).collect()
}

#[test]
fn a_signal_ends_the_watch_and_prints_what_was_seen() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let mut sender = Sender::new("--count 40")?;
        let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
        sender.workload.step()?;
        let truth = sender.workload.truth()?;
        zcwatch.signal(signal)?;
        let ended = zcwatch.wait()?;
        assert_eq!(ended.code(), Some(code), "{ended:?}");
        let report = ended.report()?;
        assert_eq!(report.at("/totals/sends/count"), truth.ids());
        assert_eq!(report.at("/totals/completed/copied"), truth.copied);
        sender.workload.finish()?;
    }
    Ok(())
}

#[test]
fn the_end_of_the_process_ends_the_watch() -> Result<()> {
    let mut sender = Sender::new("--count 40")?;
    let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
    sender.workload.step()?;
    sender.workload.truth()?;
    sender.workload.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("ended while it was watched"), "{ended:?}");
    assert_eq!(ended.report()?.at("/totals/completed/copied"), 40);
    Ok(())
}

#[test]
fn a_demo_hears_signals_too() -> Result<()> {
    let mut child = command(["demo", "veth", "-d", "60s"])?
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take().context("no stderr")?;
    let mut line = String::new();
    BufReader::new(stderr).read_line(&mut line)?;
    assert!(line.contains("watching"), "{line}");
    until("it handles signals", || kernel::handles_signals(child.id()))?;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(child.id().cast_signed()), Signal::SIGINT)?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    assert!(String::from_utf8_lossy(&output.stdout).contains("demo veth"));
    Ok(())
}

#[test]
fn a_reader_that_goes_away_is_no_panic() -> Result<()> {
    let mut child = command(["causes"])?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    drop(child.stdout.take());
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ok(())
}

#[test]
fn killed_in_the_middle_nothing_stays() -> Result<()> {
    let before = loaded();
    let sender = Sender::new("--count 40")?;
    let zcwatch = Zcwatch::watch(&[sender.pid()])?;
    let programs = kernel::held(zcwatch.pid(), "prog_id:");
    assert!(programs.len() >= 10, "{programs:?}");
    zcwatch.signal(Signal::SIGKILL)?;
    until("its programs are gone", || loaded().is_disjoint(&programs))?;
    assert!(loaded().is_subset(&before) || loaded().is_disjoint(&programs));
    sender.workload.finish()
}

#[test]
fn a_demo_that_is_killed_takes_its_traffic_and_namespaces_along() -> Result<()> {
    let mut child = command(["demo", "tap", "-d", "60s"])?
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    BufReader::new(child.stderr.take().context("no stderr")?).read_line(&mut line)?;
    assert!(line.contains("watching"), "{line}");
    let family = descendants(child.id());
    assert_eq!(family.len(), 2, "its traffic and its listener: {family:?}");
    child.kill()?;
    child.wait()?;
    until("its processes are gone", || {
        family.iter().all(|pid| !std::path::Path::new(&format!("/proc/{pid}/exe")).exists())
    })
}

fn descendants(of: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{of}/task/{of}/children"));
    let direct: Vec<u32> = children
        .unwrap_or_default()
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect();
    let mut all = direct.clone();
    for pid in direct {
        all.extend(descendants(pid));
    }
    all
}

#[test]
fn the_doctor_leaves_nothing_either() -> Result<()> {
    let before = loaded();
    let ended = run(["doctor", "--format", "json"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let doctor: serde_json::Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(doctor["schema"], "zcwatch.doctor/1");
    assert!(doctor["questions"].as_array().is_some_and(|q| q.len() == 11));
    until("as before", || loaded().is_subset(&before))
}
