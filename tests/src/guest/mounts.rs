//! The file systems that zcwatch and its tests expect.

use anyhow::{Context, Error};
use nix::mount::{MsFlags, mount};

/// A type and where it goes, those below others after them.
const ALL: [(&str, &str); 11] = [
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("devpts", "/dev/pts"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("cgroup2", "/sys/fs/cgroup"),
    ("bpf", "/sys/fs/bpf"),
    ("securityfs", "/sys/kernel/security"),
    ("tracefs", "/sys/kernel/tracing"),
    ("debugfs", "/sys/kernel/debug"),
];

/// Mounts them all, and returns what went wrong.
pub fn all() -> Vec<Error> {
    ALL.iter()
        .filter_map(|(kind, to)| {
            // What is missing is told by the mount.
            let _ = std::fs::create_dir_all(to);
            let done = mount(Some(*kind), *to, Some(*kind), MsFlags::empty(), None::<&str>);
            done.with_context(|| format!("{kind} cannot be mounted on {to}")).err()
        })
        .collect()
}
