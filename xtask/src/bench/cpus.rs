//! Which CPU each process gets.

use std::fmt;

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use serde::Serialize;

use super::arguments;

/// `None` is any.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Cpus {
    pub sender: Option<usize>,
    pub receiver: Option<usize>,
    pub watcher: Option<usize>,
}

impl Cpus {
    /// As the arguments say. Else the sender has the first CPU for itself, so that it is what
    /// limits the throughput, and the receiver the second.
    ///
    /// # Errors
    /// When the CPUs of this process can't be read.
    pub fn choose(wanted: &arguments::Cpus) -> Result<Self> {
        if wanted.unpinned {
            return Ok(Self::default());
        }
        let ours = sched_getaffinity(Pid::from_raw(0)).context("could not read our own CPUs")?;
        let mut ours = (0..CpuSet::count()).filter(|&cpu| ours.is_set(cpu) == Ok(true));
        let (first, second) = (ours.next(), ours.next());
        Ok(Self {
            sender: wanted.sender_cpu.or(first),
            receiver: wanted.receiver_cpu.or(second).or(first),
            watcher: wanted.watcher_cpu,
        })
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name =
            |cpu: Option<usize>| cpu.map_or("any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
        write!(
            f,
            "sender on {}, receiver on {}, watcher on {}",
            name(self.sender),
            name(self.receiver),
            name(self.watcher)
        )
    }
}
