//! Describing the devices that packets cross: once, and again when something about one changed.

use aya_ebpf::{
    bindings::{BPF_NOEXIST, BPF_RB_NO_WAKEUP},
    helpers::bpf_ktime_get_ns,
};
use zcwatch_common::{Device, Header, kind, stat};

use crate::{atomic::word, kernel::*, layout::*, maps::*};

/// Some packet sockets hear a device: what [`heard`] says then.
pub const HEARD: u32 = 1;

/// Do packet sockets hear what this device sends and receives? 1: some do; 0: none; 2: the list
/// of those on all devices cannot be read here.
///
/// # Safety
/// `dev` is a struct net_device.
#[inline(always)]
pub unsafe fn heard(dev: Ptr) -> u32 {
    // SAFETY: as promised by the caller. An empty list points to itself.
    unsafe {
        if known(&DEV_PTYPE_ALL) {
            let list = dev as u64 + DEV_PTYPE_ALL.load() as u64;
            if field::<Ptr>(dev, &DEV_PTYPE_ALL) as u64 != list {
                return HEARD;
            }
        }
        if !known(&NET_PTYPE_ALL) {
            return 2;
        }
        let net = field::<Ptr>(dev, &DEV_NET);
        let list = net as u64 + NET_PTYPE_ALL.load() as u64;
        (field::<Ptr>(net, &NET_PTYPE_ALL) as u64 != list) as u32
    }
}

/// The part of [`device`]'s answer that is the number.
pub const INDEX: u32 = 0xffff;
/// The device is a veth whose peer runs native XDP.
pub const PEER_XDP: u32 = 1 << 16;

/// The number of a device, 0 if it has none, and [`PEER_XDP`]; enters it, or writes it again when it
/// changed.
///
/// # Safety
/// `dev` is a struct net_device.
#[inline(always)]
pub unsafe fn device(dev: Ptr) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let ifindex = field::<u32>(dev, &DEV_IFINDEX);
        let netns = field::<u32>(field::<Ptr>(dev, &DEV_NET), &NET_INUM);
        let features = field::<u64>(dev, &DEV_FEATURES);
        let mtu = field::<u32>(dev, &DEV_MTU);
        let heard = heard(dev);
        let mut index = 0;
        let old = DEVICES.get_ptr(dev as u64);
        if let Some(d) = old
            && (*d).ifindex == ifindex
            && (*d).netns == netns
        {
            // The driver stays the device's while it lives.
            if (*d).features == features
                && (*d).mtu == mtu
                && (*d).heard == heard
                && (*d).peer_xdp == peer_xdp(dev, &raw const (*d).link)
            {
                return answer(d);
            }
            index = (*d).index;
        }
        if index == 0 {
            let Some(n) = DEVICE_COUNT.get_ptr_mut(0) else { return 0 };
            index = word(n).next() + 1;
        }
        let Some(desk) = take_desk() else {
            count(stat::DEVICES_FULL);
            return 0;
        };
        let fresh = &raw mut (*desk).device;
        (*fresh).head = Header { kind: kind::DEVICE, tgid: 0, ts: bpf_ktime_get_ns(), cookie: 0 };
        (*fresh).index = index;
        (*fresh).ifindex = ifindex;
        (*fresh).netns = netns;
        (*fresh).mtu = mtu;
        (*fresh).features = features;
        (*fresh).flags = field(dev, &DEV_FLAGS);
        (*fresh).heard = heard;
        (*fresh).pad = 0;
        peek_name(dev as u64 + DEV_NAME.load() as u64, &raw mut (*fresh).name);
        link_kind(dev, &raw mut (*fresh).link);
        (*fresh).peer_xdp = peer_xdp(dev, &raw const (*fresh).link);
        // Of two CPUs that see it first, one wins.
        let flag = if old.is_some() { 0 } else { BPF_NOEXIST as u64 };
        let entered = DEVICES.insert(dev as u64, &*fresh, flag).is_ok();
        if entered && EVENTS.output::<Device>(&*fresh, BPF_RB_NO_WAKEUP as u64).is_err() {
            count(stat::EVENTS_LOST);
        }
        let known = answer(fresh);
        word(&raw mut (*desk).taken).put(0);
        if entered {
            return known;
        }
        match DEVICES.get_ptr(dev as u64) {
            Some(d) => answer(d),
            None => {
                count(stat::DEVICES_FULL);
                0
            }
        }
    }
}

/// Room to describe a device in: the stack has none, and what is in the ring may be put into no map
/// before 6.2. Each CPU needs one, and one more where a softirq interrupts it.
#[inline(always)]
fn take_desk() -> Option<*mut Desk> {
    let mut i = 0;
    while i < DESK_COUNT {
        let desk = DESKS.get_ptr_mut(i)?;
        // SAFETY: a live map value.
        if word(unsafe { &raw mut (*desk).taken }).replace(0, 1) {
            return Some(desk);
        }
        i += 1;
    }
    None
}

/// # Safety
/// `d` points to a whole device.
#[inline(always)]
unsafe fn answer(d: *const Device) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe { (*d).index & INDEX | if (*d).peer_xdp == 1 { PEER_XDP } else { 0 } }
}

/// The driver's name for such devices, NUL-padded; empty for hardware and loopback.
///
/// # Safety
/// As [`device`]; `to` points to sixteen bytes.
#[inline(always)]
unsafe fn link_kind(dev: Ptr, to: *mut [u8; 16]) {
    // SAFETY: as promised by the caller.
    unsafe {
        *to = [0; 16];
        let ops = field::<u64>(dev, &DEV_LINK_OPS);
        if ops == 0 {
            return;
        }
        let Some(name) = peek::<u64>(ops + LINK_OPS_KIND.load() as u64) else { return };
        peek_name(name, to);
    }
}

/// 1: a veth whose peer runs native XDP; 0: not so; 2: this kernel's veth cannot be read.
///
/// # Safety
/// As [`device`]; `link` points to its kind.
#[inline(always)]
unsafe fn peer_xdp(dev: Ptr, link: *const [u8; 16]) -> u32 {
    // SAFETY: as promised by the caller; five bytes of sixteen.
    let start = unsafe { core::ptr::read_volatile(link.cast::<[u8; 5]>()) };
    if start != *b"veth\0" {
        return 0;
    }
    if !known(&VETH_PEER) || !known(&VETH_XDP_PROG) {
        return 2;
    }
    let private = DEV_PRIV.load() as u64;
    let Some(peer) = peek::<u64>(dev as u64 + private + VETH_PEER.load() as u64) else { return 2 };
    if peer == 0 {
        return 0;
    }
    match peek::<u64>(peer + private + VETH_XDP_PROG.load() as u64) {
        Some(0) => 0,
        Some(_) => 1,
        None => 2,
    }
}
