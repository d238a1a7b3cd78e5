//! Sends, and the sockets they were made on, in words.

use nix::errno::Errno;

use crate::{
    diagnosis::{Severity, cause_of, hidden_words, time},
    event::{FailedSend, IgnoredSend, SocketFacts},
    host::process::escape,
    output::{names::route, style::Style},
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{Evidence, Place},
        snapshot::From,
        story::{Completed, Story},
    },
};

/// "send #17 16384 B → copied after 48 µs, by local_delivery on lo, read after 12 µs".
/// With `lossy`, what was not seen may have happened all the same.
pub(super) fn story(
    story: &Story,
    cause: Option<&str>,
    closed: bool,
    lossy: bool,
    style: Style,
) -> String {
    let lost = if lossy { " (or lost)" } else { "" };
    let m = &story.message;
    let mut text = match m.errno {
        Some(errno) => format!("send #{} = {}, and kept its id", story.id, minus(errno)),
        None => format!("send #{} {} B", story.id, m.bytes),
    };
    if m.more {
        text.push_str(" MSG_MORE");
    }
    text.push_str(" → ");
    let Some(done) = story.completed else {
        text.push_str(&style.tint("in flight", Severity::Warning, false));
        text.push_str(if closed { " when the socket was closed" } else { "" });
        text.push_str(lost);
        return text;
    };
    text.push_str(&verdict(&done, cause, style));
    text.push_str(&when(story, &done));
    match cause {
        Some(cause) if !cause.is_empty() => text.push_str(&format!(", {cause}")),
        _ => {}
    }
    match (story.read, story.reap()) {
        (Some(_), Some(reap)) => text.push_str(&format!(", read after {}", time(reap))),
        (Some(_), None) => text.push_str(", read"),
        (None, _) => text.push_str(&format!(", not read yet{lost}")),
    }
    text
}

fn verdict(done: &Completed, cause: Option<&str>, style: Style) -> String {
    match (done.copied, cause) {
        (true, _) => style.tint("copied", Severity::Problem, false),
        (false, Some(_)) => style.tint("reported zero-copy", Severity::Problem, false),
        (false, None) => style.tint("reported zero-copy", Severity::Note, true),
    }
}

/// How long it took, from where that is known.
fn when(story: &Story, done: &Completed) -> String {
    let Some(took) = story.release() else {
        return if done.ts.is_some() {
            " before its start was seen".into()
        } else {
            ", nobody saw when".into()
        };
    };
    match story.from {
        From::Entry => format!(" after {}", time(took)),
        From::Queue => format!(" {} after its first packet", time(took)),
        From::Return => format!(" {} after it returned", time(took)),
    }
}

/// "by local_delivery on lo", of a send that completed at this time; `None` where nothing is known
/// of it.
pub(super) fn cause(
    evidence: &Evidence,
    completed: Option<u64>,
    snapshot: &Snapshot,
    places_unknown: bool,
) -> Option<String> {
    let name = |d| snapshot.devices.get(&d).map(|d| d.name.as_str());
    if let Place::Hidden { device, how, measured } = evidence.place {
        let facts = snapshot.devices.get(&device);
        let kind = facts.map_or("", |d| d.kind.as_str());
        let (words, _) = hidden_words(how, name(device).unwrap_or("an unknown device"), kind);
        let sure = if measured { "" } else { " (inferred)" };
        return Some(format!("and copied all the same: {words}{sure}"));
    }
    if places_unknown {
        return None;
    }
    let copy = cause_of(evidence, completed, snapshot.sockets.first()?, snapshot)?;
    if copy.cause.key == "unknown" {
        return Some(format!("cause unknown ({})", copy.seen));
    }
    let device = copy.device.and_then(name);
    let device = device.map_or_else(String::new, |d| format!(" on {}", escape(d)));
    let inferred = if copy.certainty == Certainty::Inferred { " (inferred)" } else { "" };
    Some(format!("by {}{device}{inferred}", copy.cause.key))
}

/// "send = -1 ENOBUFS (optmem 131072 of 131072 B)".
pub(super) fn failed(f: &FailedSend, style: Style) -> String {
    let mut limits = Vec::new();
    if f.errno == Errno::ENOBUFS as i32 {
        limits.extend(f.optmem_max.map(|max| format!("optmem {} of {max} B", f.optmem_used)));
        let memlock = |max| format!("memlock {} of {max} B", f.memlock_used);
        limits.extend(f.memlock_limit.map(memlock));
    }
    let limits =
        if limits.is_empty() { String::new() } else { format!(" ({})", limits.join(", ")) };
    format!("send = {}{limits}", style.tint(&minus(f.errno), Severity::Warning, false))
}

/// "send 16384 B → flag ignored…".
pub(super) fn ignored(i: &IgnoredSend, style: Style) -> String {
    let flag = style.tint("flag ignored", Severity::Warning, false);
    format!(
        "send {} B → {flag}: the socket has no SO_ZEROCOPY, so it is copied, and not notified",
        i.bytes
    )
}

/// "-1 ENOBUFS".
fn minus(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("-1 errno {errno}"),
        known => format!("-1 {known:?}"),
    }
}

/// Who a socket is.
pub(super) fn socket(f: &SocketFacts) -> String {
    format!("socket {}: {}, netns {}, {}", f.socket, route(f), f.netns, option(f))
}

/// What has become of it; `None`: nothing that matters.
pub(super) fn changed(before: &SocketFacts, now: &SocketFacts) -> Option<String> {
    let moved = route(before) != route(now);
    let mut parts = Vec::new();
    parts.extend(moved.then(|| route(now)));
    parts.extend((before.so_zerocopy != now.so_zerocopy).then(|| option(now).to_owned()));
    (!parts.is_empty()).then(|| format!("is now {}", parts.join(", ")))
}

fn option(f: &SocketFacts) -> &'static str {
    if f.so_zerocopy { "SO_ZEROCOPY on" } else { "SO_ZEROCOPY off" }
}
