//! Ready-made paths between a client and a server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Attachment, Direction, Family, LabError, Layout, Netns, Reading, TcpSink, Tunnel, UdpSink,
    cable::ip,
    layout::{PEER, Place},
};

/// A path, with everything it is made of; all goes on drop.
#[derive(Debug)]
pub struct Topology {
    pub(super) layout: Layout,
    // Before the namespaces: a program is detached inside its own.
    pub(super) programs: Vec<Attachment>,
    pub(super) tunnel: Option<Tunnel>,
    pub(super) client: Netns,
    pub(super) between: Option<Netns>,
    pub(super) server: Option<Netns>,
}

impl Topology {
    /// Lays the path, and waits until it carries packets.
    ///
    /// # Errors
    /// Those of its steps: it needs root, or CAP_SYS_ADMIN, CAP_NET_ADMIN and, for the two
    /// layouts with programs, CAP_BPF.
    pub fn new(layout: Layout) -> Result<Self, LabError> {
        let mut topology = Self {
            layout,
            programs: Vec::new(),
            tunnel: None,
            client: Netns::new()?,
            between: None,
            server: None,
        };
        topology.lay()?;
        match (layout, &topology.server) {
            (Layout::VethXdp, Some(server)) => {
                topology.programs.push(Attachment::xdp_pass(server, "server0")?);
            }
            (Layout::ForwardedDrop, Some(server)) => {
                let drop = Attachment::tc_drop(server, "server0", Direction::Ingress)?;
                topology.programs.push(drop);
            }
            _ => {}
        }
        Ok(topology)
    }

    /// The path.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The sender's namespace.
    #[must_use]
    pub fn client(&self) -> &Netns {
        &self.client
    }

    /// The receiver's namespace; where there is no other, the sender's own.
    #[must_use]
    pub fn server(&self) -> &Netns {
        self.server.as_ref().unwrap_or(&self.client)
    }

    /// The namespace between them, where there is one.
    #[must_use]
    pub fn router(&self) -> Option<&Netns> {
        self.between.as_ref()
    }

    /// The device that the sender's packets leave by.
    #[must_use]
    pub fn client_device(&self) -> &'static str {
        self.layout.client_device()
    }

    /// The device that has the receiver's address; where nobody has it, the sender's own.
    #[must_use]
    pub fn server_device(&self) -> &'static str {
        self.layout.server_device()
    }

    /// The sender's end of its first cable, where there is one: the device below
    /// [`Topology::client_device`], or that one.
    #[must_use]
    pub fn near_end(&self) -> Option<&'static str> {
        self.layout.near_end()
    }

    /// The receiver's end of the last cable, where there is one.
    #[must_use]
    pub fn far_end(&self) -> Option<&'static str> {
        self.layout.far_end()
    }

    /// The sender's address.
    #[must_use]
    pub fn client_ip(&self, family: Family) -> IpAddr {
        self.layout.places().map_or_else(|| loopback(family), |[client, _]| at(family, client))
    }

    /// The receiver's address. Where nobody receives, packets to it leave all the same.
    #[must_use]
    pub fn server_ip(&self, family: Family) -> IpAddr {
        self.layout.places().map_or_else(|| loopback(family), |[_, server]| at(family, server))
    }

    /// The router's address towards the sender, where there is a router: what goes to it is
    /// delivered there, and so copied.
    #[must_use]
    pub fn router_ip(&self, family: Family) -> Option<IpAddr> {
        let routed = matches!(self.layout, Layout::Forwarded | Layout::ForwardedDrop);
        routed.then(|| at(family, PEER))
    }

    /// An address of the sender's network that nobody answers for; not over `lo`, where all do.
    #[must_use]
    pub fn nobody_ip(&self, family: Family) -> Option<IpAddr> {
        self.layout.places().map(|[(network, _), _]| ip(family, network, 77))
    }

    /// The ids of the packet programs on the way.
    #[must_use]
    pub fn program_ids(&self) -> Vec<u32> {
        self.programs.iter().map(Attachment::program_id).collect()
    }

    /// Lets through what the far end drops, from now on.
    pub fn stop_dropping(&mut self) {
        if self.layout == Layout::ForwardedDrop {
            self.programs.clear();
            self.layout = Layout::Forwarded;
        }
    }

    /// Whether somebody has the receiver's address.
    #[must_use]
    pub fn has_receiver(&self) -> bool {
        self.layout == Layout::Loopback || self.far_end().is_some()
    }

    /// A TCP sink at the receiver, on a port that the kernel chooses.
    ///
    /// # Errors
    /// As [`TcpSink::start`].
    pub fn tcp_sink(&self, family: Family) -> Result<TcpSink, LabError> {
        let address = SocketAddr::new(self.server_ip(family), 0);
        TcpSink::start(self.server(), address, Reading::Yes)
    }

    /// A UDP sink at the receiver, on a port that the kernel chooses.
    ///
    /// # Errors
    /// As [`UdpSink::start`].
    pub fn udp_sink(&self, family: Family) -> Result<UdpSink, LabError> {
        UdpSink::start(self.server(), SocketAddr::new(self.server_ip(family), 0))
    }

    /// The receiver's address at a port that nobody has: discard.
    #[must_use]
    pub fn closed_port(&self, family: Family) -> SocketAddr {
        SocketAddr::new(self.server_ip(family), 9)
    }
}

fn at(family: Family, (network, host): Place) -> IpAddr {
    ip(family, network, host)
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    }
}
