//! How programs send: by many sockets, by few, by sockets that others opened; and what zcwatch
//! then finds. Needs root.

mod calls;
mod churn;
mod facts;
mod findings;
mod owners;
mod slow;
mod stress;
mod tcpdump;

use std::{collections::BTreeSet, time::Duration};

use anyhow::Result;
use nix::time::{ClockId, clock_gettime};
use zcwatch_tests::report::Report;

/// These findings hold, and no others.
#[track_caller]
fn assert_findings(report: &Report, names: &[&str]) {
    let expected: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(report.findings(), expected, "{:#}", report.at("/findings"));
}

/// ns since boot, on the clock of zcwatch's times.
fn now() -> Result<u64> {
    let time = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(u64::try_from(time.as_nanos())?)
}
