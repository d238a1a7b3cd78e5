//! A host, some sockets and what they did, told as events: for tests that begin at a snapshot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use zcwatch_common::{mark, sign, stage};

use crate::{
    diagnosis::{Context, judge},
    event::{
        CopySeen, Counters, DeviceFacts, DropFacts, Endpoint, Event, FailedSend, Family, Hop,
        Limits, Losses, PlainSends, ProcessFacts, Protocol, Range, Sent, SocketFacts, SocketId,
        StackFacts, Tunnel, Way, What,
    },
    host::packet::Sniffer,
    tracker::{Snapshot, Tracker, snapshot::SendError, socket::LATE},
};

/// The namespace that zcwatch runs in, and another one.
pub const HERE: u32 = 4_026_531_840;
pub const THERE: u32 = 4_026_532_200;

/// zcwatch, in its own namespace, on a host where every hook attached.
pub fn context() -> Context {
    Context { own_netns: Some(HERE), ..Context::default() }
}

/// `netdev_features_t`.
pub const SG: u64 = 1 << 0;
pub const IP_CSUM: u64 = 1 << 1;
pub const HW_CSUM: u64 = 1 << 3;
pub const IPV6_CSUM: u64 = 1 << 4;

/// Devices by number: a card in each namespace, loopback, the two ends of a veth, a tunnel.
pub const ETH0: u16 = 1;
pub const ETH1: u16 = 2;
pub const LO: u16 = 3;
pub const VETH0: u16 = 4;
pub const VETH1: u16 = 5;
pub const TUN0: u16 = 6;

const Q: u8 = stage::QUEUE;
const X: u8 = stage::XMIT;
const R: u8 = stage::RECEIVE;

/// Where its bit was 1 and 0 on each device on its way.
pub fn way(hops: &[(u16, u8, u8)], marks: u32) -> Way {
    let mut way = Way { first: Some(0), marks, ..Way::default() };
    for (to, (device, intact, copied)) in way.hops.iter_mut().zip(hops) {
        *to = Hop { device: *device, intact: *intact, copied: *copied };
    }
    way
}

/// Sent, and not copied as far as was seen.
pub fn out(device: u16) -> Way {
    way(&[(device, Q | X, 0)], 0)
}

/// Copied between the queue and the driver.
pub fn tapped(device: u16) -> Way {
    way(&[(device, Q, X)], 0)
}

/// Received on this host with the sender's pages.
pub fn delivered(from: u16, to: u16) -> Way {
    if from == to { way(&[(to, Q | X | R, 0)], 0) } else { way(&[(from, Q | X, 0), (to, R, 0)], 0) }
}

/// Received on this host, and copied by then.
pub fn copied_between(from: u16, to: u16) -> Way {
    way(&[(from, Q | X, 0), (to, 0, R)], 0)
}

/// Copied before it was queued.
pub fn at_send(device: u16) -> Way {
    way(&[(device, 0, Q | X)], mark::COPIED_AT_SEND)
}

/// Made linear between the queue and the driver, and not seen any more.
pub fn linear(device: u16) -> Way {
    way(&[(device, Q, 0)], 0)
}

/// With what was noticed on a device besides; packet sockets could be looked for.
pub fn signed(mut way: Way, device: u16, signs: u8) -> Way {
    for hop in way.hops.iter_mut().filter(|h| h.device == device) {
        hop.intact |= signs;
    }
    marked(way, mark::LISTS_READ)
}

/// Packet sockets heard what the device sends, and what it receives.
pub fn heard(way: Way, device: u16) -> Way {
    signed(way, device, sign::HEARD_OUT | sign::HEARD_IN)
}

/// No packet socket heard it.
pub fn unheard(way: Way) -> Way {
    marked(way, mark::LISTS_READ)
}

/// Copied where this led to it, on this device.
pub fn led_to(way: Way, device: u16, stack: u16) -> Way {
    Way { copy: Some(CopySeen { device: Some(device), stack: Some(stack) }), ..way }
}

/// With more marks.
pub fn marked(way: Way, marks: u32) -> Way {
    Way { marks: way.marks | marks, ..way }
}

pub fn v4(last: u8, port: u16) -> Endpoint {
    Endpoint { addr: Ipv4Addr::new(10, 0, 0, last).into(), port }
}

