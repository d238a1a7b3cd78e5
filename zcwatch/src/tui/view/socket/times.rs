//! How long things took, and what they waited for.

use ratatui::text::{Line, Span};

use crate::{
    diagnosis::{Severity, time},
    output::names::grouped,
    tracker::{latency::Latency, snapshot::SocketSnapshot},
    tui::{
        theme::Looks,
        view::text::{bar, fit, left, percent, right, wrap},
    },
};

/// " p50 p90 p99 max"
const ALL_MARKS: usize = 16;

/// A histogram, a line an octave; where the percentiles are is marked, and said below.
pub(super) fn latency(
    l: &Latency,
    s: &SocketSnapshot,
    looks: Looks,
    width: usize,
) -> Vec<Line<'static>> {
    let Some(summary) = l.summary() else {
        let text = match s.counts.before_return {
            0 => "   no time is known",
            _ => "   all completed before anything was seen of their start",
        };
        return vec![Line::styled(fit(text, width), looks.dim())];
    };
    let marks =
        [("p50", summary.p50), ("p90", summary.p90), ("p99", summary.p99), ("max", summary.max)];
    let figures: Vec<_> = marks.iter().map(|(m, t)| format!("{m} {}", time(*t))).collect();
    let figures = Line::raw(fit(&format!("   {}", figures.join(" · ")), width));
    if s.ended {
        return vec![figures];
    }
    let octaves = l.octaves();
    let most = octaves.iter().map(|(_, n)| *n).max().unwrap_or(1);
    let marked = |ns: u64| -> Vec<&str> {
        let here = |t: u64| t >= ns && t / 2 < ns;
        let first = octaves.first().is_some_and(|(f, _)| *f == ns);
        marks.iter().filter(|(_, t)| here(*t) || (first && *t < ns)).map(|(m, _)| *m).collect()
    };
    let bars = width.saturating_sub(9 + ALL_MARKS).max(4);
    let mut all = Vec::new();
    let mut last = None;
    for (i, (ns, n)) in octaves.iter().enumerate() {
        if *n == 0 && marked(*ns).is_empty() {
            continue;
        }
        if last.is_some_and(|last| last + 1 < i) {
            all.push(Line::styled(format!(" {} ", right("⋮", 7)), looks.dim()));
        }
        last = Some(i);
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        let share = *n as f64 / most as f64;
        all.push(Line::from(vec![
            Span::styled(format!(" {} ", right(&time(*ns), 7)), looks.dim()),
            Span::styled(left(&bar(share, bars), bars), looks.severity(Some(Severity::Note))),
            Span::raw(format!(" {}", marked(*ns).join(" "))),
        ]));
    }
    all.push(figures);
    all
}

/// Where the time until the release went, and what is open now.
pub(super) fn waiting(s: &SocketSnapshot, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let spent = s.counts.spent;
    let total = spent.total();
    let mut parts = Vec::new();
    if total > 0 {
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        let share = |ns: u64| percent(ns as f64 / total as f64);
        parts.push(format!("before the device {}", share(spent.before_queue)));
        parts.push(format!("in its queue {}", share(spent.queued)));
        parts.push(format!("on the way and for the ACK {}", share(spent.after)));
    }
    if let Some(c) = &s.counters {
        if let Some(rtt) = c.srtt {
            parts.push(format!("RTT {}", time(rtt)));
        }
        if let Some(n) = c.retransmits.filter(|n| *n > 0) {
            parts.push(format!("{n} segments sent again"));
        }
    }
    parts.push(format!("in flight {}", grouped(s.counts.in_flight)));
    parts.push(format!("unread {}", grouped(s.counts.unread)));
    if let Some(oldest) = s.oldest_unread {
        parts.push(format!("the oldest for {}", time(s.asked.saturating_sub(oldest))));
    }
    wrap(&format!(" {}", parts.join(" · ")), width, " ")
        .into_iter()
        .map(|text| Line::styled(text, looks.dim()))
        .collect()
}
