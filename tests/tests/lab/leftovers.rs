//! What a path leaves behind: nothing, whether it is dropped or its process killed.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::programs::loaded_programs;
use clap::ValueEnum;
use nix::net::if_::if_nameindex;
use serde_json::Value;
use zcwatch::lab::{Layout, Netns, VethEnd, create_veth, sender::Options};
use zcwatch_tests::Workload;

use super::send;

/// Namespaces and programs are taken down by the kernel's workers, in their own time.
const SOON: Duration = Duration::from_secs(20);

const BINARY: &str = env!("CARGO_BIN_EXE_workload");

fn devices() -> Result<BTreeSet<String>> {
    let found = if_nameindex()?;
    Ok(found.iter().map(|device| device.name().to_string_lossy().into_owned()).collect())
}

/// A namespace with one end of a veth whose other end is in the namespace to watch: when that
/// one is gone, so is this end.
struct Observer(Netns);

impl Observer {
    fn of(netns: &Netns, there: &str) -> Result<Self> {
        let observer = Netns::new()?;
        let here = VethEnd { netns: &observer, device: "here", mac: [2, 0, 0, 0, 9, 1] };
        let there = VethEnd { netns, device: there, mac: [2, 0, 0, 0, 9, 2] };
        create_veth(here, there, 1500)?;
        Ok(Self(observer))
    }

    fn sees_it(&self) -> Result<bool> {
        Ok(self.0.run(devices)??.contains("here"))
    }

    fn wait_until_gone(&self) -> Result<()> {
        soon("the namespace still lives", || Ok(!self.sees_it()?))
    }
}

fn soon(otherwise: &'static str, mut holds: impl FnMut() -> Result<bool>) -> Result<()> {
    let start = Instant::now();
    while !holds()? {
        ensure!(start.elapsed() < SOON, otherwise);
        thread::sleep(Duration::from_millis(10));
    }
    println!("gone after {:?}", start.elapsed());
    Ok(())
}

fn wait_until_unloaded(programs: &[u32]) -> Result<()> {
    soon("a packet program is still loaded", || {
        // One that goes while it is looked at is an error of its own.
        Ok(!loaded_programs().flatten().any(|program| programs.contains(&program.id())))
    })
}

/// A process that holds a path, and who sees its namespaces and programs.
struct Held {
    holder: Workload,
    observers: [Observer; 2],
    programs: Vec<u32>,
}

impl Held {
    fn new(layout: &str) -> Result<Self> {
        println!("{layout}");
        let holder = Workload::start(BINARY, &Netns::current()?, ["hold", layout])?;
        let (client, server) = (netns(&holder, "client_fd")?, netns(&holder, "server_fd")?);
        let to = holder.ready()["udp"].as_str().context("no address")?.parse()?;
        send(&client, Options { count: 5, ..Options::udp(to) })?;
        let observers = [Observer::of(&client, "there0")?, Observer::of(&server, "there1")?];
        let programs = holder.ready()["programs"].as_array().context("no programs")?;
        let programs = programs.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect();
        Ok(Self { holder, observers, programs })
    }
}

fn netns(holder: &Workload, key: &str) -> Result<Netns> {
    let fd = holder.ready()[key].as_u64().with_context(|| format!("no {key}"))?;
    Ok(Netns::open(Path::new(&format!("/proc/{}/fd/{fd}", holder.pid())))?)
}

fn wait_until_gone(programs: &[u32], observers: &[Observer]) -> Result<()> {
    wait_until_unloaded(programs)?;
    observers.iter().try_for_each(Observer::wait_until_gone)
}

/// The sockets, namespaces and eBPF objects among a process's descriptors. It may have
/// inherited pipes and files from whoever started the tests.
fn held_objects(pid: u32) -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        targets.push(fs::read_link(entry?.path())?.to_string_lossy().into_owned());
    }
    targets.retain(|target| {
        ["socket:", "net:", "anon_inode:bpf"].iter().any(|kind| target.starts_with(kind))
    });
    Ok(targets)
}

#[test]
fn a_dropped_path_is_gone() -> Result<()> {
    let before = (devices()?, fs::read_to_string("/proc/self/mounts")?);
    for layout in Layout::value_variants().iter().filter(|layout| !layout.takes_modules()) {
        let name = layout.to_possible_value().context("a layout without a name")?;
        let layout = name.get_name();
        let Held { mut holder, observers, programs } = Held::new(layout)?;
        assert_eq!((devices()?, fs::read_to_string("/proc/self/mounts")?), before);
        assert_ne!(held_objects(holder.pid())?, Vec::<String>::new());
        holder.step()?;
        holder.hear::<Value>()?;
        assert_eq!(fs::read_dir(format!("/proc/{}/task", holder.pid()))?.count(), 1, "threads");
        assert_eq!(held_objects(holder.pid())?, Vec::<String>::new());
        wait_until_gone(&programs, &observers)?;
        holder.finish()?;
    }
    Ok(())
}

#[test]
fn a_killed_process_takes_its_path_with_it() -> Result<()> {
    for layout in ["veth-xdp", "forwarded-drop"] {
        let Held { holder, observers, programs } = Held::new(layout)?;
        assert_eq!(programs.len(), 1);
        drop(holder); // SIGKILL
        wait_until_gone(&programs, &observers)?;
    }
    Ok(())
}
