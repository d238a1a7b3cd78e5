//! Processes that are in the middle of a call when they are picked.

use anyhow::Result;
use zcwatch_tests::{Workload, scenario::undisturbed, scenario::workload};

use crate::{Stage, counts, watch};

#[test]
fn a_call_that_had_begun_before_leaves_nothing_in_flight() -> Result<()> {
    let stage = Stage::new()?;
    let line = format!("--comm zct-busy send {} --forever", stage.options());
    let mut senders = Vec::new();
    for _ in 0..6 {
        let mut sender = workload(stage.path.client(), &line)?;
        sender.step()?;
        senders.push(sender);
    }
    let zcwatch = watch("--comm zct-busy -d 60s", &[])?;
    senders.iter_mut().try_for_each(Workload::step)?;
    for sender in &mut senders {
        sender.truth()?;
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    for row in report.sockets() {
        assert_eq!(row["in_flight"], 0, "{row:#}");
    }
    assert_eq!(counts(&report)?.len(), senders.len());
    senders.into_iter().try_for_each(Workload::finish)
}
