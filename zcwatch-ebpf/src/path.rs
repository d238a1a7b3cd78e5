//! Where a copy was made: the uarg's zerocopy bit, looked at wherever its packets pass a
//! tracepoint. These programs run for every packet of the host, so the first branches leave.

use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::btf_tracepoint, programs::BtfTracePointContext};
use zcwatch_common::{Hop, MAX_HOPS, Path, Socket, mark, sign, stage};

use crate::{
    atomic::{add, word},
    device::{HEARD, INDEX, PEER_XDP, device, heard},
    kernel::*,
    layout::*,
    maps::*,
    socket,
};

pub const NETIF_F_SG: u64 = 1;
const IFF_LOOPBACK: u32 = 8;
const IPPROTO_UDP: u16 = 17;
const IPPROTO_FRAGMENT: u8 = 44;
const IPPROTO_ESP: u8 = 50;
/// `SOF_TIMESTAMPING_OPT_TSONLY` and `SOF_TIMESTAMPING_TX_ACK`, all versions.
/// Both are in the first half of `sk_tsflags`, which has no other up to 6.5.
const TSONLY: u16 = 1 << 11;
const TX_ACK: u16 = 1 << 9;
/// `SKBTX_HW_TSTAMP`, `SKBTX_SW_TSTAMP` and `SKBTX_SCHED_TSTAMP`, all versions.
const TX_TIMESTAMP: u8 = 1 | 2 | 64;
/// More than all headers of a packet together: what is longer has payload.
const HEADERS: u32 = 192;

/// `net_dev_queue(skb)`, at the top of `__dev_queue_xmit`.
#[btf_tracepoint(function = "net_dev_queue")]
pub fn path_queue(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own skb.
    unsafe { outbound(skb, stage::QUEUE) }
}

/// `net_dev_start_xmit(skb, dev)`, after `dev_queue_xmit_nit` and `validate_xmit_skb`. What loopback
/// transmits it receives as it is, so there one look is enough: [`path_receive`]'s.
#[btf_tracepoint(function = "net_dev_start_xmit")]
pub fn path_xmit(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    let dev: Ptr = ctx.arg(1);
    // SAFETY: the tracepoint's own skb and device.
    unsafe { if loopback(dev) { 0 } else { outbound(skb, stage::XMIT) } }
}

/// `netif_receive_skb(skb)`, at the top of `__netif_receive_skb_core`. The sender's socket is
/// gone from the skb by now: only uargs seen before are followed.
#[btf_tracepoint(function = "netif_receive_skb")]
pub fn path_receive(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own skb.
    unsafe {
        if field::<u32>(skb, &SKB_DATA_LEN) == 0 {
            return 0;
        }
        look(skb, core::ptr::null(), stage::RECEIVE);
    }
    0
}

/// # Safety
/// `dev` is a struct net_device.
#[inline(always)]
unsafe fn loopback(dev: Ptr) -> bool {
    // SAFETY: as promised by the caller.
    unsafe { field::<u32>(dev, &DEV_FLAGS) & IFF_LOOPBACK != 0 }
}

/// # Safety
/// `skb` is a struct sk_buff.
#[inline(always)]
unsafe fn outbound(skb: Ptr, stage: u8) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let sk = field::<Ptr>(skb, &SKB_SK);
        let linear = field::<u32>(skb, &SKB_DATA_LEN) == 0;
        if sk.is_null() {
            // Forwarded: nothing to see in a linear packet.
            if linear {
                return 0;
            }
        } else if !zerocopy_set(sk) {
            return 0;
        } else if linear && stage == stage::QUEUE {
            pulled(skb, sk);
        }
        look(skb, sk, stage);
    }
    0
}

