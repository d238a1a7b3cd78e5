//! Where a copy was made: the uarg's zerocopy bit, looked at wherever its packets pass a
//! tracepoint. These programs run for every packet of the host, so the first branches leave.

use aya_ebpf::{
    bindings::BPF_NOEXIST, helpers::bpf_ktime_get_ns, macros::btf_tracepoint,
    programs::BtfTracePointContext,
};
use zcwatch_common::{Device, Header, Hop, MAX_HOPS, Path, kind, mark, stage, stat};

use crate::{atomic::word, kernel::*, layout::*, maps::*, socket};

const ZEROCOPY_ENABLE: u8 = 1;
const NETIF_F_SG: u64 = 1;
const IPPROTO_UDP: u16 = 17;

/// `net_dev_queue(skb)`, at the top of `__dev_queue_xmit`.
#[btf_tracepoint(function = "net_dev_queue")]
pub fn path_queue(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own skb.
    unsafe { outbound(skb, stage::QUEUE) }
}

/// `net_dev_start_xmit(skb, dev)`, after `dev_queue_xmit_nit` and `validate_xmit_skb`.
#[btf_tracepoint(function = "net_dev_start_xmit")]
pub fn path_xmit(ctx: BtfTracePointContext) -> i32 {
    let skb: Ptr = ctx.arg(0);
    // SAFETY: the tracepoint's own skb.
    unsafe { outbound(skb, stage::XMIT) }
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
/// `skb` is a struct sk_buff.
#[inline(always)]
unsafe fn outbound(skb: Ptr, stage: u8) -> i32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let sk = field::<Ptr>(skb, &SKB_SK);
        if sk.is_null() {
            // Forwarded: nothing to see in a linear packet.
            if field::<u32>(skb, &SKB_DATA_LEN) == 0 {
                return 0;
            }
        } else if !zerocopy_set(sk) {
            return 0;
        }
        look(skb, sk, stage);
    }
    0
}

/// # Safety
/// `skb` is a struct sk_buff, `sk` null or its socket.
#[inline(always)]
unsafe fn look(skb: Ptr, sk: Ptr, stage: u8) {
    // SAFETY: as promised by the caller.
    unsafe {
        let shinfo = field::<u64>(skb, &SKB_HEAD) + field::<u32>(skb, &SKB_END) as u64;
        let flags = peek::<u8>(shinfo + SHINFO_FLAGS.load() as u64).unwrap_or(0);
        if flags & ZEROCOPY_ENABLE == 0 {
            return;
        }
        let Some(uarg) = peek::<u64>(shinfo + SHINFO_DESTRUCTOR_ARG.load() as u64) else { return };
        // A tagged pointer is no uarg (tpacket, up to 6.12).
        if uarg & 1 != 0 {
            return;
        }
        let Some(id) = peek::<u32>(uarg + UARG_ID.load() as u64) else { return };
        let bits = peek::<u8>(uarg + UARG_BITS.load() as u64).unwrap_or(0);
        let intact = bits as u32 & UARG_ZEROCOPY_MASK.load() != 0;

        let trail = match PATHS.get_ptr_mut(uarg) {
            Some(t) if (*t).id == id && (sk.is_null() || (*t).cookie == cookie_of(sk)) => t,
            // A uarg begins where it is queued: one seen later only was sent before the watch.
            _ if stage != stage::QUEUE || sk.is_null() => return,
            _ => match begin(uarg, id, intact, sk) {
                Some(t) => t,
                None => return,
            },
        };
        let dev = field::<Ptr>(skb, &SKB_DEV);
        let device = if (*trail).last_device == dev as u64 {
            (*trail).last_index
        } else {
            let index = device(dev);
            (*trail).last_index = index;
            (*trail).last_device = dev as u64;
            index
        };
        if device == 0 {
            return;
        }
        note(trail, device, stage, intact);

        let mut marks = 0;
        if stage == stage::QUEUE
            && field::<u64>(dev, &DEV_FEATURES) & NETIF_F_SG == 0
            && peek::<u16>(shinfo + SHINFO_GSO_SIZE.load() as u64).unwrap_or(0) != 0
        {
            marks |= mark::GSO_WITHOUT_SG;
        }
        if stage == stage::XMIT
            && let Some(d) = DEVICES.get_ptr(dev as u64)
            && (*d).peer_xdp == 1
            && peek::<u8>(shinfo + SHINFO_NR_FRAGS.load() as u64).unwrap_or(0) != 0
        {
            marks |= mark::VETH_PEER_XDP;
        }
        if marks != 0 {
            word(&raw mut (*trail).path.marks).set(marks);
        }
    }
}

