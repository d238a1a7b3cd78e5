//! Many sends by many sockets at once, on all CPUs.

use std::{collections::BTreeMap, fs, time::Instant};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use zcwatch::lab::{
    Family, Layout, Topology,
    sender::{Churned, Truth},
};
use zcwatch_tests::{
    Workload,
    expect::{Expected, impossible},
    report::{Report, causes},
    scenario::workload,
    zcwatch::{WITHOUT_TIMING, Zcwatch},
};

/// The senders with one socket each, as many as those with many.
const STEADY: u64 = 4;

/// Room for the events of the whole, bytes; without, zcwatch reads them in time, or tells how many
/// it has lost.
const ROOM: &str = "--ring-size 134217728";

/// Sends about so many messages, one in fifty by a socket that lives for two, and holds what
/// zcwatch says against what the senders counted.
fn stress(sends: u64, options: &str) -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let to = |protocol| if protocol == "udp" { udp.address() } else { tcp.address() };
    // A socket of these sends two messages on average.
    let sockets = sends / 100;
    let count = (sends - 4 * sockets) / STEADY;
    let (mut steady, mut churning) = (Vec::new(), Vec::new());
    for protocol in ["tcp", "udp"] {
        let common = format!("--protocol {protocol} --to {} --patience-ms 60000", to(protocol));
        for (size, window) in [("1400", 8), ("1000,4000", 32)] {
            let line = format!("--sizes {size} --drain window --window {window} --count {count}");
            steady.push(workload(path.client(), &format!("send {common} {line}"))?);
        }
        let line = format!("churn {common} --sizes 1400 --sockets {sockets}");
        churning.push(workload(path.client(), &line)?);
    }
    let pids: Vec<_> = steady.iter().chain(&churning).map(Workload::pid).collect();
    let zcwatch = Zcwatch::watch_with(&pids, &format!("-d 2h {WITHOUT_TIMING} {options}"))?;
    let start = Instant::now();
    steady.iter_mut().chain(&mut churning).try_for_each(Workload::step)?;
    let mut truths: Vec<Truth> = Vec::new();
    for workload in &mut steady {
        truths.push(workload.truth()?);
    }
    let mut churned: Vec<Churned> = Vec::new();
    for workload in &mut churning {
        churned.push(workload.hear()?);
    }
    let took = start.elapsed();
    let skipped = skipped(zcwatch.pid());
    let report = zcwatch.interrupt()?;
    let sum = |of: fn(&Churned) -> u64| churned.iter().map(of).sum::<u64>();
    let (losses, totals) = (report.at("/host/losses"), report.at("/totals"));
    println!(
        "{} sends by {} sockets in {took:.1?}; losses {losses}, {skipped} runs skipped; counted \
         {}, completed {}",
        truths.iter().map(Truth::ids).sum::<u64>() + sum(|c| c.sends.count),
        sum(|c| c.sockets) + STEADY,
        totals["sends"]["count"],
        totals["completed"],
    );
    let wrong = wrong(&report, &truths, &churned, skipped);
    ensure!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
    Ok(())
}

