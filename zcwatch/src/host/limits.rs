//! Limits that zerocopy sends run into, where the probes do not tell of them.

use std::fs;

use procfs::process::{LimitValue, Process};

use super::{netns::Entrance, packet};

/// `net.core.optmem_max` in a process's network namespace, bytes. `None`: it cannot be read; or it
/// is the host's alone (before 6.9), and the namespace is another one.
#[must_use]
pub fn optmem_max(pid: u32) -> Option<u64> {
    let read = || fs::read_to_string("/proc/sys/net/core/optmem_max");
    let text = if packet::netns_of(pid) == packet::netns_of(std::process::id()) {
        read().ok()
    } else {
        Entrance::of(pid).and_then(|inside| inside.run(read)).ok()
    };
    text?.trim().parse().ok()
}

/// RLIMIT_MEMLOCK (soft) of a process, bytes; the inner `None`: unlimited.
#[must_use]
pub fn memlock(pid: u32) -> Option<Option<u64>> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(match process.limits().ok()?.max_locked_memory.soft_limit {
        LimitValue::Unlimited => None,
        LimitValue::Value(bytes) => Some(bytes),
    })
}
