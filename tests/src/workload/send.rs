//! The subcommand that sends.

use std::{
    io,
    os::unix::net::UnixStream,
    process,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::Context;
use clap::ValueEnum;
use nix::{
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};
use serde_json::json;
use zcwatch::lab::sender::{Options, Sender, host_pid};

use crate::{await_line, child, say};

/// The process that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum By {
    /// The one that was started.
    Itself,
    /// A child of it, which inherits the socket. The parent keeps it too.
    Inheritor,
    /// A child of it, to which the socket is passed. The parent then closes it.
    Receiver,
    /// So, but the socket is passed only when the first line comes: the parent has it until then.
    Successor,
    /// A child of it in a PID namespace of its own.
    Namespaced,
}

#[derive(clap::Args)]
pub struct Send {
    #[command(flatten)]
    options: Options,
    /// Open and connect the socket before saying ready.
    #[arg(long)]
    connect_first: bool,
    /// Send until the next line, whatever the count.
    #[arg(long)]
    forever: bool,
    /// Limit locked memory; root is above the limit, so this wants --uid.
    #[arg(long, value_name = "BYTES")]
    memlock: Option<u64>,
    /// Become this user before anything else.
    #[arg(long)]
    uid: Option<u32>,
    /// Who sends; a child says all there is to say. One that gets its socket from the parent has
    /// it before it says ready.
    #[arg(long, value_enum, default_value = "itself")]
    by: By,
}

impl Send {
    pub fn execute(mut self) -> anyhow::Result<()> {
        if self.forever {
            self.options.count = u64::MAX;
        }
        if self.by == By::Namespaced {
            unshare(CloneFlags::CLONE_NEWPID).context("could not make a PID namespace")?;
        }
        self.become_other()?;
        let parent = process::id();
        match self.by {
            By::Itself => self.send(None),
            By::Namespaced => child::run(|| self.send(Some(parent)), || Ok(())),
            By::Inheritor => {
                let sender = Sender::open(self.options.clone())?;
                child::run(|| self.send_by(&sender, Some(parent)), || Ok(()))
            }
            By::Receiver | By::Successor => self.hand_over(parent),
        }
    }

    /// The parent opens the socket when its child is there already.
    fn hand_over(&self, parent: u32) -> anyhow::Result<()> {
        let (here, there) = UnixStream::pair()?;
        let late = self.by == By::Successor;
        let send = || {
            let socket = child::receive(&there)?;
            let sender = Sender::adopt(self.options.clone(), socket)?;
            if late { self.go(&sender) } else { self.send_by(&sender, Some(parent)) }
        };
        child::run(send, || {
            let sender = Sender::open(self.options.clone())?;
            if late {
                ready(Some(parent))?;
            }
            child::pass(&here, sender.socket())
        })
    }

    fn send(&self, parent: Option<u32>) -> anyhow::Result<()> {
        if self.connect_first {
            return self.send_by(&Sender::open(self.options.clone())?, parent);
        }
        ready(parent)?;
        self.go(&Sender::open(self.options.clone())?)
    }

    fn send_by(&self, sender: &Sender, parent: Option<u32>) -> anyhow::Result<()> {
        ready(parent)?;
        self.go(sender)
    }

    fn go(&self, sender: &Sender) -> anyhow::Result<()> {
        run(sender, self.forever)?;
        say(&sender.truth()?)?;
        await_line()
    }

    fn become_other(&self) -> anyhow::Result<()> {
        if let Some(bytes) = self.memlock {
            let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
            // SAFETY: the pointer is to a live rlimit.
            let result = unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) };
            if result < 0 {
                return Err(io::Error::last_os_error()).context("could not limit locked memory");
            }
        }
        if let Some(uid) = self.uid {
            setgroups(&[])
                .and_then(|()| setgid(Gid::from_raw(uid)))
                .and_then(|()| setuid(Uid::from_raw(uid)))
                .with_context(|| format!("could not become user {uid}"))?;
        }
        Ok(())
    }
}

/// Says that the next line is waited for; `parent` is who opened the socket of a child.
fn ready(parent: Option<u32>) -> anyhow::Result<()> {
    say(&json!({ "ready": true, "pid": host_pid(), "parent": parent }))?;
    await_line()
}

/// Sends; with `forever` until a line comes, which a thread of its own waits for so that the
/// main thread is the one that sends.
fn run(sender: &Sender, forever: bool) -> anyhow::Result<()> {
    let stop = AtomicBool::new(false);
    if !forever {
        return Ok(sender.run(&stop)?);
    }
    thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let line = await_line();
            stop.store(true, Ordering::Relaxed);
            line
        });
        let sent = sender.run(&stop);
        let line = waiting.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause));
        sent.map_err(Into::into).and(line)
    })
}
