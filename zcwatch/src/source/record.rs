//! Records of the ring buffer, turned into events.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytemuck::{AnyBitPattern, Zeroable};
use zcwatch_common::{self as raw, kind, limit, note, state};

use crate::event::{
    CopySeen, Counters, DeviceFacts, Endpoint, FailedSend, Family, Hop, IgnoredSend, Limit,
    PlainSends, ProcessFacts, Protocol, Range, Sent, SocketFacts, SocketId, Way,
};

const AF_INET: u16 = 2;
const IPPROTO_TCP: u16 = 6;
const IFF_LOOPBACK: u32 = 8;
const PAGE: u64 = 4096;

/// The record in `bytes`, if it is as long as a `T`.
pub(super) fn read<T: AnyBitPattern>(bytes: &[u8]) -> Option<T> {
    bytemuck::try_pod_read_unaligned(bytes.get(..size_of::<T>())?).ok()
}

pub(super) fn sent(r: &raw::Send, dropped: Option<u16>) -> Sent {
    let failed = r.notes & note::KEPT_ID != 0;
    Sent {
        socket: SocketId(r.head.cookie),
        id: r.id,
        id_exact: r.notes & note::ID_EXACT != 0,
        bytes: u32::try_from(r.ret).unwrap_or(0),
        errno: failed.then_some(-r.ret),
        dropped,
        entry: (r.entry_ns != 0).then_some(r.entry_ns),
        pid: r.head.tgid,
        tid: r.tid,
        fd: (r.fd >= 0).then_some(r.fd),
        more: r.flags & raw::MSG_MORE != 0,
        before: r.notes & note::BEFORE != 0,
    }
}

pub(super) fn failed(r: &raw::Failed) -> FailedSend {
    FailedSend {
        socket: SocketId(r.head.cookie),
        errno: r.errno,
        pid: r.head.tgid,
        tid: r.tid,
        fd: (r.fd >= 0).then_some(r.fd),
        optmem_used: r.omem,
        optmem_max: (r.optmem_max != 0).then_some(r.optmem_max),
        memlock_used: r.locked_pages * PAGE,
        memlock_limit: (r.memlock_limit != u64::MAX).then_some(r.memlock_limit),
        limit: match r.limit {
            limit::OPTMEM => Some(Limit::Optmem),
            limit::MEMLOCK => Some(Limit::Memlock),
            limit::NEITHER => Some(Limit::Other),
            _ => None,
        },
    }
}

pub(super) fn ignored(r: &raw::Send) -> IgnoredSend {
    IgnoredSend {
        socket: SocketId(r.head.cookie),
        bytes: u32::try_from(r.ret).unwrap_or(0),
        pid: r.head.tgid,
        tid: r.tid,
        fd: (r.fd >= 0).then_some(r.fd),
    }
}

pub(super) fn plain(pid: u32, r: &raw::Plain) -> PlainSends {
    PlainSends {
        pid,
        sends: r.sends,
        bytes: r.bytes,
        large: r.large,
        large_bytes: r.large_bytes,
        fd: (r.fd >= 0).then_some(r.fd),
    }
}

pub(super) fn process(r: &raw::Task) -> ProcessFacts {
    ProcessFacts {
        pid: r.tgid,
        comm: text(&r.comm),
        ended: r.head.kind == kind::EXITED,
        parent: (r.head.kind == kind::FORKED).then_some(r.head.tgid),
    }
}

/// `stack`: the number in events of one in the kernel's table.
pub(super) fn range(r: &raw::Completed, stack: impl Fn(u32) -> Option<u16>) -> Range {
    let hops = r.path.hops.map(|h| Hop { device: h.device, intact: h.intact, copied: h.copied });
    Range {
        socket: SocketId(r.head.cookie),
        lo: r.lo,
        hi: r.hi,
        copied: r.copied != 0,
        way: Way {
            first: (r.path.first_ns != 0).then_some(r.path.first_ns),
            driver: (r.path.driver_ns != 0).then_some(r.path.driver_ns),
            hops,
            marks: r.path.marks,
            copy: (r.path.copy != 0).then(|| CopySeen {
                device: u16::try_from(r.path.copy >> 16).ok().filter(|d| *d != 0),
                stack: stack(r.path.copy & 0xffff),
            }),
        },
    }
}

