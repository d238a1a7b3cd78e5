//! IPsec in transport mode: ESP by AES-GCM, its states and policies by netlink.

use std::net::IpAddr;

use bytemuck::{Pod, Zeroable, bytes_of};
use rtnetlink::sys::protocols::NETLINK_XFRM;

use super::{
    LabError, Netns,
    netlink::{CREATE, Raw, attribute, request_by},
};

/// include/uapi/linux/xfrm.h, all versions.
const XFRM_MSG_NEWSA: u16 = 0x10;
const XFRM_MSG_NEWPOLICY: u16 = 0x13;
const XFRMA_TMPL: u16 = 5;
const XFRMA_ALG_AEAD: u16 = 18;
const XFRM_POLICY_OUT: u8 = 1;
const IPPROTO_ESP: u8 = libc::IPPROTO_ESP as u8;
/// Any request, so that a policy's template takes the state with it.
const REQUEST: u32 = 99;

/// `xfrm_address_t`.
type Address = [u8; 16];

/// `xfrm_selector`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Selector {
    to: Address,
    from: Address,
    ports: [u16; 4],
    family: u16,
    to_length: u8,
    from_length: u8,
    protocol: u8,
    _pad: [u8; 3],
    ifindex: i32,
    user: u32,
}

/// `xfrm_id`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Id {
    to: Address,
    spi: [u8; 4],
    protocol: u8,
    _pad: [u8; 3],
}

/// `xfrm_lifetime_cfg`, and `xfrm_lifetime_cur` of what has not begun.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Life {
    limits: [u64; 4],
    seconds: [u64; 4],
    current: [u64; 4],
}

/// `xfrm_usersa_info`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct State {
    selector: Selector,
    id: Id,
    from: Address,
    life: Life,
    stats: [u32; 3],
    sequence: u32,
    request: u32,
    family: u16,
    mode: u8,
    replay_window: u8,
    flags: u8,
    _pad: [u8; 7],
}

/// `xfrm_userpolicy_info`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Policy {
    selector: Selector,
    life: Life,
    priority: u32,
    index: u32,
    direction: u8,
    action: u8,
    flags: u8,
    share: u8,
    _pad: [u8; 4],
}

/// `xfrm_user_tmpl`.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Template {
    id: Id,
    family: u16,
    _pad: [u8; 2],
    from: Address,
    request: u32,
    mode: u8,
    share: u8,
    optional: u8,
    _pad_2: u8,
    algorithms: [u32; 3],
}

/// `xfrm_algo_aead`, and its key: one of AES-128, and RFC 4106's salt.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Algorithm {
    name: [u8; 64],
    key_bits: u32,
    tag_bits: u32,
    key: [u8; 20],
}

/// Encrypts what one address sends to another: with this the namespace knows how. Each direction
/// wants it at both ends.
///
/// # Errors
/// Without CAP_NET_ADMIN, or where the kernel has no ESP or no AES-GCM.
pub fn add_esp_state(netns: &Netns, from: IpAddr, to: IpAddr) -> Result<(), LabError> {
    let state = State {
        id: id(to),
        from: octets(from),
        life: FOR_EVER,
        request: REQUEST,
        family: family(to),
        ..State::zeroed()
    };
    let mut algorithm = Algorithm {
        name: [0; 64],
        key_bits: 160,
        tag_bits: 128,
        key: std::array::from_fn(|i| i as u8),
    };
    let name = b"rfc4106(gcm(aes))";
    algorithm.name[..name.len()].copy_from_slice(name);
    let attribute = attribute(XFRMA_ALG_AEAD, bytes_of(&algorithm));
    let action = format!("make the ESP state of {from} to {to}");
    xfrm(netns, action, XFRM_MSG_NEWSA, [bytes_of(&state), &attribute].concat())
}

/// Makes a namespace encrypt all that it sends from one address to another.
///
/// # Errors
/// As [`add_esp_state`].
pub fn add_esp_policy(netns: &Netns, from: IpAddr, to: IpAddr) -> Result<(), LabError> {
    let length = if to.is_ipv6() { 128 } else { 32 };
    let selector = Selector {
        to: octets(to),
        from: octets(from),
        family: family(to),
        to_length: length,
        from_length: length,
        ..Selector::zeroed()
    };
    let policy =
        Policy { selector, life: FOR_EVER, direction: XFRM_POLICY_OUT, ..Policy::zeroed() };
    let template = Template {
        id: Id { spi: [0; 4], ..id(to) },
        family: family(to),
        from: octets(from),
        request: REQUEST,
        algorithms: [u32::MAX; 3],
        ..Template::zeroed()
    };
    let attribute = attribute(XFRMA_TMPL, bytes_of(&template));
    let action = format!("make the IPsec policy of {from} to {to}");
    xfrm(netns, action, XFRM_MSG_NEWPOLICY, [bytes_of(&policy), &attribute].concat())
}

const FOR_EVER: Life = Life { limits: [u64::MAX; 4], seconds: [0; 4], current: [0; 4] };

fn xfrm(netns: &Netns, action: String, kind: u16, bytes: Vec<u8>) -> Result<(), LabError> {
    request_by(NETLINK_XFRM, netns, action, Raw { kind, bytes }, CREATE)
        .map(drop)
        .map_err(LabError::lacking("esp4 esp6 xfrm_user gcm seqiv"))
}

/// Of the states to one address; each has one only.
fn id(to: IpAddr) -> Id {
    let spi = [0, 0, 0x10, octets(to)[if to.is_ipv6() { 15 } else { 3 }]];
    Id { to: octets(to), spi, protocol: IPPROTO_ESP, _pad: [0; 3] }
}

fn octets(address: IpAddr) -> Address {
    match address {
        IpAddr::V6(v6) => v6.octets(),
        IpAddr::V4(v4) => {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&v4.octets());
            bytes
        }
    }
}

fn family(address: IpAddr) -> u16 {
    (if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET }) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structs_are_as_large_as_the_kernels() {
        assert_eq!(size_of::<State>(), 224);
        assert_eq!(size_of::<Policy>(), 168);
        assert_eq!(size_of::<Template>(), 64);
        assert_eq!(size_of::<Algorithm>(), 72 + 20);
    }
}
