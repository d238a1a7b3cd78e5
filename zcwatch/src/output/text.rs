//! The report for a person, or for a ticket.

use std::{collections::BTreeMap, fmt::Write};

use super::{
    json::About,
    names::{counted, grouped, rare, route},
    style::Style,
};
use crate::{
    diagnosis::{Finding, FindingId, causes_of, time},
    event::CallSite,
    host::process::escape,
    probe::hooks::{Certainty, Question},
    sums::{add, sum},
    target::Target,
    tracker::{
        Snapshot,
        ended::OfProcess,
        latency::Latency,
        snapshot::{Agreement, Counts, SocketSnapshot},
    },
};

/// Sockets listed; the busiest first.
const LISTED: usize = 20;

/// Functions of a program shown in a line.
const CALLS: usize = 6;

/// Writes the whole report.
#[must_use]
pub fn report(about: &About, snapshot: &Snapshot, findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    header(&mut out, about, snapshot, style);
    verdict(&mut out, &about.target, snapshot, findings, style);
    let places = about.answers(Question::CopyPlace);
    sockets(&mut out, snapshot, places);
    folded(&mut out, snapshot, places);
    rings(&mut out, snapshot);
    footer(&mut out, snapshot);
    for line in &about.unseen {
        let _ = writeln!(out, "  not known here: {line}");
    }
    style.plain(&out)
}

fn header(out: &mut String, about: &About, snapshot: &Snapshot, style: Style) {
    #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
    let seconds = snapshot.end.saturating_sub(snapshot.start) as f64 / 1e9;
    let _ = writeln!(
        out,
        "{}: {}, {seconds:.1} s, Linux {}, hooks: {}\n",
        style.bold("zcwatch report"),
        whom(&about.target, snapshot),
        about.kernel,
        about.kinds().join(", "),
    );
}

/// Who is watched.
pub(crate) fn whom(target: &Target, snapshot: &Snapshot) -> String {
    if target.is_everything() {
        return "all processes".into();
    }
    let ended = |pid: &u32| snapshot.processes.get(pid).is_some_and(|p| p.ended);
    let mut names: Vec<String> = Vec::new();
    if let Some(command) = &target.command {
        names.push(escape(&command.join(" ")));
    }
    names.extend(target.pids.iter().map(|pid| match snapshot.processes.get(pid) {
        Some(p) if ended(pid) => format!("{} (pid {pid}, ended)", escape(&p.comm)),
        Some(p) => format!("{} (pid {pid})", escape(&p.comm)),
        None => format!("pid {pid}"),
    }));
    names.extend(target.comm.iter().map(|c| format!("all named {}", escape(c))));
    names.extend(target.cgroup.iter().map(|c| format!("cgroup {}", escape(c))));
    let follow = if target.follow { " and descendants" } else { "" };
    format!("{}{follow}", names.join(", "))
}

fn verdict(
    out: &mut String,
    target: &Target,
    snapshot: &Snapshot,
    findings: &[Finding],
    style: Style,
) {
    for f in findings {
        let healthy = f.id == FindingId::Healthy;
        let sign = style.sign(f.severity, healthy);
        let sure = match f.certainty {
            Certainty::Measured => "measured",
            Certainty::Inferred => "inferred",
        };
        let _ = writeln!(out, "{sign} {}", style.bold(&f.sentence));
        if !f.evidence.is_empty() {
            let _ = writeln!(out, "  {sure}: {}", f.evidence);
        }
        for remedy in &f.remedies {
            let _ = writeln!(out, "  → {remedy}");
        }
        out.push('\n');
    }
    if findings.is_empty() {
        let (line, why) = nothing_found(target, snapshot);
        let _ = writeln!(out, "· {line}");
        if let Some(why) = why {
            let _ = writeln!(out, "  {why}");
        }
        out.push('\n');
    }
}

