//! `--follow`: descendants, those alive already too, until the last has ended.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;
use zcwatch::lab::sender::Truth;
use zcwatch_tests::{expect::Expected, report::Report, scenario::undisturbed};

use crate::{Stage, counts, watch};

/// Each process with its parent, and whether it has ended.
fn family(report: &Report) -> BTreeMap<u64, (Option<u64>, bool)> {
    let all = report.at("/processes").as_array().into_iter().flatten();
    all.filter_map(|p| Some((p["pid"].as_u64()?, (p["parent"].as_u64(), p["ended"] == true))))
        .collect()
}

#[test]
fn descendants_of_before_and_later_are_watched_to_the_end_of_the_last() -> Result<()> {
    let stage = Stage::new()?;
    let mut root = stage.puppet("root")?;
    let mut bystander = stage.puppet("bystander")?;
    let mut child = root.fork(None)?;
    let mut grandchild = root.fork(Some(&mut child))?;
    let before: Truth = root.order_to(&mut grandchild, "send 10")?;

    let arguments = format!("-p {} --follow -d 60s", root.pid());
    let mut zcwatch = watch(&arguments, &[root.pid(), child.pid, grandchild.pid])?;
    let mut truths: Vec<Truth> = vec![root.order_to(&mut child, "send 20")?];
    truths.push(root.order_to(&mut grandchild, "send 30")?);
    let mut later = root.fork(None)?;
    truths.push(root.order_to(&mut later, "send 11")?);
    let _: Value = root.order_to(&mut later, "exec")?;
    truths.push(root.order_to(&mut later, "send 12")?);
    let mut last = root.fork(Some(&mut later))?;
    let strange = bystander.send(50)?;
    let root_pid = root.pid();

    // The root ends first, and a parent before its child.
    root.end()?;
    drop(later);
    truths.push(root.order_to(&mut last, "send 13")?);
    drop((child, grandchild, last));
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let report = ended.report()?;
    undisturbed(&report)?;
    for (truth, comm) in truths.iter().zip(["root", "root", "root", "root", "root"]) {
        let ids = truth.ids();
        // The name is of the process that first sent.
        Expected::of(truth).but("/comm", comm).cause("local_delivery@lo", ids).check(&report)?;
    }
    let expected: BTreeMap<_, _> =
        truths.iter().map(|t| (t.cookie, (t.ids(), t.notified))).collect();
    assert_eq!(counts(&report)?, expected);
    assert!(!expected.contains_key(&strange.cookie) && !expected.contains_key(&before.cookie));
    let [child, grandchild, later, _, last] = [0, 1, 2, 3, 4].map(|i| u64::from(truths[i].pid));
    let root = u64::from(root_pid);
    let family_then = BTreeMap::from([
        (root, (None, true)),
        (child, (Some(root), true)),
        (grandchild, (Some(child), true)),
        (later, (Some(root), true)),
        (last, (Some(later), true)),
    ]);
    assert_eq!(family(&report), family_then);
    assert_eq!(*report.at("/target/follow"), true);
    bystander.finish()
}

#[test]
fn without_follow_children_are_strangers() -> Result<()> {
    let stage = Stage::new()?;
    let mut root = stage.puppet("root")?;
    let mut before = root.fork(None)?;
    let arguments = format!("-p {} -d 60s", root.pid());
    let mut zcwatch = watch(&arguments, &[root.pid()])?;
    let mut later = root.fork(None)?;
    for limb in [&mut before, &mut later] {
        let _: Truth = root.order_to(limb, "send 5")?;
    }
    let truth = root.send(9)?;
    // Its end is the end, though children live on.
    root.end()?;
    let report = zcwatch.wait()?.report()?;
    undisturbed(&report)?;
    assert_eq!(counts(&report)?, BTreeMap::from([(truth.cookie, (9, 9))]));
    assert_eq!(family(&report), BTreeMap::from([(truth.pid.into(), (None, true))]));
    Ok(())
}

#[test]
fn a_storm_of_children_is_counted_to_the_last_send() -> Result<()> {
    const CHILDREN: u64 = 500;
    let stage = Stage::new()?;
    let mut root = stage.puppet("root")?;
    let zcwatch = watch(&format!("-p {} --follow -d 60s", root.pid()), &[root.pid()])?;
    assert!(root.order::<bool>(&format!("storm {CHILDREN}"))?);
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    assert_eq!(*report.at("/totals/sends/count"), 2 * CHILDREN);
    assert_eq!(*report.at("/totals/completed/copied"), 2 * CHILDREN);
    let sockets = counts(&report)?;
    assert_eq!(sockets.len() as u64, CHILDREN);
    assert!(sockets.values().all(|counts| *counts == (2, 2)), "{sockets:?}");
    let mut family = family(&report);
    let root_row = family.remove(&root.pid().into()).context("the root is not known")?;
    assert_eq!(root_row, (None, false));
    let made = (Some(u64::from(root.pid())), true);
    assert!(family.values().all(|row| *row == made), "{family:?}");
    assert_eq!(family.len() as u64, CHILDREN);
    root.finish()
}
