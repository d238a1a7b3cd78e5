//! How long until a buffer comes back, and what does that wait for?

use super::{About, Mark, median, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{bytes, count, device, in_netns, percent, shell, time},
    },
    event::Protocol,
    output::names::route,
    probe::hooks::Certainty,
    sums::sum,
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
        pids: about.pids(),
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
    let Reason { why, seen, remedies, certainty } = reason(worst, &release, snapshot, context);
    let rule = match worst.facts.protocol {
        Protocol::Tcp => "TCP keeps a buffer until the peer has acknowledged all of it",
        Protocol::Udp => "a datagram's buffer comes back when the device has sent it",
    };
    vec![Finding {
        id: FindingId::SlowRelease,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "release p99 {} (p50 {}{rtt}) on {}{}: waits for {why}",
            time(release.p99),
            time(release.p50),
            route(&worst.facts),
            about.more(),
        ),
        evidence: seen.map_or_else(|| rule.to_owned(), |seen| format!("{seen}; {rule}")),
        remedies,
        certainty,
    }]
}

/// What the buffers wait for, and what helps; how sure that is.
struct Reason {
    why: String,
    seen: Option<String>,
    remedies: Vec<String>,
    certainty: Certainty,
}

impl Reason {
    fn measured(why: String, seen: String, remedies: Vec<String>) -> Self {
        Self { why, seen: Some(seen), remedies, certainty: Certainty::Measured }
    }

    fn inferred(why: String, remedies: Vec<String>) -> Self {
        Self { why, seen: None, remedies, certainty: Certainty::Inferred }
    }
}

fn reason(s: &SocketSnapshot, release: &Summary, snapshot: &Snapshot, context: &Context) -> Reason {
    let spent = &s.counts.spent;
    let most = |part: u64| part > 0 && u128::from(part) * 2 >= u128::from(spent.total());
    if most(spent.queued) {
        queued(s, snapshot, context)
    } else if most(spent.before_queue) {
        before_queue(s, snapshot, context)
    } else if s.facts.protocol == Protocol::Udp {
        by_driver(s, snapshot, context)
    } else {
        by_peer(s, release, snapshot, context)
    }
}

/// "94 % of the time until the release".
fn share(part: u64, s: &SocketSnapshot) -> String {
    format!("{} of the time until the release", percent(part, s.counts.spent.total()))
}

/// The command that shows a device's queue.
fn look_at_queue(s: &SocketSnapshot, snapshot: &Snapshot, context: &Context) -> Vec<String> {
    let name = device(s.device, snapshot);
    let facts = s.device.and_then(|i| snapshot.devices.get(&i));
    let look = facts.map(|d| {
        let command = format!("tc -s qdisc show dev {}", shell(&name));
        in_netns(&command, d.netns, snapshot, context)
    });
    look.into_iter().collect()
}

fn queued(s: &SocketSnapshot, snapshot: &Snapshot, context: &Context) -> Reason {
    let name = device(s.device, snapshot);
    let mut remedies = look_at_queue(s, snapshot, context);
    remedies.push("Send no faster than the device does, or give it a shorter queue.".into());
    Reason::measured(
        format!("the queue on {name}"),
        format!("{} in that queue", share(s.counts.spent.queued, s)),
        remedies,
    )
}

/// Before a device had it: of a stream because it may not be sent yet, of a datagram because it is
/// not known where to.
fn before_queue(s: &SocketSnapshot, snapshot: &Snapshot, context: &Context) -> Reason {
    let before =
        format!("{} before it was queued on a device", share(s.counts.spent.before_queue, s));
    if s.facts.protocol == Protocol::Udp {
        let look = in_netns("ip neigh", s.facts.netns, snapshot, context);
        let remedies = vec![look, "A permanent entry for the next hop spares the wait.".into()];
        return Reason::measured("the neighbour's address (ARP, ND)".into(), before, remedies);
    }
    if let Some(reason) = window(s, &before) {
        return reason;
    }
    let again = retransmits(s);
    let why = if again > 0 {
        format!("the congestion window: {} sent again", count(again, "segment"))
    } else {
        "the congestion window, or pacing".into()
    };
    let look = in_netns("ss -tin", s.facts.netns, snapshot, context);
    let remedies = vec![look, MORE_BUFFERS.into()];
    Reason::measured(why, before, remedies)
}