/// What is said where there is no finding, and what may be the matter where nothing was seen.
pub(crate) fn nothing_found(
    target: &Target,
    snapshot: &Snapshot,
) -> (String, Option<&'static str>) {
    let all = snapshot.totals();
    let line = match (all.sends, all.completed()) {
        (0, 0) if snapshot.rings.is_empty() => "no MSG_ZEROCOPY send was seen".to_owned(),
        (0, 0) => "no MSG_ZEROCOPY send of a socket was seen".to_owned(),
        (sends, done) if done >= 10 && !all_seen(snapshot) => format!(
            "{sends} sends seen, {done} completed, {} copied; not all was seen (below), so this \
             is no verdict",
            all.copied
        ),
        (sends, done) if done >= 10 => format!(
            "{sends} sends seen, {done} completed, {} copied; nothing was found but what is \
             left out (--ignore)",
            all.copied
        ),
        (sends, done) => format!(
            "{sends} sends seen, {done} completed: too few for a verdict (10 completed are \
             needed)"
        ),
    };
    (line, (all.sends == 0).then(|| unseen_because(target, snapshot)))
}

/// What may be the matter where nothing was seen.
fn unseen_because(target: &Target, snapshot: &Snapshot) -> &'static str {
    let picked = !target.comm.is_empty() || !target.cgroup.is_empty();
    if picked && snapshot.processes.is_empty() {
        "no process that was asked for sent anything, or was there at all"
    } else if !target.is_everything() && !target.follow {
        "→ --follow watches what a process starts, too"
    } else {
        "MSG_ZEROCOPY must be passed with each send, and SO_ZEROCOPY be set on its socket"
    }
}

/// Nothing was lost that a verdict would need.
fn all_seen(snapshot: &Snapshot) -> bool {
    let l = snapshot.losses;
    [l.events, l.sockets, l.processes, l.skipped] == [0; 4]
        && snapshot.counters_agree() != Some(false)
}

fn sockets(out: &mut String, snapshot: &Snapshot, places: bool) {
    let mut all: Vec<_> = snapshot.sockets.iter().filter(|s| !s.is_idle()).collect();
    all.sort_by_key(|s| (std::cmp::Reverse(s.counts.sends), s.id));
    for s in all.iter().take(LISTED) {
        one_socket(out, s, snapshot, places);
    }
    if all.len() > LISTED {
        let _ = writeln!(
            out,
            "  … and {} more sockets; --format json has them all",
            all.len() - LISTED
        );
    }
}

/// Ended sockets without a row.
fn folded(out: &mut String, snapshot: &Snapshot, places: bool) {
    let all = OfProcess::all(&snapshot.folded);
    for of in all.iter().take(LISTED) {
        let whose = match of.process {
            Some((pid, comm)) => format!("{} (pid {pid})", escape(comm)),
            None => "several processes".to_owned(),
        };
        let n = if of.sockets == 1 { "1 more socket".into() } else { more_sockets(of.sockets) };
        let _ = writeln!(out, "  {n} of {whose}, closed, added up");
        let release = of.counts.release.summary();
        let release = release.map(|s| format!("release {} to {}", time(s.min), time(s.max)));
        let _ = writeln!(out, "    {}", parts(&of.counts, release, 0).join("   "));
        if places {
            let copies = of.kinds.iter().flat_map(|kind| causes_of(&kind.sum, snapshot));
            let mut sends: BTreeMap<_, (u64, &str)> = BTreeMap::new();
            for c in copies {
                let (n, title) = sends.entry(c.cause.key).or_default();
                add(n, c.group.sends);
                *title = c.cause.title;
            }
            sends.into_iter().for_each(|(key, (n, title))| cause(out, key, n, title));
        }
    }
    if all.len() > LISTED {
        let sockets = sum(all.iter().skip(LISTED).map(|of| of.sockets));
        let _ = writeln!(
            out,
            "  … and {} of other processes, closed, added up in --format json",
            more_sockets(sockets)
        );
    }
}

fn more_sockets(n: u64) -> String {
    format!("{} more sockets", grouped(n))
}

fn one_socket(out: &mut String, s: &SocketSnapshot, snapshot: &Snapshot, places: bool) {
    let c = &s.counts;
    let closed = if s.closed.is_some() { "   closed" } else { "" };
    let device = s.device.and_then(|d| snapshot.devices.get(&d));
    let device = device.map_or_else(String::new, |d| format!(" dev {}", escape(&d.name)));
    let _ = writeln!(
        out,
        "  {}{device}   {} (pid {}){closed}",
        route(&s.facts),
        escape(&s.facts.comm),
        s.facts.pid
    );
    let _ = writeln!(
        out,
        "    {}",
        parts(c, latency("release", &c.release), s.unread_before()).join("   ")
    );
    for site in &s.call_sites {
        from_there(out, site);
    }
    if !places {
        return;
    }
    for c in causes_of(s, snapshot) {
        cause(out, c.cause.key, c.group.sends, c.cause.title);
    }
}

