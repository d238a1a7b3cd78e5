//! Workloads that do what a test tells them, and processes that they make.

use std::{
    fs::{self, File},
    io::Write,
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};
use nix::{sys::stat::Mode, unistd::mkfifo};
use serde::de::DeserializeOwned;
use zcwatch::lab::{Netns, sender::Truth};

use crate::{Workload, scenario::workload};

/// A process that obeys, with all that it makes: they answer by one pipe.
#[derive(Debug)]
pub struct Puppet {
    workload: Workload,
}

/// A process that a puppet, or another of these, has made. Dropped, it ends.
#[derive(Debug)]
pub struct Limb {
    /// Its process id.
    pub pid: u32,
    orders: File,
}

impl Puppet {
    /// Starts one; `options` say how it sends.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn start(netns: &Netns, comm: &str, options: &str) -> Result<Self> {
        Ok(Self { workload: workload(netns, &format!("--comm {comm} puppet {options}"))? })
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.workload.pid()
    }

    /// Gives it an order, and hears what it says.
    ///
    /// # Errors
    /// When it has failed.
    pub fn order<T: DeserializeOwned>(&mut self, order: &str) -> Result<T> {
        self.workload.tell(order)?;
        self.workload.hear().with_context(|| format!("ordered to {order}"))
    }

    /// As [`Puppet::order`], to a process that it has made.
    ///
    /// # Errors
    /// When that has failed.
    pub fn order_to<T: DeserializeOwned>(&mut self, limb: &mut Limb, order: &str) -> Result<T> {
        writeln!(limb.orders, "{order}")?;
        self.workload.hear().with_context(|| format!("{} ordered to {order}", limb.pid))
    }

    /// Lets it send so many messages by a new socket.
    ///
    /// # Errors
    /// As [`Puppet::order`].
    pub fn send(&mut self, count: u64) -> Result<Truth> {
        self.order(&format!("send {count}"))
    }

    /// Lets it make a process; or lets `parent` make one.
    ///
    /// # Errors
    /// As [`Puppet::order`].
    pub fn fork(&mut self, parent: Option<&mut Limb>) -> Result<Limb> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name =
            format!("zcwatch-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let fifo = std::env::temp_dir().join(name);
        mkfifo(&fifo, Mode::S_IRUSR | Mode::S_IWUSR).context("could not make a FIFO")?;
        let order = format!("fork {}", fifo.display());
        let pid = match parent {
            Some(parent) => self.order_to(parent, &order)?,
            None => self.order(&order)?,
        };
        // Opened when both are there.
        let orders = File::options().write(true).open(&fifo)?;
        fs::remove_file(fifo)?;
        Ok(Limb { pid, orders })
    }

    /// Lets it end, and waits for that.
    ///
    /// # Errors
    /// When it fails.
    pub fn finish(self) -> Result<()> {
        self.workload.finish()
    }

    /// Lets it end, but goes on to hear what it made.
    ///
    /// # Errors
    /// When it fails.
    pub fn end(&mut self) -> Result<()> {
        self.workload.end()
    }
}
