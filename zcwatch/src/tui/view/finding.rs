//! One finding: all of its sentence, what it rests on, and what helps.

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};

use super::text::{fit, lines, rule, scrolled, wrap};
use crate::{
    diagnosis::{CAUSES, Finding, FindingId, Known, command_in},
    output::names::grouped,
    probe::hooks::Certainty,
    tui::{
        app::App,
        theme::{Looks, sign},
    },
};

/// Draws it.
pub fn draw(app: &App, known: Known, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let Some(finding) = known.place(app.findings()).map(|i| &app.findings()[i]) else {
        lines(frame, area, vec![Line::styled(" it does not hold any more", looks.dim())]);
        return;
    };
    let mut all = said(std::slice::from_ref(finding), app.item, looks, area.width.into());
    if let Some(cause) = CAUSES.iter().find(|c| Some(c.key) == finding.cause) {
        let title = format!("what happens: {}", cause.key);
        all.push(rule(&title, area.width, looks.title(), looks.dim()));
        let width = usize::from(area.width);
        for text in wrap(&format!("  {}", cause.explanation), width, "  ") {
            all.push(Line::raw(text));
        }
        all.push(Line::raw(""));
    }
    let sockets = finding.sockets.len() as u64 + finding.folded;
    if sockets > 0 {
        let title = format!("sockets: {}", grouped(sockets));
        all.push(rule(&title, area.width, looks.title(), looks.dim()));
        for id in finding.sockets.iter().take(20) {
            let Some(socket) = app.socket(*id) else { continue };
            let route = crate::output::names::route(&socket.facts);
            let who = crate::host::process::escape(&socket.facts.comm);
            let text = format!("  {route}   {who} (pid {})", socket.facts.pid);
            all.push(Line::raw(fit(&text, area.width.into())));
        }
        if sockets > 20 {
            all.push(Line::styled(format!("  +{} more", grouped(sockets - 20)), looks.dim()));
        }
    }
    scrolled(frame, area, all, app, looks);
}

/// Sentences with their evidence and remedies; the selected remedy is marked.
pub fn said(findings: &[Finding], item: usize, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let mut all = Vec::new();
    let mut remedy = 0;
    for f in findings {
        let severity = (f.id != FindingId::Healthy).then_some(f.severity);
        let style = looks.severity(severity).add_modifier(Modifier::BOLD);
        for text in wrap(&format!(" {} {}", sign(severity), f.sentence), width, "   ") {
            all.push(Line::styled(text, style));
        }
        let sure = match f.certainty {
            Certainty::Measured => "measured",
            Certainty::Inferred => "inferred",
        };
        if !f.evidence.is_empty() {
            for text in wrap(&format!("   {sure}: {}", f.evidence), width, "   ") {
                all.push(Line::styled(text, looks.dim()));
            }
        }
        for text in &f.remedies {
            let selected = remedy == item;
            remedy += 1;
            let mark = if selected { "▸" } else { " " };
            let command = command_in(text).is_some();
            let style = if command { looks.key() } else { Default::default() };
            for (i, line) in wrap(text, width.saturating_sub(6), "").into_iter().enumerate() {
                let before = if i == 0 { format!("  {mark}→ ") } else { "     ".into() };
                all.push(Line::from(vec![Span::raw(before), Span::styled(line, style)]));
            }
        }
        all.push(Line::raw(""));
    }
    all
}
