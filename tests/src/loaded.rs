//! Every eBPF object that the kernel has, and whether one came and stayed.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aya::{
    maps::loaded_maps,
    programs::{loaded_links, loaded_programs},
};
use serde_json::Value;

use crate::{kernel::held, zcwatch::PATIENCE};

/// What a test's processes carry in their environment, so that others' objects are told from
/// theirs: a machine may watch something of its own meanwhile.
pub const MARK: &str = "ZCWATCH_TEST_OF";

/// What there is of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sort {
    /// Links.
    Link,
    /// Maps.
    Map,
    /// Programs.
    Program,
}

impl Sort {
    const ALL: [Self; 3] = [Self::Link, Self::Map, Self::Program];

    /// The word of `bpftool`.
    fn word(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Map => "map",
            Self::Program => "prog",
        }
    }

    /// The word of `fdinfo`.
    fn of_descriptor(self) -> &'static str {
        match self {
            Self::Link => "link_id:",
            Self::Map => "map_id:",
            Self::Program => "prog_id:",
        }
    }
}

/// Objects by sort and id, each with its name.
type Objects = BTreeMap<(Sort, u32), String>;

/// Who lists them.
#[derive(Clone, Copy, Debug)]
pub enum By {
    /// The kernel's own lists, read here.
    Ids,
    /// The program `bpftool`.
    Bpftool,
}

/// What the kernel had at some moment.
#[derive(Debug)]
pub struct Loaded {
    by: By,
    objects: Objects,
}

impl Loaded {
    /// What it has now.
    ///
    /// # Errors
    /// When it does not tell.
    pub fn now(by: By) -> Result<Self> {
        Ok(Self { by, objects: list(by)? })
    }

    /// There are links, maps and programs now that were not there then: else that they are gone
    /// later would say nothing.
    ///
    /// # Errors
    /// When that is not so.
    pub fn grew(&self) -> Result<()> {
        let new = self.new_ones()?;
        for sort in Sort::ALL {
            let found = new.keys().filter(|(of, _)| *of == sort).count();
            ensure!(found > 5, "only {found} more of sort {sort:?}: {new:?}");
        }
        Ok(())
    }

    /// Waits until there is nothing that was not there then. The kernel frees some things a
    /// moment after the last one has let go.
    ///
    /// # Errors
    /// When something stays.
    pub fn wait_until_back(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let new = self.new_ones()?;
            if new.is_empty() {
                return Ok(());
            }
            ensure!(start.elapsed() < PATIENCE, "left behind in the kernel: {new:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// What there is now and was not then, but for what others hold.
    fn new_ones(&self) -> Result<Objects> {
        let mut new = list(self.by)?;
        new.retain(|object, _| !self.objects.contains_key(object));
        if !new.is_empty() {
            let others = of_others()?;
            new.retain(|object, _| !others.contains(object));
        }
        Ok(new)
    }
}

fn list(by: By) -> Result<Objects> {
    match by {
        By::Ids => ids(),
        By::Bpftool => bpftool(),
    }
}

fn ids() -> Result<Objects> {
    let mut all = Objects::new();
    for link in loaded_links() {
        match link {
            Ok(link) => drop(all.insert((Sort::Link, link.id()), String::new())),
            Err(error) => gone(error)?,
        }
    }
    for map in loaded_maps() {
        match map {
            Ok(map) => {
                let name = map.name_as_str().unwrap_or_default().to_owned();
                all.insert((Sort::Map, map.id()), name);
            }
            Err(error) => gone(error)?,
        }
    }
    for program in loaded_programs() {
        match program {
            Ok(program) => {
                let name = program.name_as_str().unwrap_or_default().to_owned();
                all.insert((Sort::Program, program.id()), name);
            }
            Err(error) => gone(error)?,
        }
    }
    Ok(all)
}

/// One that goes while it is looked at is not there; another error is one.
fn gone(error: impl std::error::Error + Send + Sync + 'static) -> Result<()> {
    let mut at: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(cause) = at {
        let io = cause.downcast_ref::<std::io::Error>();
        if io.and_then(std::io::Error::raw_os_error) == Some(libc::ENOENT) {
            return Ok(());
        }
        at = cause.source();
    }
    Err(error).context("the kernel does not list its eBPF objects")
}

fn bpftool() -> Result<Objects> {
    let mut all = Objects::new();
    for sort in Sort::ALL {
        let output = Command::new("bpftool")
            .args([sort.word(), "show", "-j"])
            .output()
            .context("there is no bpftool: apt-get install bpftool")?;
        let said = String::from_utf8_lossy(&output.stdout);
        let rows: Value = serde_json::from_str(&said).with_context(|| format!("{output:?}"))?;
        let Some(rows) = rows.as_array() else {
            // One that goes between its number and its description ends the list with an error.
            if rows["error"].as_str().is_some_and(|error| error.contains("No such file")) {
                return bpftool();
            }
            bail!("bpftool: {output:?}");
        };
        for row in rows {
            let id = row["id"].as_u64().and_then(|id| u32::try_from(id).ok());
            let name = row["name"].as_str().unwrap_or_default().to_owned();
            all.insert((sort, id.with_context(|| format!("{row:#}"))?), name);
        }
    }
    Ok(all)
}

/// What processes hold that are not this test's.
fn of_others() -> Result<BTreeSet<(Sort, u32)>> {
    let mark = format!("{MARK}={}", std::process::id());
    let mut held_by_others = BTreeSet::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != std::process::id()) else { continue };
        // One that has just ended holds nothing.
        let environment = fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|word| word == mark.as_bytes()) {
            continue;
        }
        for sort in Sort::ALL {
            held_by_others.extend(held(pid, sort.of_descriptor()).into_iter().map(|id| (sort, id)));
        }
    }
    // A program holds maps whose descriptors are closed.
    let programs = loaded_programs().flatten();
    let maps: Vec<_> = programs
        .filter(|program| held_by_others.contains(&(Sort::Program, program.id())))
        .filter_map(|program| program.map_ids().ok().flatten())
        .flatten()
        .map(|id| (Sort::Map, id))
        .collect();
    held_by_others.extend(maps);
    Ok(held_by_others)
}
