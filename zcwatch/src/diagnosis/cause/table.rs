//! The rows.

use super::{Case, Cause, tap};
use crate::{event::Stage, probe::hooks::Certainty, tracker::evidence::Place};

/// The table. A copy is explained by the first row that takes it, and the last takes what no
/// other does.
pub const CAUSES: &[Cause] = &[
    Cause {
        key: "tap_tx",
        calls: &[&["skb_copy_ubufs", "dev_queue_xmit_nit"]],
        title: "handed to a packet socket",
        explanation: "A packet socket that takes every protocol (tcpdump, an agent, a DHCP \
                      client) hears what the device sends. dev_queue_xmit_nit clones each packet \
                      for it, and the clone's pages are copied first, because the listener may \
                      keep them. The copy is made before any filter runs, so a narrow filter \
                      does not help.",
        advice: "Stop the listener, bind it to another device, or let it set \
                 PACKET_IGNORE_OUTGOING.",
        // A device without these makes the packet linear before packet sockets get it.
        matches: |c| {
            let listened = match c.evidence.heard {
                Some(heard) => heard,
                None => !c.listeners().is_empty(),
            };
            // Nothing else copies there on such a device: where none was seen, a listener came
            // between the queue and the driver, or is not visible to us.
            let sure = if listened { Certainty::Measured } else { Certainty::Inferred };
            (c.seen_at_driver() && c.has_sg() && c.has_csum()).then_some(sure)
        },
        remedies: |c, _| {
            let mut all = tap::remedies(c, Some("set PACKET_IGNORE_OUTGOING in it"));
            if c.device().is_some_and(|d| d.loopback) {
                all.insert(
                    0,
                    "What goes over loopback is copied without the listener as well: use plain \
                     send for local peers."
                        .into(),
                );
            }
            all
        },
        whom: tap::whom,
        seen: |c| c.places_and_listeners(),
    },
    Cause {
        key: "tap_rx",
        calls: &[&["skb_copy_ubufs", "deliver_skb"]],
        title: "received, and handed to a packet socket",
        explanation: "The packet came in on a device of this host (loopback, a veth's other \
                      end, a bridge port) where a packet socket listens for every protocol. \
                      deliver_skb copies the pages before the listener gets the packet \
                      (skb_orphan_frags_rx), and the receiver and whoever it is forwarded to get \
                      the copy as well.",
        advice: "Stop the listener, or bind it to another device. Where the receiver is on this \
                 host, the sends are copied without it as well.",
        matches: |c| {
            let Place::Between { intact, .. } = c.evidence.place else {
                let heard = c.evidence.heard == Some(true);
                return (c.copied_after(Stage::Receive) && heard).then_some(Certainty::Measured);
            };
            if intact.stage != Stage::Receive {
                return None;
            }
            match c.evidence.heard {
                Some(true) => Some(Certainty::Measured),
                None if !c.listeners().is_empty() => Some(Certainty::Inferred),
                _ => None,
            }
        },
        remedies: |c, _| {
            let mut all = tap::remedies(c, None);
            all.push(
                "If the receiver is on this host, these sends are copied without the listener \
                 as well."
                    .into(),
            );
            all
        },
        whom: tap::whom,
        seen: |c| {
            let device = c.device_name();
            let first = match c.evidence.place {
                Place::Between { .. } => c.places(),
                _ => format!("still the sender's pages when {device} received them"),
            };
            let before = "; packet sockets get a packet before its receiver does";
            format!("{first}{}", if c.evidence.heard.is_some() { before } else { "" })
        },
    },
    Cause {
        key: "local_rx",
        calls: &[&["skb_copy_ubufs", "__netif_receive_skb_core"]],
        title: "received on this host, and forwarded",
        explanation: "The packet came in on a device of this host (a veth's other end, a bridge \
                      port) and was sent on from there. Up to 6.12 __netif_receive_skb_core copies \
                      the pages of each packet that it hands to a protocol \
                      (skb_orphan_frags_rx), before it is known whether a socket of this host gets \
                      it; later kernels copy what is delivered here, and leave what is forwarded.",
        advice: "Let the sender's namespace reach the device itself (the host's network, ipvlan or \
                 macvlan, SR-IOV), or run a kernel later than 6.12, which forwards without a copy.",
        matches: |c| (c.received() && c.forwarded() == Some(true)).then_some(Certainty::Measured),
        remedies: |_, _| {
            vec![
                "Give the sender the device itself (the host's network, ipvlan or macvlan, SR-IOV) \
                 instead of a veth that is routed or bridged."
                    .into(),
                "Or run a kernel later than 6.12: it forwards such packets without a copy.".into(),
            ]
        },
        whom: nobody,
        seen: |c| {
            let n = c.socket.counters.as_ref().map_or(0, |c| c.forwarded);
            let then = match n {
                0 => String::new(),
                n => format!(
                    "; {} of this socket were forwarded then",
                    super::words::count(n, "packet")
                ),
            };
            format!("still the sender's pages when {} received them{then}", c.device_name())
        },
    },
    Cause {
        key: "local_delivery",
        calls: &[
            &["skb_copy_ubufs", "ip_local_deliver_finish"],
            &["skb_copy_ubufs", "ip6_input_finish"],
        ],
        title: "delivered on this host",
        explanation: "The packet's receiver is on this host: over loopback, or over a veth, \
                      bridge or macvlan to another network namespace. Before a socket of this \
                      host may queue it, the kernel copies the pages (skb_orphan_frags_rx in \
                      ip_local_deliver_finish or ip6_input_finish, 6.13 to 6.18 and later; \
                      __netif_receive_skb_core before), because the sender may change them while \
                      the receiver has not read.",
        advice: "Zerocopy never helps between processes of one host: use plain send, or AF_UNIX, \
                 for local peers.",
        matches: |c| {
            // A tc program may have pulled the payload, and an unseen list of listeners may
            // hold one that was first; the delivery would have copied all the same.
            let doubt =
                c.evidence.filtered || (c.evidence.heard.is_none() && !c.listeners().is_empty());
            let sure = if doubt { Certainty::Inferred } else { Certainty::Measured };
            c.copied_after(Stage::Receive).then_some(sure)
        },
        remedies: |_, _| {
            vec![
                "Zerocopy never helps between processes of one host: use plain send for local \
                 peers."
                    .into(),
            ]
        },
        whom: nobody,
        seen: |c| {
            let device = c.device_name();
            let filtered = match c.evidence.filtered {
                true => format!("; a tc program at the ingress of {device} may have been first"),
                false => String::new(),
            };
            format!("still the sender's pages when {device} received them{filtered}")
        },
    },
    Cause {
        key: "tun_tap",
        calls: &[&["skb_copy_ubufs", "tun_net_xmit"]],
        title: "handed to a tun or tap device",
        explanation: "The packets of a tun or tap device are read by a process (a VPN, a virtual \
                      machine monitor), which may keep them for as long as it likes: \
                      tun_net_xmit copies their pages before it queues them (skb_orphan_frags_rx).",
        advice: "Use plain send for what goes through such a device: nothing keeps the sender's \
                 pages there.",
        matches: |c| (c.copied_after(Stage::Xmit) && c.is_tun()).then_some(Certainty::Measured),
        remedies: |c, _| {
            vec![format!(
                "Use plain send for what goes through {}: zerocopy never gets past a tun or tap \
                 device.",
                c.device_name()
            )]
        },
        whom: |rows| {
            let mut names: Vec<_> = rows.iter().flat_map(Case::readers).collect();
            names.sort();
            names.dedup();
            (!names.is_empty()).then(|| format!(", read by {}", names.join(" and by ")))
        },
        seen: |c| format!("still the sender's pages when handed to {}", c.device_name()),
    },
    Cause {
        key: "linearize_no_sg",
        calls: &[&["__pskb_pull_tail", "validate_xmit_skb"]],
        title: "made linear: the device has no scatter-gather",
        explanation: "A packet whose payload is in pages cannot be given to a device without \
                      NETIF_F_SG. validate_xmit_skb makes it linear first (__skb_linearize), and \
                      so copies it. A packet that is segmented in software there is copied too, \
                      but reported zero-copy: see the finding hidden-copy.",
        advice: "ethtool -K DEVICE sg on, if the driver can; else use plain send for this route.",
        // Of a GSO packet's segments nobody is told: then it was another packet of the send.
        matches: |c| {
            let sure = if c.evidence.gso { Certainty::Inferred } else { c.by_feature() };
            (c.queue_to_driver() && !c.has_sg()).then_some(sure)
        },
        remedies: |c, context| then_listeners(c, c.ethtool("sg", context)),
        whom: nobody,
        seen: |c| format!("{}; {} has no scatter-gather", c.places(), c.device_name()),
    },
    Cause {
        key: "gso_no_csum",
        calls: &[&["__pskb_pull_tail", "skb_segment"]],
        title: "segmented and checksummed in software: the device does not checksum",
        explanation: "Without checksum offload for the packet's family a device cannot segment \
                      either. skb_segment does, and makes each segment linear before it sums it \
                      (__skb_linearize), because the sender may change the pages in between.",
        advice: "ethtool -K DEVICE tx on, if the driver can; else use plain send for this route.",
        matches: |c| {
            (c.queue_to_driver() && c.evidence.gso && !c.has_csum()).then(|| c.by_feature())
        },
        remedies: |c, context| then_listeners(c, c.ethtool("tx", context)),
        whom: nobody,
        seen: no_checksum,
    },
    Cause {
        key: "checksum_help",
        calls: &[&["__pskb_pull_tail", "skb_checksum_help"]],
        title: "checksummed in software: the device does not checksum",
        explanation: "For a device without checksum offload for the packet's family \
                      validate_xmit_skb has skb_checksum_help sum it. Pages that the sender may \
                      change meanwhile are copied first (__skb_linearize).",
        advice: "ethtool -K DEVICE tx on, if the driver can; else use plain send for this route.",
        matches: |c| (c.queue_to_driver() && !c.has_csum()).then(|| c.by_feature()),
        remedies: |c, context| then_listeners(c, c.ethtool("tx", context)),
        whom: nobody,
        seen: no_checksum,
    },
    // Before what the device lacks: nothing of that would help.
    Cause {
        key: "udp_ipsec",
        calls: &[],
        title: "copied at send: encrypted by IPsec",
        explanation: "What IPsec puts before a datagram's headers keeps its checksum from being \
                      left to the device, unless the device does ESP and its checksums itself \
                      (esp-tx-csum-hw-offload). __ip_append_data then copies the datagram while it \
                      sums it. By IPv6 it is copied later: ipsec.",
        advice: "Use plain send for what goes through IPsec, unless the device encrypts.",
        matches: |c| {
            let there = c.datagram_at_send() && c.evidence.esp && c.family() == "IPv4";
            there.then_some(Certainty::Measured)
        },
        remedies: |_, _| use_plain_send_or_offload(),
        whom: nobody,
        seen: |c| format!("{}, inside ESP", c.places()),
    },
    Cause {
        key: "udp_no_sg",
        calls: &[],
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
        calls: &[],
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
        key: "udp6_ext_headers",
        calls: &[],
        title: "copied at send: IPv6 extension headers",
        explanation: "An IPv6 datagram with extension headers (IPV6_HOPOPTS, IPV6_RTHDR, \
                      IPV6_DSTOPTS) cannot leave its checksum to the device, and \
                      __ip6_append_data then copies it.",
        advice: "Send without extension headers, or with plain send.",
        matches: |c| (c.datagram_at_send() && c.evidence.extended).then_some(Certainty::Measured),
        remedies: |_, _| {
            vec![
                "Send without IPV6_HOPOPTS, IPV6_RTHDR and IPV6_DSTOPTS (socket options or \
                 control messages), or with plain send."
                    .into(),
            ]
        },
        whom: nobody,
        seen: |c| format!("{}, with extension headers behind its IPv6 header", c.places()),
    },
    Cause {
        key: "udp_larger_than_mtu",
        calls: &[],
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
        whom: |rows| {
            let mut mtus: Vec<u32> = rows.iter().map(Case::mtu).collect();
            mtus.dedup();
            (mtus.len() == 1).then(|| format!(" of {} B", mtus[0]))
        },
        seen: |c| {
            let median = c.socket.counts.sizes.summary().map_or(0, |(_, median, _)| median);
            format!("median send {median} B, MTU of {} is {}", c.device_name(), c.mtu())
        },
    },
    Cause {
        key: "udp_cork",
        calls: &[],
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
        key: "tx_timestamp",
        calls: &[&["skb_copy_ubufs", "__skb_tstamp_tx"]],
        title: "returned to the sender with a TX timestamp",
        explanation: "With SO_TIMESTAMPING and no SOF_TIMESTAMPING_OPT_TSONLY each TX timestamp \
                      brings the packet back on the error queue. __skb_tstamp_tx clones it for \
                      that, and copies the clone's pages first (skb_orphan_frags_rx).",
        advice: "Add SOF_TIMESTAMPING_OPT_TSONLY: the timestamp then comes without the packet.",
        // Scheduling timestamps are taken before a packet is first seen, the driver's and the
        // card's when it has it, that of TCP's acknowledgement later.
        matches: |c| {
            if !c.evidence.timestamped {
                return None;
            }
            match c.evidence.place {
                Place::AtSend { .. } => Some(Certainty::Inferred),
                Place::Between { intact, copied } => (intact.stage == Stage::Xmit
                    && copied.stage == Stage::Receive)
                    .then_some(Certainty::Measured),
                Place::After { intact } => {
                    (intact.stage == Stage::Xmit).then_some(Certainty::Measured)
                }
                Place::Unseen | Place::Hidden { .. } => None,
            }
        },
        remedies: |c, _| {
            let mut all = vec![
                "Add SOF_TIMESTAMPING_OPT_TSONLY to the flags of SO_TIMESTAMPING: the timestamp \
                 then comes without the packet."
                    .into(),
            ];
            if matches!(c.evidence.place, Place::Between { .. }) {
                all.push(
                    "If the receiver is on this host, these sends are copied without timestamps \
                     as well."
                        .into(),
                );
            }
            all
        },
        whom: nobody,
        seen: |c| format!("{}; its sender asked for TX timestamps without OPT_TSONLY", c.places()),
    },
    Cause {
        key: "ipsec",
        calls: &[&["__pskb_pull_tail", "skb_checksum_help", "xfrm_output"]],
        title: "checksummed in software for IPsec",
        explanation: "Where IPsec is not done by the device, xfrm_output sums each packet in \
                      software before it is encrypted (skb_checksum_help). Pages that the sender \
                      may change meanwhile are copied first (__skb_linearize). Datagrams of IPv4 \
                      are copied at send already: udp_ipsec.",
        advice: "Use plain send for what goes through IPsec, unless the device encrypts.",
        matches: |_| None,
        remedies: |_, _| use_plain_send_or_offload(),
        whom: nobody,
        seen: |_| "before a device had the packet".into(),
    },
    Cause {
        key: "wireguard",
        calls: &[&["__pskb_pull_tail", "skb_checksum_help", "encrypt_packet"]],
        title: "encrypted by WireGuard",
        explanation: "WireGuard sums and encrypts each packet in software (encrypt_packet), and \
                      copies the sender's pages before (skb_checksum_help). A packet of several \
                      segments is segmented before that, which copies too, and is reported \
                      zero-copy: see the finding hidden-copy.",
        advice: "Use plain send for what goes through WireGuard.",
        matches: |c| {
            let wireguard = c.device().is_some_and(|d| d.kind == "wireguard");
            (c.copied_after(Stage::Xmit) && wireguard).then_some(Certainty::Measured)
        },
        remedies: |c, _| {
            vec![format!(
                "Use plain send for what goes through {}: whatever is encrypted is copied.",
                c.device_name()
            )]
        },
        whom: nobody,
        seen: |c| format!("still the sender's pages when handed to {}", c.device_name()),
    },
    Cause {
        key: "cow_crypto",
        calls: &[&["__pskb_pull_tail", "skb_cow_data"]],
        title: "made writable for encryption in software",
        explanation: "AH, MACsec and ESP encrypt or sum a packet where it is. skb_cow_data makes it \
                      their own first, which copies the sender's pages.",
        advice: "Use plain send for this route, unless the device encrypts.",
        matches: |_| None,
        remedies: |_, _| {
            vec!["Use plain send for this route, or encryption that the device does itself.".into()]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "xdp_generic",
        calls: &[
            &["__pskb_pull_tail", "netif_receive_generic_xdp"],
            &["__pskb_pull_tail", "do_xdp_generic"],
            &["__pskb_pull_tail", "netif_skb_check_for_xdp"],
        ],
        title: "made linear for a generic XDP program",
        explanation: "A generic (skb mode) XDP program on a device of this host that receives the \
                      packet wants it in one piece. Older kernels make it linear; later ones \
                      (6.9 and later) copy it to pages of their own, and tell nobody: see the \
                      finding hidden-copy.",
        advice: "Run the program in native mode, on the physical device, or not at all on this way.",
        matches: |_| None,
        remedies: |c, context| {
            let Some(d) = c.device() else { return Vec::new() };
            let device = super::words::shell(&c.device_name());
            let off = format!("ip link set {device} xdpgeneric off");
            vec![
                super::words::in_netns(&off, d.netns, c.snapshot, context),
                "Or run the program in native mode, on the physical device.".into(),
            ]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "driver_linearize",
        calls: &[&["__pskb_pull_tail", "*xmit*"]],
        title: "made linear by the device's driver",
        explanation: "The driver could not send the packet as it was: too many pieces, or pieces \
                      that its hardware does not take. It made it linear (__skb_linearize), which \
                      copies.",
        advice: "Send from larger pieces (huge pages, fewer and longer elements of the iovec).",
        matches: |_| None,
        remedies: |_, _| {
            vec![
                "Send from fewer and larger pieces: huge pages, longer elements of the iovec."
                    .into(),
            ]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "mixed_uarg",
        calls: &[&["skb_copy_ubufs", "skb_zerocopy_clone"]],
        title: "joined with pages of another send",
        explanation: "A packet that was put together from pages of several sends with notifications \
                      of their own can only belong to one of them: skb_zerocopy_clone copies the \
                      others' pages.",
        advice: "Nothing in the application: the packet was put together below it (segmentation of \
                 a list of packets).",
        matches: |_| None,
        remedies: |_, _| {
            vec!["Please report how this came about, with `zcwatch doctor`: it is rare.".into()]
        },
        whom: nobody,
        seen: |c| c.places(),
    },
    Cause {
        key: "pull_small",
        calls: &[&["__pskb_pull_tail"]],
        title: "pulled into the linear head before the device queue by a tc or netfilter program",
        explanation: "A tc program, or a netfilter helper, asked for more of the packet than its \
                      headers (bpf_skb_pull_data, skb_ensure_writable, skb_linearize). \
                      __pskb_pull_tail copies that much into the linear head, and where nothing \
                      is left in pages the packet has been copied.",
        advice: "Let the program pull the headers only.",
        matches: |c| {
            let pulled = c.socket.counters.as_ref().is_some_and(|c| c.pulled > 0);
            (c.evidence.place == Place::Unseen && pulled).then_some(Certainty::Inferred)
        },
        remedies: |c, context| {
            let mut all = vec![
                "Let the program pull no more than the headers (the second argument of \
                 bpf_skb_pull_data)."
                    .to_owned(),
            ];
            if let Some(d) = c.device() {
                let device = super::words::shell(&c.device_name());
                let show = format!("tc filter show dev {device} egress");
                all.push(super::words::in_netns(&show, d.netns, c.snapshot, context));
            }
            all
        },
        whom: nobody,
        seen: |c| {
            let n = c.socket.counters.as_ref().map_or(0, |c| c.pulled);
            format!(
                "{} queued on {} with the payload in the linear head",
                super::words::count(n, "packet"),
                c.device_name()
            )
        },
    },
    Cause {
        key: "unknown",
        calls: &[],
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

fn nobody(_: &[Case<'_>]) -> Option<String> {
    None
}

fn use_plain_send_or_offload() -> Vec<String> {
    vec![
        "Use plain send for this route, or IPsec that the device does itself (ip xfrm state … \
         offload)."
            .into(),
    ]
}

fn no_checksum(c: &Case<'_>) -> String {
    let (device, family) = (c.device_name(), c.family());
    format!("{}; {device} has no checksum offload for {family}", c.places())
}

/// What makes the packet linear comes before packet sockets, and hides them.
fn then_listeners(c: &Case<'_>, mut remedies: Vec<String>) -> Vec<String> {
    if c.evidence.heard == Some(true) {
        let names = tap::names(std::slice::from_ref(c)).join(" and ");
        remedies.push(format!(
            "Then packet sockets on {} would copy these sends: {names}.",
            c.device_name()
        ));
    }
    remedies
}
