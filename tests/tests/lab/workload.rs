//! The workload as a process.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use zcwatch::lab::{Family, Layout, Netns, Topology, sender::Churned};
use zcwatch_tests::Workload;

use super::{NotCopied, assert_all};

const BINARY: &str = env!("CARGO_BIN_EXE_workload");

#[test]
fn it_waits_sends_tells_and_closes_last() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address().to_string();
    for connect_first in [false, true] {
        let mut arguments = vec!["--comm", "sends", "send", "--to", &to, "--count", "30"];
        if connect_first {
            arguments.push("--connect-first");
        }
        let mut workload = Workload::start(BINARY, path.client(), arguments)?;
        let process = format!("/proc/{}", workload.pid());
        assert_eq!(fs::read_to_string(format!("{process}/comm"))?, "sends\n");
        assert_eq!(Netns::open(format!("{process}/ns/net").as_ref())?.inum(), path.client().inum());
        assert_eq!(sockets(&process)?, usize::from(connect_first));
        workload.step()?;
        let truth = workload.truth()?;
        assert_all(NotCopied, 30, &truth);
        assert_eq!(truth.pid, workload.pid());
        assert_eq!(
            fs::read_link(format!("{process}/fd/{}", truth.fd))?.to_string_lossy(),
            format!("socket:[{}]", truth.inode)
        );
        assert!(truth.cookie > 0);
        assert_eq!(truth.netns, path.client().inum());
        workload.finish()?;
    }
    Ok(())
}

/// Whether one of a process's descriptors is this socket.
fn has_socket(pid: u64, inode: u64) -> Result<bool> {
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that is closed meanwhile is not it.
        let target = fs::read_link(entry?.path()).unwrap_or_default();
        if target.to_string_lossy() == format!("socket:[{inode}]") {
            return Ok(true);
        }
    }
    Ok(false)
}

#[test]
fn a_child_sends_by_a_socket_of_its_parent_or_its_own() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address().to_string();
    for (by, kept) in [("inheritor", true), ("receiver", false), ("namespaced", false)] {
        println!("{by}");
        let arguments = ["send", "--by", by, "--to", &to, "--count", "30"];
        let mut workload = Workload::start(BINARY, path.client(), arguments)?;
        workload.step()?;
        let truth = workload.truth()?;
        assert_all(NotCopied, 30, &truth);
        let (child, parent) = (u64::from(truth.pid), u64::from(workload.pid()));
        assert_ne!(child, parent);
        assert_eq!(workload.ready()["pid"], child);
        assert_eq!(workload.ready()["parent"], parent);
        assert_eq!(truth.own_pid == 1, by == "namespaced");
        assert!(has_socket(child, truth.inode)?);
        let start = Instant::now();
        while has_socket(parent, truth.inode)? != kept {
            ensure!(start.elapsed() < Duration::from_secs(5), "the parent keeps it: {}", !kept);
            thread::sleep(Duration::from_millis(1));
        }
        workload.finish()?;
        assert!(!Path::new(&format!("/proc/{child}")).exists());
    }
    Ok(())
}

#[test]
fn a_child_ends_with_the_process_that_was_started() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address().to_string();
    for by in ["inheritor", "namespaced"] {
        // At the end of stdin it would go on to send for minutes.
        let arguments = ["send", "--by", by, "--to", &to, "--count", "99999", "--delay-us", "9999"];
        let workload = Workload::start(BINARY, path.client(), arguments)?;
        let child = format!("/proc/{}", workload.ready()["pid"]);
        assert!(Path::new(&child).exists());
        drop(workload); // SIGKILL
        let start = Instant::now();
        // Once it is dead it has no program file, whoever it waits for to take notice.
        while fs::read_link(format!("{child}/exe")).is_ok() {
            ensure!(start.elapsed() < Duration::from_secs(5), "{child} lives on");
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(())
}

#[test]
fn many_sockets_are_told_of_all_in_all() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for (protocol, to) in [("tcp", tcp.address()), ("udp", udp.address())] {
        for (drain, read) in [("every-send", 600), ("never", 0)] {
            println!("{protocol}, read {drain}");
            let to = to.to_string();
            let arguments = [
                "churn",
                "--sockets",
                "300",
                "--protocol",
                protocol,
                "--to",
                &to,
                "--sizes",
                "5000",
                "--drain",
                drain,
            ];
            let mut workload = Workload::start(BINARY, path.client(), arguments)?;
            workload.step()?;
            let churned: Churned = workload.hear()?;
            assert_eq!(churned.pid, workload.pid());
            assert_eq!((churned.sockets, churned.sends.count), (300, 600));
            assert_eq!(churned.sends.bytes, 600 * 5000);
            assert_eq!((churned.notified, churned.copied), (read, read));
            assert!(churned.errors.is_empty(), "{:?}", churned.errors);
            assert_eq!(sockets(&format!("/proc/{}", workload.pid()))?, 0);
            workload.finish()?;
        }
    }
    Ok(())
}

fn sockets(process: &str) -> Result<usize> {
    let mut sockets = 0;
    for entry in fs::read_dir(format!("{process}/fd"))? {
        let target = fs::read_link(entry?.path())?;
        sockets += usize::from(target.to_string_lossy().starts_with("socket:"));
    }
    Ok(sockets)
}

#[test]
fn it_sends_until_told_to_stop() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.udp_sink(Family::V6)?;
    let to = sink.address().to_string();
    let arguments = [
        "send",
        "--protocol",
        "udp",
        "--sizes",
        "1400",
        "--to",
        &to,
        "--forever",
        "--log",
        "--delay-us",
        "500",
    ];
    let mut workload = Workload::start(BINARY, path.client(), arguments)?;
    workload.step()?;
    thread::sleep(Duration::from_millis(200));
    workload.step()?;
    let truth = workload.truth()?;
    println!("{} sends", truth.sends.count);
    assert!(truth.sends.count > 10);
    assert_all(NotCopied, truth.sends.count, &truth);
    assert_eq!(truth.log.len() as u64, truth.sends.count);
    assert!(truth.log.is_sorted_by_key(|record| record.t_before));
    assert!(truth.log.iter().all(|record| record.t_notified > Some(record.t_before)));
    workload.finish()
}

#[test]
fn it_taps_under_a_name() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    let arguments = ["--comm", "tcpdump", "sniff", "--device", path.client_device()];
    let sniffer = Workload::start(BINARY, path.client(), arguments)?;
    let packet = fs::read_to_string(format!("/proc/{}/net/packet", sniffer.pid()))?;
    assert_eq!(packet.lines().count(), 2, "{packet}");
    sniffer.finish()
}

#[test]
fn another_user_runs_into_the_limit_of_locked_memory() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    let to = sink.address().to_string();
    let arguments = [
        "send",
        "--to",
        &to,
        "--count",
        "5",
        "--sizes",
        "65536",
        "--memlock",
        "16384",
        "--uid",
        "65534",
    ];
    let mut workload = Workload::start(BINARY, path.client(), arguments)?;
    workload.step()?;
    let truth = workload.truth()?;
    assert_eq!(truth.errors.get("ENOBUFS"), Some(&5));
    assert_eq!(truth.ids(), 0);
    workload.finish()
}
