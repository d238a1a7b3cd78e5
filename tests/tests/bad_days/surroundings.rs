//! Hosts that lack something.

use std::process::Command;

use anyhow::{Result, ensure};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    confine::{alone, cover, mounts_of, unmount},
    expect::Expected,
    report::Report,
    scenario::{undisturbed, workload},
    zcwatch::{Ended, Zcwatch, command, run},
};

use super::assert_refused;

/// Watches UDP sends to their end, with zcwatch started in a way of its own; what it says of
/// them is exact.
fn watch(change: impl FnOnce(&mut Command)) -> Result<Report> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.udp_sink(Family::V4)?;
    let line = format!("send --protocol udp --to {} --count 30 --sizes 1400", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let mut command = command(["report", "-p", &pid, "-d", "60s", "--format", "json"])?;
    change(&mut command);
    let mut zcwatch = Zcwatch::spawn(&mut command)?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    let truth = sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    ensure!(ended.code() == Some(0), "{ended:?}");
    let report = ended.report()?;
    undisturbed(&report)?;
    Expected::of(&truth).cause("local_delivery@lo", 30).check(&report)?;
    Ok(report)
}

fn confined(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Result<Ended> {
    let mut command = command(arguments)?;
    change(&mut command);
    Zcwatch::spawn(&mut command)?.wait()
}

#[test]
fn without_tracefs_all_works() -> Result<()> {
    let hidden = ["/sys/kernel/tracing", "/sys/kernel/debug"];
    let report = watch(|command| {
        cover(command, &hidden);
    })?;
    assert_eq!(report.at("/host/unseen").as_array().map(Vec::len), Some(0));
    Ok(())
}

#[test]
fn without_btf_nothing_can_be_watched() -> Result<()> {
    let own = std::process::id().to_string();
    for arguments in [&["report", "-p", &own][..], &["demo"]] {
        let ended = confined(arguments, |command| {
            cover(command, &["/sys/kernel/btf"]);
        })?;
        assert_refused(&ended, 4, &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y"]);
    }
    let ended = confined(&["doctor"], |command| {
        cover(command, &["/sys/kernel/btf"]);
    })?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert!(ended.stdout.contains("not answered"), "{}", ended.stdout);
    assert!(ended.stderr.contains("CONFIG_DEBUG_INFO_BTF=y"), "{}", ended.stderr);
    Ok(())
}

#[test]
fn without_cgroup_v2_the_close_of_udp_sockets_is_unseen() -> Result<()> {
    let mounts = mounts_of("cgroup2")?;
    assert!(!mounts.is_empty(), "mount -t cgroup2 none /sys/fs/cgroup/unified");
    let report = watch(|command| {
        unmount(command, mounts);
    })?;
    let unseen = report.at("/host/unseen").to_string();
    assert!(unseen.contains("a closed UDP socket is shown as idle"), "{unseen}");
    Ok(())
}

#[test]
fn without_loopback_it_says_how_to_get_it() -> Result<()> {
    let own = std::process::id().to_string();
    let ended = confined(&["report", "-p", &own, "-d", "1s"], |command| {
        alone(command);
    })?;
    assert_refused(&ended, 4, &["loopback", "ip link set lo up"]);
    Ok(())
}

#[test]
fn in_a_process_id_namespace_of_its_own_it_says_where_to_run() -> Result<()> {
    let zcwatch = command(["report", "-p", "1", "-d", "1s"])?;
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc"]).arg(zcwatch.get_program());
    command.args(zcwatch.get_args());
    let ended = Zcwatch::spawn(&mut command)?.wait()?;
    assert_refused(&ended, 1, &["process id namespace", "nsenter -t 1", "--pid=host"]);
    Ok(())
}

#[test]
fn a_demo_needs_no_more_than_it_says() -> Result<()> {
    let ended = run(["demo", "--list"])?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    for name in ["loopback", "veth", "tap", "zerocopy", "veth-xdp"] {
        assert!(ended.stdout.contains(&format!("  {name} ")), "{}", ended.stdout);
    }
    Ok(())
}
