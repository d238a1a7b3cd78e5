//! Ready-made paths between a client and a server.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{
    Attachment, Direction, Family, LabError, Netns, Reading, TcpSink, UdpSink, add_route,
    cable::{Port, connect, families, ip, prefix_length},
    forward,
};

/// A path whose zerocopy behaviour is known. What is said here of completions was measured on
/// 6.18, with a client that reads its error queue after every send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Layout {
    /// One namespace, over `lo`: every send is copied on delivery.
    Loopback,
    /// `client0` — `server0`: every send is copied on delivery.
    Veth,
    /// `client0` — `server0` with native XDP there: nothing is reported copied but UDP above
    /// the MTU, yet veth itself copied each payload.
    VethXdp,
    /// `client0` — `router0`, forwarded, `router1` — `server0`: copied on delivery.
    Forwarded,
    /// As [`Layout::Forwarded`], but `server0` drops what arrives at its clsact ingress: UDP
    /// is truly not copied. Nothing gets through to the server, so there is no TCP.
    ForwardedDrop,
}

const CLIENT: (u8, u8) = (1, 1);
const PEER: (u8, u8) = (1, 2);
const ROUTER: (u8, u8) = (2, 1);
const FAR: (u8, u8) = (2, 2);

/// A path, with everything it is made of; all goes on drop.
#[derive(Debug)]
pub struct Topology {
    layout: Layout,
    // Before the namespaces: a program is detached inside its own.
    programs: Vec<Attachment>,
    client: Netns,
    router: Option<Netns>,
    server: Option<Netns>,
}

impl Topology {
    /// Lays the path, and waits until it carries packets.
    ///
    /// # Errors
    /// Those of its steps: it needs root, or CAP_SYS_ADMIN, CAP_NET_ADMIN and, for the two
    /// layouts with programs, CAP_BPF.
    pub fn new(layout: Layout) -> Result<Self, LabError> {
        let client = Netns::new()?;
        let mut topology =
            Self { layout, programs: Vec::new(), client, router: None, server: None };
        match layout {
            Layout::Loopback => {}
            Layout::Veth | Layout::VethXdp => topology.connect_directly()?,
            Layout::Forwarded | Layout::ForwardedDrop => topology.connect_by_router()?,
        }
        Ok(topology)
    }

    fn connect_directly(&mut self) -> Result<(), LabError> {
        let server = Netns::new()?;
        let (a, b) = (
            Port::new(&self.client, "client0", CLIENT.0, CLIENT.1),
            Port::new(&server, "server0", PEER.0, PEER.1),
        );
        connect(a, b)?;
        if self.layout == Layout::VethXdp {
            self.programs.push(Attachment::xdp_pass(&server, "server0")?);
        }
        self.server = Some(server);
        Ok(())
    }

    fn connect_by_router(&mut self) -> Result<(), LabError> {
        let (router, server) = (Netns::new()?, Netns::new()?);
        let near = Port::new(&self.client, "client0", CLIENT.0, CLIENT.1);
        let router0 = Port::new(&router, "router0", PEER.0, PEER.1);
        let router1 = Port::new(&router, "router1", ROUTER.0, ROUTER.1);
        let far = Port::new(&server, "server0", FAR.0, FAR.1);
        connect(near, router0)?;
        connect(router1, far)?;
        forward(&router)?;
        for &family in families() {
            let length = prefix_length(family);
            add_route(&self.client, ip(family, FAR.0, 0), length, router0.ip(family))?;
            add_route(&server, ip(family, CLIENT.0, 0), length, router1.ip(family))?;
        }
        if self.layout == Layout::ForwardedDrop {
            self.programs.push(Attachment::tc_drop(&server, "server0", Direction::Ingress)?);
        }
        self.router = Some(router);
        self.server = Some(server);
        Ok(())
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

    /// The receiver's namespace; over loopback the sender's own.
    #[must_use]
    pub fn server(&self) -> &Netns {
        self.server.as_ref().unwrap_or(&self.client)
    }

    /// The namespace between them, where there is one.
    #[must_use]
    pub fn router(&self) -> Option<&Netns> {
        self.router.as_ref()
    }

    /// The device that the sender's packets leave by.
    #[must_use]
    pub fn client_device(&self) -> &'static str {
        if self.layout == Layout::Loopback { "lo" } else { "client0" }
    }

    /// The device that the receiver's packets arrive on.
    #[must_use]
    pub fn server_device(&self) -> &'static str {
        if self.layout == Layout::Loopback { "lo" } else { "server0" }
    }

    /// The sender's address.
    #[must_use]
    pub fn client_ip(&self, family: Family) -> IpAddr {
        match self.layout {
            Layout::Loopback => loopback(family),
            _ => ip(family, CLIENT.0, CLIENT.1),
        }
    }

    /// The receiver's address.
    #[must_use]
    pub fn server_ip(&self, family: Family) -> IpAddr {
        match self.layout {
            Layout::Loopback => loopback(family),
            Layout::Veth | Layout::VethXdp => ip(family, PEER.0, PEER.1),
            Layout::Forwarded | Layout::ForwardedDrop => ip(family, FAR.0, FAR.1),
        }
    }

    /// The router's address towards the sender, where there is a router: what goes to it is
    /// delivered there, and so copied.
    #[must_use]
    pub fn router_ip(&self, family: Family) -> Option<IpAddr> {
        self.router.as_ref().map(|_| ip(family, PEER.0, PEER.1))
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
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::LOCALHOST.into(),
        Family::V6 => Ipv6Addr::LOCALHOST.into(),
    }
}
