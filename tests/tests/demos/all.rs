//! All demos at once: the list, and what is said of each.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use serde_json::Value;
use zcwatch_tests::{
    traces::{Traces, descendants, host},
    zcwatch::{Zcwatch, run},
};

/// All of them, one after the other.
const PATIENCE: Duration = Duration::from_secs(240);

/// The indented words that begin a line, but not where a sentence goes on.
fn listed() -> Result<Vec<String>> {
    let list = run(["demo", "--list"])?;
    assert_eq!(list.code(), Some(0), "{list:?}");
    assert!(list.stdout.lines().all(|line| line.chars().count() <= 80), "{}", list.stdout);
    let name = |line: &str| {
        let name = line.strip_prefix("  ").filter(|rest| !rest.starts_with(' '))?;
        Some(name.split_whitespace().next()?.to_owned())
    };
    Ok(list.stdout.lines().filter_map(name).collect())
}

#[test]
fn each_is_said_to_be_what_it_is() -> Result<()> {
    let ended = Zcwatch::start(["demo", "--all", "--format", "json"])?.wait_for(PATIENCE)?;
    let rows: Value = serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let rows = rows.as_array().context("no rows")?;
    for row in rows {
        println!("{} in {} tries", row["scenario"], row["tries"]);
        assert_eq!(row["cannot_be_made_here"], Value::Null);
        assert_eq!((&row["as_expected"], &row["said"]), (&true.into(), &row["expected"]));
        assert!(row["shows"].as_str().is_some_and(|shows| shows.len() > 20), "{row:#}");
    }
    let names: Vec<_> = rows.iter().filter_map(|row| row["scenario"].as_str()).collect();
    assert_eq!(names, listed()?);
    assert!(names.len() >= 30, "{names:?}");
    assert_eq!((ended.code(), ended.stderr.as_str()), (Some(0), ""));
    Ok(())
}

/// Each demo has a process of its own, which is there before it is watched.
fn wait_for_another(zcwatch: u32) -> Result<()> {
    let first = descendants(zcwatch)?;
    let start = Instant::now();
    loop {
        let now = descendants(zcwatch)?;
        if !now.is_empty() && now.is_disjoint(&first) {
            return Ok(());
        }
        ensure!(start.elapsed() < PATIENCE, "the first demo does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn interrupted_they_leave_nothing_and_show_what_was_seen() -> Result<()> {
    let before = host()?;
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        println!("{signal:?}");
        let mut zcwatch = Zcwatch::start(["demo", "--all", "-d", "400ms"])?;
        zcwatch.wait_until_watching(&[])?;
        wait_for_another(zcwatch.pid())?;
        // A process that ends meanwhile is an error.
        let traces =
            (0..20).find_map(|_| Traces::of_any(zcwatch.pid()).ok()).context("it ended")?;
        zcwatch.signal(signal)?;
        let ended = zcwatch.wait()?;
        let code = (signal != Signal::SIGKILL).then_some(128 + signal as i32);
        assert_eq!(ended.code(), code, "{ended:?}");
        // The first row may have been watched twice.
        assert!(ended.stdout.starts_with("  demo  "), "{ended:?}");
        if code.is_some() {
            assert!(ended.stdout.contains(" as expected, "), "{ended:?}");
            assert!(ended.stdout.ends_with(" not run\n"), "{ended:?}");
        }
        traces.wait_until_gone()?;
        assert_eq!(host()?, before);
    }
    Ok(())
}

#[test]
fn one_and_all_exclude_each_other() -> Result<()> {
    for arguments in [["demo", "--all", "tap"], ["demo", "--list", "--all"]] {
        let ended = run(arguments)?;
        assert_eq!(ended.code(), Some(2), "{ended:?}");
        assert!(ended.stderr.contains("cannot be used with"), "{ended:?}");
    }
    Ok(())
}
