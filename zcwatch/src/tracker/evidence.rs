//! What the way of a uarg says about its copy: the last place where it was still the sender's
//! pages, and the first where it was not. Evidence only; causes are made of it by the diagnosis.

use serde::{Deserialize, Serialize};
use zcwatch_common::{mark, sign, stage};

use super::Devices;
use crate::{
    event::{CopySeen, Family, Hop, Protocol, SocketFacts, Stage, Way},
    sums::add,
};

/// `NETIF_F_SG` (include/linux/netdev_features.h, all versions).
const SG: u64 = 1 << 0;

/// What of [`Hop::intact`] and [`Hop::copied`] are places, and not [`sign`]s.
const STAGES: u8 = stage::QUEUE | stage::XMIT | stage::RECEIVE;

/// Was a packet seen on this device, and not only segmented for it?
fn seen(hop: &Hop) -> bool {
    hop.device != 0 && (hop.intact == 0 || (hop.intact | hop.copied) & STAGES != 0)
}

/// A place on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Spot {
    /// The device's number.
    pub device: u16,
    /// The tracepoint.
    pub stage: Stage,
}

/// Between which places a send was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "where", rename_all = "snake_case")]
pub enum Place {
    /// It was copied before its first packet was seen on the device.
    AtSend {
        /// The device it was first seen on.
        device: u16,
    },
    /// Intact at the one, copied at the other.
    Between {
        /// Last intact.
        intact: Spot,
        /// First copied.
        copied: Spot,
    },
    /// Intact wherever it was seen, last here; copied afterwards.
    After {
        /// Last intact.
        intact: Spot,
    },
    /// No packet of it was seen.
    Unseen,
    /// Not copied as far as the completion knows, but it took a way that copies.
    Hidden {
        /// Where.
        device: u16,
        /// How.
        how: HiddenWay,
        /// It was seen being copied.
        measured: bool,
    },
}

/// A way that copies, and is reported as zero-copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HiddenWay {
    /// Software segmentation on a device without scatter-gather (`skb_segment`).
    GsoWithoutSg,
    /// Native XDP on the receiving veth (`skb_pp_cow_data`).
    VethPeerXdp,
    /// Generic XDP on a device of this host that received it (`skb_pp_cow_data`).
    GenericXdp,
}

/// What is known of one send's copy. Sends with equal evidence are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Evidence {
    /// Where.
    pub place: Place,
    /// The datagram was larger than the device's MTU; `None`: its size is not known.
    pub over_mtu: Option<bool>,
    /// MSG_MORE was passed, or more than one send is in the datagram.
    pub corked: bool,
    /// Packet sockets heard the device of the last intact place; `None`: their lists cannot be
    /// read here.
    pub heard: Option<bool>,
    /// It was queued there as a GSO packet.
    pub gso: bool,
    /// A tc program is at the ingress of the device that received it last.
    pub filtered: bool,
    /// Its sender wants the packet back with its TX timestamp.
    pub timestamped: bool,
    /// An IPv6 datagram with extension headers.
    pub extended: bool,
    /// A datagram inside ESP.
    pub esp: bool,
    /// The copy itself, where it was seen being made.
    pub copy: Option<CopySeen>,
    /// The features of the place's device at the time, `netdev_features_t`; `None`: not known.
    pub features: Option<u64>,
}

/// Sends with one evidence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// How many.
    pub sends: u64,
    /// Their bytes, as far as known.
    pub bytes: u64,
    /// When the first and the last of them completed, ns since boot; `None`: not known.
    pub span: Option<(u64, u64)>,
}

impl Group {
    /// Adds one more.
    pub fn add(&mut self, bytes: u32, done: Option<u64>) {
        self.add_sends(1);
        add(&mut self.bytes, bytes.into());
        let span = done.map(|ts| (ts, ts));
        self.span = join(self.span, span);
    }

    /// Adds another one's.
    pub fn merge(&mut self, other: &Self) {
        self.add_sends(other.sends);
        add(&mut self.bytes, other.bytes);
        self.span = join(self.span, other.span);
    }

