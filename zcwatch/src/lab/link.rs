//! Devices: veth pairs across namespaces, their addresses, and waiting until they work.

use std::{
    io,
    net::{IpAddr, UdpSocket},
    os::fd::AsFd,
    os::fd::AsRawFd,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use nix::net::if_::if_nametoindex;
use rtnetlink::{
    AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkVeth,
    packet_route::{
        RouteNetlinkMessage,
        address::{AddressAttribute, AddressFlags, AddressHeaderFlags},
        link::{InfoData, InfoVeth, LinkAttribute, LinkFlags, LinkMessage, State},
    },
};

use super::{
    LabError, Netns, ifreq,
    netlink::{CHANGE, CREATE, request},
};

/// How long what waits here does.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A hardware address.
pub type Mac = [u8; 6];

/// One end of a veth pair.
#[derive(Clone, Copy, Debug)]
pub struct VethEnd<'a> {
    /// Where this end lives.
    pub netns: &'a Netns,
    /// Its name there, at most 15 bytes.
    pub device: &'a str,
    /// Its hardware address, so that neighbours can be set without asking for it.
    pub mac: Mac,
}

/// Makes a veth pair, each end at once in its namespace: neither passes through the caller's.
///
/// # Errors
/// When a name is taken, without CAP_NET_ADMIN, or where the kernel has no veth.
pub fn create_veth(a: VethEnd<'_>, b: VethEnd<'_>, mtu: u32) -> Result<(), LabError> {
    // The ends get different indexes: with equal ones the kernel takes the device for one
    // without a peer (`linkwatch_urgent_event`), and may report its carrier up to 1 s late.
    let peer = LinkMessageBuilder::<LinkUnspec>::new()
        .name(b.device)
        .index(unused_index())
        .mtu(mtu)
        .address(b.mac.to_vec())
        .setns_by_fd(b.netns.as_fd().as_raw_fd())
        .build();
    let message = LinkMessageBuilder::<LinkVeth>::new(a.device, b.device)
        .index(unused_index())
        .mtu(mtu)
        .address(a.mac.to_vec())
        .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)))
        .build();
    let action = format!("make the veth pair {} and {}", a.device, b.device);
    request(a.netns, action, RouteNetlinkMessage::NewLink(message), CREATE).map(drop)
}

/// Above what the kernel hands out itself in a young namespace, and never twice.
fn unused_index() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Sets a device administratively up.
///
/// # Errors
/// When there is no such device, or without CAP_NET_ADMIN.
pub fn set_up(netns: &Netns, device: &str) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_name(device).up().build();
    let action = format!("bring device {device} up");
    request(netns, action, RouteNetlinkMessage::SetLink(message), CHANGE).map(drop)
}

/// Sets a device administratively down.
///
/// # Errors
/// When there is no such device, or without CAP_NET_ADMIN.
pub fn set_down(netns: &Netns, device: &str) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_name(device).down().build();
    let action = format!("take device {device} down");
    request(netns, action, RouteNetlinkMessage::SetLink(message), CHANGE).map(drop)
}

/// Sets a device's MTU, bytes.
///
/// # Errors
/// When there is no such device, its driver refuses the MTU, or without CAP_NET_ADMIN.
pub fn set_mtu(netns: &Netns, device: &str, mtu: u32) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_name(device).mtu(mtu).build();
    let action = format!("set the MTU of device {device} to {mtu}");
    request(netns, action, RouteNetlinkMessage::SetLink(message), CHANGE).map(drop)
}

/// Gives a device another name.
///
/// # Errors
/// When there is no such device, the name is taken, or without CAP_NET_ADMIN. Before 6.2 the
/// device must be down.
pub fn rename(netns: &Netns, device: &str, name: &str) -> Result<(), LabError> {
    let index = index_of(netns, device)?;
    let message = LinkUnspec::new_with_index(index).name(name).build();
    let action = format!("rename device {device} to {name}");
    request(netns, action, RouteNetlinkMessage::SetLink(message), CHANGE).map(drop)
}

