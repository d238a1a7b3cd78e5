//! A child process that is spoken with line by line, and that does not outlive this one.

use std::{
    io::{BufRead, BufReader, Read, Write},
    iter,
    os::unix::process::CommandExt,
    process::{Child as Process, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use nix::{
    errno::Errno,
    sched::{CpuSet, sched_setaffinity},
    sys::{
        prctl::set_pdeathsig,
        signal::{SigHandler, Signal, kill, signal},
    },
    unistd::{Pid, getpid, getppid},
};

/// Nothing that is waited for takes so long, on a busy machine either.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a child writes.
#[derive(Clone, Copy, Debug)]
pub enum Stream {
    Stdout,
    Stderr,
}

/// A running child. Dropped, it is killed.
#[derive(Debug)]
pub struct Child {
    name: String,
    process: Process,
    stdin: Option<ChildStdin>,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Child {
    /// Starts it, on one CPU or on any.
    ///
    /// # Errors
    /// When there is no such program or no such CPU.
    pub fn start(name: &str, command: &mut Command, cpu: Option<usize>) -> Result<Self> {
        let set = cpu.map(only).transpose()?;
        let parent = getpid();
        // SAFETY: between fork and exec only system calls are made, and no memory is taken.
        unsafe {
            command.pre_exec(move || {
                // Ended when we end, however that happens: an interrupt needs no handler. (When
                // the thread ends that started it; that is the main one.)
                set_pdeathsig(Signal::SIGTERM)?;
                if getppid() != parent {
                    return Err(Errno::ESRCH.into());
                }
                // Who starts us in the background may have it ignored, and that is inherited.
                signal(Signal::SIGINT, SigHandler::SigDfl)?;
                if let Some(set) = &set {
                    sched_setaffinity(Pid::from_raw(0), set)?;
                }
                Ok(())
            });
        }
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("{name} cannot be started: check that CPU {cpu:?} exists"))?;
        let stdin = process.stdin.take();
        let stdout = lines(process.stdout.take());
        let stderr = lines(process.stderr.take());
        Ok(Self { name: name.to_owned(), process, stdin, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends it a line, which asks for an answer.
    ///
    /// # Errors
    /// When it has ended.
    pub fn prompt(&mut self) -> Result<()> {
        let written = self.stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(b"\n"));
        written.with_context(|| self.last_words("has ended"))
    }

    /// Waits for a line that has this in it.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub fn hear(&self, stream: Stream, wanted: &str) -> Result<String> {
        let lines = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match lines.recv_timeout(left) {
                Ok(line) if line.contains(wanted) => return Ok(line),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => bail!(self.last_words("is silent")),
                Err(RecvTimeoutError::Disconnected) => bail!(self.last_words("has ended")),
            }
        }
    }

    /// Ends it by SIGINT, as Ctrl-C does, and returns what it still wrote to stdout.
    ///
    /// # Errors
    /// When it does not end.
    pub fn interrupt(mut self) -> Result<String> {
        // Our own child, not waited for yet: the id is still its own.
        kill(Pid::from_raw(self.pid().cast_signed()), Signal::SIGINT)
            .with_context(|| self.last_words("can't be interrupted"))?;
        let start = Instant::now();
        while self.process.try_wait()?.is_none() {
            if start.elapsed() > PATIENCE {
                bail!(self.last_words("does not end on SIGINT"));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(self.stdout.iter().collect())
    }

    fn last_words(&self, what: &str) -> String {
        // The thread that reads it may be a moment behind.
        let moment = Duration::from_millis(200);
        let said: Vec<_> = iter::from_fn(|| self.stderr.recv_timeout(moment).ok()).collect();
        let said = if said.is_empty() { "nothing".to_owned() } else { said.join("; ") };
        format!("{} {what}; it said on stderr: {said}", self.name)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about an error.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn only(cpu: usize) -> Result<CpuSet> {
    let mut set = CpuSet::new();
    set.set(cpu).with_context(|| format!("there is no CPU {cpu}: name another"))?;
    Ok(set)
}

/// Reads a stream in a thread, so that the child never waits for us.
fn lines(from: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(from) = from {
        thread::spawn(move || {
            for line in BufReader::new(from).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
    }
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Child {
        Child::start("sh", Command::new("sh").args(["-c", script]), None).unwrap()
    }

    #[test]
    fn it_answers_and_ends() {
        let mut child = shell("read line; echo first; echo second; exec sleep 60");
        child.prompt().unwrap();
        assert_eq!(child.hear(Stream::Stdout, "second").unwrap(), "second");
        child.interrupt().unwrap();
    }

    #[test]
    fn its_end_is_told_with_its_last_words() {
        let child = shell("echo no such door >&2");
        let error = child.hear(Stream::Stdout, "ready").unwrap_err().to_string();
        assert!(error.contains("sh has ended") && error.contains("no such door"), "{error}");
    }
}
