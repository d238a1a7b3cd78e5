//! tun and tap devices, and the processes behind them.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Layout::{Tap, Tun, TunUnopened},
    Netns, Tweak,
};
use zcwatch_tests::{
    Workload,
    cpu::OneCpu,
    scenario::{watch, workload},
};

use super::{
    assert_findings,
    table::{Copied, Row, Untouched, check, udp},
};

#[test]
fn a_tunnel_copies_at_once_whether_it_is_read_or_not() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, copied, large) in [
        (Tun, "tun_tap@tun0", "udp_larger_than_mtu@tun0"),
        (Tap, "tun_tap@tap0", "udp_larger_than_mtu@tap0"),
    ] {
        for tweaks in [&[][..], &[Tweak::Unread]] {
            rows.push(
                Row::new(layout, tweaks)?
                    .sends(&udp(1400), Copied(copied))?
                    .sends(&udp(60_000), Copied(large))?,
            );
        }
    }
    let report = check(&one, &rows)?;
    assert_findings(&report, &["copied/tun_tap", "copied/udp_larger_than_mtu", "small-sends"]);
    let sentence = report.finding("copied/tun_tap")?["sentence"].as_str().context("no sentence")?;
    let this = format!("(pid {})", std::process::id());
    ensure!(sentence.contains(", read by ") && sentence.contains(&this), "{sentence}");
    // One that nobody has opened drops what it is given.
    check(&one, &[Row::new(TunUnopened, &[])?.sends(&udp(1400), Untouched)?]).map(drop)
}

/// Two devices of one name, each in a namespace of its own.
#[test]
fn only_the_process_behind_this_device_is_named() -> Result<()> {
    let _one = OneCpu::share()?;
    let here = Netns::current()?;
    let vpns =
        [workload(&here, "--comm vpn-a hold tun")?, workload(&here, "--comm vpn-b hold tun")?];
    for (vpn, other) in [("vpn-a", "vpn-b"), ("vpn-b", "vpn-a")] {
        let holder = &vpns[usize::from(vpn == "vpn-b")];
        let fd = holder.ready()["client_fd"].as_u64().context("no namespace")?;
        let client = Netns::open(Path::new(&format!("/proc/{}/fd/{fd}", holder.pid())))?;
        let to = holder.ready()["udp"].as_str().context("no address")?;
        let line = format!("send --protocol udp --to {to} --sizes 1400 --count 20");
        let (report, truths) = watch(&client, &[line])?;
        assert_eq!(truths[0].copied, 20);
        let finding = report.finding("copied/tun_tap")?;
        let sentence = finding["sentence"].as_str().context("no sentence")?;
        println!("{sentence}");
        let who = format!(", read by {vpn} (pid {})", holder.pid());
        ensure!(sentence.ends_with(&who), "{sentence}, not {who}");
        ensure!(!sentence.contains(other), "{sentence}");
    }
    vpns.into_iter().try_for_each(Workload::finish)
}