/// All that is not as the senders know it.
fn wrong(report: &Report, truths: &[Truth], churned: &[Churned], skipped: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut is = |what: &str, said: &Value, value: Value| {
        if *said != value {
            wrong.push(format!("{what}: {said}, not {value}"));
        }
    };
    let of_truths = |of: fn(&Truth) -> u64| truths.iter().map(of).sum::<u64>();
    let of_churned = |of: fn(&Churned) -> u64| churned.iter().map(of).sum::<u64>();
    let totals = report.at("/totals");
    let sends = of_truths(Truth::ids) + of_churned(|c| c.sends.count);
    let bytes = of_truths(|t| t.sends.bytes) + of_churned(|c| c.sends.bytes);
    // Over loopback all is copied; the senders know it of those that they read.
    is(
        "copied, said the queues",
        &json!(of_truths(|t| t.copied)),
        json!(of_truths(|t| t.notified)),
    );
    let read = of_churned(|c| c.notified);
    is("copied, said the other queues", &json!(of_churned(|c| c.copied)), json!(read));
    is("read", &json!(of_truths(|t| t.notified) + read), json!(sends));
    is("sends", &totals["sends"]["count"], json!(sends));
    // A return that no copy of its program saw: the id is known by its neighbours, the size is not.
    let skipping = report.at("/host/losses")["skipped"] != 0;
    let at_most = |said: &Value, all: u64| match said.as_u64() {
        Some(some) if skipping && some < all => json!(some),
        _ => json!(all),
    };
    is("bytes", &totals["sends"]["bytes"], at_most(&totals["sends"]["bytes"], bytes));
    is("completed", &totals["completed"]["count"], json!(sends));
    is("copied", &totals["completed"]["copied"], json!(sends));
    is("reported zero-copy", &totals["completed"]["reported_zerocopy"], json!(0));
    is("before attach", &totals["completed"]["before_attach"], json!(0));
    for none in ["in_flight", "closed_in_flight", "unread"] {
        is(none, &totals[none], json!(0));
    }
    // Before 6.12 the room for notifications is the host's, and small: refused sends are counted too.
    let refused =
        refused(truths.iter().map(|t| &t.errors).chain(churned.iter().map(|c| &c.errors)));
    is("refused", &totals["failed"]["enobufs_optmem"], json!(refused));
    is("refused otherwise", &totals["failed"]["enobufs_memlock"], json!(0));
    is("failed", &totals["failed"]["other"], json!(0));
    let host = report.at("/host");
    is("events lost", &host["events_lost"], host["losses"]["events"].clone());
    // What was lost is told, and then only the counters are complete.
    let whole = host["events_lost"] == 0;
    // A packet that no probe saw leaves its cause unknown: so it may be where that is told.
    is("agreement of the counters", &host["counters_agree"], json!(whole));
    let no_room: u64 = ["sockets", "paths", "processes", "unpaired"]
        .iter()
        .filter_map(|what| host["losses"][what].as_u64())
        .sum();
    is("what found no room", &json!(no_room), json!(0));
    if whole {
        is("misled", &totals["misled"], json!(0));
        is("causes", &json!(known(totals, skipping)), json!({ "local_delivery@lo": sends }));
    }
    let folded = report.at("/folded").as_array().map_or(&[][..], Vec::as_slice);
    let without_row: u64 = folded.iter().filter_map(|row| row["sockets"].as_u64()).sum();
    let rows = report.sockets().len() as u64 + without_row;
    is("sockets", &json!(rows), json!(of_churned(|c| c.sockets) + truths.len() as u64));
    // What the kernel skipped until shortly before the end is told.
    let told = host["losses"]["skipped"].as_u64().unwrap_or(0);
    if told < skipped {
        wrong.push(format!("{skipped} runs were skipped, and {told} told"));
    }
    for row in report.sockets().iter().chain(folded).chain([totals]) {
        let mut row = row.clone();
        if !whole {
            // Causes are of the events that were seen.
            row["causes"] = Value::Null;
        }
        let impossible = impossible(&row);
        if !impossible.is_empty() {
            wrong.push(format!("socket {}: {impossible:?}", row["id"]));
        }
    }
    for truth in truths {
        if whole {
            let mut expected = Expected::of(truth)
                .but("/failed/enobufs_optmem", self::refused([&truth.errors]))
                .cause("local_delivery@lo", truth.ids());
            if let (true, Ok(row)) = (skipping, report.socket(truth.cookie)) {
                let bytes = at_most(&row["sends"]["bytes"], truth.sends.bytes);
                expected = expected.but("/sends/bytes", bytes);
                for (cause, sends) in causes(row) {
                    let of_all = known(row, true).get("local_delivery@lo") == Some(&truth.ids());
                    expected = if of_all { expected.cause(&cause, sends) } else { expected };
                }
            }
            wrong.extend(expected.check(report).err().map(|error| format!("{error:#}")));
        } else {
            let copied = report.socket(truth.cookie).map(|row| &row["completed"]["copied"]);
            if copied.as_ref().ok() != Some(&&json!(truth.ids())) {
                wrong.push(format!("socket {}: {copied:?} copied", truth.cookie));
            }
        }
    }
    wrong
}

/// The causes; those that are unknown because runs were skipped count as what all others are.
fn known(counts: &Value, skipping: bool) -> BTreeMap<String, u64> {
    let mut known = BTreeMap::new();
    for (cause, sends) in causes(counts) {
        let unknown = skipping && cause.starts_with("unknown@");
        let cause = if unknown { "local_delivery@lo".to_owned() } else { cause };
        *known.entry(cause).or_default() += sends;
    }
    known
}

fn refused<'a>(errors: impl IntoIterator<Item = &'a BTreeMap<String, u64>>) -> u64 {
    errors.into_iter().filter_map(|errors| errors.get("ENOBUFS")).sum()
}

/// The runs of its programs that the kernel has skipped; of copies of a program, which have one
/// tag, no more than each of them has missed.
fn skipped(zcwatch: u32) -> u64 {
    let entries = fs::read_dir(format!("/proc/{zcwatch}/fdinfo")).into_iter().flatten().flatten();
    let mut programs: BTreeMap<String, u64> = BTreeMap::new();
    for text in entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()) {
        let value = |key: &str| text.lines().find_map(|l| l.strip_prefix(key)).map(str::trim);
        let misses = value("recursion_misses:").and_then(|count| count.parse::<u64>().ok());
        let (Some(tag), Some(misses)) = (value("prog_tag:"), misses) else { continue };
        let least = programs.entry(tag.to_owned()).or_insert(misses);
        *least = misses.min(*least);
    }
    programs.into_values().sum()
}

#[test]
fn ten_thousand_sends() -> Result<()> {
    stress(10_000, "")
}

#[test]
#[ignore = "takes long in guests: half a million sends"]
fn half_a_million_sends() -> Result<()> {
    stress(500_000, "")
}

#[test]
#[ignore = "takes long in guests: half a million sends"]
fn half_a_million_sends_with_room() -> Result<()> {
    stress(500_000, ROOM)
}
