//! `--comm`: processes by their name.

use std::collections::BTreeMap;

use anyhow::Result;
use zcwatch::lab::sender::Truth;
use zcwatch_tests::{expect::Expected, scenario::undisturbed};

use crate::{Stage, counts, processes, watch};

#[test]
fn exactly_the_name_counts() -> Result<()> {
    let stage = Stage::new()?;
    let mut good = [stage.puppet("zct-pick")?, stage.puppet("zct-fifteen-byt")?];
    let mut bad = [stage.puppet("zct-pick2")?, stage.puppet("zct-pic")?, stage.puppet("Zct-pick")?];
    // A socket that is held already is watched too.
    let held: Truth = good[0].send(10)?;
    let zcwatch = watch("--comm zct-pick --comm zct-fifteen-byt -d 60s", &[])?;
    let again: Truth = good[0].order("again")?;
    assert_eq!((again.cookie, again.ids()), (held.cookie, 20));
    let mut truths = Vec::new();
    for (puppet, count) in good.iter_mut().zip([20, 30]) {
        truths.push(puppet.send(count)?);
    }
    for puppet in &mut bad {
        puppet.send(7)?;
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    for (truth, comm) in truths.iter().zip(["zct-pick", "zct-fifteen-byt"]) {
        let ids = truth.ids();
        Expected::of(truth).but("/comm", comm).cause("local_delivery@lo", ids).check(&report)?;
    }
    let mut expected: BTreeMap<_, _> =
        truths.iter().map(|t| (t.cookie, (t.ids(), t.ids()))).collect();
    expected.insert(held.cookie, (10, 10));
    assert_eq!(counts(&report)?, expected);
    let known = good.each_ref().map(|p| u64::from(p.pid()));
    assert_eq!(processes(&report), known.into());
    Ok(())
}

#[test]
fn a_name_may_come_and_go() -> Result<()> {
    let stage = Stage::new()?;
    let mut puppet = stage.puppet("zct-before")?;
    let zcwatch = watch("--comm zct-during -d 60s", &[])?;
    let before = puppet.send(10)?;
    assert!(puppet.order::<bool>("name zct-during")?);
    let during = puppet.send(11)?;
    assert!(puppet.order::<bool>("name zct-after")?);
    // A socket that is watched stays watched.
    let again: Truth = puppet.order("again")?;
    let after = puppet.send(12)?;
    let pid = puppet.pid();
    puppet.finish()?;
    // There is no last one of a name: the watch goes on.
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    assert_eq!((again.cookie, again.ids()), (during.cookie, 22));
    let expected = Expected::of(&again).but("/comm", "zct-during");
    expected.cause("local_delivery@lo", 22).check(&report)?;
    assert_eq!(counts(&report)?, BTreeMap::from([(during.cookie, (22, 22))]));
    for other in [before, after] {
        assert_ne!(other.cookie, during.cookie);
    }
    assert_eq!(processes(&report), [u64::from(pid)].into());
    assert_eq!(*report.at("/processes/0/ended"), true);
    Ok(())
}

#[test]
fn what_a_named_one_starts_is_followed() -> Result<()> {
    let stage = Stage::new()?;
    let mut named = stage.puppet("zct-parent")?;
    let mut before = named.fork(None)?;
    let _: bool = named.order_to(&mut before, "name zct-child")?;
    let zcwatch = watch("--comm zct-parent --follow -d 60s", &[before.pid])?;
    let mut later = named.fork(None)?;
    let _: bool = named.order_to(&mut later, "name zct-child")?;
    let truths: [Truth; 2] =
        [named.order_to(&mut before, "send 6")?, named.order_to(&mut later, "send 7")?];
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    let expected = truths.each_ref().map(|t| (t.cookie, (t.ids(), t.notified)));
    assert_eq!(counts(&report)?, expected.into());
    Ok(())
}
