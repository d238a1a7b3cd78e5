//! What the sending device can't do.

use anyhow::Result;
use zcwatch::lab::{
    Family, Feature,
    Layout::{Veth, VethXdp},
    Tweak,
};
use zcwatch_tests::{cpu::OneCpu, report::Report};

use super::{
    assert_findings,
    table::{Copied, Hidden, HiddenBut, Row, check, tcp, udp},
};

/// The finding's remedy names the command.
#[track_caller]
fn assert_remedy(report: &Report, finding: &str, command: &str) {
    let remedies = report.finding(finding).map(|finding| finding["remedies"].to_string());
    assert!(remedies.as_ref().is_ok_and(|all| all.contains(command)), "{remedies:?}");
}

#[test]
fn without_sg_packets_are_made_linear_and_segments_copied_in_secret() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for layout in [Veth, VethXdp] {
        // While the congestion window opens, a segment may be cut so that one is left that is
        // small enough for the driver, which is made linear.
        let streams = format!("{} --count 100", tcp(16 << 10));
        rows.push(
            Row::new(layout, &[Tweak::Without(Feature::ScatterGather)])?
                .sends_three_ways(&udp(1400), Copied("udp_no_sg@client0"))?
                .sends_three_ways(&tcp(1000), Copied("linearize_no_sg@client0"))?
                .sends(&streams, HiddenBut("linearize_no_sg@client0", "inferred"))?,
        );
    }
    let report = check(&one, &rows)?;
    for finding in ["copied/udp_no_sg", "copied/linearize_no_sg", "hidden-copy"] {
        assert_remedy(&report, finding, "ethtool -K client0 sg on");
    }
    let sure = &report.finding("hidden-copy")?["certainty"];
    let watched = report.hook("hidden_copy")? == "fentry";
    assert_eq!(sure, if watched { "measured" } else { "inferred" });
    Ok(())
}

#[test]
fn without_checksums_everything_is_copied() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for layout in [Veth, VethXdp] {
        rows.push(
            Row::new(layout, &[Tweak::Without(Feature::TxChecksum)])?
                .sends_three_ways(&udp(1400), Copied("udp_no_csum_offload@client0"))?
                .sends_three_ways(&tcp(1000), Copied("checksum_help@client0"))?
                .sends_three_ways(&tcp(16 << 10), Copied("gso_no_csum@client0"))?,
        );
    }
    let report = check(&one, &rows)?;
    let findings = ["copied/checksum_help", "copied/gso_no_csum", "copied/udp_no_csum_offload"];
    for finding in findings {
        assert_remedy(&report, finding, "ethtool -K client0 tx on");
    }
    assert_findings(&report, &[&findings[..], &["small-sends"]].concat());
    Ok(())
}

#[test]
fn without_tso_and_gso_nothing_changes() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, fate) in [(Veth, Copied("local_delivery@server0")), (VethXdp, Hidden)] {
        let neither = [Tweak::Without(Feature::Tso), Tweak::Without(Feature::Gso)];
        let row = Row::new(layout, &neither)?;
        rows.push(row.sends(&tcp(16 << 10), fate)?.sends_by(Family::V4, &udp(1400), fate)?);
    }
    check(&one, &rows).map(drop)
}