/// A packet that is linear when it is queued, and should not be. The payload of TCP is never in
/// the head, unless something on the way pulled it there (a tc program, netfilter); a datagram's
/// is, where it was sent without zerocopy or copied at send, so there a tc program must be present.
///
/// # Safety
/// `skb` is a struct sk_buff, `sk` its socket.
#[inline(always)]
unsafe fn pulled(skb: Ptr, sk: Ptr) {
    // SAFETY: as promised by the caller.
    unsafe {
        if field::<u32>(skb, &SKB_LEN) <= HEADERS {
            return;
        }
        let Some(entry) = socket::lookup(cookie_of(sk)) else { return };
        let dev = field::<Ptr>(skb, &SKB_DEV);
        let filtered = known(&DEV_TCX_EGRESS) && !field::<Ptr>(dev, &DEV_TCX_EGRESS).is_null();
        if (*entry).protocol == IPPROTO_UDP {
            if !filtered {
                return;
            }
            let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
            let flags = peek::<u8>(shinfo + SHINFO_FLAGS.load() as u64).unwrap_or(0);
            if flags & SHINFO_ZEROCOPY.load() as u8 != 0 {
                return; // copied at send
            }
        }
        // What is inside ESP was made linear to be summed and encrypted.
        if behind_ip(skb) == mark::ESP {
            return;
        }
        add(&raw mut (*entry).pulled, 1);
        (*entry).pulled_device = device(dev) & INDEX;
    }
}

/// # Safety
/// `skb` is a struct sk_buff, `sk` null or its socket.
#[inline(always)]
unsafe fn look(skb: Ptr, sk: Ptr, stage: u8) {
    // SAFETY: as promised by the caller.
    unsafe {
        let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
        let Some(shared) = Stretch::read(shinfo) else { return };
        if shared.get::<u8>(&SHINFO_FLAGS, 0) & SHINFO_ZEROCOPY.load() as u8 == 0 {
            if stage == stage::RECEIVE {
                // Whatever has its address now is another packet.
                if let Some(last) = LAST_RECEIVED.get_ptr_mut(0)
                    && (*last).skb == skb as u64
                {
                    (*last).skb = 0;
                }
            } else if stage == stage::QUEUE && sk.is_null() {
                forwarded(skb);
            }
            return;
        }
        let uarg = shared.get::<u64>(&SHINFO_DESTRUCTOR_ARG, 0);
        // A tagged pointer is no uarg (tpacket, up to 6.12).
        if uarg & 1 != 0 {
            return;
        }
        // With the socket of the skb that a uarg of MSG_ZEROCOPY lives in.
        let before = SKB_CB.load() - SKB_SK.load();
        let Some(home) = Stretch::read(uarg - before as u64) else { return };
        let id = home.get::<u32>(&UARG_ID, before.wrapping_neg());
        let bits = home.get::<u8>(&UARG_BITS, before.wrapping_neg());
        let intact = bits as u32 & UARG_ZEROCOPY_MASK.load() != 0;

        let owner = home.get::<u64>(&SKB_SK, SKB_SK.load());
        let cookie = if sk.is_null() {
            cookie_at(owner)
        } else if owner == sk as u64 {
            cookie_of(sk)
        } else {
            return; // no uarg of MSG_ZEROCOPY: io_uring's and vhost's live elsewhere
        };
        let trail = match path_of(cookie, id) {
            Some(t) => {
                // Of a stream, the packet that ends a send asks for its timestamp.
                if stage == stage::QUEUE && !sk.is_null() && timestamped(&shared, sk) {
                    word(&raw mut (*t).path.marks).set(mark::TIMESTAMPED);
                }
                t
            }
            // A uarg begins where it is queued: one seen later only was sent before the watch.
            None if stage != stage::QUEUE => return,
            None if sk.is_null() && !redirected(skb, &home, cookie) => return,
            None => match begin(skb, &shared, &home, intact, sk, cookie) {
                Some(t) => t,
                None => return,
            },
        };
        let dev = field::<Ptr>(skb, &SKB_DEV);
        if (*trail).last_device != dev as u64 {
            last(trail, dev, device(dev));
        }
        let device = (*trail).last_index as u32;
        if device == 0 {
            return;
        }
        let mut signs = 0;
        if intact {
            if stage == stage::QUEUE {
                if heard(dev) == HEARD {
                    signs |= sign::HEARD_OUT;
                }
                if shared.get::<u16>(&SHINFO_GSO_SIZE, 0) != 0 {
                    signs |= sign::GSO;
                }
            } else if stage == stage::RECEIVE {
                if heard(dev) == HEARD {
                    signs |= sign::HEARD_IN;
                }
                if crate::kernel::known(&DEV_TCX_INGRESS)
                    && !field::<Ptr>(dev, &DEV_TCX_INGRESS).is_null()
                {
                    signs |= sign::FILTERED;
                }
            }
        }
        let stages = if stage == stage::RECEIVE && loopback(dev) {
            stage::XMIT | stage::RECEIVE
        } else {
            stage
        };
        note(trail, device, stages | signs, intact);
        if stages & stage::XMIT != 0 && (*trail).path.driver_ns == 0 {
            (*trail).path.driver_ns = bpf_ktime_get_ns();
        }
        if intact
            && stage == stage::RECEIVE
            && let Some(last) = LAST_RECEIVED.get_ptr_mut(0)
        {
            *last = Received { skb: skb as u64, cookie };
        }

        let mut marks = 0;
        if stage == stage::QUEUE
            && field::<u64>(dev, &DEV_FEATURES) & NETIF_F_SG == 0
            && signs & sign::GSO != 0
        {
            marks |= mark::GSO_WITHOUT_SG;
        }
        if stage == stage::XMIT
            && (*trail).last_xdp != 0
            && shared.get::<u8>(&SHINFO_NR_FRAGS, 0) != 0
        {
            marks |= mark::VETH_PEER_XDP;
        }
        if marks != 0 {
            word(&raw mut (*trail).path.marks).set(marks);
        }
    }
}

