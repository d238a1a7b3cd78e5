//! A laboratory of network namespaces: paths whose zerocopy behaviour is known, and senders
//! that keep their own truth. `zcwatch demo` shows it, and the scenario tests are held to it.
//!
//! Everything is made by netlink, ioctl and raw sockets, so no `ip`, `tc`, `ethtool` or
//! `tcpdump` is needed. The namespaces have no name and nothing is mounted or pinned: they
//! live in file descriptors, and die with the process however it ends.

mod cable;
mod device;
mod error;
mod feature;
mod ifreq;
mod ipsec;
mod lay;
mod layout;
mod link;
mod netlink;
mod netns;
mod poll;
mod program;
mod qdisc;
mod route;
pub mod sender;
mod sink;
mod sniffer;
mod sockopt;
mod topology;
mod tunnel;
mod tweak;
mod wireguard;
mod worker;

pub use cable::Family;
pub use device::{create_bridge, create_ifb, create_macvlan, create_vxlan};
pub use error::LabError;
pub use feature::{Feature, set_feature};
pub use ipsec::{add_esp_policy, add_esp_state};
pub use layout::Layout;
pub use link::{
    Mac, VethEnd, add_address, create_veth, remove, rename, set_down, set_mtu, set_up,
    wait_no_carrier, wait_operational,
};
pub use netns::Netns;
pub use program::{Attachment, Direction};
pub use qdisc::{limit_rate, redirect};
pub use route::{add_neighbour, add_route, forward};
pub use sink::{Reading, TcpSink, UdpSink};
pub use sniffer::{Sniffer, set_comm};
pub use topology::Topology;
pub use tunnel::{Tunnel, TunnelKind};
pub use tweak::{End, Tweak};
pub use wireguard::{Key, WireguardEnd, create_wireguard};
