//! One socket's copies with one evidence, and the questions that the rows of the table ask of it.

use super::super::{Context, words};
use crate::{
    event::{DeviceFacts, Protocol, Stage, Tunnel},
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{Evidence, Place, Spot, talks_ipv4},
        snapshot::{Presence, SnifferSeen, SocketSnapshot},
    },
};

/// `NETIF_F_SG`, `NETIF_F_IP_CSUM`, `NETIF_F_HW_CSUM` and `NETIF_F_IPV6_CSUM`
/// (include/linux/netdev_features.h, all versions).
const SG: u64 = 1 << 0;
const IP_CSUM: u64 = 1 << 1;
const HW_CSUM: u64 = 1 << 3;
const IPV6_CSUM: u64 = 1 << 4;

/// What a row is held against.
#[derive(Clone, Copy)]
pub struct Case<'a> {
    pub(super) evidence: &'a Evidence,
    pub(super) socket: &'a SocketSnapshot,
    pub(super) snapshot: &'a Snapshot,
    /// First and last completion of the copied sends, ns since boot.
    pub(super) span: Option<(u64, u64)>,
}

impl<'a> Case<'a> {
    pub(in super::super) fn new(
        evidence: &'a Evidence,
        span: Option<(u64, u64)>,
        socket: &'a SocketSnapshot,
        snapshot: &'a Snapshot,
    ) -> Self {
        Self { evidence, socket, snapshot, span }
    }

