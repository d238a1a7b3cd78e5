//! Sockets of more than one process, and processes of other namespaces.

use anyhow::{Context, Result};
use serde_json::json;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    Workload,
    expect::Expected,
    scenario::{undisturbed, workload},
    zcwatch::Zcwatch,
};

const COUNT: u64 = 50;

/// The process of which the workload says so in this word when it is ready.
fn said(workload: &Workload, who: &str) -> Result<u32> {
    let pid = workload.ready()[who].as_u64().with_context(|| format!("no {who}"))?;
    Ok(u32::try_from(pid)?)
}

/// Who is watched, of a parent that opens the socket and the child that sends by it; the first
/// process seen with the socket and all of them, by these words.
struct Watched {
    by: &'static str,
    who: &'static str,
    first: &'static str,
    all: &'static [&'static str],
}

fn check(watched: &Watched) -> Result<()> {
    let Watched { by, who, first, all } = *watched;
    println!("by {by}, watching the {who}");
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V6)?);
    let mut workloads = Vec::new();
    for to in [format!("{}", tcp.address()), format!("{} --protocol udp", udp.address())] {
        let line = format!("send --by {by} --to {to} --sizes 1400 --count {COUNT}");
        workloads.push(workload(path.client(), &line)?);
    }
    let pids: Result<Vec<_>> = workloads.iter().map(|w| said(w, who)).collect();
    let zcwatch = Zcwatch::watch(&pids?)?;
    let mut truths = Vec::new();
    for workload in &mut workloads {
        workload.step()?;
        truths.push(workload.truth()?);
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    for (truth, workload) in truths.iter().zip(&workloads) {
        assert_eq!((truth.ids(), truth.copied), (COUNT, COUNT));
        let process = |who| if who == "child" { truth.pid } else { workload.pid() };
        let mut pids: Vec<_> = all.iter().copied().map(process).collect();
        pids.sort_unstable();
        Expected::of(truth)
            .but("/pid", process(first))
            .but("/pids", json!(pids))
            .cause("local_delivery@server0", COUNT)
            .check(&report)?;
    }
    assert_eq!(report.sockets().len(), truths.len());
    workloads.into_iter().try_for_each(Workload::finish)
}

#[test]
fn a_socket_that_a_child_inherited() -> Result<()> {
    let (by, all) = ("inheritor", &["parent", "child"][..]);
    check(&Watched { by, who: "pid", first: "child", all })?;
    check(&Watched { by, who: "parent", first: "parent", all })
}

#[test]
fn a_socket_that_was_passed_on() -> Result<()> {
    check(&Watched { by: "receiver", who: "pid", first: "child", all: &["child"] })
}

/// From the moment on that a watched process had it, all its sends count.
#[test]
fn a_socket_that_is_passed_on_while_it_is_watched() -> Result<()> {
    let all = &["parent", "child"];
    check(&Watched { by: "successor", who: "parent", first: "parent", all })
}

#[test]
fn a_process_of_another_pid_namespace() -> Result<()> {
    check(&Watched { by: "namespaced", who: "pid", first: "child", all: &["child"] })
}
