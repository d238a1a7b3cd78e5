//! Attached in the middle of the sending, and gone before its end.

use std::{fs, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::time::{ClockId, clock_gettime};
use serde_json::Value;
use zcwatch::lab::{
    Family, Layout, Topology,
    sender::{SendRecord, Truth},
};
use zcwatch_tests::{
    Workload,
    expect::{Expected, impossible},
    scenario::{undisturbed, workload},
    zcwatch::Zcwatch,
};

/// Each run of sends is told from its neighbours by the sum of its bytes.
const SIZES: &str = "--sizes 1009,1013,1019,1021,1031,1033,1039,1049,1051,1061,1063,1069,1087";

fn now() -> Result<u64> {
    let time = Duration::from(clock_gettime(ClockId::CLOCK_BOOTTIME)?);
    Ok(u64::try_from(time.as_nanos())?)
}

/// Lets it begin, and waits until it has its socket.
fn begin(sender: &mut Workload) -> Result<()> {
    sender.step()?;
    let folder = format!("/proc/{}/fd", sender.pid());
    for _ in 0..1000 {
        let targets = fs::read_dir(&folder)?.flatten().map(|entry| fs::read_link(entry.path()));
        let is_socket = |path: std::path::PathBuf| path.to_string_lossy().starts_with("socket:");
        if targets.flatten().any(is_socket) {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(5));
    }
    anyhow::bail!("it opens no socket")
}

/// The sends of this row are neighbours in the log: all that were made while zcwatch certainly
/// watched, and none that was made while it certainly did not.
fn check_window(row: &Value, log: &[SendRecord], sure: (u64, u64), any: (u64, u64)) -> Result<()> {
    let at = |pointer| row.pointer(pointer).and_then(Value::as_u64).context("no number");
    let (count, bytes) = (at("/sends/count")? as usize, at("/sends/bytes")?);
    ensure!(count <= log.len(), "{count} sends of {}", log.len());
    // Bytes before each send of the log.
    let before: Vec<u64> = [0]
        .into_iter()
        .chain(log.iter().scan(0, |sum, send| {
            *sum += send.bytes;
            Some(*sum)
        }))
        .collect();
    // The last may still be inside its call: its id is taken, its bytes are not known yet.
    let fits = |start: usize| {
        let end = start + count;
        let sum = before[end] - before[start];
        sum == bytes || end > start && before[end - 1] - before[start] == bytes
    };
    let starts: Vec<_> = (0..=log.len() - count).filter(|&start| fits(start)).collect();
    ensure!(!starts.is_empty(), "no {count} sends with {bytes} bytes among {}", log.len());
    let counted = |start: usize| {
        let (run, rest) = (start..start + count, log.iter().enumerate());
        let missed = rest.clone().filter(|(i, send)| {
            !run.contains(i) && send.t_before > sure.0 && send.t_after < sure.1
        });
        let extra = rest
            .filter(|(i, send)| run.contains(i) && (send.t_after < any.0 || send.t_before > any.1));
        (missed.count(), extra.count())
    };
    // Equal sums are 13 sends apart; more than that is missed by no mistake of one or two.
    // The window may begin with the very first of those that are sure.
    let first = log.iter().position(|send| send.t_before > sure.0).unwrap_or(log.len());
    let near = |&&start: &&usize| log[start].t_after > any.0 && start <= first;
    let best = starts.iter().filter(near).map(|&start| counted(start)).min();
    ensure!(best == Some((0, 0)), "missed and invented: {best:?} of {count}");
    Ok(())
}

fn watch_in_the_middle(line: &str, path: &Topology) -> Result<()> {
    println!("{line}");
    let mut sender = workload(path.client(), line)?;
    begin(&mut sender)?;
    let started = now()?;
    let zcwatch = Zcwatch::watch(&[sender.pid()])?;
    let watching = now()?;
    // Nothing to wait for: the longer it sends, the more there is to see.
    thread::sleep(Duration::from_millis(300));
    let stopping = now()?;
    let report = zcwatch.interrupt()?;
    let stopped = now()?;
    sender.step()?;
    let truth = sender.truth()?;
    sender.finish()?;
    undisturbed(&report)?;
    let row = report.socket(truth.cookie)?;
    println!("{} of {} sends in the window", row["sends"]["count"], truth.ids());
    let wrong = impossible(row);
    ensure!(wrong.is_empty(), "{wrong:?}");
    ensure!(row["completed"]["copied"].as_u64() > Some(20), "{row:#}");
    ensure!(row["completed"]["reported_zerocopy"] == 0, "{row:#}");
    ensure!(row["misled"] == 0 && row["hidden_copies"] == 0, "{row:#}");
    check_window(row, &truth.log, (watching, stopping), (started, stopped))
}

#[test]
fn a_process_that_sends_before_and_after() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let common = format!("--forever --log --delay-us 300 {SIZES}");
    watch_in_the_middle(&format!("send --to {} {common}", tcp.address()), &path)?;
    watch_in_the_middle(&format!("send --protocol udp --to {} {common}", udp.address()), &path)
}

/// A notification that covers ids of before and of after the attach.
#[test]
fn what_was_sent_before_is_counted_apart() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let common = "--forever --log --delay-us 300 --drain at-end --sizes 1400";
    for line in [
        format!("send --to {} {common}", tcp.address()),
        format!("send --protocol udp --to {} {common}", udp.address()),
    ] {
        println!("{line}");
        let mut sender = workload(path.client(), &line)?;
        begin(&mut sender)?;
        let zcwatch = Zcwatch::watch(&[sender.pid()])?;
        let watching = now()?;
        thread::sleep(Duration::from_millis(100));
        sender.step()?;
        let truth = sender.truth()?;
        let report = zcwatch.interrupt()?;
        undisturbed(&report)?;
        let row = report.socket(truth.cookie)?;
        let sends = row["sends"]["count"].as_u64().context("no count")?;
        println!("{} ids, {sends} in the window, {} read", truth.ids(), truth.notifications);
        let after = truth.log.iter().filter(|send| send.t_before > watching).count() as u64;
        assert!((after..truth.ids()).contains(&sends), "{after} ≤ {sends} < {}", truth.ids());
        Expected::of(&truth)
            .but("/sends/count", sends)
            .but("/sends/bytes", sends * 1400)
            .but("/completed/before_attach", truth.ids() - sends)
            .but("/completed/copied", sends)
            .cause("local_delivery@lo", sends)
            .check(&report)?;
        sender.finish()?;
    }
    Ok(())
}

#[test]
fn what_completes_late_was_sent_before() -> Result<()> {
    // A neighbour that never answers is given up after three seconds.
    let path = Topology::new(Layout::Veth)?;
    let line = "send --protocol udp --to 10.99.1.77:9 --sizes 1400 --count 5 --drain at-end";
    let mut sender = workload(path.client(), line)?;
    begin(&mut sender)?;
    let zcwatch = Zcwatch::watch(&[sender.pid()])?;
    let truth: Truth = sender.truth()?;
    assert_eq!((truth.notified, truth.copied), (5, 0));
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    Expected::of(&truth)
        .but("/sends/count", 0)
        .but("/sends/bytes", 0)
        .but("/sends/min", ())
        .but("/sends/max", ())
        .but("/sends/p50", ())
        .but("/completed/before_attach", 5)
        .but("/completed/reported_zerocopy", 0)
        .check(&report)
}
