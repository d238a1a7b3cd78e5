//! Whom zcwatch watches: the processes it was told of, and nobody else.

use anyhow::Result;
use serde_json::json;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    Workload,
    expect::Expected,
    scenario::{undisturbed, watch, workload},
    zcwatch::Zcwatch,
};

#[test]
fn of_two_processes_only_the_watched_one_appears() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for to in [format!("{}", tcp.address()), format!("{} --protocol udp", udp.address())] {
        let common = format!("send --to {to} --sizes 1400 --delay-us 500");
        let mut watched = workload(path.client(), &format!("{common} --count 200"))?;
        let mut other = workload(path.client(), &format!("{common} --forever"))?;
        other.step()?;
        let zcwatch = Zcwatch::watch(&[watched.pid()])?;
        watched.step()?;
        let truth = watched.truth()?;
        let report = zcwatch.interrupt()?;
        other.step()?;
        let others = other.truth()?;
        assert!(others.ids() > 200, "the other one sent too: {}", others.ids());
        undisturbed(&report)?;
        Expected::of(&truth).cause("local_delivery@server0", 200).check(&report)?;
        assert_eq!(report.sockets().len(), 1);
        assert_eq!(report.at("/totals/sends/count"), 200);
        assert_eq!(*report.at("/target/pids"), json!([watched.pid()]));
        watched.finish()?;
        other.finish()?;
    }
    Ok(())
}

#[test]
fn two_that_send_at_the_same_time_are_told_apart() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    let (tcp, udp) = (tcp.address(), udp.address());
    let mut workloads = [
        workload(path.client(), &format!("--comm one send --to {tcp} --count 500"))?,
        workload(
            path.client(),
            &format!("--comm two send --protocol udp --to {udp} --count 700 --sizes 1400"),
        )?,
    ];
    let [one, two] = workloads.each_ref().map(Workload::pid);
    // Named twice is watched once.
    let zcwatch = Zcwatch::watch(&[one, two, one])?;
    workloads.iter_mut().try_for_each(Workload::step)?;
    let mut truths = Vec::new();
    for workload in &mut workloads {
        truths.push(workload.truth()?);
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    for (truth, (comm, count)) in truths.iter().zip([("one", 500), ("two", 700)]) {
        let expected = Expected::of(truth).but("/comm", comm);
        expected.cause("local_delivery@server0", count).check(&report)?;
    }
    assert_eq!(*report.at("/target/pids"), json!([one, two]));
    assert_eq!(report.at("/totals/sends/count"), 1200);
    Ok(())
}

#[test]
fn a_socket_that_was_open_before_is_watched_from_its_first_send() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V6)?, path.udp_sink(Family::V6)?);
    let common = "--connect-first --count 50 --sizes 1400";
    let (report, truths) = watch(
        path.client(),
        &[
            format!("send --to {} {common}", tcp.address()),
            format!("send --protocol udp --to {} {common}", udp.address()),
        ],
    )?;
    for truth in &truths {
        assert_eq!(truth.notified, 50);
        Expected::of(truth).cause("local_delivery@lo", 50).check(&report)?;
    }
    Ok(())
}

#[test]
fn one_that_ends_while_it_is_watched_is_reported() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for line in [
        format!("send --to {} --count 50", tcp.address()),
        format!("send --protocol udp --to {} --count 50 --sizes 1400", udp.address()),
    ] {
        println!("{line}");
        let mut sender = workload(path.client(), &line)?;
        let mut zcwatch = Zcwatch::watch(&[sender.pid()])?;
        sender.step()?;
        let truth = sender.truth()?;
        let pid = sender.pid();
        sender.finish()?;
        let ended = zcwatch.wait()?;
        assert_eq!(ended.code(), Some(0), "{ended:?}");
        let sentence = format!("zcwatch: workload (pid {pid}) ended while it was watched\n");
        assert!(ended.stderr.ends_with(&sentence), "{}", ended.stderr);
        let report = ended.report()?;
        undisturbed(&report)?;
        Expected::of(&truth).cause("local_delivery@lo", 50).check(&report)?;
    }
    Ok(())
}
