//! What of zcwatch is in the kernel.

use std::{collections::BTreeSet, fs};

use aya::maps::{HashMap, Map, MapData, MapInfo};

/// The map of the processes that the probes let through.
const FILTER: &str = "PIDS";

/// SIGINT and SIGTERM, in the masks of `/proc/PID/status`.
const HANDLED: u64 = 1 << (libc::SIGINT - 1) | 1 << (libc::SIGTERM - 1);

/// Whether this zcwatch watches all of these processes, and handles its signals.
#[must_use]
pub fn watches(zcwatch: u32, pids: &[u32]) -> bool {
    let Some(filter) = held(zcwatch, "map_id:").into_iter().find_map(filter) else { return false };
    pids.iter().all(|pid| filter.get(pid, 0).is_ok()) && handles_signals(zcwatch)
}

fn filter(map: u32) -> Option<HashMap<MapData, u32, u8>> {
    let info = MapInfo::from_id(map).ok()?;
    if info.name_as_str() != Some(FILTER) {
        return None;
    }
    HashMap::try_from(Map::HashMap(MapData::from_id(map).ok()?)).ok()
}

/// Whether a process has handlers for SIGINT and SIGTERM.
#[must_use]
pub fn handles_signals(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & HANDLED == HANDLED)
}

/// The numbers that the descriptors of a process show by this word: `map_id:`, `prog_id:`,
/// `link_id:`.
#[must_use]
pub fn held(pid: u32, word: &str) -> BTreeSet<u32> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fdinfo")) else { return BTreeSet::new() };
    // A descriptor that is closed meanwhile shows nothing.
    let texts = entries.flatten().filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .filter_map(|text| {
            text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
        })
        .collect()
}
