//! How each path is laid.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::{
    Key, LabError, Layout, Netns, Topology, Tunnel, TunnelKind, VethEnd, WireguardEnd, add_address,
    add_esp_policy, add_esp_state, add_neighbour, add_route,
    cable::{MTU, Port, address, connect, families, ip, mac, plug, prefix_length},
    create_bridge, create_ifb, create_macvlan, create_vxlan, create_wireguard, forward,
    layout::{BARE, CLIENT, FAR, INNER, PEER, Place, ROUTER},
    route::wait_local,
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
            Layout::Wireguard => self.connect_by_wireguard(),
            Layout::Ipsec => self.connect_by_ipsec(),
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

    fn connect_by_wireguard(&mut self) -> Result<(), LabError> {
        self.connect_directly()?;
        let end = |netns, at, keys| {
            let endpoint = SocketAddrV4::new(v4(at), WIREGUARD_PORT);
            WireguardEnd { netns, device: "wg0", keys, endpoint }
        };
        let near = end(&self.client, CLIENT, (&KEYS[0].0, &KEYS[0].1));
        let far = end(self.server(), PEER, (&KEYS[1].0, &KEYS[1].1));
        create_wireguard(near, far)?;
        create_wireguard(far, near)?;
        for (end, (network, host)) in [(near, INNER[0]), (far, INNER[1])] {
            for &family in families() {
                let address = ip(family, network, host);
                add_address(end.netns, end.device, address, prefix_length(family))?;
                wait_local(end.netns, address)?;
            }
        }
        Ok(())
    }

    fn connect_by_ipsec(&mut self) -> Result<(), LabError> {
        self.connect_directly()?;
        for &family in families() {
            let [client, server] = [CLIENT, PEER].map(|(network, host)| ip(family, network, host));
            for (netns, from, to) in
                [(&self.client, client, server), (self.server(), server, client)]
            {
                add_esp_state(netns, from, to)?;
                add_esp_state(netns, to, from)?;
                add_esp_policy(netns, from, to)?;
            }
        }
        Ok(())
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

/// The port that the tool's documentation uses.
const WIREGUARD_PORT: u16 = 51_820;

/// The private and public keys of RFC 7748, section 6.1.
const KEYS: [(Key, Key); 2] = [
    (
        [
            0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2,
            0x66, 0x45, 0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5,
            0x1d, 0xb9, 0x2c, 0x2a,
        ],
        [
            0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e,
            0xf7, 0x5a, 0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e,
            0xaa, 0x9b, 0x4e, 0x6a,
        ],
    ),
    (
        [
            0x5d, 0xab, 0x08, 0x7e, 0x62, 0x4a, 0x8a, 0x4b, 0x79, 0xe1, 0x7f, 0x8b, 0x83, 0x80,
            0x0e, 0xe6, 0x6f, 0x3b, 0xb1, 0x29, 0x26, 0x18, 0xb6, 0xfd, 0x1c, 0x2f, 0x8b, 0x27,
            0xff, 0x88, 0xe0, 0xeb,
        ],
        [
            0xde, 0x9e, 0xdb, 0x7d, 0x7b, 0x7d, 0xc1, 0xb4, 0xd3, 0x5b, 0x61, 0xc2, 0xec, 0xe4,
            0x35, 0x37, 0x3f, 0x83, 0x43, 0xc8, 0x5b, 0x78, 0x67, 0x4d, 0xad, 0xfc, 0x7e, 0x14,
            0x6f, 0x88, 0x2b, 0x4f,
        ],
    ),
];

fn port<'a>(netns: &'a Netns, device: &'a str, (network, host): Place) -> Port<'a> {
    Port::new(netns, device, network, host)
}

fn bare<'a>(netns: &'a Netns, device: &'a str, (network, host): Place) -> VethEnd<'a> {
    VethEnd { netns, device, mac: mac(network, host) }
}

fn v4((network, host): Place) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, network, host)
}
