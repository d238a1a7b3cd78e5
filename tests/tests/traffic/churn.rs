//! Ten thousand sockets, each for a moment.

use std::{fs, time::Instant};

use anyhow::{Context, Result};
use serde_json::json;
use zcwatch::{
    lab::{Family, Layout, Topology, sender::Churned},
    tracker::ended::ROWS,
};
use zcwatch_tests::{
    Workload,
    report::causes,
    scenario::{undisturbed, workload},
    zcwatch::Zcwatch,
};

const SOCKETS: u64 = 10_000;

/// More memory than zcwatch needs even where all of them come and go within the moment that each
/// is kept whole: bytes.
const MOST: u64 = 96 << 20;

/// Bytes of memory that a process has had at most.
fn peak(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let row = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kilobytes: u64 = row.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes << 10)
}

/// Each line's sockets, at the same time.
fn churn(lines: &[&str]) -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let mut workloads = Vec::new();
    for line in lines {
        let to = if line.contains("udp") { udp.address() } else { tcp.address() };
        let line = format!("churn --to {to} --sockets {SOCKETS} --sizes 1400 {line}");
        workloads.push(workload(path.client(), &line)?);
    }
    let pids: Vec<_> = workloads.iter().map(Workload::pid).collect();
    let zcwatch = Zcwatch::watch(&pids)?;
    let before = peak(zcwatch.pid())?;
    let start = Instant::now();
    workloads.iter_mut().try_for_each(Workload::step)?;
    let mut truths: Vec<Churned> = Vec::new();
    for workload in &mut workloads {
        truths.push(workload.hear()?);
    }
    let took = start.elapsed();
    let grown = peak(zcwatch.pid())?.saturating_sub(before);
    let report = zcwatch.interrupt()?;
    let sum = |of: fn(&Churned) -> u64| truths.iter().map(of).sum::<u64>();
    let (sockets, sends) = (sum(|t| t.sockets), sum(|t| t.sends.count));
    println!("{lines:?}: {sockets} sockets in {took:?}, {} KB", grown >> 10);
    undisturbed(&report)?;
    assert_eq!(*report.at("/host/losses/sockets"), 0, "sockets found no room");
    let rows = report.sockets().len() as u64;
    let folded = report.at("/folded").as_array().context("no folded")?;
    let folded: u64 = folded.iter().filter_map(|f| f["sockets"].as_u64()).sum();
    println!("{rows} rows, {folded} folded");
    assert_eq!(rows + folded, sockets);
    assert!(rows >= ROWS as u64, "{rows} rows");
    let totals = report.at("/totals");
    assert_eq!(totals["sends"]["count"], sends);
    assert_eq!(totals["sends"]["bytes"], sum(|t| t.sends.bytes));
    let (read, copied) = (sum(|t| t.notified), sum(|t| t.copied));
    assert_eq!(copied, read, "the sender was told otherwise");
    assert_eq!(totals["completed"]["reported_zerocopy"], 0);
    // What was not read before the close can't be told by the queue any more, but by events.
    assert_eq!(totals["completed"]["copied"], sends);
    assert_eq!(totals["unread"], sends - read);
    assert_eq!((&totals["in_flight"], &totals["closed_in_flight"]), (&json!(0), &json!(0)));
    assert_eq!(causes(totals), [("local_delivery@lo".to_owned(), sends)].into());
    assert!(grown < MOST, "{grown} bytes for {sockets} sockets");
    Ok(())
}

#[test]
fn none_of_two_times_ten_thousand_is_missed() -> Result<()> {
    churn(&["--protocol udp", "--protocol udp"])?;
    churn(&["--protocol tcp"])
}

#[test]
fn none_that_never_reads_is_missed() -> Result<()> {
    churn(&["--protocol udp --drain never"])
}
