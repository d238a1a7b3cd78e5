//! How each path is laid.

use std::net::Ipv4Addr;

use super::{
    LabError, Layout, Netns, Topology, Tunnel, TunnelKind, VethEnd, add_address, add_neighbour,
    add_route,
    cable::{MTU, Port, address, connect, families, ip, mac, plug, prefix_length},
    create_bridge, create_ifb, create_macvlan, create_vxlan, forward,
    layout::{BARE, CLIENT, FAR, INNER, PEER, Place, ROUTER},
    wait_operational,
};

impl Topology {
    pub(super) fn lay(&mut self) -> Result<(), LabError> {
        match self.layout {
            Layout::Loopback => Ok(()),
            Layout::Veth | Layout::VethXdp => self.connect_directly(),
            Layout::Forwarded | Layout::ForwardedDrop => self.connect_by_router(),
            Layout::Macvlan => self.connect_by_macvlan(),
            Layout::Bridge => self.connect_by_bridge(),
            Layout::Vxlan => self.connect_by_vxlan(),
            Layout::Tun => self.tunnel(TunnelKind::Packets),
            Layout::Tap => self.tunnel(TunnelKind::Frames),
            Layout::TunUnopened => {
                Tunnel::unopened(&self.client, "tun0", TunnelKind::Packets)?;
                self.pretend_peer()
            }
            Layout::Ifb => {
                create_ifb(&self.client, "ifb0")?;
                self.pretend_peer()
            }
        }
    }

    fn connect_directly(&mut self) -> Result<(), LabError> {
        let server = Netns::new()?;
        connect(port(&self.client, "client0", CLIENT), port(&server, "server0", PEER))?;
        self.server = Some(server);
        Ok(())
    }

    fn connect_by_router(&mut self) -> Result<(), LabError> {
        let (router, server) = (Netns::new()?, Netns::new()?);
        let near = port(&self.client, "client0", CLIENT);
        let router0 = port(&router, "router0", PEER);
        let router1 = port(&router, "router1", ROUTER);
        let far = port(&server, "server0", FAR);
        connect(near, router0)?;
        connect(router1, far)?;
        forward(&router)?;
        for &family in families() {
            let length = prefix_length(family);
            add_route(&self.client, ip(family, FAR.0, 0), length, router0.ip(family))?;
            add_route(&server, ip(family, CLIENT.0, 0), length, router1.ip(family))?;
        }
        self.between = Some(router);
        self.server = Some(server);
        Ok(())
    }

    fn connect_by_macvlan(&mut self) -> Result<(), LabError> {
        let server = Netns::new()?;
        let near = port(&self.client, "macvlan0", CLIENT);
        let far = port(&server, "server0", PEER);
        plug(bare(&self.client, "client0", BARE[0]), far.end)?;
        create_macvlan(&self.client, "macvlan0", "client0", near.end.mac, MTU)?;
        wait_operational(&self.client, "macvlan0")?;
        address(near, far)?;
        address(far, near)?;
        self.server = Some(server);
        Ok(())
    }

    fn connect_by_bridge(&mut self) -> Result<(), LabError> {
        let (between, server) = (Netns::new()?, Netns::new()?);
        let near = port(&self.client, "client0", CLIENT);
        let far = port(&server, "server0", PEER);
        plug(near.end, bare(&between, "port0", BARE[0]))?;
        plug(bare(&between, "port1", BARE[1]), far.end)?;
        create_bridge(&between, "bridge0", &["port0", "port1"])?;
        address(near, far)?;
        address(far, near)?;
        self.between = Some(between);
        self.server = Some(server);
        Ok(())
    }

    fn connect_by_vxlan(&mut self) -> Result<(), LabError> {
        self.connect_directly()?;
        let server = self.server();
        let [near, far] =
            [port(&self.client, "vxlan0", INNER[0]), port(server, "vxlan0", INNER[1])];
        for (this, lower, from, to) in
            [(near, "client0", CLIENT, PEER), (far, "server0", PEER, CLIENT)]
        {
            let VethEnd { netns, device, mac } = this.end;
            create_vxlan(netns, device, lower, (v4(from), v4(to)), mac)?;
        }
        address(near, far)?;
        address(far, near)
    }

    fn tunnel(&mut self, kind: TunnelKind) -> Result<(), LabError> {
        let mut tunnel = Tunnel::open(&self.client, self.layout.client_device(), kind)?;
        tunnel.read()?;
        self.tunnel = Some(tunnel);
        self.pretend_peer()
    }

    /// Addresses for a device with nobody behind it, and a neighbour to send to.
    fn pretend_peer(&self) -> Result<(), LabError> {
        let device = self.layout.client_device();
        for &family in families() {
            let length = prefix_length(family);
            add_address(&self.client, device, ip(family, CLIENT.0, CLIENT.1), length)?;
            // A tun has no hardware addresses, and so no neighbours.
            if !matches!(self.layout, Layout::Tun | Layout::TunUnopened) {
                let peer = ip(family, PEER.0, PEER.1);
                add_neighbour(&self.client, device, peer, mac(PEER.0, PEER.1))?;
            }
        }
        Ok(())
    }
}

fn port<'a>(netns: &'a Netns, device: &'a str, (network, host): Place) -> Port<'a> {
    Port::new(netns, device, network, host)
}

fn bare<'a>(netns: &'a Netns, device: &'a str, (network, host): Place) -> VethEnd<'a> {
    VethEnd { netns, device, mac: mac(network, host) }
}

fn v4((network, host): Place) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, network, host)
}
