//! Processes behind tun and tap devices. Every packet for such a device is copied for them.

use std::{
    fs::{self, File},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
};

use super::{packet::numbers, process};
use crate::event::Tunnel;

/// All that are visible: descriptors of /dev/net/tun, whose `fdinfo` names the device.
#[must_use]
pub fn holders() -> Vec<Tunnel> {
    let mut found = Vec::new();
    for pid in numbers("/proc") {
        let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { continue };
        for entry in entries.flatten() {
            let is_tun = fs::read_link(entry.path())
                .is_ok_and(|to| to.as_os_str() == "/dev/net/tun" || to.as_os_str() == "/dev/tun");
            if !is_tun {
                continue;
            }
            let fd = entry.file_name();
            let info = format!("/proc/{pid}/fdinfo/{}", fd.display());
            let text = fs::read_to_string(info).unwrap_or_default();
            if let Some(device) = text.lines().find_map(|l| l.strip_prefix("iff:")) {
                let comm = process::comm(pid).unwrap_or_default();
                let netns = fd.to_str().and_then(|fd| netns_behind(pid, fd.parse().ok()?));
                found.push(Tunnel { device: device.trim().to_owned(), netns, pid, comm });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `TUNGETDEVNETNS` of linux/if_tun.h (`_IO('T', 227)`, 5.2 and later).
const TUNGETDEVNETNS: libc::Ioctl = 0x54e3;

/// The network namespace of the device behind a descriptor of another process. It needs
/// CAP_SYS_PTRACE for that process, and CAP_NET_ADMIN in the namespace.
fn netns_behind(pid: u32, fd: i32) -> Option<u32> {
    // SAFETY: no pointers are passed.
    let process = owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: no pointers are passed.
    let tun = owned(unsafe { libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0) })?;
    // SAFETY: this command takes no argument.
    let netns = owned(unsafe { libc::ioctl(tun.as_raw_fd(), TUNGETDEVNETNS) }.into())?;
    u32::try_from(File::from(netns).metadata().ok()?.ino()).ok()
}

/// What a system call answered, where it is a new descriptor.
fn owned(answer: libc::c_long) -> Option<OwnedFd> {
    let fd = i32::try_from(answer).ok().filter(|fd| *fd >= 0)?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Some(unsafe { OwnedFd::from_raw_fd(fd) })
}
