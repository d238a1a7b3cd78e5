//! Running one task.

use std::{
    io::{PipeReader, Read, pipe},
    process::{Command, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use nix::{
    sys::{
        signal::{Signal, kill},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use zcwatch_tests::{
    modules,
    protocol::{End, Ended, Task},
};

/// So much of the end of an output is kept: a failure is explained there.
const KEPT: usize = 64 << 10;

/// Runs a task to its end, or to the end of its time; nothing that it started is left.
pub fn run(task: &Task) -> Ended {
    let start = Instant::now();
    let (end, output) = try_to(task, start)
        .unwrap_or_else(|error| (End::NotStarted(format!("{error:#}")), String::new()));
    Ended { name: task.name.clone(), end, seconds: start.elapsed().as_secs_f64(), output }
}

fn try_to(task: &Task, start: Instant) -> Result<(End, String)> {
    task.modules.iter().try_for_each(|name| modules::load(name))?;
    let (program, arguments) = task.command.split_first().context("it has no command")?;
    let (output, write) = pipe()?;
    let child = Command::new(program)
        .args(arguments)
        .current_dir("/tmp")
        .env_clear()
        .envs([("PATH", "/bin"), ("HOME", "/tmp"), ("TERM", "dumb"), ("NO_COLOR", "1")])
        .stdin(Stdio::null())
        .stdout(write.try_clone()?)
        .stderr(write)
        .spawn()
        .with_context(|| format!("{program} cannot be started"))?;
    let output = collect(output);
    let pid = Pid::from_raw(child.id().cast_signed());
    let end = wait(pid, start + Duration::from_secs(task.limit))?;
    // What it left running would hold the pipe, and disturb the next task. To init, -1 is all
    // others; there may be none.
    let _ = kill(Pid::from_raw(-1), Signal::SIGKILL);
    let output = output.join().unwrap_or_default();
    reap()?;
    Ok((end, String::from_utf8_lossy(&output).into_owned()))
}

/// Waits for this child; others that end are orphans, and forgotten.
fn wait(pid: Pid, until: Instant) -> Result<End> {
    let mut in_time = true;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG))? {
            WaitStatus::Exited(ended, code) if ended == pid => {
                return Ok(if in_time { End::Exited(code) } else { End::TimedOut });
            }
            WaitStatus::Signaled(ended, signal, _) if ended == pid => {
                return Ok(if in_time { End::Killed(signal as i32) } else { End::TimedOut });
            }
            WaitStatus::StillAlive => thread::sleep(Duration::from_millis(5)),
            _ => continue,
        }
        if in_time && Instant::now() > until {
            in_time = false;
            kill(pid, Signal::SIGKILL)?;
        }
    }
}

/// Forgets the orphans that have ended.
fn reap() -> Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::Error::ECHILD) => return Ok(()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Reads to the end, on a thread, and keeps the end of it.
fn collect(mut from: PipeReader) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut kept = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut chunk) {
            kept.extend_from_slice(&chunk[..read]);
            if kept.len() > 2 * KEPT {
                kept.drain(..kept.len() - KEPT);
            }
        }
        kept.drain(..kept.len().saturating_sub(KEPT));
        kept
    })
}
