//! `trace --format ndjson`: every id's send and completion, once.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use serde_json::Value;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    expect::Expected,
    scenario::{undisturbed, workload},
    zcwatch::{command, run},
};

use super::{Scratch, trace};

/// How often each id of a socket is in events of these kinds, by their ranges.
fn ids(lines: &[Value], cookie: u64, kinds: &[&str]) -> BTreeMap<u64, u64> {
    let socket = cookie.to_string();
    let mut all = BTreeMap::new();
    for line in lines.iter().filter(|l| l["socket"] == socket.as_str()) {
        if kinds.iter().any(|kind| line["event"] == *kind) {
            let (lo, hi) = match line["id"].as_u64() {
                Some(id) => (id, id),
                None => (line["lo"].as_u64().unwrap_or(0), line["hi"].as_u64().unwrap_or(0)),
            };
            for id in lo..=hi {
                *all.entry(id).or_default() += 1;
            }
        }
    }
    all
}

#[test]
fn has_every_send_and_every_completion_once() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for line in [
        format!("send --to {} --count 700", tcp.address()),
        format!("send --protocol udp --to {} --count 700 --sizes 1400", udp.address()),
    ] {
        let mut sender = workload(path.client(), &line)?;
        let mut zcwatch = trace(&[&sender], "--format ndjson")?;
        sender.step()?;
        let truth = sender.truth()?;
        zcwatch.signal(Signal::SIGINT)?;
        let ended = zcwatch.wait()?;
        assert_eq!(ended.code(), Some(130), "{}", ended.stderr);
        assert!(
            ended.stderr.ends_with("zcwatch: 700 sends told, 0 events lost\n"),
            "{}",
            ended.stderr
        );
        sender.finish()?;

        let lines: Vec<Value> =
            ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        assert_eq!(lines[0]["schema"], "zcwatch.events/1");
        assert_eq!(lines[0]["about"]["target"]["pids"][0], truth.pid);
        let last = lines.last().context("no lines")?;
        assert_eq!((&last["event"], &last["why"]), (&"end".into(), &"interrupted".into()));
        assert_eq!(last["signal"], 2);
        let once: BTreeMap<u64, u64> = (0..700).map(|id| (id, 1)).collect();
        assert_eq!(ids(&lines, truth.cookie, &["send"]), once, "{line}");
        // It drains after each send, so nothing merges, and each notification is one completion.
        assert_eq!(ids(&lines, truth.cookie, &["started"]), once, "{line}");
        assert_eq!(ids(&lines, truth.cookie, &["read"]), once, "{line}");

        let file = Scratch::new("events");
        fs::write(&file.0, &ended.stdout)?;
        let report = run(["report", "--format", "json", "--from", &file.path()])?.report()?;
        undisturbed(&report)?;
        Expected::of(&truth).cause("local_delivery@server0", 700).check(&report)?;
    }
    Ok(())
}

#[test]
fn has_merged_completions_once_too() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let udp = path.udp_sink(Family::V4)?;
    let line = "send --protocol udp --count 2000 --sizes 1400 --drain at-end --to";
    let mut sender = workload(path.client(), &format!("{line} {}", udp.address()))?;
    let mut zcwatch = trace(&[&sender], "--format ndjson")?;
    sender.step()?;
    let truth = sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{}", ended.stderr);
    let lines: Vec<Value> =
        ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_eq!(lines.last().map(|l| &l["why"]), Some(&"processes_ended".into()));
    let once: BTreeMap<u64, u64> = (0..2000).map(|id| (id, 1)).collect();
    assert_eq!(ids(&lines, truth.cookie, &["send"]), once);
    assert_eq!(ids(&lines, truth.cookie, &["read"]), once);
    // What began a notification, and what was merged into one that was there.
    let mut completed = ids(&lines, truth.cookie, &["merged"]);
    for (id, n) in ids(&lines, truth.cookie, &["started"]) {
        // A notification may have grown before it was seen: its range then holds merged ids.
        completed.entry(id).or_insert(n);
    }
    assert_eq!(completed, once);
    Ok(())
}

#[test]
fn is_live_for_a_reader() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --forever --delay-us 1000", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let mut command: Command = command(["trace", "-p", &pid, "--format", "ndjson"])?;
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut lines = BufReader::new(child.stdout.take().context("no stdout")?).lines();
    // The header is there before anything is sent.
    let first = lines.next().context("no header")??;
    assert!(first.starts_with("{\"schema\":"), "{first}");
    sender.step()?;
    let seen = lines.find(|l| l.as_ref().is_ok_and(|l| l.contains("\"event\":\"send\"")));
    assert!(seen.is_some(), "while it goes on");
    drop(lines);
    let status = child.wait()?;
    assert_eq!(status.code(), Some(0), "a reader that goes away ends it");
    sender.step()?;
    sender.truth()?;
    Ok(())
}
