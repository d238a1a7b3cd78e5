//! What changes on the host while it is watched: each an event, with its time.

use std::{thread, time::Duration};

use anyhow::{Context, Result};
use nix::{
    sys::signal::Signal,
    time::{ClockId, clock_gettime},
};
use serde_json::Value;
use zcwatch::lab::{Family, Feature, Layout, Topology, remove, rename, set_feature};
use zcwatch_tests::{Workload, scenario::workload};

use super::trace;

/// How late a change may be noticed, ns: limits are looked at once a second, on a machine that may
/// be busy.
const LATE: u64 = 3_000_000_000;

/// Bytes: an odd number, which nobody else has set.
const MEMLOCK: u64 = 1_234_944;

fn now() -> Result<u64> {
    let time = Duration::from(clock_gettime(ClockId::CLOCK_MONOTONIC)?);
    Ok(u64::try_from(time.as_nanos())?)
}

/// One change, and when it was made.
struct Change {
    what: &'static str,
    before: u64,
    after: u64,
}

fn change(what: &'static str, make: impl FnOnce() -> Result<()>) -> Result<Change> {
    let before = now()?;
    make()?;
    let after = now()?;
    // What is only searched for is looked at once a second.
    let searched = matches!(what, "memlock");
    thread::sleep(Duration::from_millis(if searched { 1200 } else { 300 }));
    Ok(Change { what, before, after })
}

/// A soft limit of its own, below the hard one.
fn limit_memlock(sender: &Workload) -> Result<()> {
    let pid = libc::pid_t::try_from(sender.pid())?;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: the limit lives here, and is written; no new one is set.
    let asked = unsafe { libc::prlimit(pid, libc::RLIMIT_MEMLOCK, none, &raw mut limit) };
    limit.rlim_cur = MEMLOCK;
    // SAFETY: the limit lives here, and the old one is not asked for.
    let done = unsafe { libc::prlimit(pid, libc::RLIMIT_MEMLOCK, &raw const limit, none) };
    (asked == 0 && done == 0).then_some(()).context("prlimit")
}

/// Is it the event of this change?
fn tells(event: &Value, change: &str) -> bool {
    let is = |kind: &str| event["event"] == kind;
    let features = || event["features"].as_u64().unwrap_or(0);
    match change {
        // NETIF_F_HW_CSUM
        "feature off" => is("device") && event["name"] == "client0" && features() & 8 == 0,
        "feature on" => is("device") && event["name"] == "client0" && features() & 8 != 0,
        "optmem" => is("limits") && event["limit"] == "optmem" && event["max"] == 262_144,
        "memlock" => is("limits") && event["limit"] == "memlock" && event["max"] == MEMLOCK,
        "sniffer comes" => is("sniffers") && event["list"][0]["comm"] == "passing",
        "sniffer goes" => is("sniffers") && event["list"].as_array().is_some_and(Vec::is_empty),
        "renamed" => is("link") && event["name"] == "uplink0" && event["removed"] == false,
        "removed" => is("link") && event["name"] == "uplink0" && event["removed"] == true,
        _ => false,
    }
}

#[test]
fn each_change_of_the_host_is_an_event_with_its_time() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.udp_sink(Family::V4)?;
    let client = path.client();
    let line = "send --protocol udp --sizes 1000 --forever --delay-us 5000";
    let mut sender = workload(client, &format!("{line} --to {}", sink.address()))?;
    let mut zcwatch = trace(&[&sender], "--format ndjson")?;
    sender.step()?;
    thread::sleep(Duration::from_millis(500));
    let checksums = |on| move || Ok(set_feature(client, "client0", Feature::TxChecksum, on)?);
    let mut sniffer = None;
    let changes = [
        change("feature off", checksums(false))?,
        change("feature on", checksums(true))?,
        change("optmem", || Ok(client.set_sysctl("net/core/optmem_max", "262144")?))?,
        change("memlock", || limit_memlock(&sender))?,
        change("sniffer comes", || {
            sniffer = Some(workload(client, "--comm passing sniff")?);
            Ok(())
        })?,
        change("sniffer goes", || sniffer.take().map_or(Ok(()), Workload::finish))?,
        change("renamed", || Ok(rename(client, "client0", "uplink0")?))?,
        change("removed", || Ok(remove(client, "uplink0")?))?,
    ];
    zcwatch.signal(Signal::SIGINT)?;
    let ended = zcwatch.wait()?;
    let lines: Vec<Value> =
        ended.stdout.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    for Change { what, before, after } in changes {
        let all: Vec<&Value> = lines.iter().filter(|l| tells(l, what)).collect();
        let times: Vec<u64> = all.iter().filter_map(|l| l["ts"].as_u64()).collect();
        assert!(
            times.iter().any(|ts| (before..after + LATE).contains(ts)),
            "{what} at {before} to {after}: {all:#?}"
        );
    }
    Ok(())
}
