//! Each line as it is printed.

mod around;
mod order;
mod sends;

use zcwatch_common::{MAX_HOPS, mark, stage};

use super::{Clock, Options, Teller};
use crate::{
    event::{
        DeviceFacts, Endpoint, Event, Family, Hop, ProcessFacts, Protocol, Range, Sent,
        SocketFacts, SocketId, Way, What,
    },
    output::style::Style,
    recording::{Header, tests::every},
    tracker::socket::LATE,
};

const TCP: SocketId = SocketId(1);
const UDP: SocketId = SocketId(2);
const ETH0: u16 = 1;
const START: u64 = 1_000_000_000;

/// Features without a fault: NETIF_F_SG and NETIF_F_HW_CSUM.
const ALL: u64 = 1 | 8;

/// The start of the window, plus so many µs.
fn at(us: u64) -> u64 {
    START + us * 1000
}

fn header() -> Header {
    Header { start_boot_ns: START, ..every::header("a") }
}

fn plain() -> Options {
    let style = Style { colour: false, unicode: true };
    Options { style, clock: Clock::Relative, min_latency: None }
}

/// A watch of a sender with a TCP and a UDP socket, behind eth0.
struct Watch(Teller);

impl Watch {
    fn new(options: Options) -> Self {
        let mut this = Self(Teller::new(options, &header()));
        this.tell(0, What::Process(process(10, "sender")));
        this.tell(0, What::Device(eth0()));
        this.tell(0, What::Socket(Box::new(socket(TCP))));
        this.tell(0, What::Socket(Box::new(socket(UDP))));
        this.0.lines(Some(at(0) + 10 * LATE));
        this
    }

    fn tell(&mut self, us: u64, what: What) {
        self.0.take(&Event { ts: at(us), what });
    }

    /// All that is said from here to the end, without the columns in front.
    fn said(mut self) -> Vec<String> {
        self.0.last_lines().into_iter().map(|l| l.text).collect()
    }
}

/// What one event says.
fn says(what: What) -> Vec<String> {
    let mut watch = Watch::new(plain());
    watch.tell(5, what);
    watch.said()
}

fn process(pid: u32, comm: &str) -> ProcessFacts {
    ProcessFacts { pid, comm: comm.into(), ended: false, parent: None }
}

fn eth0() -> DeviceFacts {
    DeviceFacts {
        index: ETH0,
        ifindex: 2,
        netns: 7,
        name: "eth0".into(),
        kind: String::new(),
        mtu: 1500,
        features: ALL,
        loopback: false,
        peer_xdp: Some(false),
        heard: Some(false),
    }
}

fn socket(id: SocketId) -> SocketFacts {
    let endpoint = |text: &str, port| Endpoint { addr: text.parse().unwrap(), port };
    let (protocol, local, remote) = if id == UDP {
        (Protocol::Udp, endpoint("0.0.0.0", 9000), None)
    } else {
        (Protocol::Tcp, endpoint("10.0.0.4", 41822), Some(endpoint("10.0.0.9", 4444)))
    };
    SocketFacts {
        socket: id,
        cookie: None,
        base: 0,
        family: Family::V4,
        protocol,
        local,
        remote,
        netns: 7,
        inode: None,
        pid: 10,
        comm: "sender".into(),
        so_zerocopy: true,
        before_watch: false,
    }
}

fn sent(socket: SocketId, id: u32) -> Sent {
    Sent {
        socket,
        id,
        id_exact: true,
        bytes: 16384,
        errno: None,
        dropped: None,
        entry: None,
        pid: 10,
        tid: 10,
        fd: Some(5),
        more: false,
        before: false,
    }
}

/// Bits of a hop by eth0.
const OUT: u8 = stage::QUEUE | stage::XMIT;
const IN: u8 = stage::RECEIVE;

fn way(intact: u8, copied: u8, marks: u32) -> Way {
    let mut hops = [Hop::default(); MAX_HOPS];
    hops[0] = Hop { device: ETH0, intact, copied };
    Way { first: Some(at(10)), driver: None, hops, marks, copy: None }
}

fn range(socket: SocketId, id: u32, way: Way, copied: bool) -> Range {
    Range { socket, lo: id, hi: id, copied, way }
}

/// The device is known to have no listeners.
const NOT_HEARD: u32 = mark::LISTS_READ;