    /// Adds some of which nothing else is known.
    pub(super) fn add_sends(&mut self, n: u64) {
        add(&mut self.sends, n);
    }
}

fn join(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, None) | (None, one) => one,
    }
}

/// What is known of the send itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// Bytes.
    pub bytes: u32,
    /// MSG_MORE.
    pub more: bool,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The descriptor.
    pub fd: Option<i32>,
    /// The call failed with this errno, and kept its id.
    pub errno: Option<i32>,
}

/// Where a completed send was copied, and what may change about that device, as it was then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    place: Place,
    /// MTU, bytes.
    mtu: Option<u32>,
    /// `netdev_features_t`.
    features: Option<u64>,
}

impl Sight {
    /// What a way says by these devices; `None` where there is nothing to explain.
    #[must_use]
    pub fn of(way: &Way, copied: bool, devices: &Devices) -> Option<Self> {
        let place = if copied { Place::of(way) } else { Place::hidden(way, devices)? };
        let device = place.device().and_then(|d| devices.get(&d));
        Some(Self { place, mtu: device.map(|d| d.mtu), features: device.map(|d| d.features) })
    }
}

impl Evidence {
    /// The evidence of a completed send.
    #[must_use]
    pub fn of(way: &Way, sight: &Sight, message: Option<Message>, socket: &SocketFacts) -> Self {
        let Sight { place, mtu, features } = *sight;
        let over_mtu = message.zip(mtu).map(|(m, mtu)| {
            socket.protocol == Protocol::Udp && m.bytes.saturating_add(headers(socket)) > mtu
        });
        let corked = socket.protocol == Protocol::Udp
            && (way.marks & mark::CORKED != 0 || message.is_some_and(|m| m.more));
        let signs = place.signs(way);
        let listed = way.marks & mark::LISTS_READ != 0;
        let heard = signs & (sign::HEARD_IN | sign::HEARD_OUT) != 0;
        Self {
            place,
            over_mtu,
            corked,
            heard: (heard || listed).then_some(heard),
            gso: signs & sign::GSO != 0,
            filtered: signs & sign::FILTERED != 0,
            timestamped: way.marks & mark::TIMESTAMPED != 0,
            extended: way.marks & mark::EXT_HEADERS != 0,
            esp: way.marks & mark::ESP != 0,
            copy: way.copy,
            features,
        }
    }

    /// Is this about a copy that the completion shows?
    #[must_use]
    pub fn is_shown(&self) -> bool {
        !matches!(self.place, Place::Hidden { .. })
    }

    /// Nothing is known.
    #[must_use]
    pub fn nothing() -> Self {
        Self {
            place: Place::Unseen,
            over_mtu: None,
            corked: false,
            heard: None,
            gso: false,
            filtered: false,
            timestamped: false,
            extended: false,
            esp: false,
            copy: None,
            features: None,
        }
    }
}

/// UDP header and the least IP header of the socket's datagrams, bytes.
fn headers(socket: &SocketFacts) -> u32 {
    if talks_ipv4(socket) { 28 } else { 48 }
}

/// Do its packets go by IPv4? Those of an IPv6 socket do to a v4-mapped peer.
#[must_use]
pub fn talks_ipv4(socket: &SocketFacts) -> bool {
    let mapped = socket.remote.is_some_and(|r| match r.addr {
        std::net::IpAddr::V6(a) => a.to_ipv4_mapped().is_some(),
        std::net::IpAddr::V4(_) => true,
    });
    socket.family == Family::V4 || mapped
}

