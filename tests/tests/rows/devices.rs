//! What a path is made of.

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{
    Layout::{self, Bridge, Forwarded, ForwardedDrop, Loopback, Macvlan, Veth, VethXdp, Vxlan},
    Tweak,
};
use zcwatch_tests::{cpu::OneCpu, release, report::Report};

use super::{
    assert_findings,
    table::{Copied, Fate, Hidden, Row, Untouched, check, tcp, udp},
};

/// The hidden copies were made beyond this device.
fn assert_hidden_by(report: &Report, device: &str) -> Result<()> {
    let sentence = report.finding("hidden-copy")?["sentence"].as_str().context("no sentence")?;
    println!("{sentence}");
    ensure!(sentence.contains(&format!("handed by {device} to a veth")), "{sentence}");
    Ok(())
}

#[test]
fn loopback_copies_everything_on_delivery() -> Result<()> {
    let one = OneCpu::share()?;
    let here = Copied("local_delivery@lo");
    let report = check(
        &one,
        &[Row::new(Loopback, &[])?
            .sends_three_ways(&tcp(16 << 10), here)?
            .sends_three_ways(&tcp(1 << 20), here)?
            .sends_three_ways(&udp(60_000), here)?],
    )?;
    assert_findings(&report, &["copied/local_delivery"]);
    Ok(())
}

#[test]
fn a_cable_copies_on_delivery() -> Result<()> {
    let one = OneCpu::share()?;
    let row = cable(Veth, &[], Copied("local_delivery@server0"))?;
    let report = check(&one, &[row])?;
    assert_findings(
        &report,
        &["copied/local_delivery", "copied/udp_larger_than_mtu", "small-sends"],
    );
    Ok(())
}

#[test]
fn a_cable_with_xdp_copies_in_secret() -> Result<()> {
    let one = OneCpu::share()?;
    let rows = [cable(VethXdp, &[], Hidden)?, cable(Veth, &[Tweak::XdpPass], Hidden)?];
    let report = check(&one, &rows)?;
    assert_findings(&report, &["copied/udp_larger_than_mtu", "hidden-copy", "small-sends"]);
    let sure = &report.finding("hidden-copy")?["certainty"];
    // Where the function that copies can be watched, nothing is inferred.
    let functions = std::fs::read_to_string("/proc/kallsyms")?;
    let watched =
        report.hook("hidden_copy")? == "fentry" && functions.contains(" skb_pp_cow_data\n");
    assert_eq!(sure, if watched { "measured" } else { "inferred" });
    Ok(())
}

/// All sizes through a cable; datagrams larger than the MTU are copied before they enter it.
fn cable(layout: Layout, tweaks: &[Tweak], fate: Fate) -> Result<Row> {
    let large = Copied("udp_larger_than_mtu@client0");
    Row::new(layout, tweaks)?
        .sends_three_ways(&tcp(1000), fate)?
        .sends_three_ways(&tcp(16 << 10), fate)?
        .sends_three_ways(&tcp(1 << 20), fate)?
        .sends_three_ways(&udp(1400), fate)?
        .sends_three_ways(&udp(60_000), large)
}

#[test]
fn what_is_forwarded_is_copied_where_it_is_delivered() -> Result<()> {
    let one = OneCpu::share()?;
    // Up to 6.12 whatever comes in is copied before it is known where it goes.
    let early = release()? < (6, 13);
    let delivered = Copied(if early { "local_rx@router0" } else { "local_delivery@server0" });
    let dropped = if early { delivered } else { Untouched };
    let large = Copied("udp_larger_than_mtu@client0");
    check(
        &one,
        &[
            Row::new(Forwarded, &[])?
                .sends_three_ways(&tcp(16 << 10), delivered)?
                .sends_three_ways(&udp(1400), delivered)?
                .sends_three_ways(&udp(60_000), large)?,
            Row::new(ForwardedDrop, &[])?
                .sends_three_ways(&udp(1400), dropped)?
                .sends_three_ways(&udp(60_000), large)?,
        ],
    )?;
    // By itself, there is nothing to say but the size.
    let report = check(&one, &[Row::new(ForwardedDrop, &[])?.sends(&udp(1400), dropped)?])?;
    let findings: &[&str] =
        if early { &["copied/local_rx", "small-sends"] } else { &["small-sends"] };
    assert_findings(&report, findings);
    Ok(())
}

#[test]
fn a_device_above_a_cable_changes_nothing() -> Result<()> {
    let one = OneCpu::share()?;
    check(&one, &above(&[], Copied("local_delivery@server0"))?).map(drop)
}

#[test]
fn a_device_above_a_cable_with_xdp_changes_nothing() -> Result<()> {
    let one = OneCpu::share()?;
    let report = check(&one, &above(&[Tweak::XdpPass], Hidden)?)?;
    // Not the device that was sent on, but the end of the cable to the one with the program.
    let hidden = report.at("/findings").as_array().into_iter().flatten();
    let hidden = hidden.filter(|finding| finding["id"] == "hidden-copy");
    let all = hidden.map(|finding| finding["sentence"].to_string()).collect::<Vec<_>>().join("\n");
    for (device, times) in [("client0", 2), ("port1", 1)] {
        let word = format!("handed by {device} to a veth");
        ensure!(all.matches(&word).count() == times, "{word:?} {times} times in {all}");
    }
    Ok(())
}

fn above(tweaks: &[Tweak], fate: Fate) -> Result<Vec<Row>> {
    let row =
        |layout| Row::new(layout, tweaks)?.sends(&tcp(16 << 10), fate)?.sends(&udp(1400), fate);
    [Macvlan, Bridge, Vxlan].into_iter().map(row).collect()
}

/// Redirected at the egress, before the device would see it.
#[test]
fn a_turn_through_an_ifb_changes_nothing() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, fate) in [(Veth, Copied("local_delivery@server0")), (VethXdp, Hidden)] {
        let row = Row::new(layout, &[Tweak::ByIfb])?.first_on("ifb0");
        // A socket that is known already: what is redirected is a clone, which names none.
        let datagrams = format!("{} --connect-first", udp(1400));
        rows.push(row.sends(&tcp(16 << 10), fate)?.sends(&datagrams, fate)?);
    }
    let report = check(&one, &rows)?;
    assert_hidden_by(&report, "client0")
}

#[test]
fn a_slow_device_holds_the_buffer_and_does_not_copy() -> Result<()> {
    let one = OneCpu::share()?;
    let row = Row::new(VethXdp, &[Tweak::Rate(1_000_000)])?;
    let report = check(&one, &[row.sends(&format!("{} --count 4", tcp(16 << 10)), Hidden)?])?;
    for row in report.sockets() {
        let release = &row["release_ns"];
        println!("{release}");
        assert_eq!(release["count"], 4);
        let entry = report.hook_name("send_entry")?.contains("sendmsg");
        assert_eq!(release["from"], if entry { "entry" } else { "queue" });
        // 131 ms for the bits; less what the burst lets through at once.
        let max = release["max"].as_u64().context("no latency")?;
        let min = release["min"].as_u64().context("no latency")?;
        assert!(min > 100_000_000 && max < 400_000_000, "{release}");
    }
    Ok(())
}
