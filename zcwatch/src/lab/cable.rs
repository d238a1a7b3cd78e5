//! Cables: a veth pair with both ends named, addressed and up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{
    LabError, Mac, Netns, VethEnd, add_address, add_neighbour, create_veth, route::has_ipv6,
    set_up, wait_operational,
};

const MTU: u32 = 1500;

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
    end: VethEnd<'a>,
    network: u8,
    host: u8,
}

impl<'a> Port<'a> {
    pub(super) fn new(netns: &'a Netns, device: &'a str, network: u8, host: u8) -> Self {
        // Locally administered, and telling in a capture.
        let mac: Mac = [2, 0, 0, 0, network, host];
        Self { end: VethEnd { netns, device, mac }, network, host }
    }

    pub(super) fn ip(&self, family: Family) -> IpAddr {
        ip(family, self.network, self.host)
    }
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

/// A cable between two ports, their addresses, and each as the other's permanent neighbour: an
/// end that drops what arrives would never answer for its own address.
pub(super) fn connect(a: Port<'_>, b: Port<'_>) -> Result<(), LabError> {
    create_veth(a.end, b.end, MTU)?;
    for (this, other) in [(a, b), (b, a)] {
        let VethEnd { netns, device, .. } = this.end;
        for &family in families() {
            add_address(netns, device, this.ip(family), prefix_length(family))?;
            add_neighbour(netns, device, other.ip(family), other.end.mac)?;
        }
        set_up(netns, device)?;
    }
    wait_operational(a.end.netns, a.end.device)?;
    wait_operational(b.end.netns, b.end.device)
}
