//! Paths without a receiver, on every kernel, and where those differ: what is dropped in the end is
//! copied only by something on its way.

use anyhow::Result;
use zcwatch::lab::{
    Direction, End, Feature,
    Layout::{Bridge, ForwardedDrop, Ifb, Tap, Veth},
    Sniffer, Tweak,
};
use zcwatch_tests::{cpu::OneCpu, release};

use super::table::{Copied, Row, Untouched, check, udp};

#[test]
fn what_has_no_receiver_is_copied_on_its_way_or_not_at_all() -> Result<()> {
    let one = OneCpu::share()?;
    // Up to 6.12 whatever a device receives is copied before it is known where it goes.
    let early = release()? < (6, 13);
    let forwarded = |later| if early { Copied("local_rx@router0") } else { later };
    let dropped = Tweak::TcDrop(End::Server, Direction::Ingress);
    let without = |feature| Row::new(ForwardedDrop, &[Tweak::WithoutBetween(feature)]);
    let row = Row::new(Ifb, &[])?;
    let sniffer = Sniffer::open(row.path.client(), Some("ifb0"))?;
    check(
        &one,
        &[
            Row::new(Ifb, &[])?
                .sends(&udp(20), Untouched)?
                .sends(&udp(1000), Untouched)?
                .sends(&udp(60_000), Copied("udp_larger_than_mtu@ifb0"))?,
            row.with("tapped", sniffer).sends(&udp(1000), Copied("tap_tx@ifb0"))?,
            Row::new(Tap, &[])?.sends(&udp(1000), Copied("tun_tap@tap0"))?,
            Row::new(Ifb, &[Tweak::Without(Feature::ScatterGather)])?
                .sends(&udp(1000), Copied("udp_no_sg@ifb0"))?,
            Row::new(Ifb, &[Tweak::Without(Feature::TxChecksum)])?
                .sends(&udp(1000), Copied("udp_no_csum_offload@ifb0"))?,
            Row::new(ForwardedDrop, &[])?.sends(&udp(1000), forwarded(Untouched))?,
            without(Feature::ScatterGather)?
                .sends(&udp(1000), forwarded(Copied("linearize_no_sg@router1")))?,
            without(Feature::TxChecksum)?
                .sends(&udp(1000), forwarded(Copied("checksum_help@router1")))?,
            Row::new(Veth, &[dropped])?
                .unanswered()
                .sends(
                    &format!("{} --timestamps with-payload", udp(1000)),
                    Copied("tx_timestamp@client0"),
                )?
                .sends(&format!("{} --timestamps only", udp(1000)), Untouched)?,
            // A bridge takes what its ports receive before that.
            Row::new(Bridge, &[dropped])?.unanswered().sends(&udp(1000), Untouched)?,
        ],
    )
    .map(drop)
}
