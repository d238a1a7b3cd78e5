//! Names that would steer a terminal, and readers that go away.

use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;
use std::process::Stdio;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    scenario::workload,
    zcwatch::{Zcwatch, command},
};

/// Red, and one that turns the direction of text; 15 bytes.
const EVIL: &str = "a\u{1b}[31mb\u{202e}c";
const TAMED: &str = "a\\u{1b}[31mb\\u{202e}c";

#[test]
fn are_escaped_in_text_and_whole_in_json() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let _sniffer = workload(path.client(), &format!("--comm {EVIL} sniff"))?;
    let line = format!("--comm {EVIL} send --to {} --count 20", sink.address());
    for format in ["text", "json"] {
        let mut sender = workload(path.client(), &line)?;
        let pid = sender.pid().to_string();
        let arguments = ["report", "-p", &pid, "-d", "60s", "--format", format];
        let mut zcwatch = Zcwatch::start(arguments)?;
        zcwatch.wait_until_watching(&[sender.pid()])?;
        sender.step()?;
        let truth = sender.truth()?;
        sender.finish()?;
        let ended = zcwatch.wait()?;
        let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!ended.stderr.contains(steers), "{:?}", ended.stderr);
        assert!(ended.stderr.contains(TAMED), "{:?}", ended.stderr);
        if format == "text" {
            assert!(!ended.stdout.contains(steers), "{:?}", ended.stdout);
            // The sender's row, and the finding that names who listens.
            assert!(ended.stdout.contains(&format!("{TAMED} (pid {pid})")), "{}", ended.stdout);
            assert!(ended.stdout.matches(TAMED).count() >= 2, "{}", ended.stdout);
        } else {
            let report = ended.report()?;
            assert_eq!(report.socket(truth.cookie)?["comm"], EVIL);
        }
    }
    Ok(())
}

#[test]
fn a_reader_that_has_seen_enough() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 20", sink.address());
    for lines in [0, 1] {
        let mut sender = workload(path.client(), &line)?;
        let pid = sender.pid().to_string();
        let mut command = command(["report", "-p", &pid, "-d", "60s", "--format", "json"])?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut reader = BufReader::with_capacity(1, child.stdout.take().context("no stdout")?);
        let mut stderr = BufReader::new(child.stderr.take().context("no stderr")?);
        let mut said = String::new();
        while !said.contains("watching") {
            anyhow::ensure!(stderr.read_line(&mut said)? > 0, "{said}");
        }
        sender.step()?;
        sender.truth()?;
        for _ in 0..lines {
            // Its first line comes when it has ended.
            sender.step()?;
            reader.read_line(&mut said)?;
        }
        drop(reader);
        drop(sender);
        let status = child.wait()?;
        stderr.read_to_string(&mut said)?;
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("panic"), "{said}");
    }
    Ok(())
}

#[test]
fn signals_in_the_middle_print_what_was_seen() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 20", sink.address());
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        for format in ["text", "json"] {
            let mut sender = workload(path.client(), &line)?;
            let pid = sender.pid().to_string();
            let mut zcwatch =
                Zcwatch::start(["report", "-p", &pid, "-d", "60s", "--format", format])?;
            zcwatch.wait_until_watching(&[sender.pid()])?;
            sender.step()?;
            sender.truth()?;
            zcwatch.signal(signal)?;
            let ended = zcwatch.wait()?;
            assert_eq!(ended.code(), Some(code), "{ended:?}");
            if format == "text" {
                let sentence = "20 of 20 completed sends copied on lo";
                assert!(ended.stdout.contains(sentence), "{}", ended.stdout);
            } else {
                assert_eq!(ended.report()?.at("/totals/completed/copied"), 20);
            }
        }
    }
    Ok(())
}

#[test]
fn one_that_ends_without_having_sent() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 0", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let mut zcwatch = Zcwatch::start(["report", "-p", &pid, "-d", "60s"])?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("ended while it was watched"), "{ended:?}");
    assert!(!ended.stdout.contains("healthy"), "{}", ended.stdout);
    println!("{}", ended.stdout);
    Ok(())
}
