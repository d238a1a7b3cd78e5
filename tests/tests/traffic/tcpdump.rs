//! A real tcpdump that comes and goes.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    expect::Expected,
    scenario::{undisturbed, workload},
    tcpdump::Tcpdump,
    zcwatch::Zcwatch,
};

use super::{assert_findings, now};

/// How far times may be off.
const NEAR: u64 = 300_000_000;

/// The two times in ", from 1.2 s to 2.4 s of the watch", ns.
fn span(sentence: &str) -> Result<(u64, u64)> {
    let ns = |text: &str| -> Result<u64> {
        let (whole, tenth) = text.split_once('.').context("no tenths")?;
        Ok((whole.parse::<u64>()? * 10 + tenth.parse::<u64>()?) * 100_000_000)
    };
    let (_, times) = sentence.split_once(", from ").context("no from")?;
    let (from, rest) = times.split_once(" s to ").context("no to")?;
    let (to, _) = rest.split_once(" s of the watch").context("not of the watch")?;
    Ok((ns(from)?, ns(to)?))
}

#[test]
fn one_that_comes_and_goes_costs_what_was_sent_meanwhile() -> Result<()> {
    // Otherwise nothing is copied, and nothing in secret.
    let path = Topology::new(Layout::ForwardedDrop)?;
    let to = path.closed_port(Family::V4);
    let line = format!("send --protocol udp --to {to} --sizes 1400 --forever --log --delay-us 500");
    let mut sender = workload(path.client(), &line)?;
    let zcwatch = Zcwatch::watch(&[sender.pid()])?;
    sender.step()?;
    thread::sleep(Duration::from_millis(700));
    let coming = now()?;
    let tcpdump = Tcpdump::start(path.client(), "-i client0")?;
    let pid = tcpdump.pid();
    thread::sleep(Duration::from_millis(700));
    drop(tcpdump);
    let gone = now()?;
    thread::sleep(Duration::from_millis(700));
    sender.step()?;
    let truth = sender.truth()?;
    let report = zcwatch.interrupt()?;
    undisturbed(&report)?;
    println!("{} of {} copied", truth.copied, truth.ids());
    ensure!(truth.copied > 50 && truth.copied < truth.ids() - 50, "{} copied", truth.copied);
    Expected::of(&truth)
        .but("/device", "client0")
        .cause("tap_tx@client0", truth.copied)
        .check(&report)?;

    // When: between the sends that were copied first and last, and their notifications.
    let causes = &report.socket(truth.cookie)?["causes"];
    ensure!(causes.as_array().is_some_and(|all| all.len() == 1), "{causes}");
    let at = |key: &str| causes[0][key].as_u64().with_context(|| format!("no {key}"));
    let (first, last) = (at("first_boot_ns")?, at("last_boot_ns")?);
    let copied: Vec<_> = truth.log.iter().filter(|send| send.copied == Some(true)).collect();
    for (ns, send) in [(first, copied.first()), (last, copied.last())] {
        let send = send.context("nothing was copied")?;
        let read = send.t_notified.context("not notified")?;
        ensure!((send.t_before..read).contains(&ns), "{ns} is not in {send:?}");
    }
    ensure!(coming - NEAR < first && last < gone + NEAR, "{first} to {last}: {coming} to {gone}");

    assert_findings(&report, &["copied/tap_tx", "small-sends"]);
    let finding = report.finding("copied/tap_tx")?;
    let sentence = finding["sentence"].as_str().context("no sentence")?;
    println!("{sentence}");
    let count = format!("{} of {} completed sends copied on client0", truth.copied, truth.ids());
    ensure!(sentence.starts_with(&count), "{sentence}, not {count}");
    ensure!(sentence.contains(&format!("tcpdump (pid {pid})")), "{sentence}");
    let start = report.at("/window/start_boot_ns").as_u64().context("no start")?;
    let (from, to) = span(sentence)?;
    // Given in tenths of a second, cut off.
    for (said, known) in [(from, first - start), (to, last - start)] {
        ensure!((said..said + 100_000_000).contains(&known), "{said} is not {known}");
    }
    assert_eq!(finding["remedies"][0], "Nothing any more: the listener has gone.");
    Ok(())
}
