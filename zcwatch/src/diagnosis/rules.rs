//! The findings: when each holds, and its sentence.

use std::collections::BTreeMap;

use super::{
    CausedCopies, Context, Finding, FindingId, Severity,
    cause::{Case, hidden_words},
    causes_of,
    words::{bytes, count, device, in_netns, percent, shell},
};
use crate::{
    event::{Losses, SocketId},
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{HiddenWay, Place},
        snapshot::SocketSnapshot,
    },
};

/// Thresholds, each with its reason.
mod threshold {
    /// Fewer sends are an anecdote.
    pub const SENDS: u64 = 10;
    /// A few copied sends per hundred do not undo the gain of the others.
    pub const COPIED_PERCENT: u64 = 5;
    /// "generally effective at writes over around 10 KB" (Documentation/networking/
    /// msg_zerocopy.rst): below, page accounting and notifications cost more than the copy.
    pub const SMALL_BYTES: u32 = 10_000;
    /// Applications read in batches; so many at once are no batch any more.
    pub const UNREAD: u64 = 64;
    /// And they may be busy for a moment.
    pub const UNREAD_NS: u64 = 1_000_000_000;
    /// Who has never read in this time will not.
    pub const NEVER_READ_NS: u64 = 5_000_000_000;
}

type Rule = fn(&Snapshot, &Context) -> Vec<Finding>;

/// All but `healthy`, which holds when none of these does.
pub(super) const RULES: &[Rule] =
    &[copied, hidden_copy, flag_ignored, misled, unread_notifications, small_sends];

fn copied(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    if context.places_unknown {
        return copied_somewhere(snapshot);
    }
    let mut by_cause: BTreeMap<&str, Vec<(&SocketSnapshot, CausedCopies)>> = BTreeMap::new();
    for socket in &snapshot.sockets {
        for c in causes_of(socket, snapshot) {
            by_cause.entry(c.cause.key).or_default().push((socket, c));
        }
    }
    let mut findings: Vec<(u64, Finding)> =
        by_cause.into_values().filter_map(|rows| one_cause(&rows, snapshot, context)).collect();
    findings.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    findings.into_iter().map(|(_, f)| f).collect()
}

/// Where packets cannot be followed, only how many.
fn copied_somewhere(snapshot: &Snapshot) -> Vec<Finding> {
    let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| s.counts.copied > 0).collect();
    let copied: u64 = sockets.iter().map(|s| s.counts.copied).sum();
    let completed: u64 = sockets.iter().map(|s| s.counts.completed()).sum();
    if completed < threshold::SENDS || copied * 100 < completed * threshold::COPIED_PERCENT {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::Copied,
        cause: None,
        severity: Severity::Problem,
        sockets: ids(&sockets),
        sentence: format!(
            "{copied} of {} copied ({}); where cannot be known on this host",
            count(completed, "completed send"),
            percent(copied, completed)
        ),
        evidence: "the hooks that follow packets did not attach".into(),
        remedies: vec!["zcwatch doctor".into()],
        certainty: Certainty::Measured,
    }]
}

fn one_cause(
    rows: &[(&SocketSnapshot, CausedCopies)],
    snapshot: &Snapshot,
    context: &Context,
) -> Option<(u64, Finding)> {
    let copied: u64 = rows.iter().map(|(_, c)| c.group.sends).sum();
    let sockets = distinct(rows.iter().map(|(s, _)| *s));
    let completed: u64 = sockets.iter().map(|s| s.counts.completed()).sum();
    let all_copied: u64 = sockets.iter().map(|s| s.counts.copied).sum();
    // Where events were lost the way of some copied sends is not known; those that were seen
    // stand for them in the threshold, and the sentence says so.
    let seen: u64 = sockets.iter().map(|s| s.explained()).sum();
    let share = u128::from(copied) * u128::from(all_copied.max(seen)) * 100;
    let enough = u128::from(threshold::COPIED_PERCENT) * u128::from(completed) * u128::from(seen);
    if completed < threshold::SENDS || share < enough {
        return None;
    }
    let (_, first) = rows.iter().max_by_key(|(_, c)| c.group.sends)?;
    let cases: Vec<Case<'_>> =
        rows.iter().map(|(s, c)| Case::new(&c.evidence, c.group.span, s, snapshot)).collect();
    let largest = rows.iter().zip(&cases).max_by_key(|((_, c), _)| c.group.sends)?.1;
    let title = first.cause.title_of(&cases);
    let mut devices: Vec<String> = rows.iter().map(|(_, c)| device(c.device, snapshot)).collect();
    devices.sort();
    devices.dedup();
    let mut remedies: Vec<String> = Vec::new();
    for remedy in cases.iter().flat_map(|case| first.cause.remedies(case, context)) {
        if !remedies.contains(&remedy) {
            remedies.push(remedy);
        }
    }
    let measured = rows.iter().all(|(_, c)| c.certainty == Certainty::Measured);
    let certainty = if measured { Certainty::Measured } else { Certainty::Inferred };
    let finding = Finding {
        id: FindingId::Copied,
        cause: Some(first.cause.key),
        severity: Severity::Problem,
        sockets: sockets.iter().map(|s| s.id).collect(),
        sentence: if seen == all_copied {
            format!(
                "{copied} of {} copied on {} ({}): {}",
                count(completed, "completed send"),
                devices.join(", "),
                percent(copied, completed),
                title,
            )
        } else {
            format!(
                "{all_copied} of {} copied ({}); of the {seen} whose way was seen, {copied} on \
                 {}: {}",
                count(completed, "completed send"),
                percent(all_copied, completed),
                devices.join(", "),
                title,
            )
        },
        evidence: first.cause.seen(largest),
        remedies,
        certainty,
    };
    Some((copied, finding))
}

