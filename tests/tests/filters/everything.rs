//! No option: everything but zcwatch.

use anyhow::Result;
use zcwatch_tests::{expect::Expected, zcwatch::run};

use crate::{Stage, processes, watch};

#[test]
fn all_processes_are_watched_but_zcwatch() -> Result<()> {
    let (one, two) = (Stage::new()?, Stage::new()?);
    let mut puppets = [one.puppet("one")?, two.puppet("two")?];
    let held = puppets[0].send(10)?;
    let zcwatch = watch("-d 60s", &[])?;
    let own = zcwatch.pid();
    let mut truths = Vec::new();
    for (puppet, count) in puppets.iter_mut().zip([20, 30]) {
        truths.push(puppet.send(count)?);
    }
    let pids = puppets.each_ref().map(|p| u64::from(p.pid()));
    let [first, second] = puppets;
    first.finish()?;
    let report = zcwatch.interrupt()?;
    // Others on this machine may send too: only ours are known.
    assert_eq!(*report.at("/host/events_lost"), 0);
    for (truth, comm) in truths.iter().zip(["one", "two"]) {
        let ids = truth.ids();
        Expected::of(truth).but("/comm", comm).cause("local_delivery@lo", ids).check(&report)?;
    }
    assert!(report.socket(held.cookie).is_err(), "nothing was sent by it in the window");
    let known = processes(&report);
    assert!(pids.iter().all(|pid| known.contains(pid)), "{known:?}");
    assert!(!known.contains(&own.into()), "zcwatch itself");
    assert!(report.sockets().iter().all(|row| row["pid"] != own));
    let all = report.at("/processes").as_array().into_iter().flatten();
    let ended = all.filter(|p| p["pid"] == pids[0]).all(|p| p["ended"] == true);
    assert!(ended, "the first has ended");
    second.finish()
}

#[test]
fn a_report_on_everything_says_so() -> Result<()> {
    let ended = run(["report", "-d", "10ms"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("zcwatch report: all processes, "), "{}", ended.stdout);
    Ok(())
}
