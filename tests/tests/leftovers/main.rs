//! However zcwatch ends, the kernel has no eBPF object that it did not have before: on the host,
//! and in guests, where trampolines are used. Needs root.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::sys::signal::Signal;
use zcwatch::lab::{Family, Layout, TcpSink, Topology};
use zcwatch_tests::{
    Workload,
    loaded::{By, Loaded, MARK},
    scenario::workload,
    zcwatch::{Ended, PATIENCE, Zcwatch, command},
};

/// How a watch comes to its end.
#[derive(Clone, Copy, Debug)]
enum End {
    /// Its time is over.
    Time,
    /// In its middle.
    By(Signal),
    /// The last process that it watches ends.
    Target,
    /// Nobody reads any more what `trace` tells.
    Reader,
}

const ENDS: [End; 6] = [
    End::Time,
    End::By(Signal::SIGINT),
    End::By(Signal::SIGTERM),
    End::By(Signal::SIGKILL),
    End::Target,
    End::Reader,
];

/// A way to send on.
struct Path {
    topology: Topology,
    sink: TcpSink,
}

impl Path {
    fn new() -> Result<Self> {
        let topology = Topology::new(Layout::Loopback)?;
        let sink = topology.tcp_sink(Family::V4)?;
        Ok(Self { topology, sink })
    }

    /// A sender that is busy until its end.
    fn sender(&self) -> Result<Workload> {
        let line = format!("send --to {} --forever --delay-us 1000", self.sink.address());
        let mut sender = workload(self.topology.client(), &line)?;
        sender.step()?;
        Ok(sender)
    }
}

/// zcwatch, marked as this test's.
fn marked(arguments: &str) -> Result<Command> {
    let mut command = command(arguments.split_whitespace())?;
    command.env(MARK, std::process::id().to_string());
    Ok(command)
}

/// A watch by these hooks that ends so leaves nothing.
fn leaves_nothing(path: &Path, hooks: &str, end: End, by: By) -> Result<()> {
    let before = Loaded::now(by)?;
    let start = Instant::now();
    let sender = path.sender()?;
    let pid = sender.pid();
    let ended = match end {
        End::Reader => by_its_reader(pid, hooks, &before)?,
        End::Time | End::By(_) | End::Target => {
            let time = if matches!(end, End::Time) { "3s" } else { "300s" };
            let mut zcwatch = Zcwatch::spawn(&mut marked(&format!(
                "report -p {pid} -d {time} --hooks {hooks}"
            ))?)?;
            zcwatch.wait_until_watching(&[pid])?;
            before.grew()?;
            match end {
                End::By(signal) => zcwatch.signal(signal)?,
                End::Target => drop(sender),
                End::Time | End::Reader => {}
            }
            zcwatch.wait()?
        }
    };
    let code = match end {
        End::Time | End::Target | End::Reader => Some(0),
        End::By(Signal::SIGKILL) => None,
        End::By(signal) => Some(128 + signal as i32),
    };
    ensure!(ended.code() == code, "{end:?}: {ended:?}");
    before.wait_until_back().with_context(|| format!("{end:?}, --hooks {hooks}"))?;
    println!("{end:?}, --hooks {hooks}, {by:?}: nothing, {:.1?}", start.elapsed());
    Ok(())
}

/// `trace`, until its reader has had a line and closes the pipe.
fn by_its_reader(pid: u32, hooks: &str, before: &Loaded) -> Result<Ended> {
    let mut command = marked(&format!("trace -p {pid} --hooks {hooks}"))?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let mut reader = BufReader::with_capacity(1, child.stdout.take().context("no stdout")?);
    ensure!(reader.read_line(&mut String::new())? > 0, "nothing was told");
    before.grew()?;
    drop(reader);
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let output = child.wait_with_output()?;
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(Ended { status: output.status, stdout: String::new(), stderr })
}

fn of_each_end(hooks: &str) -> Result<()> {
    let path = Path::new()?;
    ENDS.into_iter().try_for_each(|end| leaves_nothing(&path, hooks, end, By::Ids))
}

#[test]
fn nothing_of_the_default_hooks() -> Result<()> {
    of_each_end("auto")
}

#[test]
fn nothing_of_trampolines() -> Result<()> {
    of_each_end("fentry")
}

/// Where zcwatch attaches only to see what it may, or is refused in the middle of that.
#[test]
fn nothing_of_doctor_or_a_refusal() -> Result<()> {
    for arguments in ["doctor", "report -p 1 -d 100ms"] {
        let before = Loaded::now(By::Ids)?;
        let ended = Zcwatch::spawn(&mut marked(arguments)?)?.wait()?;
        ensure!(matches!(ended.code(), Some(0 | 4)), "{ended:?}");
        before.wait_until_back().context(arguments)?;
    }
    Ok(())
}

#[test]
fn nothing_that_bpftool_sees() -> Result<()> {
    let path = Path::new()?;
    [End::Time, End::By(Signal::SIGKILL)]
        .into_iter()
        .try_for_each(|end| leaves_nothing(&path, "auto", end, By::Bpftool))
}
