//! Running every test.

use std::{
    env, fmt, fs,
    os::unix::fs::MetadataExt,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{process, tree::Tree, vm};

/// Builds the programs that the tests start, then runs every test of the workspace, and with
/// `guests` the scenarios in guests; all of them run even if some fail.
///
/// # Errors
/// When not root, when something does not compile, or when a test fails.
pub fn run(tree: &Tree, guests: bool) -> Result<()> {
    ensure!(
        effective_uid()? == 0,
        "the tests attach probes and make network namespaces, which only root may: run \
         `sudo -E env \"PATH=$PATH\" cargo xtask test`"
    );
    // The lab's tests start these; cargo builds a package's programs only for its own tests.
    let programs = ["--locked", "--package", "zcwatch", "--package", "zcwatch-tests", "--bins"];
    process::run(cargo(tree).arg("build").args(programs))?;

    let mut outcomes = vec![
        suite(tree, "unit tests", &["--workspace", "--exclude", "zcwatch-tests"]),
        // The labs share one machine: at the same time they would disturb each other.
        suite(tree, "lab tests", &["--package", "zcwatch-tests", "--", "--test-threads=1"]),
    ];
    if guests {
        outcomes.push(timed("guests", || vm::run(tree, &vm::Arguments::of_test())));
    }
    let summary = outcomes.iter().map(Outcome::to_string).collect::<Vec<_>>().join(", ");
    if outcomes.iter().any(|outcome| outcome.error.is_some()) {
        bail!("not every test passed ({summary}): see the failures above");
    }
    println!("Every test passed ({summary}).");
    Ok(())
}

/// How one suite went.
struct Outcome {
    name: &'static str,
    took: Duration,
    error: Option<anyhow::Error>,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.error.is_none() { "passed" } else { "failed" };
        write!(f, "{} {word} in {} s", self.name, self.took.as_secs())
    }
}

fn suite(tree: &Tree, name: &'static str, args: &[&str]) -> Outcome {
    timed(name, || {
        process::run(cargo(tree).args(["test", "--locked", "--no-fail-fast"]).args(args))
    })
}

fn timed(name: &'static str, run: impl FnOnce() -> Result<()>) -> Outcome {
    let start = Instant::now();
    let error = run().err();
    if let Some(error) = &error {
        eprintln!("{name}: {error:#}");
    }
    Outcome { name, took: start.elapsed(), error }
}

/// A cargo that works on this checkout.
pub fn cargo(tree: &Tree) -> Command {
    // The cargo that started xtask, so that both share what they build.
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(tree.root());
    cargo
}

/// The user this process acts as: the owner of its own folder in procfs.
fn effective_uid() -> Result<u32> {
    Ok(fs::metadata("/proc/self").context("/proc is not mounted: mount it")?.uid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_tells_failed_from_passed() {
        let took = Duration::from_millis(12_900);
        let mut outcome = Outcome { name: "lab tests", took, error: None };
        assert_eq!(outcome.to_string(), "lab tests passed in 12 s");
        outcome.error = Some(anyhow::anyhow!("exit status: 101"));
        assert_eq!(outcome.to_string(), "lab tests failed in 12 s");
    }
}
