//! Queueing disciplines and redirection on a device's way out.

use aya::programs::tc::qdisc_add_clsact;
use rtnetlink::{
    packet_core::DefaultNla,
    packet_route::{
        RouteNetlinkMessage,
        tc::{
            TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption,
            TcActionOption, TcActionType, TcAttribute, TcFilterU32, TcFilterU32Option, TcHandle,
            TcMessage, TcMirror, TcMirrorActionType, TcOption, TcU32Key, TcU32Selector,
            TcU32SelectorFlags,
        },
    },
};

use super::{
    LabError, Netns,
    link::{index_of, mtu_of},
    netlink::{CREATE, request},
};

/// Makes a device send at most so many bits a second (tbf); what is more waits in its queue.
///
/// # Errors
/// When there is no such device, it has another qdisc already, or without CAP_NET_ADMIN.
pub fn limit_rate(netns: &Netns, device: &str, bits_per_second: u32) -> Result<(), LabError> {
    // One full frame may go at once, and what is larger than that never goes.
    let burst = mtu_of(netns, device)? + HEADERS;
    // Of linux/pkt_sched.h: TCA_TBF_PARMS, TCA_TBF_BURST.
    let options = [(1, tbf_parameters(bits_per_second / 8)), (6, burst.to_ne_bytes().to_vec())];
    let mut message = TcMessage::with_index(index_of(netns, device)?.cast_signed());
    message.header.parent = TcHandle::ROOT;
    message.header.handle = TcHandle { major: 1, minor: 0 };
    message.attributes = vec![
        TcAttribute::Kind("tbf".to_owned()),
        TcAttribute::Options(
            options
                .map(|(kind, value)| TcOption::Other(DefaultNla::new(kind, value)))
                .into_iter()
                .collect(),
        ),
    ];
    let action = format!("limit device {device} to {bits_per_second} bit/s");
    request(netns, action, RouteNetlinkMessage::NewQueueDiscipline(message), CREATE).map(drop)
}

/// More than a frame has besides what the MTU counts.
const HEADERS: u32 = 100;
/// Bytes that may wait.
const QUEUE: u32 = 1 << 20;

/// `struct tc_tbf_qopt`: a rate, no peak rate, and three limits.
fn tbf_parameters(bytes_per_second: u32) -> Vec<u8> {
    /// TC_LINKLAYER_ETHERNET: the kernel then needs no table of times.
    const ETHERNET: u8 = 1;
    let mut bytes = vec![0, ETHERNET, 0, 0, 0, 0, 0, 0];
    bytes.extend(bytes_per_second.to_ne_bytes());
    bytes.extend([0; 12]);
    for limit in [QUEUE, 0, 0] {
        bytes.extend(limit.to_ne_bytes());
    }
    bytes
}

/// Redirects all that leaves by `device` to leave by `other` (mirred, at the clsact egress). An
/// ifb gives it back.
///
/// # Errors
/// When there is no such device, without CAP_NET_ADMIN, or where the kernel has no mirred.
pub fn redirect(netns: &Netns, device: &str, other: &str) -> Result<(), LabError> {
    let action = format!("redirect what leaves device {device} to {other}");
    // The device may have its clsact already; if it can't have one, the filter says so.
    let _ = netns.run(|| qdisc_add_clsact(device))?;

    let mut generic = TcActionGeneric::default();
    generic.action = TcActionType::Stolen;
    let mut mirror = TcMirror::default();
    mirror.generic = generic;
    mirror.eaction = TcMirrorActionType::EgressRedir;
    mirror.ifindex = index_of(netns, other)?;
    let mirror = TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror));
    let mut mirred = TcAction::default();
    mirred.attributes = vec![
        TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
        TcActionAttribute::Options(vec![mirror]),
    ];

    // One key whose mask leaves nothing to differ; u32, because more kernels have it than
    // matchall.
    let mut everything = TcU32Selector::default();
    everything.flags = TcU32SelectorFlags::Terminal;
    everything.nkeys = 1;
    everything.keys = vec![TcU32Key::default()];

    let mut message = TcMessage::with_index(index_of(netns, device)?.cast_signed());
    message.header.parent = TcHandle { major: u16::MAX, minor: TcHandle::MIN_EGRESS };
    // Priority 1, of every protocol.
    message.header.info = 1 << 16 | u32::from((libc::ETH_P_ALL as u16).to_be());
    message.attributes = vec![
        TcAttribute::Kind(TcFilterU32::KIND.to_owned()),
        TcAttribute::Options(vec![
            TcOption::U32(TcFilterU32Option::Selector(everything)),
            TcOption::U32(TcFilterU32Option::Action(vec![mirred])),
        ]),
    ];
    request(netns, action, RouteNetlinkMessage::NewTrafficFilter(message), CREATE).map(drop)
}