fn hidden_copy(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let mut by_way: BTreeMap<(HiddenWay, u16), (u64, Vec<&SocketSnapshot>)> = BTreeMap::new();
    for socket in &snapshot.sockets {
        for (evidence, group) in &socket.evidence {
            if let Place::Hidden { device, how } = evidence.place {
                let entry = by_way.entry((how, device)).or_default();
                entry.0 += group.sends;
                entry.1.push(socket);
            }
        }
    }
    by_way
        .into_iter()
        .map(|((how, index), (n, sockets))| {
            let sockets = distinct(sockets.into_iter());
            let reported: u64 = sockets.iter().map(|s| s.counts.reported).sum();
            let name = device(Some(index), snapshot);
            let word = shell(&name);
            let (what, evidence) = hidden_words(how, &name);
            let netns = snapshot.devices.get(&index).map_or(0, |d| d.netns);
            let remedies = match how {
                HiddenWay::GsoWithoutSg => {
                    vec![in_netns(&format!("ethtool -K {word} sg on"), netns, snapshot, context)]
                }
                HiddenWay::VethPeerXdp => vec![
                    "Run the XDP program on the physical device instead of the veth, or use \
                     plain send for this peer."
                        .into(),
                ],
            };
            Finding {
                id: FindingId::HiddenCopy,
                cause: None,
                severity: Severity::Problem,
                sockets: ids(&sockets),
                sentence: format!(
                    "{n} of {} reported zero-copy, and copied all the same: {what}",
                    count(reported, "send")
                ),
                evidence,
                remedies,
                certainty: Certainty::Inferred,
            }
        })
        .collect()
}

fn flag_ignored(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| s.counts.ignored > 0).collect();
    let n: u64 = sockets.iter().map(|s| s.counts.ignored).sum();
    if n == 0 {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::FlagIgnored,
        cause: None,
        severity: Severity::Problem,
        sockets: ids(&sockets),
        sentence: format!(
            "MSG_ZEROCOPY was ignored on {}: SO_ZEROCOPY is not set on the socket",
            count(n, "send")
        ),
        evidence: "the kernel copies such a send like any other, returns no error, and notifies \
                   nothing"
            .into(),
        remedies: vec![
            "int one = 1; setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one));".into(),
        ],
        certainty: Certainty::Measured,
    }]
}

fn misled(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| s.counts.misled > 0).collect();
    let n: u64 = sockets.iter().map(|s| s.counts.misled).sum();
    let read: u64 = sockets.iter().map(|s| s.counts.read).sum();
    if n == 0 {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::Misled,
        cause: None,
        severity: Severity::Warning,
        sockets: ids(&sockets),
        sentence: format!(
            "the notifications told the application wrong about {n} of {}: they were merged, and \
             carry the copied flag of the first only",
            count(read, "send")
        ),
        evidence: "skb_zerocopy_notify_extend merges a completion into the notification before \
                   it without comparing their flags"
            .into(),
        remedies: vec![
            "Read the error queue after every send where the flag matters; zcwatch's own counts \
             are those of the completions."
                .into(),
        ],
        certainty: Certainty::Measured,
    }]
}