impl Place {
    fn of(way: &Way) -> Self {
        let hops: Vec<&Hop> = way.hops.iter().filter(|h| seen(h)).collect();
        let Some(first) = hops.first() else { return Self::Unseen };
        if way.marks & mark::COPIED_AT_SEND != 0 {
            return Self::AtSend { device: first.device };
        }
        // A packet of the same uarg may be sent after another one was copied further on, and
        // is then seen copied early: so a place where any packet was intact is not one where
        // the copy was made, and the furthest device that an intact packet reached decides.
        let Some((at, hop)) = hops.iter().enumerate().rfind(|(_, h)| h.intact & STAGES != 0) else {
            return Self::AtSend { device: first.device };
        };
        let reached = |s: Stage| hop.intact & s.bit() != 0;
        let Some(stage) = Stage::ALL.into_iter().rfind(|s| reached(*s)) else {
            return Self::Unseen;
        };
        let intact = Spot { device: hop.device, stage };
        let here = Stage::ALL.into_iter().find(|s| *s > stage && hop.copied & s.bit() != 0);
        if let Some(next) = here {
            return Self::Between { intact, copied: Spot { device: hop.device, stage: next } };
        }
        let later = hops[at + 1..].iter().find_map(|h| {
            let stage = Stage::ALL.into_iter().find(|s| h.copied & s.bit() != 0)?;
            Some(Spot { device: h.device, stage })
        });
        match later {
            Some(copied) => Self::Between { intact, copied },
            None => Self::After { intact },
        }
    }

    fn hidden(way: &Way, devices: &Devices) -> Option<Self> {
        let hops = || way.hops.iter().filter(|h| h.device != 0);
        let handed = |h: &Hop| h.intact & Stage::Xmit.bit() != 0;
        let of = |h: &Hop| devices.get(&h.device);
        let wireguard = |h: &Hop| {
            let is = of(h).is_some_and(|d| d.kind == "wireguard");
            is && handed(h) && h.intact & sign::GSO != 0
        };
        let peer_xdp = |h: &Hop| handed(h) && of(h).is_some_and(|d| d.peer_xdp == Some(true));
        let marked = |mark| way.marks & mark != 0;
        let how = if marked(mark::SEGMENTED | mark::GSO_WITHOUT_SG) || hops().any(wireguard) {
            HiddenWay::GsoWithoutSg
        } else if marked(mark::VETH_PEER_XDP) || hops().any(peer_xdp) && marked(mark::FOR_XDP) {
            HiddenWay::VethPeerXdp
        } else if marked(mark::FOR_XDP) {
            HiddenWay::GenericXdp
        } else {
            return None;
        };
        // The mark is of the whole way: it was set by the first device that is so.
        let segmented = |h: &&Hop| h.intact & sign::SEGMENTED != 0;
        let (hop, measured) = match how {
            HiddenWay::GsoWithoutSg => {
                let without = |h: &&Hop| {
                    h.intact & sign::GSO != 0 && of(h).is_some_and(|d| d.features & SG == 0)
                };
                let likely = hops().find(without).or_else(|| hops().find(|h| wireguard(h)));
                (hops().find(segmented).or(likely), marked(mark::SEGMENTED))
            }
            HiddenWay::VethPeerXdp => (hops().find(|h| peer_xdp(h)), marked(mark::FOR_XDP)),
            HiddenWay::GenericXdp => {
                let received = |h: &&Hop| h.intact & Stage::Receive.bit() != 0;
                (hops().rfind(received), true)
            }
        };
        let hop = hop.or_else(|| hops().next())?;
        Some(Self::Hidden { device: hop.device, how, measured })
    }

    /// What else was noticed on the device of the last intact place, where that tells of the copy:
    /// of a packet that was received, how it was received, else how it was queued.
    fn signs(&self, way: &Way) -> u8 {
        let (Self::Between { intact, .. } | Self::After { intact }) = self else { return 0 };
        let hops = way.hops.iter().filter(|h| h.device == intact.device);
        let all = hops.fold(0, |all, h| all | h.intact);
        all & match intact.stage {
            Stage::Receive => sign::HEARD_IN | sign::FILTERED,
            Stage::Queue | Stage::Xmit => sign::HEARD_OUT | sign::GSO,
        }
    }

