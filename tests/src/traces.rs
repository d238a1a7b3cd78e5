//! What a zcwatch has in the kernel and among the processes, and whether it is gone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aya::{
    maps::loaded_maps,
    programs::{loaded_links, loaded_programs},
};
use nix::net::if_::if_nameindex;
use zcwatch::lab::{Netns, VethEnd, create_veth};

use crate::kernel::held;

/// The kernel takes namespaces, links and programs down in its own time.
const SOON: Duration = Duration::from_secs(20);

/// All that a zcwatch holds, with its child processes.
#[derive(Debug)]
pub struct Traces {
    maps: BTreeSet<u32>,
    programs: BTreeSet<u32>,
    links: BTreeSet<u32>,
    processes: BTreeSet<u32>,
    observers: Vec<Observer>,
}

impl Traces {
    /// Of a zcwatch that watches: it must have maps, programs and links.
    ///
    /// # Errors
    /// When it has none, or can't be looked at.
    pub fn of(zcwatch: u32) -> Result<Self> {
        let this = Self::of_any(zcwatch)?;
        let Self { maps, programs, links, .. } = &this;
        ensure!(
            maps.len() > 5 && programs.len() > 5 && links.len() > 5,
            "zcwatch holds {maps:?}, {programs:?}, {links:?}"
        );
        Ok(this)
    }

    /// As [`Traces::of`], of one that may be about to watch.
    ///
    /// # Errors
    /// When it can't be looked at.
    pub fn of_any(zcwatch: u32) -> Result<Self> {
        let (maps, programs) = (held(zcwatch, "map_id:"), held(zcwatch, "prog_id:"));
        let links = held(zcwatch, "link_id:");
        let mut processes = descendants(zcwatch)?;
        let observers = namespaces(&processes)?;
        processes.insert(zcwatch);
        Ok(Self { maps, programs, links, processes, observers })
    }

    /// How many network namespaces its child processes hold.
    #[must_use]
    pub fn namespaces(&self) -> usize {
        self.observers.len()
    }

    /// How many child processes it has.
    #[must_use]
    pub fn children(&self) -> usize {
        self.processes.len() - 1
    }

    /// Waits until nothing of it is left.
    ///
    /// # Errors
    /// When something still is.
    pub fn wait_until_gone(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let left = self.left()?;
            if left.is_empty() {
                return Ok(());
            }
            ensure!(start.elapsed() < SOON, "left behind: {left:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn left(&self) -> Result<Vec<String>> {
        let mut left = Vec::new();
        // One that goes while it is looked at is an error of its own.
        for link in loaded_links().flatten().filter(|link| self.links.contains(&link.id())) {
            left.push(format!("link {}", link.id()));
        }
        for program in loaded_programs().flatten().filter(|p| self.programs.contains(&p.id())) {
            left.push(format!("program {} {:?}", program.id(), program.name_as_str()));
        }
        for map in loaded_maps().flatten().filter(|map| self.maps.contains(&map.id())) {
            left.push(format!("map {} {:?}", map.id(), map.name_as_str()));
        }
        for pid in self.processes.iter().filter(|&&pid| lives(pid)) {
            left.push(format!("process {pid}"));
        }
        for observer in &self.observers {
            if observer.sees_it()? {
                left.push(format!("network namespace {}", observer.watched));
            }
        }
        Ok(left)
    }
}

/// A zombie has nothing left but its name.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// Its children, and theirs.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn descendants(of: u32) -> Result<BTreeSet<u32>> {
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            parents.insert(pid, parent);
        }
    }
    let mut found: BTreeSet<u32> = BTreeSet::new();
    let mut at = vec![of];
    while let Some(parent) = at.pop() {
        for (&pid, _) in parents.iter().filter(|(_, p)| **p == parent) {
            if found.insert(pid) {
                at.push(pid);
            }
        }
    }
    Ok(found)
}

/// The network namespaces that these processes are in or hold, but for our own.
fn namespaces(processes: &BTreeSet<u32>) -> Result<Vec<Observer>> {
    let own = Netns::current()?.inum();
    let mut observers: Vec<Observer> = Vec::new();
    for pid in processes {
        let mut paths = vec![format!("/proc/{pid}/ns/net").into()];
        paths.extend(fs::read_dir(format!("/proc/{pid}/fd"))?.flatten().map(|e| e.path()));
        for path in paths {
            let target = fs::read_link(&path).unwrap_or_default();
            if !target.to_string_lossy().starts_with("net:") {
                continue;
            }
            let netns = Netns::open(&path)?;
            if netns.inum() != own && !observers.iter().any(|o| o.watched == netns.inum()) {
                observers.push(Observer::of(&netns, observers.len())?);
            }
        }
    }
    Ok(observers)
}

/// A namespace with one end of a veth whose other end is in the namespace to watch: when that
/// one is gone, so is this end.
#[derive(Debug)]
struct Observer {
    here: Netns,
    watched: u64,
}

impl Observer {
    fn of(netns: &Netns, number: usize) -> Result<Self> {
        let observer = Self { here: Netns::new()?, watched: netns.inum() };
        let there = format!("seen{number}");
        let here = VethEnd { netns: &observer.here, device: "here", mac: [2, 0, 0, 0, 9, 1] };
        create_veth(here, VethEnd { netns, device: &there, mac: [2, 0, 0, 0, 9, 2] }, 1500)?;
        Ok(observer)
    }

    fn sees_it(&self) -> Result<bool> {
        Ok(self.here.run(devices)??.iter().any(|device| device == "here"))
    }
}

/// What is mounted, and which devices the caller's namespace has: a demo changes neither.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn host() -> Result<(String, Vec<String>)> {
    Ok((fs::read_to_string("/proc/self/mounts")?, devices()?))
}

fn devices() -> Result<Vec<String>> {
    let found = if_nameindex()?;
    Ok(found.iter().map(|device| device.name().to_string_lossy().into_owned()).collect())
}
