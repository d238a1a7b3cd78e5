//! Real sends over real paths, watched by the real zcwatch: what it says is what the sender
//! itself knows, exactly. Needs root.

mod agree;
mod attach;
mod ids;
mod io_uring;
mod limits;
mod strangers;
mod targets;
mod threads;

use std::collections::BTreeSet;

use zcwatch_tests::report::Report;

/// These findings hold, and no others.
#[track_caller]
fn assert_findings(report: &Report, names: &[&str]) {
    let expected: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(report.findings(), expected, "{:#}", report.at("/findings"));
}
