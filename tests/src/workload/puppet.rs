//! The subcommand that obeys: one line on stdin, one line of JSON on stdout.

use std::{
    fs::File,
    io::{self, BufRead},
    os::unix::process::CommandExt,
    process,
};

use anyhow::{Context, bail, ensure};
use nix::{
    sys::wait::{WaitStatus, wait},
    unistd::{ForkResult, dup2_stdin, fork},
};
use serde_json::json;
use zcwatch::lab::{
    sender::{Options, Sender},
    set_comm,
};

use crate::say;

/// Children of a storm that are alive at one time.
const AT_ONCE: usize = 8;

/// Obeys until the end of stdin. `send N`: opens a socket, sends by it, tells its truth. `again`:
/// the same by the last socket. `fork FIFO`: makes a child that reads its own orders there.
/// `storm N`: makes so many children, one after the other, that send two messages each and end.
/// `name NAME`: takes another name. `exec`: becomes this program anew.
pub fn obey(options: &Options) -> anyhow::Result<()> {
    say(&json!({ "ready": true, "pid": process::id() }))?;
    let mut senders = Vec::new();
    let mut line = String::new();
    loop {
        line.clear();
        // Without a buffer of our own that exec would lose.
        if io::stdin().lock().read_line(&mut line)? == 0 {
            return Ok(());
        }
        match line.trim().split_once(' ').unwrap_or((line.trim(), "")) {
            ("send", count) => {
                let sender = Sender::open(Options { count: count.parse()?, ..options.clone() })?;
                sender.run(&false.into())?;
                say(&sender.truth()?)?;
                senders.push(sender);
            }
            ("again", _) => {
                let sender = senders.last().context("nothing was sent before")?;
                sender.run(&false.into())?;
                say(&sender.truth()?)?;
            }
            ("fork", fifo) => {
                // SAFETY: this process has made no thread.
                match unsafe { fork() }.context("could not fork")? {
                    ForkResult::Child => {
                        senders.clear();
                        dup2_stdin(File::open(fifo)?)?;
                    }
                    ForkResult::Parent { child } => say(&json!(child.as_raw()))?,
                }
            }
            ("storm", count) => {
                storm(options, count.parse()?)?;
                say(&json!(true))?;
            }
            ("name", name) => {
                set_comm(name)?;
                say(&json!(true))?;
            }
            ("exec", _) => {
                let program = std::env::current_exe()?;
                let failed =
                    process::Command::new(program).args(std::env::args_os().skip(1)).exec();
                return Err(failed).context("could not become this program anew");
            }
            (other, _) => bail!("no order: {other:?}"),
        }
    }
}

fn storm(options: &Options, count: usize) -> anyhow::Result<()> {
    let options = Options { count: 2, ..options.clone() };
    for made in 0..count + AT_ONCE {
        if made >= AT_ONCE {
            let end = wait()?;
            ensure!(matches!(end, WaitStatus::Exited(_, 0)), "a child of the storm: {end:?}");
        }
        if made >= count {
            continue;
        }
        // SAFETY: this process has made no thread.
        if unsafe { fork() }.context("could not fork")?.is_child() {
            let truth = zcwatch::lab::sender::send(options);
            process::exit(i32::from(!truth.is_ok_and(|t| t.notified == 2)));
        }
    }
    Ok(())
}
