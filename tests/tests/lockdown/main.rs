//! What a kernel that is locked down allows, and what zcwatch says of the rest: for the guests of
//! `cargo xtask vm` that boot with `lockdown=`.

use std::fs;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    cpu::OneCpu,
    expect::Expected,
    report::Report,
    scenario::watch,
    zcwatch::{Ended, run},
};

/// What cannot be answered without the helper that confidentiality forbids.
const MISSING: [&str; 3] = ["send_entry", "copy_place", "hidden_copy"];

/// This guest is locked down so; else a test says nothing.
fn in_force(mode: &str) -> Result<()> {
    let file = "/sys/kernel/security/lockdown";
    let modes = fs::read_to_string(file).with_context(|| format!("no {file}"))?;
    ensure!(modes.contains(&format!("[{mode}]")), "{file}: {modes}");
    Ok(())
}

fn doctor() -> Result<(Ended, Vec<Value>)> {
    let ended = run(["doctor", "--format", "json"])?;
    let doctor: Value =
        serde_json::from_str(&ended.stdout).with_context(|| format!("{ended:?}"))?;
    let questions = doctor["questions"].as_array().context("no questions")?.clone();
    Ok((ended, questions))
}

/// The questions that nothing answers.
fn open(questions: &[Value]) -> Vec<&str> {
    let open = questions.iter().filter(|question| question["hook"].is_null());
    open.filter_map(|question| question["question"].as_str()).collect()
}

/// `answers` compares its answers with those of guests that are not locked down.
#[test]
#[ignore = "needs a kernel locked down so: cargo xtask vm --only integrity"]
fn integrity_forbids_nothing_that_is_needed() -> Result<()> {
    in_force("integrity")?;
    let (ended, questions) = doctor()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    let said = json!(questions).to_string();
    assert!(!said.contains("lockdown") && !said.contains("not permitted"), "{questions:#?}");
    Ok(())
}

#[test]
#[ignore = "needs a kernel locked down so: cargo xtask vm --only confidentiality"]
fn confidentiality_is_named_as_the_reason() -> Result<()> {
    in_force("confidentiality")?;
    let (ended, questions) = doctor()?;
    assert_eq!(ended.code(), Some(0), "{ended:?}");
    assert_eq!(open(&questions), MISSING);
    for question in questions.iter().filter(|question| question["hook"].is_null()) {
        let refused = question["refused"].as_array().context("no refusals")?;
        let named = refused.iter().any(|why| {
            let help = why["help"].as_str().unwrap_or_default();
            help.contains("lockdown is set to confidentiality")
        });
        assert!(named, "{question:#}");
    }
    Ok(())
}

/// Where only trampolines see sends and completions, nothing is left: one sentence, and no more.
#[test]
#[ignore = "needs a kernel locked down so: cargo xtask vm --only confidentiality"]
fn confidentiality_leaves_no_trampoline() -> Result<()> {
    in_force("confidentiality")?;
    let (ended, questions) = doctor()?;
    assert_eq!(ended.code(), Some(4), "{ended:?}");
    assert_eq!(open(&questions).len(), questions.len(), "{questions:#?}");
    let ended = run(["report", "-p", "1", "-d", "100ms"])?;
    println!("{ended:?}");
    assert_eq!((ended.code(), ended.stdout.as_str()), (Some(4), ""), "{ended:?}");
    assert!(ended.stderr.contains("lockdown=confidentiality"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    Ok(())
}

#[test]
#[ignore = "needs a kernel locked down so: cargo xtask vm --only confidentiality"]
fn with_confidentiality_counts_are_exact() -> Result<()> {
    in_force("confidentiality")?;
    let path = Topology::new(Layout::Loopback)?;
    let _one = OneCpu::share()?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V6)?);
    let lines = [
        format!("send --to {} --count 100", tcp.address()),
        format!("send --to {} --count 100 --drain at-end", tcp.address()),
        format!("send --protocol udp --to {} --count 100 --sizes 1400,60000", udp.address()),
        format!("send --to {} --count 50 --no-so-zerocopy", tcp.address()),
    ];
    let (report, truths) = watch(path.client(), &lines)?;
    for (line, truth) in lines.iter().zip(&truths) {
        println!("{line}: {} sends, {} copied", truth.ids(), truth.copied);
        // What packets tell is not known: null, and not 0.
        let expected = Expected::of(truth).but("/hidden_copies", ()).but("/device", ());
        expected.but("/causes", ()).check(&report)?;
    }
    assert_eq!(truths.iter().map(|truth| truth.copied).sum::<u64>(), 300);
    assert_eq!(report.at("/totals/completed/copied"), 300);
    assert_eq!(report.at("/totals/ignored/count"), 50);
    what_is_missing_is_told(&report)
}

/// In the header of the report, for people, and where a finding could say more.
fn what_is_missing_is_told(report: &Report) -> Result<()> {
    let hooks = report.at("/host/hooks").as_array().context("no hooks")?;
    assert_eq!(open(hooks), MISSING);
    let unseen = report.at("/host/unseen");
    for hook in hooks.iter().filter(|hook| hook["hook"].is_null()) {
        let without = hook["without_it"].as_str().context("no word of it")?;
        ensure!(unseen.to_string().contains(without), "{without:?} is not in {unseen}");
    }
    ensure!(unseen.to_string().contains("lockdown=confidentiality"), "{unseen}");
    let copied = report.finding("copied")?;
    println!("{copied:#}");
    let sentence = copied["sentence"].as_str().unwrap_or_default();
    assert!(sentence.ends_with("where cannot be known on this host"), "{sentence}");
    assert_eq!(copied["remedies"], json!(["zcwatch doctor"]));
    Ok(())
}