    /// The calls that led to the copy, where they were seen: the function that copied first.
    pub(super) fn calls(&self) -> Option<&'a [String]> {
        let stack = self.evidence.copy?.stack?;
        self.snapshot.stacks.get(&stack).map(|s| s.calls.as_slice())
    }

    /// Was it received on this host with the sender's pages, and copied then?
    pub(super) fn received(&self) -> bool {
        match self.evidence.place {
            Place::Between { intact, .. } => intact.stage == Stage::Receive,
            _ => self.copied_after(Stage::Receive),
        }
    }

    /// Did packets of the socket go on from here after they were received, and copied for that?
    /// `None`: that is not counted yet.
    pub(super) fn forwarded(&self) -> Option<bool> {
        self.socket.counters.as_ref().map(|c| c.forwarded > 0)
    }

    /// The device where it happened: where it was seen happening; else, of a copy between two devices the first, since what copies
    /// on the second is seen there. Of packets that were never seen, where their payload was
    /// missed.
    pub(in super::super) fn device_index(&self) -> Option<u16> {
        if let Some(device) = self.evidence.copy.and_then(|c| c.device) {
            return Some(device);
        }
        match self.evidence.place {
            Place::Between { intact, .. } => Some(intact.device),
            Place::Unseen => self.socket.counters.as_ref().and_then(|c| c.pulled_device),
            place => place.device(),
        }
    }

    pub(super) fn device(&self) -> Option<&'a DeviceFacts> {
        self.snapshot.devices.get(&self.device_index()?)
    }

    pub(super) fn device_name(&self) -> String {
        words::device(self.device_index(), self.snapshot)
    }

    /// A datagram copied before its first packet was seen.
    pub(super) fn datagram_at_send(&self) -> bool {
        self.at_send() && self.socket.facts.protocol == Protocol::Udp
    }

    pub(super) fn at_send(&self) -> bool {
        matches!(self.evidence.place, Place::AtSend { .. })
    }

    /// Intact when queued on a device, and copied or not seen any more before its driver. What is
    /// made linear there loses its uarg, and is not seen again.
    pub(super) fn queue_to_driver(&self) -> bool {
        let at_queue = |s: Spot| s.stage == Stage::Queue;
        match self.evidence.place {
            Place::After { intact } => at_queue(intact),
            _ => self.seen_at_driver(),
        }
    }

    /// Intact when queued on a device, and copied when handed to its driver.
    pub(super) fn seen_at_driver(&self) -> bool {
        matches!(
            self.evidence.place,
            Place::Between { intact, copied }
                if intact.stage == Stage::Queue
                    && copied.stage == Stage::Xmit
                    && intact.device == copied.device
        )
    }

    /// Intact wherever it was seen.
    pub(super) fn copied_after(&self, stage: Stage) -> bool {
        matches!(self.evidence.place, Place::After { intact } if intact.stage == stage)
    }

    /// The device's features when the copy became known; they may be others by now.
    fn features(&self) -> Option<u64> {
        self.evidence.features.or_else(|| Some(self.device()?.features))
    }

    pub(super) fn has_sg(&self) -> bool {
        self.features().is_none_or(|f| f & SG != 0)
    }

    pub(super) fn has_csum(&self) -> bool {
        let own = if talks_ipv4(&self.socket.facts) { IP_CSUM } else { IPV6_CSUM };
        self.features().is_none_or(|f| f & (HW_CSUM | own) != 0)
    }

    pub(super) fn is_tun(&self) -> bool {
        self.device().is_some_and(|d| d.kind == "tun")
    }

    /// How sure it is that the device's missing feature made the copy: a packet that is seen at
    /// the driver was not made linear, and a listener would have copied it there.
    pub(super) fn by_feature(&self) -> Certainty {
        let listener = match self.evidence.heard {
            Some(heard) => heard,
            None => !self.listeners().is_empty(),
        };
        if self.seen_at_driver() && listener { Certainty::Inferred } else { Certainty::Measured }
    }

    /// The packet sockets known to hear the device that were there while sends were copied.
    pub(super) fn listeners(&self) -> Vec<&'a SnifferSeen> {
        let Some(d) = self.device() else { return Vec::new() };
        let hears = self.snapshot.sniffers_on(d.netns, d.ifindex);
        hears.filter(|s| self.was_there(s.presence)).collect()
    }

    /// The processes behind a tun or tap device while sends were copied.
    pub(super) fn readers(&self) -> Vec<String> {
        let Some(d) = self.device() else { return Vec::new() };
        let here = |t: &Tunnel| t.device == d.name && t.netns.is_none_or(|n| n == d.netns);
        let there = self.snapshot.tunnels.iter().filter(|(t, p)| here(t) && self.was_there(*p));
        there.map(|(t, _)| words::process(&t.comm, t.pid)).collect()
    }

    fn was_there(&self, presence: Presence) -> bool {
        self.span.is_none_or(|(first, last)| presence.meets(first, last))
    }

    /// `ethtool` on the device, where it is.
    pub(super) fn ethtool(&self, feature: &str, context: &Context) -> Vec<String> {
        let device = words::shell(&self.device_name());
        let netns = self.device().map_or(self.socket.facts.netns, |d| d.netns);
        let command = format!("ethtool -K {device} {feature} on");
        vec![words::in_netns(&command, netns, self.snapshot, context)]
    }

    pub(super) fn mtu(&self) -> u32 {
        self.device().map_or(0, |d| d.mtu)
    }

    pub(super) fn largest_datagram(&self) -> u32 {
        let headers = if talks_ipv4(&self.socket.facts) { 28 } else { 48 };
        self.mtu().saturating_sub(headers)
    }

    /// "IPv4".
    pub(super) fn family(&self) -> &'static str {
        if talks_ipv4(&self.socket.facts) { "IPv4" } else { "IPv6" }
    }

    /// Where its pages were intact, and where not any more.
    pub(super) fn places(&self) -> String {
        let at = |s| words::spot(s, self.snapshot);
        match self.evidence.place {
            Place::Between { intact, copied } => {
                format!("intact at {}, copied at {}", at(intact), at(copied))
            }
            Place::After { intact } => format!("last seen at {}, intact", at(intact)),
            Place::AtSend { .. } => {
                format!("already copied when first queued on {}", self.device_name())
            }
            Place::Unseen | Place::Hidden { .. } => "no packet of it was seen".into(),
        }
    }

    /// [`Self::places`], and whether a packet socket heard the device then.
    pub(super) fn places_and_listeners(&self) -> String {
        let device = self.device_name();
        let heard = match self.evidence.heard {
            Some(true) => format!("; packet sockets heard {device} then"),
            Some(false) => format!("; no packet socket heard {device} when it was queued"),
            None => String::new(),
        };
        self.places() + &heard
    }
}