/// A forwarded packet that has no uarg. If it is the one that this CPU received last with the
/// sender's pages, it was copied in between: up to 6.12 before it was known where it goes.
///
/// # Safety
/// `skb` is a struct sk_buff.
#[inline(always)]
unsafe fn forwarded(skb: Ptr) {
    let Some(last) = LAST_RECEIVED.get_ptr_mut(0) else { return };
    // SAFETY: a map value of this CPU, where nothing else runs meanwhile that writes it.
    unsafe {
        if (*last).skb != skb as u64 {
            return;
        }
        (*last).skb = 0;
        if let Some(entry) = socket::lookup((*last).cookie) {
            add(&raw mut (*entry).forwarded, 1);
        }
    }
}

/// Is it a packet of a watched socket that was redirected at its device's egress, before the
/// device saw it (tc mirred)? What is sent on then is a clone, which has no socket.
///
/// # Safety
/// `skb` is a struct sk_buff.
#[inline(always)]
unsafe fn redirected(skb: Ptr, home: &Stretch, cookie: u64) -> bool {
    if !known(&UARG_OPS) {
        return false;
    }
    // SAFETY: as promised by the caller; live map values.
    unsafe {
        // The cookie was read from the memory before a uarg of MSG_ZEROCOPY, or is nothing.
        let before = SKB_CB.load() - SKB_SK.load();
        let ops = home.get::<u64>(&UARG_OPS, before.wrapping_neg());
        let Some(zerocopy) = ZEROCOPY_OPS.get_ptr(0) else { return false };
        if ops == 0 || ops != *zerocopy {
            return false;
        }
        let Some(entry) = socket::lookup(cookie) else { return false };
        let dev = field::<Ptr>(skb, &SKB_DEV);
        // Elsewhere it was forwarded, and its way is not known any more.
        (*entry).netns == field::<u32>(field::<Ptr>(dev, &DEV_NET), &NET_INUM)
    }
}

/// Enters the socket of a send that is first seen by its packet, in the call of a watched process.
///
/// # Safety
/// `sk` is null, or the struct sock of an skb.
#[cfg(not(feature = "early"))]
#[inline(always)]
pub unsafe fn adopt(sk: Ptr, id: u32) -> Option<*mut Socket> {
    if sk.is_null() || !crate::filter::watched() {
        return None;
    }
    // In softirq any task may be on the CPU: it must be in a send on this socket.
    let Call::Send { fd, .. } = current_call() else { return None };
    if !current_holds(fd, sk) {
        return None;
    }
    // SAFETY: as promised by the caller. An skb's sk is a pointer that the cookie helper does not
    // take; the same pointer by way of its struct socket is.
    unsafe {
        let twin = field::<Ptr>(field::<Ptr>(sk, &SK_SOCKET), &SOCKET_SK);
        if twin as u64 != sk as u64 {
            return None;
        }
        socket::register(twin, current(), Some(id)).map(|(_, entry)| entry)
    }
}

