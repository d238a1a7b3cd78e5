//! Every way that sends are known to take, watched by the real zcwatch: each socket's counts are
//! the sender's own, exactly, and the cause and the device of its copies are the known ones.
//! Needs root.

mod devices;
mod drops;
mod encrypted;
mod features;
mod kernels;
mod listeners;
mod options;
mod table;
mod tunnels;

use std::collections::BTreeSet;

use zcwatch_tests::report::Report;

/// These findings hold, and no others.
#[track_caller]
fn assert_findings(report: &Report, names: &[&str]) {
    let expected: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(report.findings(), expected, "{:#}", report.at("/findings"));
}