fn unread_notifications(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let held = |s: &&SocketSnapshot| {
        let c = &s.counts;
        if c.unread == 0 || s.closed.is_some() || c.sends < threshold::SENDS {
            return false;
        }
        let since = |t: Option<u64>| t.map_or(0, |t| s.asked.saturating_sub(t));
        let many = c.unread >= threshold::UNREAD && since(s.oldest_unread) >= threshold::UNREAD_NS;
        let never =
            c.notifications_read == 0 && since(s.first_completion) >= threshold::NEVER_READ_NS;
        many || never
    };
    let sockets: Vec<_> = snapshot.sockets.iter().filter(held).collect();
    let unread: u64 = sockets.iter().map(|s| s.counts.unread).sum();
    let Some(worst) = sockets.iter().max_by_key(|s| s.counts.unread) else { return Vec::new() };
    let age = worst.oldest_unread.map_or(0, |t| worst.asked.saturating_sub(t));
    let fd = worst.fds.first().map_or_else(String::new, |fd| format!(" on fd {fd}"));
    let never = sockets.iter().all(|s| s.counts.notifications_read == 0);
    vec![Finding {
        id: FindingId::UnreadNotifications,
        cause: None,
        severity: Severity::Warning,
        sockets: ids(&sockets),
        sentence: format!(
            "{} unread{fd} for {}{}",
            count(unread, "completion"),
            super::words::time(age),
            if never { ": the error queue is never read" } else { "" }
        ),
        evidence: "the buffers of these sends could be used again; an error queue that is not \
                   empty also keeps EPOLLERR set"
            .into(),
        remedies: vec![
            "Read with recvmsg(fd, &msg, MSG_ERRQUEUE) until it returns EAGAIN, whenever poll \
             shows POLLERR."
                .into(),
        ],
        certainty: Certainty::Measured,
    }]
}

fn small_sends(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let small = |s: &&SocketSnapshot| {
        let median = s.counts.sizes.summary().map(|(_, median, _)| median);
        s.counts.sends >= threshold::SENDS && median.is_some_and(|m| m < threshold::SMALL_BYTES)
    };
    let sockets: Vec<_> = snapshot.sockets.iter().filter(small).collect();
    let Some(most) = sockets.iter().max_by_key(|s| s.counts.sends) else { return Vec::new() };
    let (_, median, _) = most.counts.sizes.summary().unwrap_or_default();
    let more = match sockets.len() {
        1 => String::new(),
        n => format!(" (and on {} more)", count(n as u64 - 1, "socket")),
    };
    vec![Finding {
        id: FindingId::SmallSends,
        cause: None,
        severity: Severity::Note,
        sockets: ids(&sockets),
        sentence: format!(
            "median send {} on {}{more}: below break-even (about 10 KB)",
            bytes(median.into()),
            crate::output::names::route(&most.facts),
        ),
        evidence: "the kernel's document calls MSG_ZEROCOPY effective over around 10 KB: below, \
                   pinning pages and reading notifications cost more than the copy"
            .into(),
        remedies: vec!["Use MSG_ZEROCOPY for large sends only, or gather small ones.".into()],
        certainty: Certainty::Measured,
    }]
}

/// Said as clearly as something that was found.
pub(super) fn healthy(snapshot: &Snapshot, context: &Context) -> Option<Finding> {
    let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| s.counts.sends > 0).collect();
    let all = snapshot.totals();
    // What was not seen cannot be called healthy.
    let Losses { sockets: unwatched, skipped, events, .. } = snapshot.losses;
    let unsure = unwatched + skipped + events > 0 || snapshot.counters_agree() == Some(false);
    if all.completed() < threshold::SENDS || unsure {
        return None;
    }
    let sentence = if all.copied == 0 {
        format!("healthy: {} completed, 0 copied", count(all.completed(), "send"))
    } else {
        format!(
            "healthy: {} completed, {} copied ({})",
            count(all.completed(), "send"),
            all.copied,
            percent(all.copied, all.completed())
        )
    };
    Some(Finding {
        id: FindingId::Healthy,
        cause: None,
        severity: Severity::Note,
        sockets: ids(&sockets),
        sentence,
        evidence: if context.places_unknown {
            "the completions say so; whether packets took a way that copies in secret cannot be \
             known on this host"
                .into()
        } else {
            "no copy was reported, and no packet was seen to take a way that copies in secret"
                .into()
        },
        remedies: Vec::new(),
        certainty: if context.places_unknown { Certainty::Inferred } else { Certainty::Measured },
    })
}

fn distinct<'a>(sockets: impl Iterator<Item = &'a SocketSnapshot>) -> Vec<&'a SocketSnapshot> {
    let mut all: Vec<_> = sockets.collect();
    all.sort_by_key(|s| s.id);
    all.dedup_by_key(|s| s.id);
    all
}

fn ids(sockets: &[&SocketSnapshot]) -> Vec<SocketId> {
    sockets.iter().map(|s| s.id).collect()
}
