//! The processes of `cargo xtask bench`: loads whose throughput is measured, and a reader of the
//! kernel's run statistics. Each says one line of JSON when it is ready, answers every line on
//! stdin by one of JSON, and ends with stdin.
//!
//! They are not the lab's senders: those keep a truth of every send, which costs more than what
//! is measured here.

mod counter;
mod echo;
mod plain;
mod programs;
mod sink;
mod zerocopy;

use std::{
    io::{self, BufRead, Write},
    net::SocketAddr,
    process, thread,
};

use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::json;

use crate::{counter::Counter, plain::Plain, programs::Programs, zerocopy::Zerocopy};

#[derive(Parser)]
#[command(about = "Loads for `cargo xtask bench`")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Take TCP connections, and throw away what they bring.
    Sink {
        /// Never sleep: then no sender ever has to wake it. It gives way to everything else.
        #[arg(long)]
        poll: bool,
    },
    /// Send by MSG_ZEROCOPY over one TCP connection, as fast as it goes; a line asks for counts.
    Zerocopy {
        /// Where to.
        #[arg(long, value_name = "ADDRESS:PORT")]
        to: SocketAddr,
        #[command(flatten)]
        options: zerocopy::Options,
    },
    /// Take TCP connections, and send back what they bring.
    Echo,
    /// Send small plain requests, and await their responses; a line asks for counts.
    Plain {
        /// The echo to send to; without, both ends are sockets of one thread.
        #[arg(long, value_name = "ADDRESS:PORT")]
        to: Option<SocketAddr>,
        /// Bytes of a request, and of its response.
        #[arg(long, value_name = "BYTES", default_value_t = 200)]
        size: usize,
    },
    /// Keep the kernel's run statistics on; a line asks for those of a process's programs.
    Programs {
        /// The process that holds the programs.
        #[arg(long, value_name = "PID")]
        of: u32,
    },
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Sink { poll } => {
            say(&json!({ "pid": process::id(), "address": sink::start(poll)? }))?;
            each_line(|| Ok(()))
        }
        Command::Zerocopy { to, options } => {
            let load = Zerocopy::open(to, &options)?;
            count(move |counter| load.run(counter))
        }
        Command::Echo => {
            say(&json!({ "pid": process::id(), "address": echo::start()? }))?;
            each_line(|| Ok(()))
        }
        Command::Plain { to, size } => {
            let load = Plain::open(to, size)?;
            count(move |counter| load.run(counter))
        }
        Command::Programs { of } => {
            let programs = Programs::count(of)?;
            say(&json!({ "pid": process::id() }))?;
            each_line(|| say(&programs.read()?))
        }
    }
}

/// Lets a load run in a thread of its own, and tells its counts as often as a line asks.
fn count(load: impl FnOnce(&Counter) -> anyhow::Result<()> + Send + 'static) -> anyhow::Result<()> {
    static COUNTER: Counter = Counter::new();
    thread::Builder::new().name("load".to_owned()).spawn(|| {
        if let Err(error) = load(&COUNTER) {
            eprintln!("load: {error:#}");
            // The main thread waits on stdin, and would not hear of it.
            process::exit(1);
        }
    })?;
    say(&json!({ "pid": process::id() }))?;
    each_line(|| say(&COUNTER.sample()?))
}

fn each_line(mut answer: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<()> {
    for line in io::stdin().lock().lines() {
        line?;
        answer()?;
    }
    Ok(())
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, what)?;
    writeln!(out)?;
    Ok(out.flush()?)
}
