//! Whom zcwatch watches: by id with descendants, by name, by cgroup, a command of its own,
//! everything. What it counts is exactly what those did, and nothing of anybody else. Needs root.

mod command;
mod everything;
mod follow;
mod groups;
mod input;
mod middle;
mod names;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use serde_json::Value;
use zcwatch::lab::{Family, Layout, Topology, UdpSink};
use zcwatch_tests::{puppet::Puppet, report::Report, zcwatch::Zcwatch};

/// Loopback with a receiver, and puppets that send to it.
struct Stage {
    path: Topology,
    sink: UdpSink,
}

impl Stage {
    fn new() -> Result<Self> {
        let path = Topology::new(Layout::Loopback)?;
        let sink = path.udp_sink(Family::V4)?;
        Ok(Self { path, sink })
    }

    /// How a workload is told to send here.
    fn options(&self) -> String {
        format!("--protocol udp --sizes 1400 --to {}", self.sink.address())
    }

    fn puppet(&self, comm: &str) -> Result<Puppet> {
        Puppet::start(self.path.client(), comm, &self.options())
    }
}

/// Starts `report --format json` with these arguments, and waits until it watches.
fn watch(arguments: &str, pids: &[u32]) -> Result<Zcwatch> {
    let arguments = ["report", "--format", "json"].into_iter().chain(arguments.split_whitespace());
    let mut zcwatch = Zcwatch::start(arguments)?;
    zcwatch.wait_until_watching(pids)?;
    Ok(zcwatch)
}

/// Sends and completions by socket.
fn counts(report: &Report) -> Result<BTreeMap<u64, (u64, u64)>> {
    let count = |row: &Value, pointer| row.pointer(pointer).and_then(Value::as_u64);
    report
        .sockets()
        .iter()
        .map(|row| {
            let id = row["id"].as_str().and_then(|id| id.parse().ok())?;
            Some((id, (count(row, "/sends/count")?, count(row, "/completed/count")?)))
        })
        .collect::<Option<_>>()
        .with_context(|| format!("not all rows are of sockets: {:#}", report.0))
}

/// The processes that it knows of.
fn processes(report: &Report) -> BTreeSet<u64> {
    let all = report.at("/processes").as_array().into_iter().flatten();
    all.filter_map(|p| p["pid"].as_u64()).collect()
}
