//! How a trace ends.

use std::{
    io::{BufRead, BufReader, Read},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    scenario::workload,
    zcwatch::{Ended, command},
};

use super::trace;

/// What a sender that does not stop looks like with these arguments.
fn of_a_busy_sender(arguments: &str, signal: Option<Signal>) -> Result<Ended> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --forever --delay-us 1000", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let mut zcwatch = trace(&[&sender], arguments)?;
    sender.step()?;
    if let Some(signal) = signal {
        std::thread::sleep(Duration::from_millis(500));
        zcwatch.signal(signal)?;
    }
    let ended = zcwatch.wait()?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    Ok(ended)
}

fn told(ended: &Ended) -> usize {
    ended.stdout.lines().filter(|l| l.contains(" send #")).count()
}

#[test]
fn after_as_many_sends_as_were_asked_for() -> Result<()> {
    for count in [1, 25] {
        let ended = of_a_busy_sender(&format!("--count {count}"), None)?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        assert_eq!(told(&ended), count, "{}", ended.stdout);
        let last = ended.stdout.lines().last().unwrap_or_default();
        assert!(last.contains(&format!("send #{} ", count - 1)), "{last}");
        let sends = if count == 1 { "1 send told".into() } else { format!("{count} sends told") };
        assert!(ended.stderr.contains(&sends), "{}", ended.stderr);
    }
    let ended = of_a_busy_sender("--format ndjson -n 5", None)?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let last: Value = serde_json::from_str(ended.stdout.lines().last().context("nothing")?)?;
    assert_eq!((&last["event"], &last["why"]), (&"end".into(), &"count_reached".into()));
    let sends = ended.stdout.matches("\"event\":\"send\"").count();
    assert!((5..500).contains(&sends), "{sends}");
    Ok(())
}

#[test]
fn after_a_time() -> Result<()> {
    let start = Instant::now();
    let ended = of_a_busy_sender("-d 1s", None)?;
    assert!(start.elapsed() < Duration::from_secs(10));
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(told(&ended) > 100, "{}", ended.stdout);
    Ok(())
}

#[test]
fn by_a_signal() -> Result<()> {
    for (signal, code) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 143)] {
        let ended = of_a_busy_sender("", Some(signal))?;
        assert_eq!(ended.code(), Some(code), "{ended:?}");
        // The last ones too, which were not read long enough before.
        let n = told(&ended);
        assert!(n > 50, "{}", ended.stdout);
        assert!(ended.stdout.contains(&format!("send #{} ", n - 1)), "{}", ended.stdout);
        assert!(ended.stderr.ends_with(&format!("{n} sends told, 0 events lost\n")));
    }
    Ok(())
}

#[test]
fn only_slow_sends_are_told_where_that_is_asked() -> Result<()> {
    let ended = of_a_busy_sender("-d 500ms --min-latency 30s", None)?;
    assert_eq!(told(&ended), 0, "{}", ended.stdout);
    let left_out = ended.stderr.lines().last().unwrap_or_default();
    assert!(left_out.starts_with("zcwatch: 0 sends told, "), "{left_out}");
    assert!(left_out.contains(" left out (--min-latency), 0 events lost"), "{left_out}");
    let ended = of_a_busy_sender("--min-latency 1ns --count 10", None)?;
    assert_eq!(told(&ended), 10, "{}", ended.stdout);
    Ok(())
}

#[test]
fn when_its_reader_has_seen_enough() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    for format in ["text", "ndjson"] {
        let line = format!("send --to {} --count 20", sink.address());
        let mut sender = workload(path.client(), &line)?;
        let pid = sender.pid().to_string();
        let mut command = command(["trace", "-p", &pid, "--format", format])?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let mut reader = BufReader::with_capacity(1, child.stdout.take().context("no stdout")?);
        sender.step()?;
        sender.truth()?;
        ensure!(reader.read_line(&mut String::new())? > 0, "nothing was told");
        drop(reader);
        // The sender is there still, and silent: nothing more will be written.
        let start = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < Duration::from_secs(20), "it goes on for nobody");
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut said = String::new();
        child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
        assert_eq!(status.code(), Some(0), "{said}");
        assert!(!said.contains("panic") && !said.contains("pipe"), "{said}");
        sender.finish()?;
    }
    Ok(())
}
