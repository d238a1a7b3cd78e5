//! `zcwatch trace`, and recordings: whole, read back as the same report, and told in words. Needs
//! root.

mod ends;
mod events;
mod host;
mod refused;
mod save;
mod text;

use std::{path::PathBuf, process::Command};

use anyhow::Result;
use zcwatch_tests::{
    Workload,
    zcwatch::{Zcwatch, command},
};

/// A file of a test's own, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("zcwatch-test-{}-{name}", std::process::id())))
    }

    fn path(&self) -> String {
        self.0.display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A test may have failed before it wrote anything.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Starts `trace` on these, with more arguments parted by spaces, in plain ASCII, and waits until
/// it watches.
fn trace(workloads: &[&Workload], arguments: &str) -> Result<Zcwatch> {
    start(|c| c.env("LC_ALL", "C"), "trace", workloads, arguments)
}

fn start(
    change: impl FnOnce(&mut Command) -> &mut Command,
    subcommand: &str,
    workloads: &[&Workload],
    arguments: &str,
) -> Result<Zcwatch> {
    let pids: Vec<u32> = workloads.iter().map(|w| w.pid()).collect();
    let arguments = [subcommand]
        .into_iter()
        .chain(arguments.split_whitespace())
        .map(str::to_owned)
        .chain(pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]));
    let mut zcwatch = Zcwatch::spawn(change(&mut command(arguments)?))?;
    zcwatch.wait_until_watching(&pids)?;
    Ok(zcwatch)
}
