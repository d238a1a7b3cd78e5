//! One CPU for a sender and its receiver.

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};

/// While it lives, the calling thread and all that it starts share one CPU.
///
/// A datagram that was copied at send completes when the receiver frees it. From 6.18 on, until
/// 0943404b1f3b ("net: do not delay zero-copy skbs in skb_attempt_defer_free()"), one that another
/// CPU allocated is put aside until that CPU next handles network packets, which on an idle
/// machine may be seconds.
#[derive(Debug)]
pub struct OneCpu {
    before: CpuSet,
}

impl OneCpu {
    /// Takes the first CPU that the thread may use.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn share() -> Result<Self> {
        let before = sched_getaffinity(Pid::from_raw(0))?;
        let first = (0..CpuSet::count()).find(|&cpu| before.is_set(cpu) == Ok(true));
        let mut one = CpuSet::new();
        one.set(first.context("no CPU")?)?;
        sched_setaffinity(Pid::from_raw(0), &one)?;
        Ok(Self { before })
    }
}

impl Drop for OneCpu {
    fn drop(&mut self) {
        // They were allowed before.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}