pub fn v6(addr: Ipv6Addr, port: u16) -> Endpoint {
    Endpoint { addr: IpAddr::V6(addr), port }
}

pub fn sniffer(inode: u64, pid: u32, comm: &str) -> Sniffer {
    Sniffer { netns: HERE, ifindex: 2, inode, pid: Some(pid), comm: Some(comm.into()) }
}

/// How a burst of sends goes.
#[derive(Clone, Copy, Debug)]
pub struct Burst {
    pub count: u32,
    pub bytes: u32,
    pub way: Way,
    pub copied: bool,
    pub more: bool,
    /// The application reads each notification; else they merge.
    pub reads: bool,
    /// From the beginning of a send to its completion, ns. The call returns 20 µs later, and the
    /// notification is read 10 µs after that.
    pub release: u64,
    /// From the beginning of a send to the device's queue, ns, and in there; `None`: the times on
    /// the way are not known.
    pub on_the_way: Option<(u64, u64)>,
    /// The call returns 5 µs after its beginning, before the completion.
    pub early: bool,
    /// Pause before the next one, ns.
    pub pause: u64,
}

impl Burst {
    pub fn of(count: u32, way: Way) -> Self {
        Self {
            count,
            bytes: 20_000,
            way,
            copied: false,
            more: false,
            reads: true,
            release: 20_000,
            on_the_way: None,
            early: false,
            pause: 0,
        }
    }

    pub fn copied(count: u32, way: Way) -> Self {
        Self { copied: true, ..Self::of(count, way) }
    }

    pub fn bytes(self, bytes: u32) -> Self {
        Self { bytes, ..self }
    }

    pub fn more(self) -> Self {
        Self { more: true, ..self }
    }

    pub fn unread(self) -> Self {
        Self { reads: false, ..self }
    }

    pub fn release(self, release: u64) -> Self {
        Self { release, ..self }
    }

    pub fn on_the_way(self, before: u64, queued: u64) -> Self {
        Self { on_the_way: Some((before, queued)), ..self }
    }

    pub fn early(self) -> Self {
        Self { early: true, ..self }
    }

    pub fn pause(self, pause: u64) -> Self {
        Self { pause, ..self }
    }
}

/// Builds a snapshot by telling events.
pub struct Scene {
    tracker: Tracker,
    now: u64,
    facts: Vec<SocketFacts>,
    next: u32,
}

/// The window starts one second after boot.
pub const START: u64 = 1_000_000_000;

impl Scene {
    /// A process with one TCP socket in zcwatch's own namespace, devices without a fault.
    pub fn new() -> Self {
        Self::with_devices(Tracker::default()).process(10, "sender").socket(|_| {})
    }

    /// The devices, and a tracker that keeps so many rows of ended sockets; no socket.
    pub fn keeping(rows: usize) -> Self {
        Self::with_devices(Tracker::keeping(rows, judge))
    }

    fn with_devices(tracker: Tracker) -> Self {
        let mut scene = Self { tracker, now: START, facts: vec![], next: 0 };
        let all = SG | HW_CSUM;
        for facts in [
            device(ETH0, HERE, "eth0", "", all),
            device(ETH1, THERE, "eth1", "", all),
            DeviceFacts { loopback: true, mtu: 65_536, ..device(LO, HERE, "lo", "", all) },
            device(VETH0, HERE, "veth0", "veth", all),
            device(VETH1, THERE, "veth1", "veth", all),
            device(TUN0, HERE, "tun0", "tun", all),
        ] {
            scene.tell(What::Device(facts));
        }
        scene
    }

    /// What the kernel of a host without zerocopy traffic tells.
    pub fn idle() -> Self {
        Self { tracker: Tracker::default(), now: START, facts: vec![], next: 0 }
    }

    fn tell(&mut self, what: What) {
        self.tracker.apply(&Event { ts: self.now, what });
    }

    pub fn process(mut self, pid: u32, comm: &str) -> Self {
        self.tell(What::Process(ProcessFacts {
            pid,
            comm: comm.into(),
            ended: false,
            parent: None,
        }));
        self
    }

    pub fn ended(mut self, pid: u32, comm: &str) -> Self {
        self.tell(What::Process(ProcessFacts {
            pid,
            comm: comm.into(),
            ended: true,
            parent: None,
        }));
        self
    }