/// A uarg seen for the first time, in a packet of its own socket.
///
/// # Safety
/// `sk` is a struct sock.
#[inline(always)]
unsafe fn begin(uarg: u64, id: u32, intact: bool, sk: Ptr) -> Option<*mut Trail> {
    // SAFETY: as promised by the caller.
    unsafe {
        // A uarg of MSG_ZEROCOPY lives in the cb of an skb of the same socket; others
        // (io_uring, vhost) do not.
        let skb = uarg - SKB_CB.load() as u64;
        if peek::<u64>(skb + SKB_SK.load() as u64) != Some(sk as u64) {
            return None;
        }
        let mut cookie = cookie_of(sk);
        let entry = match socket::lookup(cookie) {
            Some(entry) => entry,
            None => {
                if !watched(tgid()) {
                    return None;
                }
                // In softirq any task may be on the CPU: it must be in a send on this socket.
                let Call::Send { fd, .. } = current_call() else { return None };
                if !current_holds(fd, sk) {
                    return None;
                }
                // An skb's sk is a pointer that the cookie helper does not take; the same
                // pointer by way of its struct socket is.
                let twin = field::<Ptr>(field::<Ptr>(sk, &SK_SOCKET), &SOCKET_SK);
                if twin as u64 != sk as u64 {
                    return None;
                }
                let (fresh, entry) = socket::register(twin, current(), Some(id))?;
                cookie = fresh;
                entry
            }
        };
        let udp = (*entry).protocol == IPPROTO_UDP;
        if udp && (*entry).state & zcwatch_common::state::FIRST_SEEN_SENDING != 0 {
            socket::lower_base(&raw mut (*entry).base, id);
        }
        let mut marks = if intact { 0 } else { mark::COPIED_AT_SEND };
        if udp && peek::<u16>(uarg + UARG_LEN.load() as u64).unwrap_or(0) > 1 {
            marks |= mark::CORKED;
        }
        let fresh = Trail {
            cookie,
            last_device: 0,
            id,
            last_index: 0,
            path: Path {
                first_ns: bpf_ktime_get_ns(),
                hops: [Hop { device: 0, intact: 0, copied: 0 }; MAX_HOPS],
                marks,
                looks: 0,
            },
        };
        if PATHS.insert(uarg, &fresh, 0).is_err() {
            count(stat::PATHS_FULL);
            return None;
        }
        PATHS.get_ptr_mut(uarg)
    }
}

/// Writes down what was seen. A hop is one word, `device | intact << 16 | copied << 24`, so
/// that packets of one uarg on two CPUs do not lose each other's bits.
///
/// # Safety
/// `trail` is a live map value.
#[inline(always)]
unsafe fn note(trail: *mut Trail, device: u32, stage: u8, intact: bool) {
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

/// The number of a device; enters it, or writes it again when it changed.
///
/// # Safety
/// `dev` is a struct net_device.
#[inline(always)]
unsafe fn device(dev: Ptr) -> u32 {
    // SAFETY: as promised by the caller.
    unsafe {
        let ifindex = field::<u32>(dev, &DEV_IFINDEX);
        let netns = field::<u32>(field::<Ptr>(dev, &DEV_NET), &NET_INUM);
        let features = field::<u64>(dev, &DEV_FEATURES);
        let mtu = field::<u32>(dev, &DEV_MTU);
        let link = link_kind(dev);
        let peer_xdp = peer_xdp(dev, &link);
        let mut index = 0;
        let old = DEVICES.get_ptr(dev as u64);
        if let Some(d) = old
            && (*d).ifindex == ifindex
            && (*d).netns == netns
        {
            if (*d).features == features && (*d).mtu == mtu && (*d).peer_xdp == peer_xdp {
                return (*d).index;
            }
            index = (*d).index;
        }
        if index == 0 {
            let Some(n) = DEVICE_COUNT.get_ptr_mut(0) else { return 0 };
            index = word(n).next() + 1;
        }
        let fresh = Device {
            head: Header { kind: kind::DEVICE, tgid: 0, ts: bpf_ktime_get_ns(), cookie: 0 },
            index,
            ifindex,
            netns,
            mtu,
            features,
            peer_xdp,
            flags: field(dev, &DEV_FLAGS),
            name: peek(dev as u64 + DEV_NAME.load() as u64).unwrap_or([0; 16]),
            link,
        };
        // Of two CPUs that see it first, one wins.
        let flag = if old.is_some() { 0 } else { BPF_NOEXIST as u64 };
        if DEVICES.insert(dev as u64, &fresh, flag).is_ok() {
            emit(fresh);
            return index;
        }
        match DEVICES.get_ptr(dev as u64) {
            Some(d) => (*d).index,
            None => {
                count(stat::DEVICES_FULL);
                0
            }
        }
    }
}

/// # Safety
/// As [`device`].
#[inline(always)]
unsafe fn link_kind(dev: Ptr) -> [u8; 16] {
    // SAFETY: as promised by the caller.
    let ops = unsafe { field::<u64>(dev, &DEV_LINK_OPS) };
    if ops == 0 {
        return [0; 16];
    }
    let Some(name) = peek::<u64>(ops + LINK_OPS_KIND.load() as u64) else { return [0; 16] };
    let mut kind = peek::<[u8; 16]>(name).unwrap_or([0; 16]);
    let mut ended = false;
    let mut i = 0;
    while i < 16 {
        ended |= kind[i] == 0;
        if ended {
            kind[i] = 0;
        }
        i += 1;
    }
    kind
}

/// 1: a veth whose peer runs native XDP; 0: not so; 2: this kernel's veth cannot be read.
///
/// # Safety
/// As [`device`].
#[inline(always)]
unsafe fn peer_xdp(dev: Ptr, link: &[u8; 16]) -> u32 {
    if link[0] != b'v' || link[1] != b'e' || link[2] != b't' || link[3] != b'h' || link[4] != 0 {
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
