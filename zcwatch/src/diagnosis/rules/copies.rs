//! Sends that were copied, told or in secret.

use std::collections::BTreeMap;

use super::{distinct, ids, threshold};
use crate::{
    diagnosis::{
        CausedCopies, Context, Finding, FindingId, Severity,
        cause::{Case, hidden_words},
        causes_of,
        words::{count, device, in_netns, percent, shell},
    },
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{HiddenWay, Place},
        snapshot::SocketSnapshot,
    },
};

pub(super) fn copied(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
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

pub(super) fn hidden_copy(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
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
