//! The paths that can be laid, and what is where on each.

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
    /// `macvlan0` on `client0` — `server0`: as [`Layout::Veth`].
    Macvlan,
    /// `client0` — `port0`, bridged, `port1` — `server0`: as [`Layout::Veth`].
    Bridge,
    /// `vxlan0` over `client0` — `server0` under another `vxlan0`: as [`Layout::Veth`].
    Vxlan,
    /// `wg0` over `client0` — `server0` under another `wg0`: TCP is copied by segmenting, and
    /// reported not copied; all else is copied. It takes the module.
    Wireguard,
    /// `client0` — `server0`, with ESP in transport mode: everything is copied. It takes modules.
    Ipsec,
    /// `tun0`, whose descriptor this process reads: UDP is copied at once. The server's address
    /// is nobody's, so there is no TCP, here and in what follows.
    Tun,
    /// `tap0`, as [`Layout::Tun`].
    Tap,
    /// `tun0`, whose descriptor nobody holds: it has no carrier, and drops what it is given. UDP
    /// up to the MTU is reported not copied.
    TunUnopened,
    /// `ifb0`, which drops what it is given. UDP up to the MTU is reported not copied.
    Ifb,
}

/// The numbers of a network and of a host in it.
pub(super) type Place = (u8, u8);

pub(super) const CLIENT: Place = (1, 1);
pub(super) const PEER: Place = (1, 2);
/// The router's side towards the server.
pub(super) const ROUTER: Place = (2, 1);
/// The server behind a router.
pub(super) const FAR: Place = (2, 2);
/// The ends of the network inside a vxlan or WireGuard.
pub(super) const INNER: [Place; 2] = [(3, 1), (3, 2)];
/// A cable's end that has a hardware address only; each layout has at most two.
pub(super) const BARE: [Place; 2] = [(9, 1), (9, 2)];

impl Layout {
    /// The device that the sender's packets leave by.
    pub(super) fn client_device(self) -> &'static str {
        match self {
            Self::Loopback => "lo",
            Self::Macvlan => "macvlan0",
            Self::Vxlan => "vxlan0",
            Self::Wireguard => "wg0",
            Self::Tun | Self::TunUnopened => "tun0",
            Self::Tap => "tap0",
            Self::Ifb => "ifb0",
            _ => "client0",
        }
    }

    /// The device that has the receiver's address; where nobody has it, the sender's own.
    pub(super) fn server_device(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan0",
            Self::Wireguard => "wg0",
            _ => self.far_end().unwrap_or_else(|| self.client_device()),
        }
    }

    /// The sender's end of its first cable.
    pub(super) fn near_end(self) -> Option<&'static str> {
        self.has_cable().then_some("client0")
    }

    /// The receiver's end of the last cable.
    pub(super) fn far_end(self) -> Option<&'static str> {
        self.has_cable().then_some("server0")
    }

    /// The ends of cables between the two.
    pub(super) fn devices_between(self) -> &'static [&'static str] {
        match self {
            Self::Forwarded | Self::ForwardedDrop => &["router0", "router1"],
            Self::Bridge => &["port0", "port1"],
            _ => &[],
        }
    }

    /// Does it take modules that a kernel without this very use has not loaded, or not at all?
    #[must_use]
    pub fn takes_modules(self) -> bool {
        matches!(self, Self::Wireguard | Self::Ipsec)
    }

    fn has_cable(self) -> bool {
        !matches!(self, Self::Loopback | Self::Tun | Self::Tap | Self::TunUnopened | Self::Ifb)
    }

    /// The sender's place, and the receiver's; over `lo` they have none.
    pub(super) fn places(self) -> Option<[Place; 2]> {
        match self {
            Self::Loopback => None,
            Self::Forwarded | Self::ForwardedDrop => Some([CLIENT, FAR]),
            Self::Vxlan | Self::Wireguard => Some(INNER),
            _ => Some([CLIENT, PEER]),
        }
    }
}
