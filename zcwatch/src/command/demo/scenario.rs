//! The scenarios: which path, which traffic, and what they show.

use crate::lab::{Layout, sender::Protocol};

/// One scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub name: &'static str,
    /// One sentence.
    pub shows: &'static str,
    pub layout: Layout,
    pub protocol: Protocol,
    /// Bytes a send.
    pub size: usize,
    /// A packet socket listens on the sender's devices.
    pub sniffer: bool,
}

/// Datagrams of the demo's size must fit.
pub(super) const MTU: u32 = 65_535;

/// All of them; the first is the default.
pub(super) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "loopback",
        shows: "TCP to a receiver on the same host: every send is copied when it is delivered",
        layout: Layout::Loopback,
        protocol: Protocol::Tcp,
        size: 16 << 10,
        sniffer: false,
    },
    Scenario {
        name: "veth",
        shows: "TCP to a container: the other end of a veth is this host too",
        layout: Layout::Veth,
        protocol: Protocol::Tcp,
        size: 16 << 10,
        sniffer: false,
    },
    Scenario {
        name: "tap",
        shows: "a packet socket listens on the sender's device, like tcpdump; without it nothing \
                would be copied (see: demo zerocopy)",
        layout: Layout::ForwardedDrop,
        protocol: Protocol::Udp,
        size: 16 << 10,
        sniffer: true,
    },
    Scenario {
        name: "zerocopy",
        shows: "UDP through a forwarding namespace, dropped at the end: nothing is copied",
        layout: Layout::ForwardedDrop,
        protocol: Protocol::Udp,
        size: 16 << 10,
        sniffer: false,
    },
    Scenario {
        name: "veth-xdp",
        shows: "TCP over a veth whose peer runs native XDP: reported zero-copy, and yet copied",
        layout: Layout::VethXdp,
        protocol: Protocol::Tcp,
        size: 16 << 10,
        sniffer: false,
    },
];

impl Scenario {
    /// Looks one up.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        SCENARIOS.iter().find(|s| s.name == name).ok_or_else(|| {
            let names: Vec<_> = SCENARIOS.iter().map(|s| s.name).collect();
            format!("there is no demo {name:?}; there are {}", names.join(", "))
        })
    }
}
