//! One event of each kind.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zcwatch_common::MAX_HOPS;

use crate::{
    diagnosis::Context,
    event::{
        CallSite, CopySeen, Counters, DeviceFacts, DropFacts, Endpoint, Event, FailedSend, Family,
        Hop, IgnoredSend, Limit, Limits, LinkChange, Losses, PlainSends, ProcessFacts, Protocol,
        Range, Sent, SocketFacts, SocketId, StackFacts, Tunnel, Way, What,
    },
    host::packet::Sniffer,
    output::json::{About, HookRow},
    recording::Header,
    target::Target,
};

/// How many kinds there are.
pub const KINDS: usize = 21;

/// Where a new kind is forgotten in [`every`], this does not compile.
pub fn kind(what: &What) -> usize {
    match what {
        What::Socket(_) => 0,
        What::Send(_) => 1,
        What::Failed(_) => 2,
        What::Ignored(_) => 3,
        What::Started(_) => 4,
        What::Merged(_) => 5,
        What::Read(_) => 6,
        What::Closed { .. } => 7,
        What::Device(_) => 8,
        What::Process(_) => 9,
        What::Link(_) => 10,
        What::Limits(_) => 11,
        What::Tunnels { .. } => 12,
        What::Plain(_) => 13,
        What::Sniffers { .. } => 14,
        What::Counters(_) => 15,
        What::IoUring { .. } => 16,
        What::Losses(_) => 17,
        What::Stack(_) => 18,
        What::CallSite(_) => 19,
        What::Drop(_) => 20,
    }
}

