//! Cables: a veth pair with both ends named, addressed and up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    LabError, Mac, Netns, VethEnd, add_address, add_neighbour, create_veth,
    route::{has_ipv6, wait_local},
    set_up, wait_operational,
};

pub(super) const MTU: u32 = 1500;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// One end of a cable: where, what it is called, its addresses' network and host numbers.
#[derive(Clone, Copy)]
pub(super) struct Port<'a> {
    pub(super) end: VethEnd<'a>,
    network: u8,
    host: u8,
}

impl<'a> Port<'a> {
    pub(super) fn new(netns: &'a Netns, device: &'a str, network: u8, host: u8) -> Self {
        Self { end: VethEnd { netns, device, mac: mac(network, host) }, network, host }
    }

    pub(super) fn ip(&self, family: Family) -> IpAddr {
        ip(family, self.network, self.host)
    }
}

/// Locally administered, and telling in a capture.
pub(super) fn mac(network: u8, host: u8) -> Mac {
    [2, 0, 0, 0, network, host]
}

pub(super) fn ip(family: Family, network: u8, host: u8) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::new(10, 99, network, host).into(),
        Family::V6 => Ipv6Addr::new(0xfd99, 0, 0, network.into(), 0, 0, 0, host.into()).into(),
    }
}

pub(super) fn prefix_length(family: Family) -> u8 {
    match family {
        Family::V4 => 24,
        Family::V6 => 64,
    }
}

/// The families that this kernel has.
pub(super) fn families() -> &'static [Family] {
    if has_ipv6() { &[Family::V4, Family::V6] } else { &[Family::V4] }
}

/// A cable between two ports, their addresses, and each as the other's neighbour.
pub(super) fn connect(a: Port<'_>, b: Port<'_>) -> Result<(), LabError> {
    plug(a.end, b.end)?;
    address(a, b)?;
    address(b, a)
}

/// A cable whose ends are up and have no addresses.
pub(super) fn plug(a: VethEnd<'_>, b: VethEnd<'_>) -> Result<(), LabError> {
    create_veth(a, b, MTU)?;
    set_up(a.netns, a.device)?;
    set_up(b.netns, b.device)?;
    wait_operational(a.netns, a.device)?;
    wait_operational(b.netns, b.device)
}

/// A port's addresses, and the other port as its permanent neighbour: an end that drops what
/// arrives would never answer for its own address.
pub(super) fn address(this: Port<'_>, other: Port<'_>) -> Result<(), LabError> {
    let VethEnd { netns, device, .. } = this.end;
    for &family in families() {
        add_address(netns, device, this.ip(family), prefix_length(family))?;
        add_neighbour(netns, device, other.ip(family), other.end.mac)?;
        wait_local(netns, this.ip(family))?;
    }
    Ok(())
}