pub(super) fn device(r: &raw::Device) -> DeviceFacts {
    DeviceFacts {
        index: u16::try_from(r.index).unwrap_or(0),
        ifindex: r.ifindex,
        netns: r.netns,
        name: text(&r.name),
        kind: text(&r.link),
        mtu: r.mtu,
        features: r.features,
        loopback: r.flags & IFF_LOOPBACK != 0,
        peer_xdp: match r.peer_xdp {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        heard: match r.heard {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
    }
}

pub(super) fn socket(cookie: u64, r: &raw::Socket) -> SocketFacts {
    let addr = |bytes: &[u8; 16]| -> IpAddr {
        if r.family == AF_INET {
            Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]).into()
        } else {
            Ipv6Addr::from(*bytes).into()
        }
    };
    let remote = Endpoint { addr: addr(&r.remote), port: r.remote_port };
    SocketFacts {
        socket: SocketId(cookie),
        cookie: (r.cookie != 0 && r.cookie != cookie).then_some(SocketId(r.cookie)),
        base: r.base,
        family: if r.family == AF_INET { Family::V4 } else { Family::V6 },
        protocol: if r.protocol == IPPROTO_TCP { Protocol::Tcp } else { Protocol::Udp },
        local: Endpoint { addr: addr(&r.local), port: r.local_port },
        remote: (r.remote_port != 0).then_some(remote),
        netns: r.netns,
        inode: (r.inode != 0).then_some(r.inode),
        pid: r.tgid,
        comm: text(&r.comm),
        so_zerocopy: r.state & state::SO_ZEROCOPY != 0,
        before_watch: r.state & state::FIRST_SEEN_SENDING == 0,
    }
}

/// Where each completion is counted by itself, notifications hold nothing else: what was read and
/// what is unread was merged from pieces, all of it.
pub(super) fn all_are_pieces(c: &mut Counters) {
    let read: u64 = c.reads.iter().sum();
    let unread = c.pieces.iter().sum::<u64>().saturating_sub(read);
    c.unread = Some([unread, 0]);
    c.merged_into = [c.reads[0] + unread, c.reads[1]];
}

/// What a connection did since its socket's entry was made.
pub(super) fn connection(c: &mut Counters, began: &raw::Connection, now: &raw::Connection) {
    let time = |us: u32| (us != 0).then_some(u64::from(us) * 1000);
    (c.srtt, c.min_rtt) = (time(now.srtt_us), time(now.min_rtt_us));
    if *now == raw::Connection::zeroed() {
        return;
    }
    c.retransmits = Some(now.retransmits.wrapping_sub(began.retransmits));
    c.ticks = Some([0, 1, 2].map(|i: usize| now.ticks[i].wrapping_sub(began.ticks[i])));
}

pub(super) fn counters(cookie: u64, r: &raw::Socket) -> Counters {
    let mut c = Counters {
        socket: SocketId(cookie),
        interim: false,
        base: r.base,
        key: r.key,
        sends: r.sends,
        bytes: r.bytes,
        with_error: r.with_error,
        failed_optmem: r.failed_optmem,
        failed_memlock: r.failed_memlock,
        failed_other: r.failed_other,
        ignored: r.ignored,
        ignored_bytes: r.ignored_bytes,
        pieces: r.pieces,
        reads: r.reads,
        merged_into: r.merged_into,
        unread: None,
        unread_before: None,
        before: r.before,
        notifications_read: r.notifications_read,
        plain: r.plain,
        plain_bytes: r.plain_bytes,
        plain_run: r.plain_run,
        forwarded: r.forwarded,
        pulled: r.pulled,
        pulled_device: u16::try_from(r.pulled_device).ok().filter(|d| *d != 0),
        srtt: None,
        min_rtt: None,
        retransmits: None,
        ticks: None,
        optmem_used: r.omem,
        optmem_max: (r.optmem_max != 0).then_some(r.optmem_max),
        memlock_used: r.locked_pages * PAGE,
        memlock_limit: (r.memlock_limit != u64::MAX).then_some(r.memlock_limit),
        so_zerocopy: r.state & state::SO_ZEROCOPY != 0,
        overlapped: r.state & state::OVERLAPPED != 0,
        holders: Vec::new(),
        closed: (r.closed_ns != 0).then_some(r.closed_ns),
    };
    connection(&mut c, &r.began, &r.ended);
    c
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}
