//! The kernel's run statistics of the eBPF programs that a process holds.

use std::{collections::BTreeMap, fs, os::fd::OwnedFd};

use anyhow::Context;
use aya::{
    programs::loaded_programs,
    sys::{Stats, enable_stats},
};
use serde::Serialize;

/// Run statistics, which are on for as long as this lives. The kernel turns them off with the
/// last descriptor, so also when this process is killed.
#[derive(Debug)]
pub struct Programs {
    _on: OwnedFd,
    holder: u32,
}

/// One program so far.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// Its name.
    name: String,
    /// How often it ran since statistics were on.
    run_cnt: u64,
    /// How long that took, ns.
    run_time_ns: u64,
    /// How often it was skipped because it was running on that CPU already.
    recursion_misses: u64,
}

impl Programs {
    /// Turns the statistics on.
    ///
    /// # Errors
    /// Without the privileges, or before Linux 5.8.
    pub fn count(holder: u32) -> anyhow::Result<Self> {
        let on = enable_stats(Stats::RunTime)
            .context("run statistics can't be turned on: this needs root, and Linux 5.8")?;
        Ok(Self { _on: on, holder })
    }

    /// What the programs have run so far, each once.
    ///
    /// # Errors
    /// When the holder is gone, or its descriptors can't be looked at.
    pub fn read(&self) -> anyhow::Result<Vec<Run>> {
        let mut names = BTreeMap::new();
        for program in loaded_programs().flatten() {
            names.insert(u64::from(program.id()), program.name_as_str().unwrap_or("?").to_owned());
        }
        let folder = format!("/proc/{}/fdinfo", self.holder);
        let mut runs = BTreeMap::new();
        for entry in fs::read_dir(&folder).with_context(|| format!("could not list {folder}"))? {
            // A descriptor that is closed meanwhile shows nothing. One of a link names its
            // program too, but has no statistics.
            let Ok(text) = fs::read_to_string(entry?.path()) else { continue };
            let (Some(id), Some(run_cnt)) = (number(&text, "prog_id"), number(&text, "run_cnt"))
            else {
                continue;
            };
            let name = names.get(&id).cloned().unwrap_or_else(|| format!("program {id}"));
            let run_time_ns = number(&text, "run_time_ns").unwrap_or(0);
            let recursion_misses = number(&text, "recursion_misses").unwrap_or(0);
            runs.insert(id, Run { name, run_cnt, run_time_ns, recursion_misses });
        }
        Ok(runs.into_values().collect())
    }
}

fn number(fdinfo: &str, key: &str) -> Option<u64> {
    fdinfo.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        if name == key { value.trim().parse().ok() } else { None }
    })
}
