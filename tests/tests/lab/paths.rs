//! What is said of sends over each path, by IPv4, IPv6 and IPv4 over an IPv6 socket.

use anyhow::{Context, Result};
use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    unistd::Pid,
};
use zcwatch::lab::{Family, Layout, Topology, sender::Options};

use super::{Copied, NotCopied, Said, assert_all, send};

const COUNT: u64 = 20;
const WAYS: [(Family, bool); 3] = [(Family::V4, false), (Family::V6, false), (Family::V4, true)];

fn tcp(path: &Topology, sizes: &[usize], said: Said) -> Result<()> {
    for (family, v4_mapped) in WAYS {
        let sink = path.tcp_sink(family)?;
        for &size in sizes {
            println!("TCP {family:?}, mapped: {v4_mapped}, {size} bytes");
            let options = Options::tcp(sink.address());
            let options = Options { v4_mapped, sizes: vec![size], count: COUNT, ..options };
            assert_all(said, COUNT, &send(path.client(), options)?);
        }
    }
    Ok(())
}

/// The thread and all that it starts from now on share one CPU. A datagram that was copied at
/// send completes when its receiver frees it, and on 6.18 (until 0943404b1f3b, "net: do not delay
/// zero-copy skbs in skb_attempt_defer_free()") one that another CPU allocated is put aside until
/// that CPU next handles packets: for seconds, on an idle machine.
fn share_one_cpu() -> Result<()> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    let first = (0..CpuSet::count()).find(|&cpu| allowed.is_set(cpu) == Ok(true));
    let mut one = CpuSet::new();
    one.set(first.context("no CPU")?)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &one)?)
}

fn udp(path: &Topology, size: usize, said: Said) -> Result<()> {
    for (family, v4_mapped) in WAYS {
        println!("UDP {family:?}, mapped: {v4_mapped}, {size} bytes");
        let sink = path.udp_sink(family)?;
        let options = Options::udp(sink.address());
        let options = Options { v4_mapped, sizes: vec![size], count: COUNT, ..options };
        assert_all(said, COUNT, &send(path.client(), options)?);
    }
    Ok(())
}

#[test]
fn loopback_copies_everything_on_delivery() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    tcp(&path, &[1000, 16 << 10, 1 << 20], Copied)?;
    udp(&path, 1400, Copied)?;
    udp(&path, 60_000, Copied)
}

#[test]
fn veth_copies_everything_on_delivery() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    share_one_cpu()?;
    tcp(&path, &[1000, 16 << 10, 1 << 20], Copied)?;
    udp(&path, 1400, Copied)?;
    udp(&path, 60_000, Copied)
}

#[test]
fn veth_with_xdp_reports_nothing_copied_but_datagrams_above_the_mtu() -> Result<()> {
    let path = Topology::new(Layout::VethXdp)?;
    share_one_cpu()?;
    tcp(&path, &[1000, 16 << 10, 1 << 20], NotCopied)?;
    udp(&path, 1400, NotCopied)?;
    udp(&path, 60_000, Copied)
}

#[test]
fn forwarding_to_a_receiver_copies_on_delivery() -> Result<()> {
    let path = Topology::new(Layout::Forwarded)?;
    tcp(&path, &[16 << 10], Copied)?;
    udp(&path, 1400, Copied)
}

#[test]
fn forwarding_to_a_drop_does_not_copy() -> Result<()> {
    let mut path = Topology::new(Layout::ForwardedDrop)?;
    share_one_cpu()?;
    udp(&path, 1400, NotCopied)?;
    udp(&path, 60_000, Copied)?;
    path.stop_dropping();
    udp(&path, 1400, Copied)?;
    tcp(&path, &[16 << 10], Copied)
}