/// Takes a device away; of a veth pair the other end goes too.
///
/// # Errors
/// When there is no such device, or without CAP_NET_ADMIN.
pub fn remove(netns: &Netns, device: &str) -> Result<(), LabError> {
    let message = LinkUnspec::new_with_name(device).build();
    let action = format!("remove device {device}");
    request(netns, action, RouteNetlinkMessage::DelLink(message), CHANGE).map(drop)
}

/// A device's MTU, bytes.
pub(super) fn mtu_of(netns: &Netns, device: &str) -> Result<u32, LabError> {
    let ask = || -> io::Result<u32> {
        let mut request = ifreq::named(device)?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        // SAFETY: the request lives on this stack frame, and is what SIOCGIFMTU reads and writes.
        let asked = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request) };
        if asked < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the ioctl has written this field; an MTU is not negative.
        Ok(unsafe { request.ifr_ifru.ifru_mtu }.cast_unsigned())
    };
    netns.run(ask)?.map_err(LabError::system(format!("read the MTU of device {device}")))
}

/// Gives a device an address; one of IPv6 without duplicate detection.
///
/// # Errors
/// When there is no such device, or the address is taken.
pub fn add_address(
    netns: &Netns,
    device: &str,
    address: IpAddr,
    prefix_length: u8,
) -> Result<(), LabError> {
    let index = index_of(netns, device)?;
    let message = match address {
        IpAddr::V4(v4) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
            .address(v4, prefix_length)
            .index(index)
            .build(),
        IpAddr::V6(v6) => {
            let mut message = AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                .address(v6, prefix_length)
                .index(index)
                .build();
            message.header.flags |= AddressHeaderFlags::Nodad;
            message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
            message
        }
    };
    let action = format!("give device {device} the address {address}/{prefix_length}");
    request(netns, action, RouteNetlinkMessage::NewAddress(message), CREATE).map(drop)
}

/// Waits, at most 5 s, until the device can carry packets. A device that is up but not yet
/// operational drops what it is given.
///
/// # Errors
/// [`LabError::NotOperational`] after that time.
pub fn wait_operational(netns: &Netns, device: &str) -> Result<(), LabError> {
    if wait_until(netns, device, carries)? {
        return Ok(());
    }
    Err(LabError::NotOperational { device: device.to_owned(), waited: PATIENCE })
}

/// Waits, at most 5 s, until the kernel has noticed that a device has lost its carrier: up to a
/// second passes between the two.
///
/// # Errors
/// [`LabError::StillOperational`] after that time.
pub fn wait_no_carrier(netns: &Netns, device: &str) -> Result<(), LabError> {
    if wait_until(netns, device, |link| !link.header.flags.contains(LinkFlags::Running))? {
        return Ok(());
    }
    Err(LabError::StillOperational { device: device.to_owned(), waited: PATIENCE })
}

/// Whether it came to this within the patience.
fn wait_until(
    netns: &Netns,
    device: &str,
    state: impl Fn(&LinkMessage) -> bool,
) -> Result<bool, LabError> {
    patiently(|| is_so(netns, device, &state))
}

/// Whether it came to hold, at most within 5 s.
pub(super) fn patiently(
    mut holds: impl FnMut() -> Result<bool, LabError>,
) -> Result<bool, LabError> {
    let start = Instant::now();
    while !holds()? {
        if start.elapsed() > PATIENCE {
            return Ok(false);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(true)
}

fn is_so(
    netns: &Netns,
    device: &str,
    state: impl Fn(&LinkMessage) -> bool,
) -> Result<bool, LabError> {
    let message = LinkUnspec::new_with_name(device).build();
    let action = format!("look at device {device}");
    let replies = request(netns, action, RouteNetlinkMessage::GetLink(message), CHANGE)?;
    Ok(replies.iter().any(|reply| match reply {
        RouteNetlinkMessage::NewLink(link) => state(link),
        _ => false,
    }))
}

fn carries(link: &LinkMessage) -> bool {
    link.header.flags.contains(LinkFlags::Running | LinkFlags::LowerUp)
        && link.attributes.contains(&LinkAttribute::OperState(State::Up))
}

/// The index of a device inside its namespace.
pub(super) fn index_of(netns: &Netns, device: &str) -> Result<u32, LabError> {
    netns.run(|| if_nametoindex(device))?.map_err(LabError::system(format!("find device {device}")))
}
