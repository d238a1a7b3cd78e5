//! `--cgroup`: processes by their group, as they come and go.

use std::{fs, io, path::PathBuf};

use anyhow::{Context, Result};
use zcwatch::{host::cgroup, lab::sender::Truth};
use zcwatch_tests::scenario::undisturbed;

use crate::{Stage, counts, processes, watch};

/// A group of the v2 hierarchy. Dropped, it is removed; who is in it goes to the root.
struct Group(PathBuf);

impl Group {
    fn new(name: &str) -> Result<Self> {
        let root = cgroup::root().context("no cgroup v2 is mounted: mount -t cgroup2 none DIR")?;
        let dir = root.join(format!("zcwatch-test-{}-{name}", std::process::id()));
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    fn below(&self, name: &str) -> Result<Self> {
        let dir = self.0.join(name);
        fs::create_dir(&dir)?;
        Ok(Self(dir))
    }

    fn take(&self, pid: u32) -> io::Result<()> {
        fs::write(self.0.join("cgroup.procs"), pid.to_string())
    }
}

/// Moves a process out of all groups.
fn let_go(pid: u32) -> Result<()> {
    let root = cgroup::root().context("no cgroup v2")?;
    Ok(fs::write(root.join("cgroup.procs"), pid.to_string())?)
}

impl Drop for Group {
    fn drop(&mut self) {
        let left = fs::read_to_string(self.0.join("cgroup.procs")).unwrap_or_default();
        for pid in left.lines().filter_map(|pid| pid.parse().ok()) {
            let _ = let_go(pid);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn a_group_and_what_is_below_it() -> Result<()> {
    let stage = Stage::new()?;
    let group = Group::new("a")?;
    let inner = group.below("inner")?;
    let other = Group::new("b")?;
    let mut puppets = [stage.puppet("in")?, stage.puppet("below")?, stage.puppet("beside")?];
    for (puppet, group) in puppets.iter().zip([&group, &inner, &other]) {
        group.take(puppet.pid())?;
    }
    let zcwatch = watch(&format!("--cgroup {} -d 60s", group.0.display()), &[])?;
    let [a, b, c] = &mut puppets;
    let truths = [a.send(10)?, b.send(11)?];
    c.send(12)?;
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    let expected = truths.each_ref().map(|t| (t.cookie, (t.ids(), t.notified)));
    assert_eq!(counts(&report)?, expected.into());
    assert_eq!(processes(&report), truths.map(|t| u64::from(t.pid)).into());
    // The folders go before the group above them.
    drop((inner, group, other));
    Ok(())
}

#[test]
fn who_moves_in_is_watched_and_who_moves_out_is_not() -> Result<()> {
    let stage = Stage::new()?;
    let group = Group::new("moves")?;
    let (mut leaver, mut comer) = (stage.puppet("leaver")?, stage.puppet("comer")?);
    group.take(leaver.pid())?;
    let held = leaver.send(10)?;

    // Named as /proc/PID/cgroup has it.
    let name = group.0.file_name().and_then(|n| n.to_str()).context("no name")?.to_owned();
    let zcwatch = watch(&format!("--cgroup /{name} -d 60s"), &[])?;
    let_go(leaver.pid())?;
    // A socket that it held at the start stays watched; a new one is none of ours.
    let again: Truth = leaver.order("again")?;
    assert_eq!((again.cookie, again.ids()), (held.cookie, 20));
    leaver.send(11)?;

    comer.send(12)?;
    group.take(comer.pid())?;
    let inside = comer.send(13)?;
    let_go(comer.pid())?;
    let _: Truth = comer.order("again")?;
    comer.send(14)?;

    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    let expected = [(held.cookie, (10, 10)), (inside.cookie, (26, 26))];
    assert_eq!(counts(&report)?, expected.into());
    assert_eq!(*report.at("/target/cgroup/0"), format!("/{name}"));
    Ok(())
}