    /// The device it is about.
    #[must_use]
    pub fn device(&self) -> Option<u16> {
        match self {
            Self::AtSend { device } | Self::Hidden { device, .. } => Some(*device),
            Self::Between { copied, .. } => Some(copied.device),
            Self::After { intact } => Some(intact.device),
            Self::Unseen => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::DeviceFacts;

    const Q: u8 = zcwatch_common::stage::QUEUE;
    const X: u8 = zcwatch_common::stage::XMIT;
    const R: u8 = zcwatch_common::stage::RECEIVE;

    fn way(hops: &[(u16, u8, u8)], marks: u32) -> Way {
        let mut w = Way { first: Some(1), marks, ..Way::default() };
        for (to, (device, intact, copied)) in w.hops.iter_mut().zip(hops) {
            *to = Hop { device: *device, intact: *intact, copied: *copied };
        }
        w
    }

    fn spot(device: u16, stage: Stage) -> Spot {
        Spot { device, stage }
    }

    #[test]
    fn the_place_is_where_the_bit_turned() {
        let cases = [
            (way(&[], 0), Place::Unseen),
            (way(&[(1, 0, Q | X)], mark::COPIED_AT_SEND), Place::AtSend { device: 1 }),
            // A packet socket on the sending device.
            (
                way(&[(1, Q, X)], 0),
                Place::Between { intact: spot(1, Stage::Queue), copied: spot(1, Stage::Xmit) },
            ),
            // Delivered on this host, by loopback and over a veth.
            (way(&[(1, Q | X | R, 0)], 0), Place::After { intact: spot(1, Stage::Receive) }),
            (way(&[(1, Q | X, 0), (2, R, 0)], 0), Place::After { intact: spot(2, Stage::Receive) }),
            // Forwarded, and copied by a packet socket on the second device.
            (
                way(&[(1, Q | X, 0), (2, R, 0), (3, Q, X)], 0),
                Place::Between { intact: spot(3, Stage::Queue), copied: spot(3, Stage::Xmit) },
            ),
            // A second packet of the uarg was queued after the first one's delivery.
            (
                way(&[(1, Q | X | R, Q | X | R)], 0),
                Place::After { intact: spot(1, Stage::Receive) },
            ),
        ];
        for (way, place) in cases {
            assert_eq!(Place::of(&way), place, "{way:?}");
        }
    }

    #[test]
    fn ways_that_copy_in_secret_are_told_apart() {
        let hops = [(4, Q | X, 0)];
        let how = |w: Way| Place::hidden(&w, &Devices::new());
        assert_eq!(how(way(&hops, 0)), None);
        assert_eq!(
            how(way(&hops, mark::VETH_PEER_XDP)),
            Some(Place::Hidden { device: 4, how: HiddenWay::VethPeerXdp, measured: false })
        );
        assert_eq!(
            how(way(&hops, mark::GSO_WITHOUT_SG)),
            Some(Place::Hidden { device: 4, how: HiddenWay::GsoWithoutSg, measured: false })
        );
    }

    #[test]
    fn of_several_devices_the_one_that_is_so_made_the_copy_in_secret() {
        let facts = |index, features, peer_xdp| DeviceFacts {
            index,
            ifindex: index.into(),
            netns: 1,
            name: format!("d{index}"),
            kind: String::new(),
            mtu: 1500,
            features,
            loopback: false,
            peer_xdp: Some(peer_xdp),
            heard: Some(false),
        };
        let all = [facts(1, SG, false), facts(2, 0, true), facts(3, 0, true)];
        let devices: Devices = all.into_iter().map(|d| (d.index, d)).collect();
        let device = |hops: &[(u16, u8, u8)], marks| {
            Place::hidden(&way(hops, marks), &devices).and_then(|p| p.device())
        };
        // A macvlan above a veth, and another one where it is forwarded to.
        let hops = [(1, Q | X | sign::GSO, 0), (2, Q | X | sign::GSO, 0), (3, Q | X, 0)];
        assert_eq!(device(&hops, mark::VETH_PEER_XDP), Some(2));
        assert_eq!(device(&hops, mark::GSO_WITHOUT_SG), Some(2));
        // Queued there only; and where no device is known to be so, the first.
        let hops = [(1, Q | X, 0), (2, Q, 0), (3, Q | X, 0)];
        assert_eq!(device(&hops, mark::VETH_PEER_XDP), Some(3));
        assert_eq!(device(&[(1, Q | X, 0), (9, X, 0)], mark::VETH_PEER_XDP), Some(1));
    }
}
