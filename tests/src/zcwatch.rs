//! zcwatch as a child process.

use std::{
    env,
    ffi::OsStr,
    io::{self, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{kernel, report::Report};

/// No step of zcwatch takes so long, on a busy machine and under emulation either.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Leaves out the findings that depend on how fast the machine is: a workload that drains after
/// each send may or may not spend half of its time waiting, and a busy host releases late.
pub const WITHOUT_TIMING: &str = "--ignore one-in-flight --ignore slow-release";

/// Where cargo puts a program of the workspace: above the folder of the running test.
///
/// # Errors
/// When it is not there.
pub fn program(package: &str, name: &str) -> Result<PathBuf> {
    let test = env::current_exe().context("the test's own program file is gone")?;
    let path = test.ancestors().nth(2).map(|folder| folder.join(name));
    path.filter(|path| path.is_file()).with_context(|| format!("cargo build -p {package} first"))
}

/// A command that will start zcwatch.
///
/// # Errors
/// When it was not built.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(program("zcwatch", "zcwatch")?);
    command.args(arguments).env("NO_COLOR", "1");
    Ok(command)
}

/// A running zcwatch. Dropped, it is killed.
#[derive(Debug)]
pub struct Zcwatch {
    child: Child,
    stdout: Option<JoinHandle<io::Result<Vec<u8>>>>,
    stderr: Option<JoinHandle<io::Result<Vec<u8>>>>,
}

/// What it said, and how it ended.
#[derive(Clone, Debug)]
pub struct Ended {
    /// How.
    pub status: ExitStatus,
    /// Its results.
    pub stdout: String,
    /// All else.
    pub stderr: String,
}

impl Ended {
    /// Its exit code; `None` where a signal ended it.
    #[must_use]
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The JSON that it printed.
    ///
    /// # Errors
    /// When it printed something else.
    pub fn report(&self) -> Result<Report> {
        Report::parse(&self.stdout).with_context(|| format!("{self:?}"))
    }
}

impl Zcwatch {
    /// Starts it; what it prints is collected.
    ///
    /// # Errors
    /// When it was not built, or can't be started.
    pub fn start<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::spawn(&mut command(arguments)?)
    }

    /// As [`Zcwatch::start`], by a command of one's own.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn spawn(command: &mut Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = start(command).context("could not start zcwatch")?;
        let stdout = child.stdout.take().map(collect);
        let stderr = child.stderr.take().map(collect);
        Ok(Self { child, stdout, stderr })
    }

    /// Starts `report --format json` on these processes, for longer than a test takes, and waits
    /// until they are watched. Findings of timing are left out.
    ///
    /// # Errors
    /// When that does not happen.
    pub fn watch(pids: &[u32]) -> Result<Self> {
        Self::watch_with(pids, &format!("-d 60s {WITHOUT_TIMING}"))
    }

    /// As [`Zcwatch::watch`], with these arguments, parted by spaces.
    ///
    /// # Errors
    /// As [`Zcwatch::watch`].
    pub fn watch_with(pids: &[u32], arguments: &str) -> Result<Self> {
        let arguments = ["report", "--format", "json"]
            .into_iter()
            .chain(arguments.split_whitespace())
            .map(str::to_owned)
            .chain(pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]));
        let mut zcwatch = Self::start(arguments)?;
        zcwatch.wait_until_watching(pids)?;
        Ok(zcwatch)
    }

    /// Waits until the probes let these processes through, and signals are handled.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub fn wait_until_watching(&mut self, pids: &[u32]) -> Result<()> {
        let start = Instant::now();
        while !kernel::watches(self.pid(), pids) {
            if self.child.try_wait()?.is_some() {
                bail!("zcwatch ended before it watched: {:?}", self.wait()?);
            }
            ensure!(start.elapsed() < PATIENCE, "zcwatch does not watch {pids:?}");
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        // Our own child, not waited for yet: the id is still its own.
        Ok(kill(Pid::from_raw(self.pid().cast_signed()), signal)?)
    }

    /// Ends the watch by SIGINT, and takes the JSON.
    ///
    /// # Errors
    /// When it does not end as it should, or prints no JSON.
    pub fn interrupt(mut self) -> Result<Report> {
        self.signal(Signal::SIGINT)?;
        let ended = self.wait()?;
        ensure!(ended.code() == Some(130), "{ended:?}");
        ended.report()
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// When that takes too long.
    pub fn wait(&mut self) -> Result<Ended> {
        self.wait_for(PATIENCE)
    }

    /// As [`Zcwatch::wait`], where it has much to do.
    ///
    /// # Errors
    /// When that takes longer.
    pub fn wait_for(&mut self, patience: Duration) -> Result<Ended> {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait()? {
                break status;
            }
            ensure!(start.elapsed() < patience, "zcwatch does not end");
            thread::sleep(Duration::from_millis(5));
        };
        Ok(Ended { status, stdout: text(self.stdout.take())?, stderr: text(self.stderr.take())? })
    }
}

impl Drop for Zcwatch {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about an error.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs zcwatch to its end.
///
/// # Errors
/// When it can't be started, or does not end.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Ended> {
    Zcwatch::start(arguments)?.wait()
}

/// Starts a program that may just have been copied: a child of another thread, between its fork
/// and its exec, may still have the copy open for writing.
fn start(command: &mut Command) -> io::Result<Child> {
    for _ in 0..200 {
        match command.spawn() {
            Err(e) if e.kind() == io::ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            done => return done,
        }
    }
    command.spawn()
}

/// Reads to the end, on a thread: a full pipe would hold the writer up.
fn collect(mut from: impl Read + Send + 'static) -> JoinHandle<io::Result<Vec<u8>>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        Ok(bytes)
    })
}

fn text(collected: Option<JoinHandle<io::Result<Vec<u8>>>>) -> Result<String> {
    let Some(thread) = collected else { return Ok(String::new()) };
    let bytes = thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))?;
    String::from_utf8(bytes).context("zcwatch printed what is not UTF-8")
}
