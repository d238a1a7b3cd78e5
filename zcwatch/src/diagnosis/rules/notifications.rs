//! Does the application read its notifications, and is what it reads true?

use super::{About, Mark, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{count, process_of, time},
    },
    output::names::grouped,
    probe::hooks::Certainty,
    tracker::{Snapshot, snapshot::SocketSnapshot},
};

pub(super) fn misled(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Misled);
    let n = about.sum(|s| s.counts.misled);
    let read = about.sum(|s| s.counts.read);
    if n == 0 {
        return Vec::new();
    }
    vec![Finding {
        id: FindingId::Misled,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
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

/// Too many completions for too long, or none ever read; of a closed socket, when it was closed.
pub(super) fn leaves_unread(s: &SocketSnapshot) -> bool {
    let c = &s.counts;
    let waiting = waiting(s);
    if waiting == 0 || c.sends < threshold::SENDS {
        return false;
    }
    let many = waiting >= threshold::UNREAD && age(s) >= threshold::UNREAD_NS;
    let never =
        c.notifications_read == 0 && since(s.first_completion, s) >= threshold::NEVER_READ_NS;
    many || never
}

/// Nobody can read what was on the queue of a closed socket.
fn before(s: &SocketSnapshot) -> u64 {
    if s.closed.is_some() { 0 } else { s.unread_before() }
}

pub(super) fn waiting(s: &SocketSnapshot) -> u64 {
    s.counts.unread.saturating_add(before(s))
}

fn since(t: Option<u64>, s: &SocketSnapshot) -> u64 {
    t.map_or(0, |t| s.closed.unwrap_or(s.asked).saturating_sub(t))
}

/// How long the oldest has waited, at least: one from before the window is older than any that
/// completed in it.
fn age(s: &SocketSnapshot) -> u64 {
    since(s.oldest_unread, s)
}

pub(super) fn unread_notifications(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::Unread);
    let unread = about.sum(waiting);
    let Some(worst) = about.most(waiting) else { return Vec::new() };
    let older = about.sum(before);
    let from_before =
        if older > 0 { format!(" ({older} of them from before the watch)") } else { String::new() };
    let fd = worst.fds.first().map(|fd| format!("on fd {fd}"));
    let on = match (about.count(), fd) {
        (1, Some(fd)) => format!(" {fd}"),
        (1, None) => String::new(),
        (n, Some(fd)) => format!(" on {n} sockets, most {fd}"),
        (n, None) => format!(" on {n} sockets"),
    };
    let several = about.keys(|p| p.socket.facts.pid).len() > 1;
    let of = if several {
        format!(" of {}", process_of(worst.facts.pid, snapshot))
    } else {
        String::new()
    };
    let never = about.sum(|s| s.counts.notifications_read) == 0;
    let never = if never { ": the error queue is never read" } else { "" };
    let (unread, age) = (count(unread, "completion"), time(age(worst)));
    let sentence = match (worst.closed, before(worst)) {
        (Some(_), _) => format!("{unread} unread{on}{of}, for {age} when it was closed{never}"),
        (None, 0) => format!("{unread} unread{on}{of} for {age}{never}"),
        (None, _) => format!("{unread} unread{on}{of} for {age} or more{from_before}{never}"),
    };
    vec![Finding {
        id: FindingId::UnreadNotifications,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence,
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

pub(super) fn out_of_order(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let about = About::those(snapshot, Mark::OutOfOrder);
    if about.is_empty() {
        return Vec::new();
    }
    let late = about.sum(|s| s.waits.out_of_order);
    let read = about.sum(|s| s.counts.notifications_read);
    vec![Finding {
        id: FindingId::OutOfOrder,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "notifications out of order: {} of {} read after one with later ids",
            grouped(late),
            grouped(read),
        ),
        evidence: "sends complete when the last of their packets is freed, and that is not always \
                   in the order in which they were sent"
            .into(),
        remedies: vec![
            "Release the buffers of the ids that a notification names, ee_info to ee_data, and of \
             no others."
                .into(),
        ],
        certainty: Certainty::Measured,
    }]
}
