//! Packet sockets: who, when, and what to do about them.

use super::{Case, words};
use crate::tracker::snapshot::Presence;

/// Copies over less of the socket's activity than this are said to be limited to their time.
const WHOLE_PERCENT: u64 = 90;

/// Listeners are looked for twice a second: in a shorter activity nobody comes and goes.
const SHORT_NS: u64 = 1_000_000_000;

/// Who listened, each once.
pub(super) fn names(rows: &[Case<'_>]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut unseen = false;
    for c in rows {
        let listeners = c.listeners();
        unseen |= listeners.is_empty();
        names.extend(listeners.iter().map(|s| words::holder(s)));
    }
    names.sort();
    names.dedup();
    if unseen {
        names.push("a process that zcwatch did not see".into());
    }
    names
}

/// " of tcpdump (pid 812), from 3.2 s to 7.9 s of the watch".
pub(super) fn whom(rows: &[Case<'_>]) -> Option<String> {
    let names = names(rows).join(" and of ");
    Some(format!(" of {names}{}", when(rows).unwrap_or_default()))
}

/// When the copies were made, where that is not nearly all the time that the sockets were busy.
fn when(rows: &[Case<'_>]) -> Option<String> {
    let snapshot = rows.first()?.snapshot;
    let from = rows.iter().filter_map(|c| Some(c.span?.0)).min()?;
    let to = rows.iter().filter_map(|c| Some(c.span?.1)).max()?;
    let first = rows.iter().filter_map(|c| c.socket.first_completion).min()?.min(from);
    let last = rows.iter().filter_map(|c| c.socket.last_completion).max()?.max(to);
    let busy = last - first;
    let most = u128::from(busy) * u128::from(WHOLE_PERCENT);
    if busy < SHORT_NS || u128::from(to.saturating_sub(from)) * 100 >= most {
        return None;
    }
    let (from, to) = (words::moment(from, snapshot), words::moment(to, snapshot));
    Some(if from == to {
        format!(", at {from} of the watch")
    } else {
        format!(", from {from} to {to} of the watch")
    })
}

/// What to do about those that are still there; `or` is what helps besides.
pub(super) fn remedies(c: &Case<'_>, or: Option<&str>) -> Vec<String> {
    let listeners = c.listeners();
    let there: Vec<_> =
        listeners.iter().filter(|s| matches!(s.presence, Presence::Since(_))).collect();
    if there.is_empty() && !listeners.is_empty() {
        return vec!["Nothing any more: the listener has gone.".into()];
    }
    let mut all: Vec<String> =
        there.iter().filter_map(|s| Some(format!("kill {}", s.sniffer.pid?))).collect();
    all.sort();
    all.dedup();
    all.push(match (all.is_empty(), or) {
        (true, Some(or)) => format!("Stop the listener, bind it to another device, or {or}."),
        (true, None) => "Stop the listener, or bind it to another device.".into(),
        (false, Some(or)) => format!("or bind it to another device, or {or}"),
        (false, None) => "or bind it to another device".into(),
    });
    all
}