/// Each kind with numbers made of `n`, names made of `text`, and what may be unknown `known` or
/// not.
#[expect(clippy::cast_possible_truncation, reason = "any number will do")]
#[expect(clippy::too_many_lines, reason = "a list")]
pub fn every(n: u64, text: &str, known: bool) -> Vec<Event> {
    let (n32, n16, n8) = (n as u32, n as u16, n as u8);
    let i32 = n32.cast_signed();
    let socket = SocketId(n);
    let name = text.to_owned();
    let fd = known.then_some(i32);
    let addr: [IpAddr; 2] =
        [Ipv4Addr::from(n32).into(), Ipv6Addr::from(u128::from(n) << 64 | u128::from(n)).into()];
    let [local, remote] = addr.map(|addr| Endpoint { addr, port: n16 });
    let hop = Hop { device: n16, intact: n8, copied: !n8 };
    let copy = known.then_some(CopySeen { device: known.then_some(n16), stack: Some(n16) });
    let way = Way {
        first: known.then_some(n),
        driver: known.then_some(n),
        hops: [hop; MAX_HOPS],
        marks: n32,
        copy,
    };
    let range = Range { socket, lo: n32, hi: n32.wrapping_add(7), copied: known, way };
    let family = if known { Family::V4 } else { Family::V6 };
    let protocol = if known { Protocol::Tcp } else { Protocol::Udp };
    [
        What::Socket(Box::new(SocketFacts {
            socket,
            cookie: None,
            base: n32,
            family,
            protocol,
            local,
            remote: known.then_some(remote),
            netns: n32,
            inode: known.then_some(n),
            pid: n32,
            comm: name.clone(),
            so_zerocopy: known,
            before_watch: !known,
        })),
        What::Send(Sent {
            socket,
            id: n32,
            id_exact: known,
            bytes: n32,
            errno: known.then_some(i32),
            dropped: known.then_some(n16),
            entry: known.then_some(n),
            pid: n32,
            tid: n32,
            fd,
            more: known,
            before: !known,
        }),
        What::Failed(FailedSend {
            socket,
            errno: i32,
            pid: n32,
            tid: n32,
            fd,
            optmem_used: n32,
            optmem_max: known.then_some(n32),
            memlock_used: n,
            memlock_limit: known.then_some(n),
            limit: known.then_some(Limit::Memlock),
        }),
        What::Ignored(IgnoredSend { socket, bytes: n32, pid: n32, tid: n32, fd }),
        What::Started(range),
        What::Merged(range),
        What::Read(range),
        What::Closed { socket },
        What::Device(DeviceFacts {
            index: n16,
            ifindex: n32,
            netns: n32,
            name: name.clone(),
            kind: name.clone(),
            mtu: n32,
            features: n,
            loopback: known,
            peer_xdp: known.then_some(!known),
            heard: known.then_some(known),
        }),
        What::CallSite(CallSite { socket, pid: n32, sends: n, calls: vec![name.clone()] }),
        What::Drop(DropFacts {
            index: n16,
            reason: known.then(|| name.clone()),
            function: known.then(|| name.clone()),
        }),
        What::Stack(StackFacts { index: n16, calls: vec![name.clone()] }),
        What::Process(ProcessFacts {
            pid: n32,
            comm: name.clone(),
            ended: known,
            parent: known.then_some(n32),
        }),
        What::Link(LinkChange {
            netns: n32,
            ifindex: n32,
            name: name.clone(),
            removed: known,
            up: !known,
            carrier: known,
            mtu: n32,
        }),
        What::Limits(Limits::Optmem { netns: n32, max: n }),
        What::Limits(Limits::Memlock { pid: n32, max: known.then_some(n) }),
        What::Tunnels {
            list: vec![Tunnel {
                device: name.clone(),
                netns: known.then_some(n32),
                pid: n32,
                comm: name.clone(),
            }],
        },
        What::Plain(PlainSends { pid: n32, sends: n, bytes: n, large: n, large_bytes: n, fd }),
        What::Sniffers {
            list: vec![Sniffer {
                netns: n32,
                ifindex: n32,
                inode: n,
                pid: known.then_some(n32),
                comm: known.then_some(name),
            }],
            unreadable: vec![n32],
        },
        What::Counters(Box::new(Counters {
            interim: true,
            socket,
            base: n32,
            key: n32,
            sends: n,
            bytes: n,
            with_error: n,
            failed_optmem: n,
            failed_memlock: n,
            failed_other: n,
            ignored: n,
            ignored_bytes: n,
            pieces: [n, 1],
            reads: [n, 2],
            merged_into: [n, 3],
            unread: known.then_some([n, 4]),
            unread_before: known.then_some(n),
            before: n,
            notifications_read: n,
            plain: n,
            plain_bytes: n,
            plain_run: n,
            forwarded: n,
            pulled: n,
            pulled_device: known.then_some(n16),
            srtt: known.then_some(n),
            min_rtt: known.then_some(n),
            retransmits: known.then_some(n32),
            ticks: known.then_some([n32; 3]),
            optmem_used: n32,
            optmem_max: known.then_some(n32),
            memlock_used: n,
            memlock_limit: known.then_some(n),
            so_zerocopy: known,
            overlapped: !known,
            holders: vec![(n32, n32)],
            closed: known.then_some(n),
        })),
        What::IoUring { pid: n32, fd: i32, requests: n },
        What::Losses(Losses {
            events: n,
            sockets: n,
            processes: n,
            paths: n,
            unpaired: n,
            skipped: n,
        }),
    ]
    .into_iter()
    .map(|what| Event { ts: n, what })
    .collect()
}

/// The header of a watch.
pub fn header(text: &str) -> Header {
    let about = About {
        kernel: "6.18.1".into(),
        arch: "x86_64".into(),
        hooks: vec![HookRow {
            question: "send".into(),
            hook: Some("sock_send_length".into()),
            kind: "tp_btf".into(),
            without_it: "nothing".into(),
        }],
        target: Target {
            pids: vec![10],
            comm: vec![text.into()],
            cgroup: vec![text.into()],
            follow: true,
            user: Some("nobody".into()),
            command: Some(vec![text.into()]),
        },
        start_unix_ns: 1_800_000_000_000_000_000,
        unseen: vec![text.into()],
    };
    Header::new(about, 1_000, Context { own_netns: Some(7), ..Context::default() })
}