    /// One more socket; what follows is of this one.
    pub fn socket(mut self, change: impl FnOnce(&mut SocketFacts)) -> Self {
        let id = self.facts.len() as u64 + 1;
        let mut facts = SocketFacts {
            socket: SocketId(id),
            cookie: None,
            base: 0,
            family: Family::V4,
            protocol: Protocol::Tcp,
            local: v4(4, 41_822),
            remote: Some(v4(9, 4444)),
            netns: HERE,
            inode: Some(5000 + id),
            pid: 10,
            comm: "sender".into(),
            so_zerocopy: true,
            before_watch: false,
        };
        change(&mut facts);
        self.facts.push(facts.clone());
        self.next = facts.base;
        self.tell(What::Socket(Box::new(facts)));
        self
    }

    /// The first socket as another one.
    pub fn with(mut self, change: impl FnOnce(&mut SocketFacts)) -> Self {
        change(&mut self.facts[0]);
        self.tell(What::Socket(Box::new(self.facts[0].clone())));
        self
    }

    pub fn udp(self) -> Self {
        self.with(|s| s.protocol = Protocol::Udp)
    }

    pub fn change(mut self, index: u16, change: impl FnOnce(&mut DeviceFacts)) -> Self {
        let mut facts = self.tracker.snapshot(0, 0, false).devices[&index].clone();
        change(&mut facts);
        self.tell(What::Device(facts));
        self
    }

    pub fn features(self, index: u16, features: u64) -> Self {
        self.change(index, |d| d.features = features)
    }

    pub fn sniffers(mut self, list: &[Sniffer]) -> Self {
        self.tell(What::Sniffers { list: list.to_vec(), unreadable: vec![] });
        self
    }

    pub fn tunnels(mut self, list: &[(&str, u32, &str)]) -> Self {
        let tunnel = |(device, pid, comm): &(&str, u32, &str)| Tunnel {
            device: (*device).into(),
            netns: None,
            pid: *pid,
            comm: (*comm).into(),
        };
        self.tell(What::Tunnels { list: list.iter().map(tunnel).collect() });
        self
    }

    pub fn unreadable(mut self, netns: u32) -> Self {
        self.tell(What::Sniffers { list: vec![], unreadable: vec![netns] });
        self
    }

