//! Users who may less than root.

use anyhow::Result;
use serde_json::{Value, json};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    confine::{CAP_BPF, CAP_PERFMON, ForAll},
    expect::Expected,
    scenario::{undisturbed, workload},
    zcwatch::Zcwatch,
};

use super::assert_refused;

#[test]
fn without_capabilities_they_are_named() -> Result<()> {
    let zcwatch = ForAll::new()?;
    let own = std::process::id().to_string();
    for (held, words) in [
        (&[][..], &["CAP_BPF and CAP_PERFMON are missing", "setcap cap_bpf,cap_perfmon+ep"][..]),
        (&[CAP_BPF], &["CAP_PERFMON is missing", "setcap"]),
        (&[CAP_PERFMON], &["CAP_BPF is missing", "setcap"]),
    ] {
        let mut command = zcwatch.as_nobody(held, &["report", "-p", &own, "-d", "1s"]);
        assert_refused(&Zcwatch::spawn(&mut command)?.wait()?, 4, words);
    }
    for held in [&[][..], &[CAP_BPF, CAP_PERFMON]] {
        let mut command = zcwatch.as_nobody(held, &["demo"]);
        let ended = Zcwatch::spawn(&mut command)?.wait()?;
        assert_refused(&ended, 4, &["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "demo", "root"]);
    }
    Ok(())
}

#[test]
fn doctor_says_what_is_missing() -> Result<()> {
    let zcwatch = ForAll::new()?;
    let mut command = zcwatch.as_nobody(&[], &["doctor", "--format", "json"]);
    let ended = Zcwatch::spawn(&mut command)?.wait()?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    let doctor: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!(doctor["usable"], false);
    assert!(doctor["error"].as_str().is_some_and(|e| e.contains("CAP_BPF and CAP_PERFMON")));
    let held: Vec<_> = doctor["capabilities"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|c| (c["name"].as_str().unwrap_or("?"), c["held"].as_bool()))
        .collect();
    assert!(held.contains(&("CAP_BPF", Some(false))), "{held:?}");

    let mut command = zcwatch.as_nobody(&[CAP_BPF, CAP_PERFMON], &["doctor", "--format", "json"]);
    let ended = Zcwatch::spawn(&mut command)?.wait()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let doctor: Value = serde_json::from_str(&ended.stdout)?;
    assert_eq!((&doctor["usable"], &doctor["error"]), (&json!(true), &json!(null)));
    let closed = doctor["questions"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|answer| answer["question"] == "closed");
    let closed = closed.unwrap_or(&Value::Null);
    assert_eq!(closed["hook"], "tcp_destroy_sock");
    assert_eq!(closed["refused"][0]["help"], "needs CAP_NET_ADMIN", "{closed:#}");
    Ok(())
}

#[test]
fn cap_bpf_and_cap_perfmon_are_enough() -> Result<()> {
    let zcwatch = ForAll::new()?;
    let path = Topology::new(Layout::Veth)?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V6)?);
    let mut senders = [
        workload(path.client(), &format!("send --to {} --count 30", tcp.address()))?,
        workload(
            path.client(),
            &format!("send --protocol udp --to {} --count 30 --sizes 1400", udp.address()),
        )?,
    ];
    let pids = senders.each_ref().map(zcwatch_tests::Workload::pid);
    let [first, second] = pids.map(|pid| pid.to_string());
    let arguments = ["report", "-p", &first, "-p", &second, "-d", "60s", "--format", "json"];
    let mut command = zcwatch.as_nobody(&[CAP_BPF, CAP_PERFMON], &arguments);
    let mut zcwatch = Zcwatch::spawn(&mut command)?;
    zcwatch.wait_until_watching(&pids)?;
    let mut truths = Vec::new();
    for sender in &mut senders {
        sender.step()?;
        truths.push(sender.truth()?);
    }
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    for truth in &truths {
        assert_eq!(truth.notified, 30);
        Expected::of(truth).cause("local_delivery@server0", 30).check(&report)?;
    }
    let unseen = report.at("/host/unseen").to_string();
    for missing in ["CAP_NET_ADMIN", "CAP_SYS_PTRACE"] {
        assert!(unseen.contains(missing), "{missing} is not in {unseen}");
    }
    Ok(())
}

#[test]
fn without_cap_sys_ptrace_a_listener_is_not_named() -> Result<()> {
    let zcwatch = ForAll::new()?;
    let path = Topology::new(Layout::VethXdp)?;
    let sink = path.tcp_sink(Family::V4)?;
    let sniffer = workload(path.client(), "--comm eavesdropper sniff")?;
    let line = format!("send --to {} --count 30", sink.address());
    let mut sender = workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let arguments = ["report", "-p", &pid, "-d", "60s", "--format", "json"];
    let mut command = zcwatch.as_nobody(&[CAP_BPF, CAP_PERFMON], &arguments);
    let mut zcwatch = Zcwatch::spawn(&mut command)?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    Expected::of(&truth).cause("tap_tx@client0", 30).check(&report)?;
    let finding = report.finding("copied/tap_tx")?;
    println!("{finding:#}");
    // The probes see that somebody listens, though not who.
    assert_eq!(finding["certainty"], "measured");
    assert!(!finding.to_string().contains("eavesdropper"), "{finding:#}");
    sniffer.finish()
}
