//! Does the application read its notifications, and is what it reads true?

use super::{ids, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{count, time},
    },
    output::names::grouped,
    probe::hooks::Certainty,
    tracker::{Snapshot, snapshot::SocketSnapshot},
};

pub(super) fn misled(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
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

pub(super) fn unread_notifications(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let since = |t: Option<u64>, s: &SocketSnapshot| t.map_or(0, |t| s.asked.saturating_sub(t));
    // What was on the queue when the watch began is as old as the watch, at least.
    let age = |s: &SocketSnapshot| {
        let before = (s.unread_before() > 0).then_some(snapshot.start);
        since(before.or(s.oldest_unread), s)
    };
    let held = |s: &&SocketSnapshot| {
        let c = &s.counts;
        let waiting = c.unread + s.unread_before();
        if waiting == 0 || s.closed.is_some() || c.sends < threshold::SENDS {
            return false;
        }
        let many = waiting >= threshold::UNREAD && age(s) >= threshold::UNREAD_NS;
        let never =
            c.notifications_read == 0 && since(s.first_completion, s) >= threshold::NEVER_READ_NS;
        many || never
    };
    let sockets: Vec<_> = snapshot.sockets.iter().filter(held).collect();
    let waiting = |s: &SocketSnapshot| s.counts.unread + s.unread_before();
    let unread: u64 = sockets.iter().map(|s| waiting(s)).sum();
    let Some(worst) = sockets.iter().max_by_key(|s| waiting(s)) else { return Vec::new() };
    let before: u64 = sockets.iter().map(|s| s.unread_before()).sum();
    let older = if before > 0 {
        format!(" ({before} of them from before the watch)")
    } else {
        String::new()
    };
    let fd = worst.fds.first().map_or_else(String::new, |fd| format!(" on fd {fd}"));
    let never = sockets.iter().all(|s| s.counts.notifications_read == 0);
    vec![Finding {
        id: FindingId::UnreadNotifications,
        cause: None,
        severity: Severity::Warning,
        sockets: ids(&sockets),
        sentence: format!(
            "{} unread{fd} for {}{older}{}",
            count(unread, "completion"),
            time(age(worst)),
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

pub(super) fn out_of_order(snapshot: &Snapshot, _: &Context) -> Vec<Finding> {
    let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| s.waits.out_of_order > 0).collect();
    if sockets.is_empty() {
        return Vec::new();
    }
    let late: u64 = sockets.iter().map(|s| s.waits.out_of_order).sum();
    let read: u64 = sockets.iter().map(|s| s.counts.notifications_read).sum();
    vec![Finding {
        id: FindingId::OutOfOrder,
        cause: None,
        severity: Severity::Warning,
        sockets: ids(&sockets),
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
