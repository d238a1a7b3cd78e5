//! Routes, neighbours and forwarding.

use std::net::IpAddr;

use rtnetlink::{
    RouteMessageBuilder,
    packet_route::{
        AddressFamily, RouteNetlinkMessage,
        neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState},
        route::RouteType,
    },
};

use super::{
    LabError, Mac, Netns,
    link::{PATIENCE, index_of, patiently},
    netlink::{CHANGE, CREATE, request},
};

/// Adds a route to a network by way of a gateway.
///
/// # Errors
/// When the gateway can't be reached, or the two are of different families.
pub fn add_route(
    netns: &Netns,
    destination: IpAddr,
    prefix_length: u8,
    gateway: IpAddr,
) -> Result<(), LabError> {
    let action = format!("route {destination}/{prefix_length} by way of {gateway}");
    let message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(destination, prefix_length)
        .and_then(|route| route.gateway(gateway))
        .map_err(std::io::Error::other)
        .map_err(LabError::system(action.clone()))?
        .build();
    request(netns, action, RouteNetlinkMessage::NewRoute(message), CREATE).map(drop)
}

/// Waits, at most 5 s, until an address of this namespace receives: the kernel gives one of IPv6
/// its route a moment after the address itself, and drops what comes between.
///
/// # Errors
/// [`LabError::NotLocal`] after that time.
pub(super) fn wait_local(netns: &Netns, address: IpAddr) -> Result<(), LabError> {
    if patiently(|| is_local(netns, address))? {
        return Ok(());
    }
    Err(LabError::NotLocal { address, waited: PATIENCE })
}

fn is_local(netns: &Netns, address: IpAddr) -> Result<bool, LabError> {
    let action = format!("look the route to {address} up");
    let length = if address.is_ipv6() { 128 } else { 32 };
    let message = RouteMessageBuilder::<IpAddr>::new()
        .destination_prefix(address, length)
        .map_err(std::io::Error::other)
        .map_err(LabError::system(action.clone()))?
        .build();
    let replies = request(netns, action, RouteNetlinkMessage::GetRoute(message), CHANGE)?;
    Ok(replies.iter().any(|reply| match reply {
        RouteNetlinkMessage::NewRoute(route) => route.header.kind == RouteType::Local,
        _ => false,
    }))
}

/// Sets a permanent neighbour, so that nothing needs to answer for it.
///
/// # Errors
/// When there is no such device.
pub fn add_neighbour(
    netns: &Netns,
    device: &str,
    address: IpAddr,
    mac: Mac,
) -> Result<(), LabError> {
    let (family, destination) = match address {
        IpAddr::V4(v4) => (AddressFamily::Inet, NeighbourAddress::Inet(v4)),
        IpAddr::V6(v6) => (AddressFamily::Inet6, NeighbourAddress::Inet6(v6)),
    };
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    message.header.ifindex = index_of(netns, device)?;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![
        NeighbourAttribute::Destination(destination),
        NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
    ];
    let action = format!("set the neighbour {address} of device {device}");
    request(netns, action, RouteNetlinkMessage::NewNeighbour(message), CREATE).map(drop)
}

/// Makes a namespace forward packets, of IPv4 and, where the kernel has it, of IPv6.
///
/// # Errors
/// Where `/proc/sys` is read-only.
pub fn forward(netns: &Netns) -> Result<(), LabError> {
    netns.set_sysctl("net/ipv4/ip_forward", "1")?;
    if has_ipv6() {
        netns.set_sysctl("net/ipv6/conf/all/forwarding", "1")?;
    }
    Ok(())
}

/// Whether this kernel speaks IPv6 at all: it may be booted with `ipv6.disable=1`.
pub(super) fn has_ipv6() -> bool {
    std::path::Path::new("/proc/sys/net/ipv6/conf").exists()
}