    /// Sends, one after the other.
    pub fn sends(mut self, burst: Burst) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        for n in 0..burst.count {
            let (id, begin) = (self.next, self.now);
            self.next += 1;
            let way = match burst.on_the_way {
                Some((before, queued)) => Way {
                    first: Some(begin + before),
                    driver: Some(begin + before + queued),
                    ..burst.way
                },
                None => burst.way,
            };
            let range = Range { socket, lo: id, hi: id, copied: burst.copied, way };
            let sent = Sent {
                socket,
                id,
                id_exact: true,
                bytes: burst.bytes,
                errno: None,
                dropped: None,
                entry: Some(begin),
                pid: 10,
                tid: 11,
                fd: Some(3),
                more: burst.more,
                before: false,
            };
            let done = if !burst.reads && n > 0 { What::Merged } else { What::Started };
            let completed = begin + burst.release;
            let returned = if burst.early { begin + 5_000 } else { completed + 20_000 };
            let mut story = [(returned, What::Send(sent)), (completed, done(range))];
            story.sort_by_key(|(ts, _)| *ts);
            for (ts, what) in story {
                self.now = ts;
                self.tell(what);
            }
            self.now = completed + 30_000;
            if burst.reads {
                self.tell(What::Read(range));
            }
            self.now += burst.pause;
        }
        self
    }

    /// The application reads what has merged since this id.
    pub fn reads(mut self, lo: u32, copied: bool) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        let range = Range { socket, lo, hi: self.next - 1, copied, way: Way::default() };
        self.tell(What::Read(range));
        self
    }

    /// Two sends whose notifications are read in the other order.
    pub fn crossed(mut self, way: Way) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        let first = self.next;
        let at = |id| Range { socket, lo: id, hi: id, copied: false, way };
        self = self.in_flight(20_000).in_flight(20_000);
        for what in [What::Started, What::Read] {
            self.now += 10_000;
            self.tell(what(at(first + 1)));
            self.tell(what(at(first)));
        }
        self
    }

    /// Sends that fail below the socket, and complete all the same.
    pub fn errors(self, count: u32, errno: i32, way: Way) -> Self {
        self.dropped(count, (errno, None), way)
    }

    /// Those that something was seen dropping.
    pub fn drops(mut self, count: u32, errno: i32, reason: Option<&str>, function: &str) -> Self {
        let index = 7;
        let (reason, function) = (reason.map(str::to_owned), Some(function.to_owned()));
        self.tell(What::Drop(DropFacts { index, reason, function }));
        self.dropped(count, (errno, Some(index)), out(ETH1))
    }

    fn dropped(mut self, count: u32, (errno, dropped): SendError, way: Way) -> Self {
        for _ in 0..count {
            let id = self.next;
            self.now += 10_000;
            self = self.sent_as(0, Some(errno), dropped);
            let socket = self.facts[self.facts.len() - 1].socket;
            let range = Range { socket, lo: id, hi: id, copied: false, way };
            self.tell(What::Started(range));
            self.tell(What::Read(range));
        }
        self
    }

    /// A send that takes no id.
    pub fn fails(mut self, change: impl FnOnce(&mut FailedSend)) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        let mut failed = FailedSend {
            socket,
            errno: libc::ENOBUFS,
            pid: 10,
            tid: 11,
            fd: Some(3),
            optmem_used: 0,
            optmem_max: Some(131_072),
            memlock_used: 0,
            memlock_limit: None,
            limit: None,
        };
        change(&mut failed);
        self.tell(What::Failed(failed));
        self
    }

    pub fn limit(mut self, limits: Limits) -> Self {
        self.tell(What::Limits(limits));
        self
    }

    /// What a process sent without the flag on sockets that are not watched.
    pub fn plain(mut self, pid: u32, large: u64, fd: Option<i32>) -> Self {
        let (sends, bytes) = (large + 1000, large * 20_000);
        let plain = PlainSends { pid, sends, bytes, large, large_bytes: bytes, fd };
        self.tell(What::Plain(plain));
        self
    }

    /// The kernel's counters, of the last socket.
    pub fn counters(mut self, change: impl FnOnce(&mut Counters)) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        let mut counters =
            Counters { socket, key: self.next, so_zerocopy: true, ..Counters::default() };
        change(&mut counters);
        self.tell(What::Counters(Box::new(counters)));
        self
    }

    /// The calls that led to copies.
    pub fn stack(mut self, index: u16, calls: &[&str]) -> Self {
        let calls = calls.iter().map(|c| (*c).to_owned()).collect();
        self.tell(What::Stack(StackFacts { index, calls }));
        self
    }

    pub fn losses(mut self, losses: Losses) -> Self {
        self.tell(What::Losses(losses));
        self
    }

    pub fn io_uring(mut self, pid: u32, fd: i32, requests: u64) -> Self {
        self.tell(What::IoUring { pid, fd, requests });
        self
    }

    pub fn closed(mut self) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        self.tell(What::Closed { socket });
        self
    }

    /// A send that has not completed.
    pub fn in_flight(self, bytes: u32) -> Self {
        self.sent_with(bytes, None)
    }

    fn sent_with(self, bytes: u32, errno: Option<i32>) -> Self {
        self.sent_as(bytes, errno, None)
    }

    fn sent_as(mut self, bytes: u32, errno: Option<i32>, dropped: Option<u16>) -> Self {
        let socket = self.facts[self.facts.len() - 1].socket;
        let sent = Sent {
            socket,
            id: self.next,
            id_exact: true,
            bytes,
            errno,
            dropped,
            entry: Some(self.now),
            pid: 10,
            tid: 11,
            fd: Some(3),
            more: false,
            before: false,
        };
        self.next += 1;
        self.tell(What::Send(sent));
        self
    }

    /// Time passes, ns.
    pub fn wait(mut self, ns: u64) -> Self {
        self.now += ns;
        self
    }

    /// What is known at the end.
    pub fn snapshot(mut self) -> Snapshot {
        self.tracker.snapshot(START, self.now.max(START + LATE), true)
    }
}

fn device(index: u16, netns: u32, name: &str, kind: &str, features: u64) -> DeviceFacts {
    DeviceFacts {
        index,
        ifindex: u32::from(index) + 1,
        netns,
        name: name.into(),
        kind: kind.into(),
        mtu: 1500,
        features,
        loopback: false,
        peer_xdp: Some(false),
        heard: Some(false),
    }
}
