//! WireGuard: a device, and by generic netlink its key and its one peer.

use std::net::{IpAddr, SocketAddrV4};

use rtnetlink::{LinkWireguard, sys::protocols::NETLINK_GENERIC};

use super::{
    LabError, Netns,
    cable::{Family, families},
    device::create,
    link::index_of,
    netlink::{CHANGE, Raw, attribute, find_attribute, request_by},
    set_up,
};

/// A Curve25519 key.
pub type Key = [u8; 32];

/// One end of a tunnel.
#[derive(Clone, Copy, Debug)]
pub struct WireguardEnd<'a> {
    /// Where this end lives.
    pub netns: &'a Netns,
    /// The device's name there.
    pub device: &'a str,
    /// Its private key, and the public one that goes with it.
    pub keys: (&'a Key, &'a Key),
    /// Where it hears the other end.
    pub endpoint: SocketAddrV4,
}

/// include/uapi/linux/genetlink.h, all versions.
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
/// include/uapi/linux/netlink.h.
const NLA_F_NESTED: u16 = 1 << 15;
/// include/uapi/linux/wireguard.h, all versions.
const WG_CMD_SET_DEVICE: u8 = 1;
const WGDEVICE_A_IFINDEX: u16 = 1;
const WGDEVICE_A_PRIVATE_KEY: u16 = 3;
const WGDEVICE_A_LISTEN_PORT: u16 = 6;
const WGDEVICE_A_PEERS: u16 = 8;
const WGPEER_A_PUBLIC_KEY: u16 = 1;
const WGPEER_A_ENDPOINT: u16 = 4;
const WGPEER_A_ALLOWEDIPS: u16 = 9;
const WGALLOWEDIP_A_FAMILY: u16 = 1;
const WGALLOWEDIP_A_IPADDR: u16 = 2;
const WGALLOWEDIP_A_CIDR_MASK: u16 = 3;

/// Makes one end of a tunnel, which may carry everything to the other, and brings it up. The two
/// shake hands when the first packet is sent.
///
/// # Errors
/// When the name is taken, without CAP_NET_ADMIN, or where the kernel has no WireGuard.
pub fn create_wireguard(this: WireguardEnd<'_>, other: WireguardEnd<'_>) -> Result<(), LabError> {
    let WireguardEnd { netns, device, keys: (secret, _), endpoint } = this;
    create(netns, device, "wireguard", LinkWireguard::new(device).build())
        .map_err(LabError::lacking("wireguard"))?;
    let index = index_of(netns, device)?;
    let attributes = [
        attribute(WGDEVICE_A_IFINDEX, &index.to_ne_bytes()),
        attribute(WGDEVICE_A_PRIVATE_KEY, secret),
        attribute(WGDEVICE_A_LISTEN_PORT, &endpoint.port().to_ne_bytes()),
        nested(WGDEVICE_A_PEERS, &[nested(0, &peer(other))]),
    ];
    let kind = family(netns)?;
    let message = generic(kind, WG_CMD_SET_DEVICE, &attributes);
    let action = format!("give device {device} its key and its peer");
    request_by(NETLINK_GENERIC, netns, action, message, CHANGE)?;
    set_up(netns, device)
}

fn peer(other: WireguardEnd<'_>) -> [Vec<u8>; 3] {
    let allowed: Vec<_> = families().iter().map(|family| everything(*family)).collect();
    [
        attribute(WGPEER_A_PUBLIC_KEY, other.keys.1),
        attribute(WGPEER_A_ENDPOINT, &socket_address(other.endpoint)),
        nested(WGPEER_A_ALLOWEDIPS, &allowed),
    ]
}

/// Every address of a family.
fn everything(family: Family) -> Vec<u8> {
    let (number, any) = match family {
        Family::V4 => (libc::AF_INET, IpAddr::from([0; 4])),
        Family::V6 => (libc::AF_INET6, IpAddr::from([0; 16])),
    };
    let bytes = match any {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let attributes = [
        attribute(WGALLOWEDIP_A_FAMILY, &(number as u16).to_ne_bytes()),
        attribute(WGALLOWEDIP_A_IPADDR, &bytes),
        attribute(WGALLOWEDIP_A_CIDR_MASK, &[0]),
    ];
    nested(0, &attributes)
}

/// struct sockaddr_in.
fn socket_address(address: SocketAddrV4) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
    bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
    bytes[4..8].copy_from_slice(&address.ip().octets());
    bytes
}

/// The number that the kernel gave WireGuard's family.
fn family(netns: &Netns) -> Result<u16, LabError> {
    let name = [attribute(CTRL_ATTR_FAMILY_NAME, b"wireguard\0")];
    let message = generic(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, &name);
    let action = || "find WireGuard's netlink family".to_owned();
    let replies = request_by(NETLINK_GENERIC, netns, action(), message, CHANGE)
        .map_err(LabError::lacking("wireguard"))?;
    let id = replies.iter().find_map(|reply| {
        let value = find_attribute(CTRL_ATTR_FAMILY_ID, reply.bytes.get(4..)?)?;
        Some(u16::from_ne_bytes(value.try_into().ok()?))
    });
    id.ok_or_else(|| LabError::system(action())(std::io::Error::other("it has no number")))
}

/// A message of generic netlink: struct genlmsghdr, and attributes.
fn generic(kind: u16, command: u8, attributes: &[Vec<u8>]) -> Raw {
    const VERSION: u8 = 1;
    let mut bytes = vec![command, VERSION, 0, 0];
    bytes.extend(attributes.concat());
    Raw { kind, bytes }
}

fn nested(kind: u16, attributes: &[Vec<u8>]) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, &attributes.concat())
}
