//! Why its sends were copied: bars, and the calls that led to the most frequent copy.

use ratatui::text::{Line, Span};

use crate::{
    diagnosis::{Severity, causes_of, hidden_words},
    host::process::escape,
    output::names::grouped,
    tracker::{Snapshot, evidence::Place, snapshot::SocketSnapshot},
    tui::{
        theme::Looks,
        view::text::{bar, fit, left, percent, right},
    },
};

/// Bars, and the calls that led to the most frequent one.
pub(super) fn causes(
    s: &SocketSnapshot,
    snapshot: &Snapshot,
    looks: Looks,
    width: usize,
) -> Vec<Line<'static>> {
    let done = s.counts.completed().max(1);
    let mut all = Vec::new();
    let name = (width * 2 / 5).clamp(8, 22);
    let bars = width.saturating_sub(name + 18).max(3);
    let mut row = |key: &str, sends: u64, severity: Option<Severity>| {
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        let share = sends as f64 / done as f64;
        all.push(Line::from(vec![
            Span::raw(format!(" {} ", left(key, name))),
            Span::styled(left(&bar(share, bars), bars), looks.severity(severity)),
            Span::raw(format!(" {} {}", right(&grouped(sends), 9), right(&percent(share), 5))),
        ]));
    };
    let known = causes_of(s, snapshot);
    for c in &known {
        row(c.cause.key, c.group.sends, Some(Severity::Problem));
    }
    let shown = s.counts.copied.saturating_sub(s.explained());
    if shown > 0 {
        row("(not seen why)", shown, Some(Severity::Problem));
    }
    let hidden = s.hidden();
    if hidden > 0 {
        row("(copied in secret)", hidden, Some(Severity::Problem));
    }
    row("(reported zero-copy)", s.counts.reported.saturating_sub(hidden), None);
    if let Some(c) = known.first() {
        for call in c.calls(snapshot).iter().take(6) {
            all.push(Line::styled(fit(&format!("   {call}"), width), looks.dim()));
        }
    }
    for (e, _) in &s.evidence {
        if let Place::Hidden { device, how, .. } = e.place {
            let device = snapshot.devices.get(&device);
            let (name, kind) = device.map_or(("", ""), |d| (&d.name, &d.kind));
            let (words, _) = hidden_words(how, name, kind);
            all.push(Line::styled(fit(&format!("   {words}"), width), looks.dim()));
        }
    }
    for site in s.call_sites.iter().take(3) {
        let calls: Vec<_> = site.calls.iter().take(6).map(|c| escape(c)).collect();
        let text = format!("   sent from {}: {}", calls.join(" < "), grouped(site.sends));
        all.push(Line::raw(fit(&text, width)));
    }
    all
}
