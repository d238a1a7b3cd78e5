//! What never arrives is not copied, and says nothing of having been sent.

use anyhow::Result;
use zcwatch::lab::{
    Direction, End,
    Layout::{Ifb, TunUnopened, Veth},
    Tweak,
};
use zcwatch_tests::cpu::OneCpu;

use super::table::{Copied, Hidden, Row, Untouched, check, udp};

#[test]
fn what_is_dropped_on_its_way_out_is_not_copied() -> Result<()> {
    let one = OneCpu::share()?;
    let mut rows = Vec::new();
    for (layout, tweaks, large) in [
        (Veth, &[Tweak::FarEndDown][..], "udp_larger_than_mtu@client0"),
        // The copy of the XDP would be made beyond where it is dropped.
        (Veth, &[Tweak::XdpPass, Tweak::FarEndDown], "udp_larger_than_mtu@client0"),
        (Ifb, &[], "udp_larger_than_mtu@ifb0"),
        (TunUnopened, &[], "udp_larger_than_mtu@tun0"),
    ] {
        let row = Row::new(layout, tweaks)?.unanswered();
        rows.push(row.sends(&udp(1400), Untouched)?.sends(&udp(60_000), Copied(large))?);
    }
    // Before the first place that is looked at.
    let row = Row::new(Veth, &[Tweak::TcDrop(End::Client, Direction::Egress)])?;
    let row = row.unanswered().unseen().sends(&udp(1400), Untouched)?;
    rows.push(row.sends(&udp(60_000), Copied("unknown@?"))?);
    check(&one, &rows).map(drop)
}

#[test]
fn xdp_that_drops_copies_first() -> Result<()> {
    let one = OneCpu::share()?;
    let row = Row::new(Veth, &[Tweak::XdpDrop])?.unanswered();
    check(
        &one,
        &[row
            .sends(&udp(1400), Hidden)?
            .sends(&udp(60_000), Copied("udp_larger_than_mtu@client0"))?],
    )
    .map(drop)
}
