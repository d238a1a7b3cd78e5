//! Tunnels with keys. They take modules that few hosts have: guests carry them.

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Family,
    Layout::{Ipsec, Wireguard},
};
use zcwatch_tests::{cpu::OneCpu, modules, report::Report};

use super::{
    assert_findings,
    table::{Copied, HiddenBut, Row, check_with, tcp, udp},
};

/// What ESP by AES-GCM is made of; where a kernel has one built in, or needs it no more, it has no
/// module of it.
const ESP: [&str; 9] =
    ["sha512_generic", "drbg", "ctr", "ghash_generic", "gcm", "seqiv", "esp4", "esp6", "xfrm_user"];

/// By functions, by tracepoints.
const WAYS: [(&str, &str); 2] = [("", "measured"), ("--hooks tp_btf", "inferred")];

#[test]
#[ignore = "it takes the module: cargo xtask vm --only rows::encrypted::"]
fn wireguard_copies_datagrams_and_streams_in_secret() -> Result<()> {
    modules::load("wireguard")?;
    wireguard(WAYS[0])
}

#[test]
#[ignore = "it takes the module: cargo xtask vm --only rows::encrypted::"]
fn wireguard_is_known_by_its_device_too() -> Result<()> {
    modules::load("wireguard")?;
    wireguard(WAYS[1])
}

fn wireguard((arguments, sure): (&str, &str)) -> Result<()> {
    let one = OneCpu::share()?;
    // A segment that is alone in its packet is not segmented, but summed as datagrams are.
    let streams = HiddenBut("wireguard@wg0", "measured");
    let row = Row::new(Wireguard, &[])?
        .sends(&udp(1000), Copied("wireguard@wg0"))?
        .sends(&tcp(1000), Copied("wireguard@wg0"))?
        .sends(&tcp(16 << 10), streams)?;
    let report = check_with(&one, &[row], arguments)?;
    assert_findings(&report, &["copied/wireguard", "hidden-copy", "small-sends"]);
    let hidden = report.finding("hidden-copy")?;
    assert_eq!(hidden["certainty"], sure, "{hidden:#}");
    let sentence = hidden["sentence"].as_str().context("no sentence")?;
    ensure!(sentence.contains("on wg0, before WireGuard encrypts"), "{sentence}");
    assert_said(&report, "copied/wireguard", "wg0");
    Ok(())
}

#[test]
#[ignore = "it takes modules: cargo xtask vm --only rows::encrypted::"]
fn ipsec_copies_datagrams_at_send_and_streams_when_it_sums_them() -> Result<()> {
    ESP.iter().try_for_each(|name| modules::load_if_any(name))?;
    let one = OneCpu::share()?;
    let streams = Row::new(Ipsec, &[])?
        .unseen()
        .sends(&tcp(16 << 10), Copied("ipsec@?"))?
        .sends_by(Family::V6, &udp(1000), Copied("ipsec@?"))?;
    let datagrams = Row::new(Ipsec, &[])?;
    let datagrams = datagrams.sends_by(Family::V4, &udp(1000), Copied("udp_ipsec@client0"))?;
    let report = check_with(&one, &[streams, datagrams], "")?;
    assert_findings(&report, &["copied/ipsec", "copied/udp_ipsec", "small-sends"]);
    for finding in ["copied/ipsec", "copied/udp_ipsec"] {
        assert_said(&report, finding, "ip xfrm state");
    }
    Ok(())
}

/// What is linear when it is queued was not pulled there by a tc program.
#[test]
#[ignore = "it takes modules: cargo xtask vm --only rows::encrypted::"]
fn what_ipsec_copies_is_not_blamed_on_a_program() -> Result<()> {
    ESP.iter().try_for_each(|name| modules::load_if_any(name))?;
    let one = OneCpu::share()?;
    let row = Row::new(Ipsec, &[])?.unseen().sends(&tcp(16 << 10), Copied("unknown@?"))?;
    check_with(&one, &[row], WAYS[1].0).map(drop)
}

/// The finding's remedies have these words.
#[track_caller]
fn assert_said(report: &Report, finding: &str, words: &str) {
    let remedies = report.finding(finding).map(|finding| finding["remedies"].to_string());
    assert!(remedies.as_ref().is_ok_and(|all| all.contains(words)), "{remedies:?}");
}
