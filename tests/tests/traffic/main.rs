//! How programs send: by many sockets, by few, by sockets that others opened; and what zcwatch
//! then finds. Needs root.

mod calls;
mod churn;
mod owners;

use std::collections::BTreeSet;

use zcwatch_tests::report::Report;

/// These findings hold, and no others.
#[track_caller]
#[allow(dead_code)]
fn assert_findings(report: &Report, names: &[&str]) {
    let expected: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(report.findings(), expected, "{:#}", report.at("/findings"));
}
