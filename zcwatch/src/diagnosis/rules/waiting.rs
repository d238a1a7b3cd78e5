//! How long until a buffer comes back, and what does that wait for?

use super::{About, Mark, median, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{bytes, device, in_netns, percent, shell, time},
    },
    event::Protocol,
    output::names::route,
    probe::hooks::Certainty,
    tracker::{Snapshot, latency::Summary, snapshot::SocketSnapshot},
};

/// Time with a send not read, and all the time from the first send to the last read, ns.
fn waited(s: &SocketSnapshot) -> Option<(u64, u64)> {
    let whole = s.waits.last?.checked_sub(s.waits.first?)?;
    (whole > 0).then_some((s.waits.waited, whole))
}

pub(super) fn waits_for_each(s: &SocketSnapshot) -> bool {
    let half = |(waited, whole): (u64, u64)| {
        u128::from(waited) * 100 >= u128::from(whole) * u128::from(threshold::WAITED_PERCENT)
    };
    s.waits.peak == 1
        && s.counts.sends >= threshold::SENDS
        && waited(s).is_some_and(half)
        && !reads_late(s)
}

/// Most of the time that a send is not read, its notification is ready: whoever sends now and then,
/// and reads before the next send, waits for something else.
fn reads_late(s: &SocketSnapshot) -> bool {
    let Some(reap) = s.counts.reap.summary() else { return false };
    reap.p50.saturating_mul(s.counts.sends).saturating_mul(2) > s.waits.waited
}

pub(super) fn one_in_flight(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::OneInFlight);
    let Some(most) = about.most(|s| s.counts.sends) else { return Vec::new() };
    let (part, whole) = waited(most).unwrap_or_default();
    let p50 = |name: &str, of: Option<Summary>| Some(format!("; {name} p50 {}", time(of?.p50)));
    let release = p50("release", most.counts.release.summary()).unwrap_or_default();
    let reap = p50("read after", most.counts.reap.summary()).unwrap_or_default();
    vec![Finding {
        id: FindingId::OneInFlight,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        sentence: format!(
            "one send in flight on {}{}: each waits for its own notification, {} of the time",
            route(&most.facts),
            about.more(),
            percent(part, whole),
        ),
        evidence: format!(
            "no send returned before the notification of the one before it was read{release}{reap}"
        ),
        remedies: vec![
            "Send on from other buffers, and read notifications when poll shows POLLERR: a buffer \
             must rest until its notification, the socket need not."
                .into(),
        ],
        certainty: Certainty::Measured,
    }]
}

fn round_trip(s: &SocketSnapshot) -> Option<u64> {
    s.counters.as_ref().and_then(|c| c.srtt)
}

/// The release latency, where it is slow.
pub(super) fn slow(s: &SocketSnapshot) -> Option<Summary> {
    let release = s.counts.release.summary().filter(|r| r.count >= threshold::SENDS)?;
    let tail = if release.count < threshold::PERCENTILE_OF { release.p90 } else { release.p99 };
    let of_trips =
        |rtt: u64| tail > rtt.saturating_mul(threshold::SLOW_RTTS).max(threshold::SLOW_RTTS_NS);
    (tail > threshold::SLOW_NS || round_trip(s).is_some_and(of_trips)).then_some(release)
}

pub(super) fn slow_release(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Slow);
    let most = about.most(|s| slow(s).map_or(0, |release| release.p99));
    let Some((worst, release)) = most.and_then(|s| Some((s, slow(s)?))) else { return Vec::new() };
    let rtt = round_trip(worst).map_or_else(String::new, |rtt| format!(", RTT {}", time(rtt)));
    let (why, remedies) = reason(worst, &release, snapshot, context);
    vec![Finding {
        id: FindingId::SlowRelease,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        sentence: format!(
            "release p99 {} (p50 {}{rtt}) on {}{}: waits for {why}",
            time(release.p99),
            time(release.p50),
            route(&worst.facts),
            about.more(),
        ),
        evidence: match worst.facts.protocol {
            Protocol::Tcp => "TCP keeps a buffer until the peer has acknowledged all of it",
            Protocol::Udp => "a datagram's buffer comes back when the device has sent it",
        }
        .into(),
        remedies,
        certainty: Certainty::Inferred,
    }]
}

/// What it may wait for, and what helps.
fn reason(
    s: &SocketSnapshot,
    release: &Summary,
    snapshot: &Snapshot,
    context: &Context,
) -> (String, Vec<String>) {
    let name = device(s.device, snapshot);
    let look = s.device.and_then(|i| snapshot.devices.get(&i)).map(|d| {
        let command = format!("tc -s qdisc show dev {}", shell(&name));
        in_netns(&command, d.netns, snapshot, context)
    });
    if s.facts.protocol == Protocol::Udp {
        return (format!("a queue on {name}, or for its driver"), look.into_iter().collect());
    }
    let size = median(s).filter(|m| *m < threshold::LARGE_BYTES);
    let rtt = round_trip(s);
    let near = rtt.is_none_or(|rtt| rtt < threshold::DELAYED_ACK_RTT_NS);
    let delayed = [release.p50, release.p99].iter().any(|t| threshold::DELAYED_ACK_NS.contains(t));
    if let Some(size) = size.filter(|_| delayed && near) {
        return (
            format!("the peer's delayed ACK; median send {}", bytes(size.into())),
            vec![
                "Use plain send for small messages: their buffers are free at once.".into(),
                "or let the peer acknowledge at once (TCP_QUICKACK there)".into(),
            ],
        );
    }
    let more_buffers = "Keep more buffers, so that sends need not wait for the release of others.";
    if rtt.is_some_and(|rtt| rtt.saturating_mul(2) >= release.p99) {
        return ("the round trip: no ACK comes sooner".into(), vec![more_buffers.into()]);
    }
    let mut remedies = vec![more_buffers.to_owned()];
    remedies.extend(look);
    (format!("the peer's ACK, a queue on {name}, or the receiver's window"), remedies)
}
