//! Is zerocopy used at all, and is it worth it?

use std::collections::BTreeMap;

use super::{About, Mark, Part, median, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        cause::Case,
        causes_of,
        words::{bytes, count, process_of, time},
    },
    output::names::{grouped, route},
    probe::hooks::Certainty,
    sums::add,
    tracker::{Snapshot, snapshot::SocketSnapshot},
};

pub(super) fn flag_ignored(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Ignored);
    let n = about.sum(|s| s.counts.ignored);
    if n == 0 {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::FlagIgnored,
        cause: None,
        severity: Severity::Problem,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
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

/// What a process sent without the flag, in sends that are large enough for it.
#[derive(Default)]
struct Large<'a> {
    sends: u64,
    fd: Option<i32>,
    parts: Vec<Part<'a>>,
}

/// Of a socket that is watched only the mean size of its plain sends is known.
pub(super) fn large_plain(socket: &SocketSnapshot) -> u64 {
    let Some(c) = &socket.counters else { return 0 };
    if c.plain_bytes >= c.plain.saturating_mul(threshold::LARGE_BYTES.into()) { c.plain } else { 0 }
}

/// Did anything here ask for zerocopy, in whatever way and with whatever success?
fn asked_for(snapshot: &Snapshot) -> bool {
    let all = snapshot.totals();
    let failed = [all.failed_optmem, all.failed_memlock, all.failed_other];
    let others = [all.sends, all.ignored, all.before_attach];
    failed.into_iter().chain(others).any(|n| n > 0) || snapshot.rings.iter().any(|r| r.requests > 0)
}

pub(super) fn never_used(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    // A socket that found no room in the table may have been sent on with the flag.
    if asked_for(snapshot) || snapshot.losses.sockets > 0 {
        return Vec::new();
    }
    let mut by_pid: BTreeMap<u32, Large<'_>> = BTreeMap::new();
    for plain in snapshot.plain.values() {
        let of = by_pid.entry(plain.pid).or_default();
        add(&mut of.sends, plain.large);
        of.fd = plain.fd;
    }
    for part in Part::all(snapshot) {
        let of = by_pid.entry(part.socket.facts.pid).or_default();
        add(&mut of.sends, large_plain(part.socket));
        of.parts.push(part);
    }
    let mut all: Vec<_> =
        by_pid.into_iter().filter(|(_, l)| l.sends >= threshold::NEVER_USED).collect();
    all.sort_by_key(|(_, l)| std::cmp::Reverse(l.sends));
    all.into_iter().map(|(pid, large)| one_never_used(pid, &large, snapshot)).collect()
}

fn one_never_used(pid: u32, large: &Large<'_>, snapshot: &Snapshot) -> Finding {
    let on = large.fd.map_or_else(String::new, |fd| format!(", the last on fd {fd}"));
    let about = About { parts: large.parts.clone(), ..About::default() };
    let mut sockets = large.parts.iter().map(|p| p.socket);
    let ready = sockets.clone().find(|s| s.facts.so_zerocopy && large_plain(s) > 0);
    let remedy = match ready {
        Some(s) => format!(
            "SO_ZEROCOPY is set on {}: pass MSG_ZEROCOPY with each large send too.",
            route(&s.facts)
        ),
        None => "int one = 1; setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)); then \
                 send(fd, buf, len, MSG_ZEROCOPY);"
            .into(),
    };
    let by_mean = sockets.any(|s| large_plain(s) > 0);
    Finding {
        id: FindingId::NeverUsed,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "no MSG_ZEROCOPY send seen in {}: {} sends of 10 KB or more by {} went without the \
             flag",
            time(snapshot.end.saturating_sub(snapshot.start)),
            grouped(large.sends),
            process_of(pid, snapshot),
        ),
        evidence: format!(
            "the flags of each send were looked at{on}; those of io_uring and of 32-bit programs \
             cannot be"
        ),
        remedies: vec![remedy],
        certainty: if by_mean { Certainty::Inferred } else { Certainty::Measured },
    }
}

/// Plain sends as large as those with the flag were: others are no sign of giving up.
pub(super) fn has_given_up(socket: &SocketSnapshot) -> bool {
    let Some(c) = &socket.counters else { return false };
    let before: u64 = median(socket).unwrap_or_default().into();
    socket.counts.copied >= 1
        && c.plain_run >= threshold::GAVE_UP
        && c.plain_bytes.saturating_mul(2) >= c.plain.saturating_mul(before)
}

/// Sends without the flag since the last with it.
pub(super) fn run(s: &SocketSnapshot) -> u64 {
    s.counters.as_ref().map_or(0, |c| c.plain_run)
}

pub(super) fn gave_up(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::GaveUp);
    let Some(most) = about.most(run) else { return Vec::new() };
    let (sends, copied) = (most.counts.sends, most.counts.copied);
    let causes = if context.places_unknown { Vec::new() } else { causes_of(most, snapshot) };
    let case =
        causes.first().map(|c| (c.cause, Case::new(&c.evidence, c.group.span, most, snapshot)));
    let why = case.as_ref().map_or_else(String::new, |(cause, case)| {
        format!(" ({})", cause.title_of(std::slice::from_ref(case)))
    });
    let which = match (sends, copied) {
        (1, _) => "which was copied".into(),
        (_, all) if all == sends => "which were copied".into(),
        _ => format!("of which {copied} were copied"),
    };
    vec![Finding {
        id: FindingId::GaveUp,
        cause: case.as_ref().map(|(cause, _)| cause.key),
        severity: Severity::Note,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "gave up after {} on {}{}, {which}{why}: {} without the flag since",
            count(sends, "send"),
            route(&most.facts),
            about.more(),
            count(run(most), "send"),
        ),
        evidence: "the kernel's document advises so: a send that is copied all the same costs \
                   more than one without the flag"
            .into(),
        remedies: case.map_or_else(Vec::new, |(cause, case)| cause.remedies(&case, context)),
        certainty: Certainty::Inferred,
    }]
}

pub(super) fn is_small(s: &SocketSnapshot) -> bool {
    s.counts.sends >= threshold::SENDS && median(s).is_some_and(|m| m < threshold::LARGE_BYTES)
}

pub(super) fn small_sends(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Small);
    let Some(most) = about.most(|s| s.counts.sends) else { return Vec::new() };
    let median = median(most).unwrap_or_default();
    vec![Finding {
        id: FindingId::SmallSends,
        cause: None,
        severity: Severity::Note,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "median send {} on {}{}: below break-even (about 10 KB)",
            bytes(median.into()),
            route(&most.facts),
            about.more(),
        ),
        evidence: "the kernel's document calls MSG_ZEROCOPY effective over around 10 KB: below, \
                   pinning pages and reading notifications cost more than the copy"
            .into(),
        remedies: vec!["Use MSG_ZEROCOPY for large sends only, or gather small ones.".into()],
        certainty: Certainty::Measured,
    }]
}
