//! Devices above and beside cables: macvlan, vxlan, bridge, ifb.

use std::net::Ipv4Addr;

use rtnetlink::{
    LinkBridge, LinkIfb, LinkMacVlan, LinkMessageBuilder, LinkUnspec, LinkVxlan,
    packet_route::{
        RouteNetlinkMessage,
        link::{LinkMessage, MacVlanMode},
    },
};

use super::{
    LabError, Mac, Netns,
    link::index_of,
    netlink::{CHANGE, CREATE, request},
    set_up,
};

/// Makes a macvlan on `lower`, which must be up, and brings it up.
///
/// # Errors
/// When there is no such device, without CAP_NET_ADMIN, or where the kernel has no macvlan.
pub fn create_macvlan(
    netns: &Netns,
    device: &str,
    lower: &str,
    mac: Mac,
    mtu: u32,
) -> Result<(), LabError> {
    let message = LinkMacVlan::new(device, index_of(netns, lower)?, MacVlanMode::Bridge)
        .address(mac.to_vec())
        .mtu(mtu)
        .build();
    create(netns, device, "macvlan", message)?;
    set_up(netns, device)
}

/// Makes a vxlan to one remote end by way of `lower`, with the port that IANA gave it, and brings
/// it up. Its MTU leaves room for the headers.
///
/// # Errors
/// When there is no such device, without CAP_NET_ADMIN, or where the kernel has no vxlan.
pub fn create_vxlan(
    netns: &Netns,
    device: &str,
    lower: &str,
    (local, remote): (Ipv4Addr, Ipv4Addr),
    mac: Mac,
) -> Result<(), LabError> {
    const NETWORK_ID: u32 = 99;
    const PORT: u16 = 4789;
    let message = LinkVxlan::new(device, NETWORK_ID)
        .dev(index_of(netns, lower)?)
        .local(local)
        .remote(remote)
        .port(PORT)
        .address(mac.to_vec())
        .build();
    create(netns, device, "vxlan", message)?;
    set_up(netns, device)
}

/// Makes a bridge of these devices, which must be operational: then they forward at once.
///
/// # Errors
/// When there is no such device, without CAP_NET_ADMIN, or where the kernel has no bridge.
pub fn create_bridge(netns: &Netns, device: &str, ports: &[&str]) -> Result<(), LabError> {
    let message = LinkMessageBuilder::<LinkBridge>::new(device).build();
    create(netns, device, "bridge", message)?;
    set_up(netns, device)?;
    let bridge = index_of(netns, device)?;
    for port in ports {
        let message = LinkUnspec::new_with_name(port).controller(bridge).build();
        let action = format!("make device {port} a port of {device}");
        request(netns, action, RouteNetlinkMessage::SetLink(message), CHANGE)?;
    }
    Ok(())
}

/// Makes an ifb and brings it up. It drops whatever was not redirected to it.
///
/// # Errors
/// Without CAP_NET_ADMIN, or where the kernel has no ifb.
pub fn create_ifb(netns: &Netns, device: &str) -> Result<(), LabError> {
    create(netns, device, "ifb", LinkIfb::new(device).build())?;
    set_up(netns, device)
}

pub(super) fn create(
    netns: &Netns,
    device: &str,
    kind: &str,
    message: LinkMessage,
) -> Result<(), LabError> {
    let action = format!("make the {kind} device {device}");
    request(netns, action, RouteNetlinkMessage::NewLink(message), CREATE).map(drop)
}
