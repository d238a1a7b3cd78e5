//! The processes that work: `load` of zcwatch-tests.

use std::{path::Path, process::Command, thread, time::Duration};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{
    child::{Child, Stream},
    cpus::Cpus,
};

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// MSG_ZEROCOPY sends of so many bytes to a receiver that polls.
    Zerocopy(usize),
    /// The same to a receiver that sleeps when it has read everything.
    ZerocopyWaking(usize),
    /// Small requests to another process, and its responses, without zerocopy.
    Plain,
    /// The same between two sockets of one thread, which never waits.
    PlainAlone,
    /// A zerocopy send now and then: something to watch while others are measured.
    Idle,
}

/// A process at work, with its receiver.
#[derive(Debug)]
pub struct Load {
    sender: Child,
    _sink: Option<Child>,
}

/// Its counts at one moment.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Sample {
    ns: u64,
    cpu_ns: u64,
    operations: u64,
    bytes: u64,
    notifications: u64,
}

/// What it did in a window.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Window {
    /// Sends, or requests with their response.
    pub operations: u64,
    pub per_second: f64,
    /// The same by CPU time of the process: what other processes take from it is left out.
    pub per_cpu_second: f64,
    pub bytes_per_second: f64,
    pub notifications_per_second: f64,
    /// Part of the time in which the process was on a CPU.
    pub busy: f64,
}

#[derive(Deserialize)]
struct Listening {
    address: String,
}

impl Load {
    /// Lets it work.
    ///
    /// # Errors
    /// When it can't.
    pub fn start(program: &Path, work: Work, cpus: Cpus) -> Result<Self> {
        let mut command = Command::new(program);
        let (mut sink, mut cpu) = (None, cpus.sender);
        let (load, receiver) = match work {
            Work::Zerocopy(_) => ("zerocopy", Some(&["sink", "--poll"][..])),
            Work::ZerocopyWaking(_) | Work::Idle => ("zerocopy", Some(&["sink"][..])),
            Work::Plain => ("plain", Some(&["echo"][..])),
            Work::PlainAlone => ("plain", None),
        };
        command.arg(load);
        if let Some(receiver) = receiver {
            let process =
                Child::start("the receiver", Command::new(program).args(receiver), cpus.receiver)?;
            let Listening { address } = answer(&process)?;
            command.args(["--to", &address]);
            sink = Some(process);
        }
        match work {
            Work::Zerocopy(size) | Work::ZerocopyWaking(size) => {
                _ = command.args(["--size", &size.to_string()]);
            }
            Work::Plain | Work::PlainAlone => {}
            Work::Idle => {
                command.args(["--size", "16384", "--in-flight", "1", "--pause-ms", "100"]);
                cpu = cpus.receiver;
            }
        }
        let sender = Child::start("the load", &mut command, cpu)?;
        sender.hear(Stream::Stdout, "pid")?;
        Ok(Self { sender, _sink: sink })
    }

    /// The process that sends.
    pub fn pid(&self) -> u32 {
        self.sender.pid()
    }

    /// What it has done so far.
    ///
    /// # Errors
    /// When it has ended.
    pub fn sample(&mut self) -> Result<Sample> {
        self.sender.prompt()?;
        answer(&self.sender)
    }

    /// What it does in the next while.
    ///
    /// # Errors
    /// When it has ended.
    pub fn window(&mut self, length: Duration) -> Result<Window> {
        let start = self.sample()?;
        thread::sleep(length);
        Ok(Window::between(start, self.sample()?))
    }
}

impl Window {
    /// What was done from one sample to a later one.
    pub fn between(start: Sample, end: Sample) -> Self {
        let ns = (end.ns - start.ns) as f64;
        let cpu_ns = (end.cpu_ns - start.cpu_ns) as f64;
        let rate = |from: u64, to: u64| (to - from) as f64 / ns * 1e9;
        Self {
            operations: end.operations - start.operations,
            per_second: rate(start.operations, end.operations),
            per_cpu_second: (end.operations - start.operations) as f64 / cpu_ns * 1e9,
            bytes_per_second: rate(start.bytes, end.bytes),
            notifications_per_second: rate(start.notifications, end.notifications),
            busy: cpu_ns / ns,
        }
    }
}

/// The next line that a process says.
///
/// # Errors
/// When it has ended, or says something else.
pub fn answer<T: DeserializeOwned>(process: &Child) -> Result<T> {
    let line = process.hear(Stream::Stdout, "")?;
    serde_json::from_str(&line).with_context(|| {
        format!(
            "the load answered {line:?}, which is another version's: run `cargo xtask bench` again"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_difference_by_its_own_clock() {
        let at = |ns, cpu_ns, operations| Sample {
            ns,
            cpu_ns,
            operations,
            bytes: 100 * operations,
            notifications: operations / 10,
        };
        let window = Window::between(at(7, 5, 40), at(2_000_000_007, 1_000_000_005, 1040));
        assert_eq!(window.operations, 1000);
        assert!((window.per_second - 500.0).abs() < 1e-9, "{window:?}");
        assert!((window.per_cpu_second - 1000.0).abs() < 1e-9, "{window:?}");
        assert!((window.bytes_per_second - 50_000.0).abs() < 1e-9, "{window:?}");
        assert!((window.busy - 0.5).abs() < 1e-9, "{window:?}");
    }
}
