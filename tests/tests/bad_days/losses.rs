//! A ring buffer that is too small: losses are counted and said, and the totals stay exact.

use anyhow::Result;
use zcwatch_tests::zcwatch::Zcwatch;

use super::Sender;

#[test]
fn what_the_ring_cannot_hold_the_counters_know() -> Result<()> {
    let mut sender = Sender::new("--count 2000")?;
    let mut zcwatch = Zcwatch::watch_with(&[sender.pid()], "-d 60s --ring-size 4096")?;
    sender.workload.step()?;
    let truth = sender.workload.truth()?;
    zcwatch.signal(nix::sys::signal::Signal::SIGINT)?;
    let ended = zcwatch.wait()?;
    let report = ended.report()?;
    let lost = report.at("/host/events_lost").as_u64().unwrap_or(0);
    assert!(lost > 1000, "{lost} lost of 6000 in a ring of 4096 bytes");
    assert_eq!(*report.at("/host/counters_agree"), false);
    assert_eq!(report.at("/totals/sends/count"), truth.ids());
    assert_eq!(report.at("/totals/sends/bytes"), truth.sends.bytes);
    assert_eq!(report.at("/totals/completed/copied"), truth.copied);
    assert_eq!(report.at("/totals/completed/count"), truth.notified);
    assert_eq!(report.at("/totals/in_flight"), 0);
    assert!(report.at("/totals/sends/p50").is_null());
    assert!(!report.findings().contains("healthy"));
    sender.workload.finish()
}
