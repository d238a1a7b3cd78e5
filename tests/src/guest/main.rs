//! Init of the guests that `cargo xtask vm` boots: does what the host's plan says, one task after
//! the other, tells the host how each went, and powers off.

mod answers;
mod mounts;
mod task;

use std::{convert::Infallible, fs, process, process::ExitCode};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    sys::reboot::{RebootMode, reboot},
    unistd::sync,
};
use zcwatch::lab::{Netns, set_up};
use zcwatch_tests::{
    modules,
    protocol::{PLAN, Plan, Word},
};

use crate::answers::Answers;

fn main() -> ExitCode {
    if process::id() != 1 {
        eprintln!("guest: this is the init of a guest: run `cargo xtask vm`");
        return ExitCode::from(2);
    }
    if let Err(error) = run() {
        eprintln!("guest: {error:#}");
    }
    match power_off() {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("guest: the guest cannot be powered off: {error}");
            // The kernel panics without init, and that ends the guest too.
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let troubles = mounts::all();
    let mut answers = Answers::open()?;
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    answers.say(&Word::Booted(release.trim().to_owned()))?;
    for trouble in troubles {
        answers.trouble(&trouble)?;
    }
    if let Err(error) = follow_plan(&mut answers) {
        answers.trouble(&error)?;
    }
    answers.say(&Word::Done)
}

fn follow_plan(answers: &mut Answers) -> Result<()> {
    let text = fs::read_to_string(PLAN).with_context(|| format!("{PLAN} cannot be read"))?;
    let plan: Plan = serde_json::from_str(&text).context(PLAN)?;
    if let Err(error) = set_up(&Netns::current()?, "lo") {
        answers.trouble(&error.into())?;
    }
    for name in &plan.modules {
        if let Err(error) = modules::load(name) {
            answers.trouble(&error)?;
        }
    }
    for task in &plan.tasks {
        answers.say(&Word::Began(task.name.clone()))?;
        answers.say(&Word::Ended(task::run(task)))?;
    }
    Ok(())
}

fn power_off() -> Result<Infallible, Errno> {
    sync();
    reboot(RebootMode::RB_POWER_OFF)
}