/// There each send is seen before its packets, and so is its socket.
///
/// # Safety
/// None is needed.
#[cfg(feature = "early")]
#[inline(always)]
pub unsafe fn adopt(_: Ptr, _: u32) -> Option<*mut Socket> {
    None
}

/// A uarg seen for the first time, in a packet of its own socket.
///
/// # Safety
/// `skb` is a struct sk_buff, and `sk` its socket, or null where [`redirected`].
#[inline(always)]
unsafe fn begin(
    skb: Ptr,
    shared: &Stretch,
    home: &Stretch,
    intact: bool,
    sk: Ptr,
    mut cookie: u64,
) -> Option<*mut Trail> {
    // SAFETY: as promised by the caller.
    unsafe {
        let before = SKB_CB.load() - SKB_SK.load();
        let id = home.get::<u32>(&UARG_ID, before.wrapping_neg());
        let entry = match socket::lookup(cookie) {
            Some(entry) => entry,
            None => {
                let entry = adopt(sk, id)?;
                cookie = cookie_of(sk);
                entry
            }
        };
        if known(&UARG_OPS)
            && !sk.is_null()
            && let Some(ops) = ZEROCOPY_OPS.get_ptr_mut(0)
            && *ops == 0
        {
            *ops = home.get::<u64>(&UARG_OPS, before.wrapping_neg());
        }
        let udp = (*entry).protocol == IPPROTO_UDP;
        // Where sends are always seen when they take their id, that has been done.
        #[cfg(not(feature = "early"))]
        if udp && (*entry).state & zcwatch_common::state::FIRST_SEEN_SENDING != 0 {
            socket::lower_base(&raw mut (*entry).base, id);
        }
        let mut marks = if intact { 0 } else { mark::COPIED_AT_SEND };
        if udp && home.get::<u16>(&UARG_LEN, before.wrapping_neg()) > 1 {
            marks |= mark::CORKED;
        }
        if !sk.is_null() && timestamped(shared, sk) {
            marks |= mark::TIMESTAMPED;
        }
        if udp && !intact {
            marks |= behind_ip(skb);
        }
        if known(&NET_PTYPE_ALL) {
            marks |= mark::LISTS_READ;
        }
        let place = new_path(cookie, id)?;
        let now = bpf_ktime_get_ns();
        start(place, cookie, id, now, marks);
        // Early verifiers do not follow another look at a device.
        #[cfg(not(feature = "early"))]
        {
            let (dev, known) = first_device(entry, skb, now);
            last(place, dev, known);
        }
        Some(place)
    }
}

/// Begins the way of a uarg in a place that was claimed for it.
///
/// # Safety
/// `place` is a live map value.
#[inline(always)]
pub unsafe fn start(place: *mut Trail, cookie: u64, id: u32, now: u64, marks: u32) {
    // SAFETY: as promised by the caller.
    unsafe {
        (*place).cookie = cookie;
        (*place).id = id;
        (*place).last_device = 0;
        (*place).path = Path {
            first_ns: now,
            driver_ns: 0,
            hops: [Hop { device: 0, intact: 0, copied: 0 }; MAX_HOPS],
            marks,
            copy: 0,
        };
    }
}

/// Keeps what [`device`] said of the device looked at last.
///
/// # Safety
/// `trail` is a live map value.
#[inline(always)]
unsafe fn last(trail: *mut Trail, dev: Ptr, known: u32) {
    // SAFETY: as promised by the caller.
    unsafe {
        (*trail).last_device = dev as u64;
        (*trail).last_index = (known & INDEX) as u16;
        (*trail).last_xdp = (known & PEER_XDP != 0) as u8;
    }
}

#[cfg(not(feature = "early"))]
/// How long [`device`]'s answer is taken for the next sends of a socket, ns.
const FRESH: u64 = 1_000_000;

