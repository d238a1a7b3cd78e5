//! Four threads on one socket, and one that spins on its error queue.

use anyhow::Result;
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{expect::Expected, scenario::watch};

const BUSY: &str = "--threads 4 --count 10000 --drain busy-reader --sizes 1400";

#[test]
fn forty_thousand_sends_lose_no_id() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    // Room for all notifications, however long the reader is off its CPU.
    path.client().set_sysctl("net/core/optmem_max", "1000000000")?;
    let (tcp, udp) = (path.tcp_sink(Family::V4)?, path.udp_sink(Family::V4)?);
    for line in [
        format!("send --to {} {BUSY}", tcp.address()),
        format!("send --protocol udp --to {} {BUSY}", udp.address()),
    ] {
        println!("{line}");
        let (report, truths) = watch(path.client(), &[line])?;
        let truth = &truths[0];
        println!("{} notifications", truth.notifications);
        assert_eq!((truth.ids(), truth.notified, truth.copied), (40_000, 40_000, 40_000));
        Expected::of(truth).cause("local_delivery@lo", 40_000).check(&report)?;
    }
    Ok(())
}

#[test]
fn sends_that_are_refused_on_the_way_take_none() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    // Room for few: while the reader is off its CPU the senders fill it.
    path.client().set_sysctl("net/core/optmem_max", "4096")?;
    let sink = path.udp_sink(Family::V4)?;
    let line = format!("send --protocol udp --to {} {BUSY}", sink.address());
    // Whether that happens is the scheduler's choice; what is counted then is not.
    for _ in 0..6 {
        let (report, truths) = watch(path.client(), std::slice::from_ref(&line))?;
        let truth = &truths[0];
        let refused = truth.errors.get("ENOBUFS").copied().unwrap_or(0);
        println!("{refused} refused");
        assert_eq!((truth.ids(), truth.notified), (40_000 - refused, 40_000 - refused));
        Expected::of(truth)
            .but("/failed/enobufs_optmem", refused)
            .cause("local_delivery@lo", truth.ids())
            .check(&report)?;
        if refused > 0 {
            return Ok(());
        }
    }
    anyhow::bail!("no send was refused in six runs")
}
