//! Bad input gets a sentence and the exit code that says whose mistake it is.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use zcwatch_tests::zcwatch::{Ended, run};

fn says(arguments: &[&str], code: i32, words: &str) -> Result<Ended> {
    let ended = run(arguments)?;
    assert_eq!(ended.code(), Some(code), "{arguments:?}: {ended:?}");
    assert!(ended.stderr.contains(words), "{arguments:?}: {ended:?}");
    assert_eq!(ended.stdout, "", "{arguments:?}");
    Ok(ended)
}

#[test]
fn a_process_that_is_none_is_said_to_be_none() -> Result<()> {
    says(&["report", "-p", "4194305"], 1, "there is no process 4194305")?;
    says(&["report", "-p", "0"], 1, "there is no process 0")?;
    says(&["report", "-p", "-1"], 2, "--pid")?;
    says(&["report", "-p", "bash"], 2, "--pid")?;
    says(&["report"], 2, "--pid")?;
    Ok(())
}

#[test]
fn a_thread_names_its_process() -> Result<()> {
    let (tell, told) = std::sync::mpsc::channel();
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let thread = std::thread::spawn(move || {
        let _ = tell.send(nix::unistd::gettid());
        let _ = ended.recv();
    });
    let tid = told.recv()?.to_string();
    let own = format!("watch the process, with -p {}", std::process::id());
    says(&["report", "-p", &tid], 1, &own)?;
    drop(end);
    thread.join().ok().context("the thread panicked")
}

#[test]
fn a_zombie_has_ended() -> Result<()> {
    let mut child = Command::new("/bin/true").stdin(Stdio::null()).spawn()?;
    let pid = child.id().to_string();
    let state = || std::fs::read_to_string(format!("/proc/{pid}/stat"));
    while !state()?.contains(") Z ") {
        std::thread::yield_now();
    }
    says(&["report", "-p", &pid], 1, "has already ended")?;
    child.wait()?;
    Ok(())
}

#[test]
fn times_scenarios_findings_and_sizes_that_are_none_are_usage() -> Result<()> {
    says(&["report", "-p", "1", "-d", "0s"], 2, "nothing can be seen in no time")?;
    says(&["report", "-p", "1", "-d", "0"], 2, "nothing can be seen in no time")?;
    says(&["report", "-p", "1", "-d", "ten"], 2, "10s")?;
    says(&["report", "-p", "1", "--fail-on", "copies"], 2, "there are copied, hidden-copy")?;
    let own = std::process::id().to_string();
    says(&["report", "-p", &own, "--ring-size", "5000"], 2, "a power of two")?;
    says(&["demo", "nosuch"], 2, "there are loopback, veth, tap, zerocopy, veth-xdp")?;
    says(&["causes", "nosuch"], 2, "there are tap_tx, local_delivery")?;
    says(&["frobnicate"], 2, "frobnicate")?;
    Ok(())
}

#[test]
fn without_a_command_it_names_report() -> Result<()> {
    says(&[], 2, "zcwatch report -p PID").map(drop)
}
