//! The subcommands, one file each, and what they share: exit codes and errors.

mod causes;
pub(crate) mod cmd;
mod demo;
mod doctor;
mod outcome;
mod report;
mod screen;
pub(crate) mod session;
pub(crate) mod sink;
mod trace;

use std::{io::Write, process::ExitCode};

use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    cli::{Cli, Command},
    probe::ProbeError,
};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done,
    /// A finding of `--fail-on` holds.
    FailOn,
    /// Not all of it was done, and that was said.
    Failed,
    /// By this signal; what was seen is printed.
    Interrupted(u8),
}

/// Parses the command line, runs it, and turns errors into a sentence and an exit code.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|e| refuse(&e));
    let done = match cli.command {
        None => screen::run(&cli.screen),
        Some(Command::Report(args)) => report::run(&args),
        Some(Command::Trace(args)) => trace::run(&args),
        Some(Command::Doctor(args)) => doctor::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Causes(args)) => causes::run(&args),
        Some(Command::DemoTraffic { scenario }) => demo::traffic(&scenario),
        Some(Command::DemoSniffer) => demo::sniffer(),
    };
    match done {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Failed) => ExitCode::from(1),
        Ok(Exit::FailOn) => ExitCode::from(3),
        Ok(Exit::Interrupted(signal)) => ExitCode::from(128 + signal),
        Err(e) => fail(&e),
    }
}

/// Says what is wrong with the command line, and ends.
fn refuse(error: &clap::Error) -> ! {
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    let commands = Cli::command();
    if error.kind() == ErrorKind::UnknownArgument && commands.find_subcommand(word).is_some() {
        let _ = writeln!(
            std::io::stderr(),
            "zcwatch: the command comes first, and its options after it: zcwatch {word} [OPTIONS]; \
             `zcwatch {word} --help` lists them"
        );
        std::process::exit(2);
    }
    error.exit()
}

fn fail(error: &anyhow::Error) -> ExitCode {
    let io = error.downcast_ref::<std::io::Error>();
    if io.is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe) {
        // The reader of our output has seen enough (`zcwatch report … | head`).
        return ExitCode::SUCCESS;
    }
    // Standard error may be gone too.
    let _ = writeln!(std::io::stderr(), "zcwatch: {}", sentence(error));
    let unwatchable = matches!(
        error.downcast_ref::<ProbeError>(),
        Some(
            ProbeError::Btf(_)
                | ProbeError::Capabilities { .. }
                | ProbeError::Demo(_)
                | ProbeError::Loopback(_)
                | ProbeError::Load(_)
                | ProbeError::Nothing(_)
                | ProbeError::LockedDown
        )
    );
    let usage = matches!(error.downcast_ref::<ProbeError>(), Some(ProbeError::RingSize(_)));
    ExitCode::from(if unwatchable {
        4
    } else if usage || error.is::<Usage>() {
        2
    } else {
        1
    })
}

/// The error and its causes; many of our errors quote their cause already.
fn sentence(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A mistake on the command line that clap does not know of.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Results go to standard output; a reader that went away is not a reason to panic.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()?;
    Ok(())
}
