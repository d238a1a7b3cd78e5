//! Workloads that are watched while they send.

use anyhow::{Result, ensure};
use serde_json::json;
use zcwatch::lab::{Netns, sender::Truth};

use crate::{
    Workload,
    expect::impossible,
    report::Report,
    zcwatch::{WITHOUT_TIMING, Zcwatch, program},
};

/// Starts a workload by its arguments, parted by spaces; it waits for its first step.
///
/// # Errors
/// When it can't be started.
pub fn workload(netns: &Netns, arguments: &str) -> Result<Workload> {
    let binary = program("zcwatch-tests", "workload")?;
    Workload::start(binary, netns, arguments.split_whitespace())
}

/// Starts workloads in `netns`, watches them all at once, lets one send after the other, ends the
/// watch while they still hold their sockets, and lets them end.
///
/// # Errors
/// When a step fails, or the report is not one of an undisturbed watch.
pub fn watch(netns: &Netns, lines: &[String]) -> Result<(Report, Vec<Truth>)> {
    let lines: Vec<_> = lines.iter().map(|line| (netns, line.clone())).collect();
    watch_all(&lines)
}

/// As [`watch`], each workload in a namespace of its own.
///
/// # Errors
/// As [`watch`].
pub fn watch_all(lines: &[(&Netns, String)]) -> Result<(Report, Vec<Truth>)> {
    watch_all_with(lines, "")
}

/// As [`watch_all`], zcwatch with more arguments, parted by spaces.
///
/// # Errors
/// As [`watch`].
pub fn watch_all_with(lines: &[(&Netns, String)], arguments: &str) -> Result<(Report, Vec<Truth>)> {
    let mut workloads = Vec::new();
    for (netns, line) in lines {
        workloads.push(workload(netns, line)?);
    }
    let pids: Vec<_> = workloads.iter().map(Workload::pid).collect();
    let arguments = format!("-d 60s {WITHOUT_TIMING} {arguments}");
    let zcwatch = Zcwatch::watch_with(&pids, &arguments)?;
    let mut truths = Vec::new();
    for workload in &mut workloads {
        workload.step()?;
        truths.push(workload.truth()?);
    }
    let report = zcwatch.interrupt()?;
    workloads.into_iter().try_for_each(Workload::finish)?;
    undisturbed(&report)?;
    Ok((report, truths))
}

/// Nothing was lost, and the events tell what the kernel's counters do.
///
/// # Errors
/// When not so.
pub fn undisturbed(report: &Report) -> Result<()> {
    let (lost, agree) = (report.at("/host/events_lost"), report.at("/host/counters_agree"));
    ensure!(*lost == json!(0), "{lost} events lost: {:#}", report.0);
    ensure!(*agree == json!(true), "events and counters differ: {:#}", report.0);
    let wrong = impossible(report.at("/totals"));
    ensure!(wrong.is_empty(), "totals: {wrong:?} in {:#}", report.0);
    Ok(())
}
