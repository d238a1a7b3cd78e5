//! `-- CMD`: started to be watched, and ended with the watch.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use zcwatch::{host::process, lab::sender::Truth};
use zcwatch_tests::{
    expect::Expected,
    report::Report,
    scenario::undisturbed,
    zcwatch::{Ended, Zcwatch, command, program, run},
};

use crate::{Stage, counts};

/// Runs `report --format json` inside the stage's namespace.
fn run_on(stage: &Stage, arguments: &str) -> Result<Ended> {
    let arguments = ["report", "--format", "json"].into_iter().chain(arguments.split_whitespace());
    let mut command = command(arguments)?;
    stage.path.client().enter(&mut command)?;
    Zcwatch::spawn(&mut command)?.wait()
}

/// What the workload said, and the report behind it.
fn parts(stdout: &str) -> Result<(Truth, Report)> {
    let mut all = serde_json::Deserializer::from_str(stdout).into_iter::<Value>();
    let mut next = || all.next().context("too little was said")?.context("not JSON");
    let _ready = next()?;
    Ok((serde_json::from_value(next()?)?, Report(next()?)))
}

#[test]
fn a_command_is_watched_from_its_first_send_to_its_end() -> Result<()> {
    let stage = Stage::new()?;
    let workload = program("zcwatch-tests", "workload")?;
    let line = format!("{} send {} --count 20", workload.display(), stage.options());
    let ended = run_on(&stage, &format!("-- {line}"))?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let (truth, report) = parts(&ended.stdout)?;
    undisturbed(&report)?;
    assert_eq!((truth.first_id, truth.ids()), (Some(0), 20));
    Expected::of(&truth).cause("local_delivery@lo", 20).check(&report)?;
    assert_eq!(counts(&report)?, [(truth.cookie, (20, 20))].into());
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(*report.at("/target/command"), json!(words));
    let process = json!([truth.pid, "workload", true]);
    let row = report.at("/processes/0");
    assert_eq!(json!([row["pid"], row["comm"], row["ended"]]), process);
    assert_eq!(report.at("/processes").as_array().map(Vec::len), Some(1));
    Ok(())
}

#[test]
fn with_follow_the_watch_goes_on_until_the_last_has_ended() -> Result<()> {
    let stage = Stage::new()?;
    let workload = program("zcwatch-tests", "workload")?;
    let line = format!("{} send {} --count 20", workload.display(), stage.options());
    let script = format!("(sleep 0.3; exec {line} </dev/null) & exit 0");
    let mut command =
        command(["report", "--format", "json", "--follow", "--", "sh", "-c", &script])?;
    stage.path.client().enter(&mut command)?;
    let ended = Zcwatch::spawn(&mut command)?.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let (truth, report) = parts(&ended.stdout)?;
    undisturbed(&report)?;
    Expected::of(&truth).cause("local_delivery@lo", 20).check(&report)
}

#[test]
fn as_another_user() -> Result<()> {
    let ended = run(["report", "--user", "nobody", "--", "sh", "-c", "id -u; id -G; id -g"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let nobody = nix::unistd::User::from_name("nobody")?.context("there is no nobody")?;
    let said: Vec<&str> = ended.stdout.lines().take(3).collect();
    let (uid, gid) = (nobody.uid.to_string(), nobody.gid.to_string());
    assert_eq!(said, [uid.as_str(), gid.as_str(), gid.as_str()]);
    assert!(ended.stdout.contains("zcwatch report: sh -c id -u"), "{}", ended.stdout);
    Ok(())
}

#[test]
fn its_exit_code_is_said_and_is_not_ours() -> Result<()> {
    for (script, words) in [("exit 3", "ended with exit code 3"), ("kill -9 $$", "by SIGKILL")] {
        let ended = run(["report", "--", "sh", "-c", script])?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        assert!(ended.stderr.contains(words), "{ended:?}");
    }
    Ok(())
}

#[test]
fn when_the_time_is_over_it_is_ended() -> Result<()> {
    let start = Instant::now();
    let ended = run(["report", "-d", "100ms", "--", "sleep", "61"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert!(ended.stderr.contains("still running, and was sent SIGTERM"), "{ended:?}");
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(gone(pid_in(&ended.stderr)?));
    Ok(())
}

#[test]
fn when_zcwatch_is_ended_so_is_it() -> Result<()> {
    let mut zcwatch = Zcwatch::start(["report", "--", "sleep", "61"])?;
    let child = child_of(&zcwatch)?;
    zcwatch.wait_until_watching(&[child])?;
    zcwatch.signal(Signal::SIGTERM)?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(143), "{ended:?}");
    assert_eq!(pid_in(&ended.stderr)?, child);
    assert!(gone(child));
    Ok(())
}

#[test]
fn one_that_was_not_let_go_yet_ends_with_zcwatch() -> Result<()> {
    let mut zcwatch = Zcwatch::start(["report", "--", "sleep", "61"])?;
    let child = child_of(&zcwatch)?;
    zcwatch.signal(Signal::SIGKILL)?;
    let ended = ends_without_running(child);
    if ended.is_err() {
        // Nobody else would end it.
        let _ = kill(Pid::from_raw(child.cast_signed()), Signal::SIGKILL);
    }
    ended?;
    zcwatch.wait()?;
    Ok(())
}

/// It ends soon, and never becomes its program: attaching takes longer than to see the child.
fn ends_without_running(child: u32) -> Result<()> {
    let start = Instant::now();
    while !gone(child) {
        ensure!(process::comm(child).as_deref() != Some("sleep"), "it runs unwatched");
        ensure!(start.elapsed() < Duration::from_secs(10), "it waits for ever");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The process that zcwatch holds back.
fn child_of(zcwatch: &Zcwatch) -> Result<u32> {
    let start = Instant::now();
    loop {
        let of_ours = |(_, parent): &(u32, u32)| *parent == zcwatch.pid();
        if let Some((child, _)) = process::parents().into_iter().find(of_ours) {
            return Ok(child);
        }
        ensure!(start.elapsed() < Duration::from_secs(20), "it starts nothing");
    }
}

fn gone(pid: u32) -> bool {
    !fs::exists(format!("/proc/{pid}")).unwrap_or(true)
}

/// The first process id that is named.
fn pid_in(stderr: &str) -> Result<u32> {
    let at = stderr.split("(pid ").nth(1).and_then(|rest| rest.split(')').next());
    at.and_then(|pid| pid.parse().ok()).with_context(|| format!("no pid in {stderr:?}"))
}
