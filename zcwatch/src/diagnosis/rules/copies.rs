//! Sends that were copied, told or in secret.

use std::collections::BTreeMap;

use super::{About, Mark, Part, threshold};
use crate::{
    diagnosis::{
        CausedCopies, Context, Finding, FindingId, Severity,
        cause::{Case, hidden_words},
        causes_of,
        words::{count, device, in_netns, percent, shell},
    },
    probe::hooks::Certainty,
    sums::{add, sum},
    tracker::{
        Snapshot,
        evidence::{HiddenWay, Place},
        snapshot::SocketSnapshot,
    },
};

/// Copies by one cause.
#[derive(Default)]
struct Copies<'a> {
    rows: Vec<(Part<'a>, CausedCopies)>,
    /// The one to show.
    largest: Option<(Part<'a>, CausedCopies)>,
}

pub(super) fn copied(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    if context.places_unknown {
        return copied_somewhere(snapshot);
    }
    let all = About::new(snapshot, |p| !p.socket.evidence.is_empty());
    let mut by_cause: BTreeMap<&str, Copies<'_>> = BTreeMap::new();
    for part in all.parts {
        for c in causes_of(part.socket, snapshot) {
            by_cause.entry(c.cause.key).or_default().rows.push((part, c));
        }
    }
    for part in all.named {
        for c in causes_of(part.socket, snapshot) {
            let known = by_cause.entry(c.cause.key).or_default();
            // Of equals the last one, as everywhere.
            if known.largest.as_ref().is_none_or(|(_, l)| c.largest >= l.largest) {
                known.largest = Some((part, c));
            }
        }
    }
    let mut findings: Vec<(u64, Finding)> =
        by_cause.into_values().filter_map(|c| one_cause(&c, snapshot, context)).collect();
    findings.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    findings.into_iter().map(|(_, f)| f).collect()
}

/// Where packets cannot be followed, only how many.
fn copied_somewhere(snapshot: &Snapshot) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Copied);
    let copied = about.sum(|s| s.counts.copied);
    let completed = about.sum(|s| s.counts.completed());
    let enough = u128::from(completed) * u128::from(threshold::COPIED_PERCENT);
    if completed < threshold::SENDS || u128::from(copied) * 100 < enough {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::Copied,
        cause: None,
        severity: Severity::Problem,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
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
    Copies { rows, largest }: &Copies<'_>,
    snapshot: &Snapshot,
    context: &Context,
) -> Option<(u64, Finding)> {
    let copied = sum(rows.iter().map(|(_, c)| c.group.sends));
    let about = distinct(rows.iter().map(|(p, _)| *p));
    let completed = about.sum(|s| s.counts.completed());
    let all_copied = about.sum(|s| s.counts.copied);
    // Where events were lost the way of some copied sends is not known; those that were seen
    // stand for them in the threshold, and the sentence says so.
    let seen = about.sum(SocketSnapshot::explained);
    let share = u128::from(copied).saturating_mul(all_copied.max(seen).into()).saturating_mul(100);
    let all = u128::from(threshold::COPIED_PERCENT) * u128::from(completed);
    let enough = all.saturating_mul(seen.into());
    if completed < threshold::SENDS || share < enough {
        return None;
    }
    let (shown, first) = largest.as_ref()?;
    let cases: Vec<Case<'_>> = rows.iter().map(|(part, c)| case(part, c, snapshot)).collect();
    let title = first.cause.title_of(&cases);
    let places = places(rows.iter().map(|(_, c)| c.device), snapshot);
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
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: if seen == all_copied {
            format!(
                "{copied} of {} copied{places} ({}): {}",
                count(completed, "completed send"),
                percent(copied, completed),
                title,
            )
        } else {
            format!(
                "{all_copied} of {} copied ({}); of the {seen} whose way was seen, \
                 {copied}{places}: {}",
                count(completed, "completed send"),
                percent(all_copied, completed),
                title,
            )
        },
        evidence: first.cause.seen(&case(shown, first, snapshot)),
        remedies,
        certainty,
    };
    Some((copied, finding))
}

/// " on eth0, eth1"; nothing where no copy was made on a device.
fn places(at: impl Iterator<Item = Option<u16>> + Clone, snapshot: &Snapshot) -> String {
    if at.clone().all(|index| index.is_none()) {
        return String::new();
    }
    let mut devices: Vec<String> = at.map(|index| device(index, snapshot)).collect();
    devices.sort();
    devices.dedup();
    format!(" on {}", devices.join(", "))
}

pub(super) fn hidden_copy(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let mut by_way: BTreeMap<(HiddenWay, u16, bool), (u64, Vec<Part<'_>>)> = BTreeMap::new();
    for part in Part::all(snapshot) {
        for (evidence, group) in &part.socket.evidence {
            if let Place::Hidden { device, how, measured } = evidence.place {
                let (sends, parts) = by_way.entry((how, device, measured)).or_default();
                add(sends, group.sends);
                parts.push(part);
            }
        }
    }
    by_way
        .into_iter()
        .map(|((how, index, measured), (n, parts))| {
            let about = distinct(parts.into_iter());
            let reported = about.sum(|s| s.counts.reported);
            let name = device(Some(index), snapshot);
            let word = shell(&name);
            let facts = snapshot.devices.get(&index);
            let kind = facts.map_or("", |d| d.kind.as_str());
            let (what, evidence) = hidden_words(how, &name, kind);
            let netns = facts.map_or(0, |d| d.netns);
            let remedies = match how {
                HiddenWay::GsoWithoutSg if kind == "wireguard" => {
                    vec![format!(
                        "Use plain send for what goes through {name}: whatever is encrypted is \
                         copied."
                    )]
                }
                HiddenWay::GsoWithoutSg => {
                    vec![in_netns(&format!("ethtool -K {word} sg on"), netns, snapshot, context)]
                }
                HiddenWay::GenericXdp => vec![
                    in_netns(
                        &format!("ip link set {word} xdpgeneric off"),
                        netns,
                        snapshot,
                        context,
                    ),
                    "Or run the program in native mode, on the physical device.".into(),
                ],
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
                sockets: about.ids(),
                folded: about.folded(),
                pids: about.pids(),
                sentence: format!(
                    "{n} of {} reported zero-copy, and copied all the same: {what}",
                    count(reported, "send")
                ),
                evidence,
                remedies,
                certainty: if measured { Certainty::Measured } else { Certainty::Inferred },
            }
        })
        .collect()
}

fn case<'a>(part: &Part<'a>, copies: &'a CausedCopies, snapshot: &'a Snapshot) -> Case<'a> {
    Case::new(&copies.evidence, copies.group.span, part.socket, snapshot)
}

/// Each once, in the order of their ids.
fn distinct<'a>(parts: impl Iterator<Item = Part<'a>>) -> About<'a> {
    let mut parts: Vec<_> = parts.collect();
    parts.sort_by_key(|p| p.socket.id);
    parts.dedup_by_key(|p| p.socket.id);
    About { parts, named: Vec::new() }
}
