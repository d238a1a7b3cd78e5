//! Processes behind tun and tap devices. Every packet for such a device is copied for them.

use std::fs;

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
            let info = format!("/proc/{pid}/fdinfo/{}", entry.file_name().display());
            let text = fs::read_to_string(info).unwrap_or_default();
            if let Some(device) = text.lines().find_map(|l| l.strip_prefix("iff:")) {
                let comm = process::comm(pid).unwrap_or_default();
                found.push(Tunnel { device: device.trim().to_owned(), pid, comm });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