/// "sent from write_all < flush < main: 1 200".
fn from_there(out: &mut String, site: &CallSite) {
    let calls: Vec<_> = site.calls.iter().take(CALLS).map(|c| escape(c)).collect();
    let calls = if calls.is_empty() { "an unknown function".into() } else { calls.join(" < ") };
    let _ = writeln!(out, "    sent from {calls}: {}", grouped(site.sends));
}

fn cause(out: &mut String, key: &str, sends: u64, title: &str) {
    let _ = writeln!(out, "    {key:<22} {:>9}   {title}", grouped(sends));
}

fn parts(c: &Counts, release: Option<String>, unread_before: u64) -> Vec<String> {
    let mut parts = vec![
        format!("{} sends", grouped(c.sends)),
        format!("{} B", grouped(c.bytes)),
        format!("copied {}", grouped(c.copied)),
        format!("reported zero-copy {}", grouped(c.reported)),
    ];
    parts.extend(release);
    parts.push(format!("unread {}", grouped(c.unread)));
    parts.extend(counted([(c.in_flight, "in flight")]));
    parts.extend(rare(c, unread_before));
    parts
}

fn latency(name: &str, l: &Latency) -> Option<String> {
    let s = l.summary()?;
    Some(format!("{name} p50 {} p99 {}", time(s.p50), time(s.p99)))
}

fn rings(out: &mut String, snapshot: &Snapshot) {
    for r in &snapshot.rings {
        let _ = writeln!(
            out,
            "  io_uring of pid {}, fd {}: {} zerocopy requests seen (this version does not \
             analyse them)",
            r.pid,
            r.fd,
            grouped(r.requests)
        );
    }
}

fn footer(out: &mut String, snapshot: &Snapshot) {
    let lost = snapshot.losses.events;
    let counters = match snapshot.counters_agree() {
        Some(true) if snapshot.losses.skipped > 0 => {
            "counters agree, but both may be short of what was skipped"
        }
        Some(true) => "counters agree",
        Some(false) => {
            "events and counters differ: the counts shown are the counters' (exact); causes, sizes \
             and latencies are of the events that were seen"
        }
        None => "counters not read",
    };
    let _ = writeln!(out, "  events lost {} · {counters}", grouped(lost));
    if lost > 0 {
        let _ = writeln!(out, "  → watch with a larger event buffer: --ring-size 67108864");
    }
    if snapshot.losses.sockets > 0 {
        let _ = writeln!(
            out,
            "  the table of sockets was full {} times: some sockets are in no number here",
            grouped(snapshot.losses.sockets)
        );
    }
    if snapshot.losses.processes > 0 {
        let _ = writeln!(
            out,
            "  the table of processes was full {} times: what some of them sent is in no number here",
            grouped(snapshot.losses.processes)
        );
    }
    if snapshot.losses.skipped > 0 {
        let _ = writeln!(
            out,
            "  the kernel skipped {} runs of zcwatch's probes: up to as many sends, completions or \
             packets were not seen",
            grouped(snapshot.losses.skipped)
        );
    }
    if snapshot.losses.paths > 0 {
        let _ = writeln!(
            out,
            "  the ways of {} sends could not be kept: their cause is unknown",
            grouped(snapshot.losses.paths)
        );
    }
    if snapshot.losses.unpaired > 0 && snapshot.parts().any(|s| s.agreement == Agreement::No) {
        let _ = writeln!(
            out,
            "  {} merged completions were not paired: copied counts may be off by their ids",
            grouped(snapshot.losses.unpaired)
        );
    }
    if !snapshot.unreadable_netns.is_empty() {
        let _ = writeln!(
            out,
            "  packet sockets could not be read in {}: no process there is visible to zcwatch",
            match snapshot.unreadable_netns.len() {
                1 => "one network namespace".to_owned(),
                n => format!("{n} network namespaces"),
            }
        );
    }
}