const MORE_BUFFERS: &str =
    "Keep more buffers, so that sends need not wait for the release of others.";

fn retransmits(s: &SocketSnapshot) -> u64 {
    s.counters.as_ref().and_then(|c| c.retransmits).unwrap_or(0).into()
}

/// The receiver's window was closed for half of the time that there was something to send.
fn window(s: &SocketSnapshot, before: &str) -> Option<Reason> {
    let [sending, closed, buffer] = s.counters.as_ref()?.ticks?.map(u64::from);
    let busy = sum([sending, closed, buffer]);
    (closed > 0 && closed * 2 >= busy).then(|| {
        Reason::measured(
            "the receiver's window: the peer reads too slowly".into(),
            format!("the window was closed for {} of the time; {before}", percent(closed, busy)),
            vec!["Let the peer read faster, or give it a larger receive buffer.".into()],
        )
    })
}

fn by_driver(s: &SocketSnapshot, snapshot: &Snapshot, context: &Context) -> Reason {
    let name = device(s.device, snapshot);
    let look = look_at_queue(s, snapshot, context);
    if s.counts.spent.after == 0 {
        return Reason::inferred(format!("a queue on {name}, or for its driver"), look);
    }
    Reason::measured(
        format!("the driver of {name}, or what is behind it"),
        format!("{} after the driver had it", share(s.counts.spent.after, s)),
        look,
    )
}

/// The peer has it, or should, and its ACK does not come.
fn by_peer(
    s: &SocketSnapshot,
    release: &Summary,
    snapshot: &Snapshot,
    context: &Context,
) -> Reason {
    let after = format!("{} after the driver had it", share(s.counts.spent.after, s));
    if let Some(reason) = window(s, &after) {
        return reason;
    }
    let again = retransmits(s);
    let often = again.saturating_mul(100) >= s.counts.sends;
    if again > 0 && often {
        let look = in_netns("nstat -a | grep -i retrans", s.facts.netns, snapshot, context);
        return Reason::measured(
            format!("retransmissions: {} sent again", count(again, "segment")),
            after,
            vec![look, "Look for what drops the packets on the way.".into()],
        );
    }
    let rtt = round_trip(s);
    let least = s.counters.as_ref().and_then(|c| c.min_rtt).or(rtt);
    let size = median(s).filter(|m| *m < threshold::LARGE_BYTES);
    let near = least.is_none_or(|rtt| rtt < threshold::DELAYED_ACK_RTT_NS);
    let delayed = [release.p50, release.p99].iter().any(|t| threshold::DELAYED_ACK_NS.contains(t));
    if let Some(size) = size.filter(|_| delayed && near) {
        return Reason::inferred(
            format!("the peer's delayed ACK; median send {}", bytes(size.into())),
            vec![
                "Use plain send for small messages: their buffers are free at once.".into(),
                "or let the peer acknowledge at once (TCP_QUICKACK there)".into(),
            ],
        );
    }
    // Once a packet waits for others in queues on the way, the trip is longer than it need be.
    if let (Some(rtt), Some(least)) = (rtt, least)
        && rtt >= least.saturating_mul(threshold::QUEUES_ON_THE_WAY)
        && rtt.saturating_mul(2) >= release.p99
    {
        return Reason::inferred(
            format!("queues on the way: a round trip took {} at least", time(least)),
            vec![MORE_BUFFERS.into()],
        );
    }
    if rtt.is_some_and(|rtt| rtt.saturating_mul(2) >= release.p99) {
        return Reason::inferred(
            "the round trip: no ACK comes sooner".into(),
            vec![MORE_BUFFERS.into()],
        );
    }
    let name = device(s.device, snapshot);
    let mut remedies = vec![MORE_BUFFERS.to_owned()];
    remedies.extend(look_at_queue(s, snapshot, context));
    Reason::inferred(
        format!("the peer's ACK, a queue on {name}, or the receiver's window"),
        remedies,
    )
}
