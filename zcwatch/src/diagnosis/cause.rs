//! The cause table: why a send is copied. Data: a row is a key, what the evidence must be, what
//! it means, and what to do.

use super::{Context, words};
use crate::{
    event::{DeviceFacts, Protocol, Stage},
    host::process::escape,
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{Evidence, HiddenWay, Place, talks_ipv4},
        snapshot::{Presence, SnifferSeen, SocketSnapshot},
    },
};

/// `NETIF_F_SG`, `NETIF_F_IP_CSUM`, `NETIF_F_HW_CSUM` and `NETIF_F_IPV6_CSUM`
/// (include/linux/netdev_features.h, all versions).
const SG: u64 = 1 << 0;
const IP_CSUM: u64 = 1 << 1;
const HW_CSUM: u64 = 1 << 3;
const IPV6_CSUM: u64 = 1 << 4;

/// One row.
pub struct Cause {
    /// The key in JSON and of `zcwatch causes KEY`.
    pub key: &'static str,
    /// In a few words, after "copied on DEVICE:".
    pub title: &'static str,
    /// What happens in the kernel, in a paragraph.
    pub explanation: &'static str,
    /// What to do in general; with a device and a process it is said by [`Cause::remedies`].
    pub advice: &'static str,
    /// Which evidence means it.
    matches: fn(&Case<'_>) -> Option<Certainty>,
    /// What to do here.
    remedies: fn(&Case<'_>, &Context) -> Vec<String>,
    /// Who or what it is here, after the title.
    whom: fn(&Case<'_>) -> Option<String>,
    /// What was seen that says so.
    seen: fn(&Case<'_>) -> String,
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key)
    }
}

/// What a row is held against.
pub struct Case<'a> {
    evidence: &'a Evidence,
    socket: &'a SocketSnapshot,
    snapshot: &'a Snapshot,
}

impl<'a> Case<'a> {
    pub(super) fn new(
        evidence: &'a Evidence,
        socket: &'a SocketSnapshot,
        snapshot: &'a Snapshot,
    ) -> Self {
        Self { evidence, socket, snapshot }
    }

    fn device(&self) -> Option<&'a DeviceFacts> {
        self.snapshot.devices.get(&self.evidence.place.device()?)
    }

    fn device_name(&self) -> String {
        words::device(self.evidence.place.device(), self.snapshot)
    }

    fn sniffers(&self) -> Vec<&'a SnifferSeen> {
        let Some(d) = self.device() else { return Vec::new() };
        self.snapshot.sniffers_on(d.netns, d.ifindex).collect()
    }

    /// A datagram copied before its first packet was seen.
    fn datagram_at_send(&self) -> bool {
        matches!(self.evidence.place, Place::AtSend { .. })
            && self.socket.facts.protocol == Protocol::Udp
    }

    fn has_sg(&self) -> bool {
        self.device().is_none_or(|d| d.features & SG != 0)
    }

    fn has_csum(&self) -> bool {
        let own = if talks_ipv4(&self.socket.facts) { IP_CSUM } else { IPV6_CSUM };
        self.device().is_none_or(|d| d.features & (HW_CSUM | own) != 0)
    }

    fn ethtool(&self, feature: &str, context: &Context) -> Vec<String> {
        let command = format!("ethtool -K {} {feature} on", self.device_name());
        let netns = self.device().map_or(self.socket.facts.netns, |d| d.netns);
        vec![words::in_netns(&command, netns, self.snapshot, context)]
    }

    fn mtu(&self) -> u32 {
        self.device().map_or(0, |d| d.mtu)
    }

    fn largest_datagram(&self) -> u32 {
        let headers = if talks_ipv4(&self.socket.facts) { 28 } else { 48 };
        self.mtu().saturating_sub(headers)
    }

    pub(super) fn remedies(&self, cause: &Cause, context: &Context) -> Vec<String> {
        (cause.remedies)(self, context)
    }

    /// The title, with who or what it is here.
    pub(super) fn title(&self, cause: &Cause) -> String {
        match (cause.whom)(self) {
            Some(whom) => format!("{} {whom}", cause.title),
            None => cause.title.to_owned(),
        }
    }

    pub(super) fn seen(&self, cause: &Cause) -> String {
        (cause.seen)(self)
    }

    /// Where its pages were intact, and where not any more.
    fn places(&self) -> String {
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
}

