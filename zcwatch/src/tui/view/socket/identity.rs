//! Who it is, and what became of its sends over time.

use ratatui::text::{Line, Span};

use crate::{
    diagnosis::Severity,
    host::process::escape,
    output::names::{counted, grouped, rare, route},
    tracker::{Snapshot, snapshot::SocketSnapshot},
    tui::{
        history::{Course, Point},
        theme::Looks,
        view::{
            sparks::spark,
            text::{fit, left, rate, wrap},
        },
    },
};

/// Who it is, and what limits it.
pub(super) fn identity(
    s: &SocketSnapshot,
    snapshot: &Snapshot,
    looks: Looks,
    width: usize,
) -> Vec<Line<'static>> {
    let f = &s.facts;
    let ended = snapshot.processes.get(&f.pid).is_some_and(|p| p.ended);
    let gone = match (ended, s.closed) {
        (true, _) => "   process ended",
        (_, Some(_)) => "   closed",
        _ => "",
    };
    let first = format!(" {}   {} (pid {}){gone}", route(f), escape(&f.comm), f.pid);
    let mut parts = Vec::new();
    if let Some(d) = s.device.and_then(|d| snapshot.devices.get(&d)) {
        parts.push(format!("dev {}", escape(&d.name)));
    }
    if !s.fds.is_empty() {
        let fds: Vec<_> = s.fds.iter().take(4).map(ToString::to_string).collect();
        parts.push(format!("fd {}", fds.join(" ")));
    }
    if s.pids.len() > 1 {
        parts.push(format!("{} processes", s.pids.len()));
    }
    let set = s.counters.as_ref().map_or(f.so_zerocopy, |c| c.so_zerocopy);
    parts.push(format!("SO_ZEROCOPY {}", if set { "on" } else { "off" }));
    if let Some(c) = &s.counters {
        if let Some(max) = c.optmem_max {
            let used = grouped(c.optmem_used.into());
            parts.push(format!("optmem {used} of {} B", grouped(max.into())));
        }
        if let Some(max) = c.memlock_limit {
            parts.push(format!("memlock {} of {} B", grouped(c.memlock_used), grouped(max)));
        }
    }
    parts.push(format!("netns {}", f.netns));
    if f.before_watch {
        parts.push("there before the watch".into());
    }
    let c = &s.counts;
    let mut counts = vec![
        format!("{} sends", grouped(c.sends)),
        format!("{} B", grouped(c.bytes)),
        format!("copied {}", grouped(c.copied)),
        format!("reported zero-copy {}", grouped(c.reported)),
    ];
    counts.extend(counted([(s.hidden(), "of them copied in secret")]));
    counts.extend(rare(c, s.unread_before()));
    let mut all = vec![Line::styled(fit(&first, width), looks.title())];
    for part in [parts, counts] {
        for text in wrap(&format!(" {}", part.join(" · ")), width, " ") {
            all.push(Line::styled(text, looks.dim()));
        }
    }
    all
}

/// Copied, reported zero-copy, hidden, failed, ignored: those that there are.
pub(super) fn over_time(course: &Course, looks: Looks, width: usize) -> Vec<Line<'static>> {
    type Value = fn(&Point) -> f64;
    let points = course.points();
    let kinds: [(&str, Value, Option<Option<Severity>>); 6] = [
        ("sends/s", |p| p.sends, None),
        ("copied", |p| p.copied, Some(Some(Severity::Problem))),
        ("zero-copy", |p| (p.completed - p.copied).max(0.0), Some(None)),
        ("in secret", |p| p.hidden, Some(Some(Severity::Problem))),
        ("failed", |p| p.failed, Some(Some(Severity::Warning))),
        ("ignored", |p| p.ignored, Some(Some(Severity::Warning))),
    ];
    let top = points.iter().map(|p| p.sends).fold(0.0, f64::max);
    let room = width.saturating_sub(24);
    let shown = kinds
        .iter()
        .filter(|(name, value, _)| *name == "sends/s" || points.iter().any(|p| value(p) > 0.0));
    shown
        .map(|(name, value, severity)| {
            let style = severity.map(|s| looks.severity(s)).unwrap_or_default();
            let last = points.back().map_or(0.0, value);
            Line::from(vec![
                Span::styled(format!(" {} ", left(name, 9)), looks.dim()),
                Span::styled(
                    spark(points.iter().map(|p| Some(value(p))), room.min(240), Some(top)),
                    style,
                ),
                Span::raw(format!(" {}/s", rate(last))),
            ])
        })
        .collect()
}
