//! Trampolines and tracepoints, watching the same sends, say the same of them.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use zcwatch::lab::{
    Family,
    Layout::{ForwardedDrop, Loopback, Veth},
    Topology,
};
use zcwatch_tests::{
    Workload,
    report::{Report, causes},
    scenario::{undisturbed, workload},
    zcwatch::{WITHOUT_TIMING, Zcwatch},
};

/// What both count.
const COUNTS: [&str; 14] = [
    "/sends/count",
    "/sends/bytes",
    "/sends/with_error",
    "/failed/enobufs_optmem",
    "/failed/other",
    "/ignored/count",
    "/completed/count",
    "/completed/copied",
    "/completed/reported_zerocopy",
    "/completed/before_attach",
    "/misled",
    "/in_flight",
    "/unread",
    "/hidden_copies",
];
/// Datagrams fit in the MTU: larger ones are copied at send, and then complete when the receiver's CPU
/// comes to it.
const WAYS: [&str; 4] = [
    "--sizes 500,1400 --count 60",
    "--sizes 1400 --threads 4 --count 500 --drain busy-reader",
    "--sizes 1000,1400 --count 100 --drain window",
    "--sizes 1400 --count 40 --drain never",
];

fn answers(report: &Report, question: &str) -> String {
    let rows = report.at("/host/hooks").as_array().into_iter().flatten();
    let row = rows.into_iter().find(|row| row["question"] == question);
    row.and_then(|row| row["kind"].as_str()).unwrap_or("none").to_owned()
}

fn skipped(report: &Report) -> u64 {
    report.at("/host/losses/skipped").as_u64().unwrap_or(0)
}

/// What the sender knows for certain.
fn check(report: &Report, truths: &[(String, zcwatch::lab::sender::Truth)]) -> Result<()> {
    let mut wrong = String::new();
    for (line, truth) in truths {
        let row = report.socket(truth.cookie)?;
        let mut same = |pointer: &str, value: u64| {
            let said = row.pointer(pointer).unwrap_or(&Value::Null);
            if *said != value {
                wrong += &format!("\n{line}: {pointer} is {said}, not {value}");
            }
        };
        same("/sends/count", truth.ids());
        same("/sends/bytes", truth.sends.bytes);
        same("/completed/count", truth.ids());
        same("/completed/before_attach", 0);
        same("/in_flight", 0);
        // Where each send's notification is read by itself, its flag is the truth.
        if line.contains("--count 60") {
            same("/completed/copied", truth.copied);
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    undisturbed(report)
}

#[test]
fn trampolines_and_tracepoints_say_the_same() -> Result<()> {
    let mut paths = Vec::new();
    // What is dropped on its way is not copied.
    for (layout, tcp) in [(Loopback, true), (Veth, true), (ForwardedDrop, false)] {
        let path = Topology::new(layout)?;
        // Room for all notifications, however long a reader is off its CPU.
        path.client().set_sysctl("net/core/optmem_max", "1000000000")?;
        paths.push((path, tcp));
    }
    let mut sinks = Vec::new();
    let mut workloads = Vec::new();
    for (path, with_tcp) in &paths {
        for way in WAYS {
            let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
            let mut to = vec![("udp", udp.address())];
            if *with_tcp {
                to.push(("tcp", tcp.address()));
            }
            sinks.push((tcp, udp));
            for (protocol, to) in to {
                let line = format!("send --protocol {protocol} --to {to} {way}");
                workloads.push((workload(path.client(), &line)?, line));
            }
        }
    }
    let pids: Vec<_> = workloads.iter().map(|(workload, _)| workload.pid()).collect();
    let by =
        |hooks| Zcwatch::watch_with(&pids, &format!("-d 200s --hooks {hooks} {WITHOUT_TIMING}"));
    let (functions, tracepoints) = (by("fentry")?, by("tp_btf")?);
    let mut truths = Vec::new();
    for (workload, line) in &mut workloads {
        println!("{line}");
        workload.step()?;
        truths.push((line.clone(), workload.truth()?));
    }
    let functions = functions.interrupt()?;
    let tracepoints = tracepoints.interrupt()?;
    workloads.into_iter().map(|(w, _)| w).try_for_each(Workload::finish)?;

    let kinds = [&functions, &tracepoints].map(|report| answers(report, "completion"));
    println!(
        "completions by {kinds:?}; {} and {} runs skipped",
        skipped(&functions),
        skipped(&tracepoints)
    );
    check(&functions, &truths).context("by trampolines")?;
    ensure!(kinds[1] == "tp_btf", "{kinds:?}");
    if kinds[0] != "fentry" {
        println!("this kernel takes no trampolines: there is nothing to compare");
        return Ok(());
    }
    // A tracepoint's program is alone, and what the kernel skipped of it may be missing.
    if skipped(&tracepoints) > 0 {
        println!("not compared: the tracepoints' programs were skipped");
        return Ok(());
    }
    check(&tracepoints, &truths).context("by tracepoints")?;
    let mut wrong = String::new();
    for (line, truth) in &truths {
        let rows = [functions.socket(truth.cookie)?, tracepoints.socket(truth.cookie)?];
        for pointer in COUNTS {
            let [one, other] = rows.map(|row| row.pointer(pointer));
            if one != other {
                wrong += &format!("\n{line}: {pointer}: {one:?} by trampolines, {other:?}");
            }
        }
        let [one, other] = rows.map(causes);
        if one != other {
            wrong += &format!("\n{line}: {one:?} by trampolines, {other:?}");
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    Ok(())
}
