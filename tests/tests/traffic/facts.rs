//! What changes on the host while it is watched, and when.

use std::{
    env, fs,
    process::{self, Command},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use zcwatch::lab::{Family, Feature, Layout, Sniffer, Topology, set_feature};
use zcwatch_tests::{report::causes, scenario::workload, zcwatch::Zcwatch};

use super::now;

/// Links and listeners are looked at ten times a second, limits once; the machine may be busy.
const SOON: u64 = 600_000_000;
const SEARCH: u64 = 1_600_000_000;

/// A file that is gone in the end.
struct Recording(String);

impl Drop for Recording {
    fn drop(&mut self) {
        // It may never have been written.
        let _ = fs::remove_file(&self.0);
    }
}

/// The first of these events that holds lies between these times, ns.
fn assert_told(
    events: &[Value],
    kind: &str,
    since: u64,
    within: u64,
    holds: impl Fn(&Value) -> bool,
) -> Result<()> {
    let new = |event: &&Value| event["ts"].as_u64().is_some_and(|ts| ts >= since);
    let found = events.iter().filter(new).find(|e| e["event"] == kind && holds(e));
    let found = found.with_context(|| format!("no such {kind} after {since}"))?;
    let late = found["ts"].as_u64().unwrap_or(u64::MAX) - since;
    println!("{kind} after {} ms: {found}", late / 1_000_000);
    ensure!(late < within, "{late} ns late: {found}");
    Ok(())
}

#[test]
fn changes_of_the_surroundings_are_told_with_their_time() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let (sink, client) = (path.tcp_sink(Family::V4)?, path.client());
    let line = format!("send --to {} --forever --delay-us 1000", sink.address());
    let mut sender = workload(client, &line)?;
    let file = env::temp_dir().join(format!("zcwatch-facts-{}", process::id()));
    let file = Recording(file.to_string_lossy().into_owned());
    let zcwatch = Zcwatch::watch_with(&[sender.pid()], &format!("-d 60s --save {}", file.0))?;
    sender.step()?;
    thread::sleep(Duration::from_millis(300));

    let renamed = now()?;
    let mut ip = Command::new("ip");
    ip.args(["link", "set", "client0", "name", "uplink7"]);
    ensure!(client.enter(&mut ip)?.status().context("apt-get install iproute2")?.success());
    let toggled = now()?;
    set_feature(client, "uplink7", Feature::TxChecksum, false)?;
    thread::sleep(Duration::from_millis(200));
    let back = now()?;
    set_feature(client, "uplink7", Feature::TxChecksum, true)?;
    let raised = now()?;
    client.set_sysctl("net/core/optmem_max", "345678")?;
    let come = now()?;
    let sniffer = Sniffer::open(client, Some("uplink7"))?;
    thread::sleep(Duration::from_millis(700));
    let gone = now()?;
    drop(sniffer);
    thread::sleep(Duration::from_millis(700));
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;

    let text = fs::read_to_string(&file.0)?;
    let events: Vec<Value> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert_told(&events, "link", renamed, SOON, |e| e["name"] == "uplink7")?;
    let features = |e: &Value| e["features"].as_u64().unwrap_or(0);
    // NETIF_F_HW_CSUM.
    let checksums = |e: &Value| features(e) & 1 << 3 != 0;
    assert_told(&events, "device", toggled, SOON, |e| e["name"] == "uplink7" && !checksums(e))?;
    assert_told(&events, "device", back, SOON, |e| e["name"] == "uplink7" && checksums(e))?;
    assert_told(&events, "limits", raised, SEARCH, |e| e["max"] == 345_678)?;
    let heard = |e: &Value| e["list"].as_array().is_some_and(|list| !list.is_empty());
    assert_told(&events, "sniffers", come, SOON, heard)?;
    assert_told(&events, "sniffers", gone, SOON, |e| !heard(e))?;

    // And what they cost is told apart, on the device by its last name.
    let row = report.socket(truth.cookie)?;
    println!("{}", row["causes"]);
    let causes = causes(row);
    assert_eq!(causes.values().sum::<u64>(), truth.copied);
    let keys: Vec<_> = causes.keys().map(String::as_str).collect();
    assert_eq!(keys, ["gso_no_csum@uplink7", "tap_tx@uplink7"]);
    Ok(())
}
