//! What a load has done so far, by its own count and the kernel's clocks.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// Written by the one thread that sends, read by another.
#[derive(Debug)]
pub struct Counter {
    operations: AtomicU64,
    bytes: AtomicU64,
    notifications: AtomicU64,
    copied: AtomicU64,
}

/// A [`Counter`] at one moment.
#[derive(Debug, Serialize)]
pub struct Sample {
    /// CLOCK_MONOTONIC, ns.
    ns: u64,
    /// CPU time of the process so far, ns.
    cpu_ns: u64,
    /// Sends, or requests that were answered.
    operations: u64,
    /// Their bytes.
    bytes: u64,
    /// Notifications read from the error queue.
    notifications: u64,
    /// Ids that they said were copied.
    copied: u64,
}

impl Counter {
    /// Nothing done yet.
    pub const fn new() -> Self {
        Self {
            operations: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            notifications: AtomicU64::new(0),
            copied: AtomicU64::new(0),
        }
    }

    /// One more operation, of so many bytes.
    pub fn done(&self, bytes: usize) {
        raise(&self.operations, 1);
        raise(&self.bytes, bytes as u64);
    }

    /// One more notification, of so many copied ids.
    pub fn notified(&self, copied: u64) {
        raise(&self.notifications, 1);
        raise(&self.copied, copied);
    }

    /// The counts, and when they were read.
    ///
    /// # Errors
    /// When a clock can't be read.
    pub fn sample(&self) -> anyhow::Result<Sample> {
        Ok(Sample {
            // The clock beside the count that is divided by it.
            operations: self.operations.load(Ordering::Relaxed),
            ns: clock(ClockId::CLOCK_MONOTONIC)?,
            cpu_ns: clock(ClockId::CLOCK_PROCESS_CPUTIME_ID)?,
            bytes: self.bytes.load(Ordering::Relaxed),
            notifications: self.notifications.load(Ordering::Relaxed),
            copied: self.copied.load(Ordering::Relaxed),
        })
    }
}

/// There is one writer, so this need not be one locked instruction.
fn raise(count: &AtomicU64, by: u64) {
    count.store(count.load(Ordering::Relaxed) + by, Ordering::Relaxed);
}

fn clock(id: ClockId) -> anyhow::Result<u64> {
    Ok(u64::try_from(Duration::from(clock_gettime(id)?).as_nanos())?)
}