fn nobody(_: &Case<'_>) -> Option<String> {
    None
}

/// The table, the most specific first; the last row takes what no other does.
pub const CAUSES: &[Cause] = &[
    Cause {
        key: "tap_tx",
        title: "handed to a packet socket",
        explanation: "A packet socket that takes every protocol (tcpdump, an agent, a DHCP \
                      client) hears what the device sends. dev_queue_xmit_nit clones each packet \
                      for it, and the clone's pages are copied first, because the listener may \
                      keep them. The copy is made before any filter runs, so a narrow filter \
                      does not help.",
        advice: "Stop the listener, bind it to another device, or let it set \
                 PACKET_IGNORE_OUTGOING.",
        matches: |c| match c.evidence.place {
            Place::Between { intact, copied }
                if intact.stage == Stage::Queue
                    && copied.stage == Stage::Xmit
                    && intact.device == copied.device =>
            {
                let heard = !c.sniffers().is_empty();
                match (heard, c.has_sg() && c.has_csum()) {
                    (true, true) => Some(Certainty::Measured),
                    // Segmentation or a checksum in software would look the same.
                    (true, false) => Some(Certainty::Inferred),
                    // Nothing else copies there on such a device; the listener came and went,
                    // or is not visible to us.
                    (false, true) => Some(Certainty::Inferred),
                    (false, false) => None,
                }
            }
            _ => None,
        },
        remedies: |c, _| {
            let sniffers = c.sniffers();
            let there: Vec<_> =
                sniffers.iter().filter(|s| matches!(s.presence, Presence::Since(_))).collect();
            if there.is_empty() && !sniffers.is_empty() {
                return vec!["Nothing any more: the listener has gone.".into()];
            }
            let mut all: Vec<String> =
                there.iter().filter_map(|s| Some(format!("kill {}", s.sniffer.pid?))).collect();
            all.sort();
            all.dedup();
            all.push(
                if all.is_empty() {
                    "Stop the listener, bind it to another device, or set PACKET_IGNORE_OUTGOING in it."
                } else {
                    "or bind it to another device, or set PACKET_IGNORE_OUTGOING in it"
                }
                .into(),
            );
            all
        },
        whom: |c| {
            let mut names: Vec<_> = c.sniffers().iter().map(|s| words::holder(s)).collect();
            names.sort();
            names.dedup();
            Some(if names.is_empty() {
                "of a process that zcwatch did not see".into()
            } else {
                format!("of {}", names.join(" and of "))
            })
        },
        seen: |c| c.places(),
    },
    Cause {
        key: "local_delivery",
        title: "delivered on this host",
        explanation: "The packet's receiver is on this host: over loopback, or over a veth, \
                      bridge or macvlan to another network namespace. Before a socket of this \
                      host may queue it, the kernel copies the pages (skb_orphan_frags_rx in \
                      ip_local_deliver_finish or ip6_input_finish, 6.13 to 6.18 and later; \
                      __netif_receive_skb_core before), because the sender may change them while \
                      the receiver has not read.",
        advice: "Zerocopy never helps between processes of one host: use plain send, or AF_UNIX, \
                 for local peers.",
        matches: |c| match c.evidence.place {
            Place::After { intact } if intact.stage == Stage::Receive => Some(Certainty::Measured),
            _ => None,
        },
        remedies: |_, _| {
            vec![
                "Zerocopy never helps between processes of one host: use plain send for local \
                 peers."
                    .into(),
            ]
        },
        whom: nobody,
        seen: |c| format!("still the sender's pages when {} received them", c.device_name()),
    },
    Cause {
        key: "udp_no_sg",
        title: "copied at send: the device has no scatter-gather",
        explanation: "__ip_append_data and __ip6_append_data keep a datagram's pages only for a \
                      device with NETIF_F_SG; else they copy into a linear packet, and still \
                      notify.",
        advice: "ethtool -K DEVICE sg on, if the driver can; else use plain send for this route.",
        matches: |c| (c.datagram_at_send() && !c.has_sg()).then_some(Certainty::Measured),
        remedies: |c, context| c.ethtool("sg", context),
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "udp_no_csum_offload",
        title: "copied at send: the device does not checksum",
        explanation: "Without checksum offload (NETIF_F_HW_CSUM, or NETIF_F_IP_CSUM and \
                      NETIF_F_IPV6_CSUM) the kernel must touch each byte of a datagram to sum \
                      it, and __ip_append_data copies while it does.",
        advice: "ethtool -K DEVICE tx on, if the driver can; else use plain send for this route.",
        matches: |c| (c.datagram_at_send() && !c.has_csum()).then_some(Certainty::Measured),
        remedies: |c, context| c.ethtool("tx", context),
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "udp_larger_than_mtu",
        title: "copied at send: larger than the MTU",
        explanation: "A datagram that must be fragmented cannot use checksum offload, and \
                      __ip_append_data then copies it.",
        advice: "Use UDP_SEGMENT, datagrams that fit the MTU, or a larger MTU.",
        matches: |c| {
            (c.datagram_at_send() && c.evidence.over_mtu == Some(true))
                .then_some(Certainty::Measured)
        },
        remedies: |c, _| {
            vec![format!(
                "Use UDP_SEGMENT, or send at most {} B at a time (MTU {} less the headers).",
                c.largest_datagram(),
                c.mtu()
            )]
        },
        whom: nobody,
        seen: |c| {
            let median = c.socket.counts.sizes.summary().map_or(0, |(_, median, _)| median);
            format!("median send {median} B, MTU of {} is {}", c.device_name(), c.mtu())
        },
    },
    Cause {
        key: "udp_cork",
        title: "copied at send: corked",
        explanation: "With MSG_MORE or UDP_CORK more data may follow, so the checksum cannot be \
                      left to the device, and __ip_append_data copies. All sends of one datagram \
                      share a notification.",
        advice: "Gather with one sendmsg and an iovec instead of MSG_MORE or UDP_CORK.",
        matches: |c| (c.datagram_at_send() && c.evidence.corked).then_some(Certainty::Measured),
        remedies: |_, _| {
            vec!["Gather with one sendmsg and an iovec instead of MSG_MORE or UDP_CORK.".into()]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "unknown",
        title: "by a cause that zcwatch does not know",
        explanation: "The completion says copied, and the places where the copy was looked for \
                      fit no row of this table.",
        advice: "Please report it, with the evidence that the report prints.",
        matches: |c| {
            (!matches!(c.evidence.place, Place::Hidden { .. })).then_some(Certainty::Measured)
        },
        remedies: |_, _| {
            vec![
                "Please report this, with the evidence above and the output of `zcwatch doctor`."
                    .into(),
            ]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
];

/// The row that explains a copy; `None` where the completion shows none.
pub(super) fn explain(
    evidence: &Evidence,
    socket: &SocketSnapshot,
    snapshot: &Snapshot,
) -> Option<(&'static Cause, Certainty)> {
    let case = Case::new(evidence, socket, snapshot);
    CAUSES.iter().find_map(|cause| Some((cause, (cause.matches)(&case)?)))
}

/// What a hidden copy is, in a few words.
pub(super) fn hidden_words(how: HiddenWay, device: &str) -> (String, String) {
    let device = escape(device);
    match how {
        HiddenWay::GsoWithoutSg => (
            format!("segmented in software on {device}, which has no scatter-gather"),
            "skb_segment copies each segment's payload, and tells nobody".into(),
        ),
        HiddenWay::VethPeerXdp => (
            format!("handed by {device} to a veth that runs native XDP"),
            "veth copies the payload before the program runs (skb_pp_cow_data), and tells nobody"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_page() {
        for cause in CAUSES {
            let page = format!("{}/../docs/causes/{}.md", env!("CARGO_MANIFEST_DIR"), cause.key);
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            let title = format!("# {}: {}\n", cause.key, cause.title);
            assert!(text.starts_with(&title), "{page} does not begin with {title:?}");
        }
    }
}