/// The device that a new uarg's packet is queued on, and what [`device`] says of it: asked once a
/// millisecond and socket, since most packets of a socket leave by one device, and asking costs.
///
/// # Safety
/// `entry` is the socket's map value, `skb` a struct sk_buff.
#[cfg(not(feature = "early"))]
#[inline(always)]
unsafe fn first_device(entry: *mut Socket, skb: Ptr, now: u64) -> (Ptr, u32) {
    // SAFETY: as promised by the caller.
    unsafe {
        let dev = field::<Ptr>(skb, &SKB_DEV);
        let ifindex = field::<u32>(dev, &DEV_IFINDEX);
        // One word, so that it is never half of one answer and half of another.
        let last = word(&raw mut (*entry).last_device).load();
        let features = field::<u64>(dev, &DEV_FEATURES);
        let same = (last >> 32) as u32 == ifindex && (*entry).last_features == features;
        if same && now.wrapping_sub((*entry).last_device_ns) < FRESH {
            return (dev, last as u32);
        }
        let known = device(dev);
        word(&raw mut (*entry).last_device).put((ifindex as u64) << 32 | known as u64);
        (*entry).last_device_ns = now;
        (*entry).last_features = features;
        (dev, known)
    }
}

/// Does the sender want the packet back with its TX timestamp? Then it is cloned for the error
/// queue, and the clone's pages are copied (`__skb_tstamp_tx`).
///
/// # Safety
/// `sk` is a struct sock.
#[inline(always)]
unsafe fn timestamped(shared: &Stretch, sk: Ptr) -> bool {
    if !known(&SK_TSFLAGS) {
        return false;
    }
    // SAFETY: as promised by the caller.
    let (flags, protocol) =
        unsafe { (field::<u16>(sk, &SK_TSFLAGS), field::<u16>(sk, &SK_PROTOCOL)) };
    if flags == 0 || flags & TSONLY != 0 {
        return false;
    }
    let asked = shared.get::<u8>(&SHINFO_TX_FLAGS, 0);
    asked & TX_TIMESTAMP != 0 || (protocol != IPPROTO_UDP && flags & TX_ACK != 0)
}

/// What is there instead of UDP: ESP, or extension headers of IPv6, fragments aside.
///
/// # Safety
/// `skb` is a struct sk_buff with a network header.
#[inline(always)]
unsafe fn behind_ip(skb: Ptr) -> u32 {
    // SAFETY: as promised by the caller.
    let at =
        unsafe { field::<u64>(skb, &SKB_HEAD) + field::<u16>(skb, &SKB_NETWORK_HEADER) as u64 };
    let header = peek::<[u8; 10]>(at).unwrap_or([0; 10]);
    let v6 = header[0] >> 4 == 6;
    match header[if v6 { 6 } else { 9 }] {
        IPPROTO_ESP => mark::ESP,
        next if v6 && next != IPPROTO_UDP as u8 && next != IPPROTO_FRAGMENT => mark::EXT_HEADERS,
        _ => 0,
    }
}

/// Writes down what was seen. A hop is one word, `device | intact << 16 | copied << 24`, so
/// that packets of one uarg on two CPUs do not lose each other's bits.
///
/// # Safety
/// `trail` is a live map value.
#[inline(always)]
pub unsafe fn note(trail: *mut Trail, device: u32, stage: u8, intact: bool) {
    let bit = (stage as u32) << if intact { 16 } else { 24 };
    // SAFETY: as promised by the caller; Hop is four bytes, aligned to two, in a struct that
    // places the array on a multiple of eight.
    unsafe {
        let hops = (&raw mut (*trail).path.hops).cast::<u32>();
        let mut i = 0;
        while i < MAX_HOPS {
            let hop = word(hops.add(i));
            let old = hop.load();
            if old & 0xffff == device {
                hop.set(bit);
                return;
            }
            if old == 0 && hop.replace(0, device | bit) {
                return;
            }
            i += 1;
        }
        word(&raw mut (*trail).path.marks).set(mark::HOPS_FULL);
    }
}
