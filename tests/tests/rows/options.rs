//! What the sender asks for.

use anyhow::Result;
use zcwatch::lab::{
    Direction, End, Family,
    Layout::{Ifb, Veth, VethXdp},
    Tweak,
};
use zcwatch_tests::cpu::OneCpu;

use super::{
    assert_findings,
    table::{Copied, Hidden, Inferred, Row, check, tcp, udp},
};

#[test]
fn corked_datagrams_are_copied_at_send() -> Result<()> {
    let one = OneCpu::share()?;
    let corked = Copied("udp_cork@client0");
    let mut rows = Vec::new();
    for layout in [Veth, VethXdp] {
        let mut row = Row::new(layout, &[])?;
        for how in ["msg-more", "udp-cork"] {
            let line = format!("{} --coalesce {how} --batch 4 --count 42", udp(300));
            row = row.sends_three_ways(&line, corked)?;
        }
        rows.push(row);
    }
    assert_findings(&check(&one, &rows)?, &["copied/udp_cork", "small-sends"]);
    Ok(())
}

#[test]
fn timestamps_that_bring_the_packet_along_copy_it() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, otherwise) in [(Veth, Copied("local_delivery@server0")), (VethXdp, Hidden)] {
        let mut row = Row::new(layout, &[])?;
        // In one packet each: of a send in several, only the last has its time taken, and the
        // first may have been copied on delivery before.
        for what in [tcp(1000), udp(1400)] {
            row = row
                .sends(
                    &format!("{what} --timestamps with-payload"),
                    Copied("tx_timestamp@client0"),
                )?
                .sends(&format!("{what} --timestamps only"), otherwise)?;
        }
        rows.push(row);
    }
    check(&one, &rows).map(drop)
}

#[test]
fn datagrams_with_an_extension_header_are_copied_at_send() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, otherwise) in [(Veth, Copied("local_delivery@server0")), (VethXdp, Hidden)] {
        let mut row = Row::new(layout, &[])?;
        for header in ["hop-by-hop", "destination"] {
            let with = |what| format!("{what} --extension-header {header}");
            row = row
                .sends_by(Family::V6, &with(udp(1200)), Copied("udp6_ext_headers@client0"))?
                .sends_by(Family::V6, &with(tcp(16 << 10)), otherwise)?;
        }
        rows.push(row);
    }
    check(&one, &rows).map(drop)
}

#[test]
fn a_program_that_pulls_the_packet_copies_it() -> Result<()> {
    let one = OneCpu::share()?;
    let egress = Tweak::TcPull(End::Client, Direction::Egress);
    let ingress = Tweak::TcPull(End::Server, Direction::Ingress);
    let pulled = Inferred("pull_small@client0", "pull_small@client0");
    // The delivery would copy them as well.
    let delivered = Inferred("local_delivery@server0", "pull_small@server0");
    check(
        &one,
        &[
            Row::new(Veth, &[egress])?
                .unseen()
                .sends(&tcp(16 << 10), pulled)?
                .sends(&udp(1400), pulled)?,
            Row::new(VethXdp, &[egress])?
                .unseen()
                .sends(&tcp(1000), pulled)?
                .sends(&udp(1400), pulled)?,
            Row::new(Ifb, &[egress])?
                .unseen()
                .sends(&udp(1400), Inferred("pull_small@ifb0", "pull_small@ifb0"))?,
            Row::new(Veth, &[ingress])?
                .sends(&tcp(16 << 10), delivered)?
                .sends(&udp(1400), delivered)?,
        ],
    )
    .map(drop)
}
