//! The findings: a sentence each, and what to do first.

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::{
    Drawn,
    text::{fit, left, lines, wrap},
};
use crate::{
    diagnosis::{Finding, FindingId, Severity},
    output::{names::grouped, text::nothing_found},
    probe::hooks::Certainty,
    tui::{
        app::{App, Focus},
        keys::Action,
        theme::{Looks, sign},
    },
};

/// One of them, or what stands in their place.
struct Entry {
    finding: Option<usize>,
    lines: Vec<Line<'static>>,
}

/// Lines that all of them take, `most` at most.
pub fn height(app: &App, width: u16, most: u16) -> u16 {
    let plain = Looks {
        theme: Default::default(),
        colours: crate::tui::theme::Colours::None,
        unicode: true,
    };
    let all: usize = entries(app, plain, width.into()).iter().map(|e| e.lines.len()).sum();
    u16::try_from(all).unwrap_or(most).clamp(1, most)
}

/// Draws them, the selected one in sight.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect, drawn: &mut Drawn) {
    let all = entries(app, looks, area.width.into());
    let room = usize::from(area.height);
    let total = all.len();
    let fits = |from: usize| {
        // With something left out, the last line says so.
        let mut used = 0;
        let mut upto = from;
        for entry in &all[from.min(total)..] {
            let rest = usize::from(upto + 1 < total);
            if used + entry.lines.len() + rest > room && (upto > from || used > 0) {
                break;
            }
            used += entry.lines.len();
            upto += 1;
        }
        upto
    };
    let selected = if app.focus == Focus::Findings { app.finding_at() } else { 0 };
    let mut from = 0;
    while from < selected && fits(from) <= selected {
        from += 1;
    }
    let upto = fits(from);
    let mut shown: Vec<Line<'static>> = Vec::new();
    for entry in all.into_iter().take(upto).skip(from) {
        for line in entry.lines {
            if shown.len() < room {
                if let Some(finding) = entry.finding {
                    let y = area.y + u16::try_from(shown.len()).unwrap_or_default();
                    drawn.findings.push((Rect { y, height: 1, ..area }, finding));
                }
                shown.push(line);
            }
        }
    }
    let hidden = total.saturating_sub(upto);
    if hidden > 0 && shown.len() < room {
        let key = app.keys.first(Action::Focus);
        shown.push(Line::styled(format!("  +{hidden} more below ({key} and ↓)"), looks.dim()));
    } else if hidden > 0
        && let Some(last) = shown.last_mut()
    {
        let note = format!(" +{hidden} ");
        let width = usize::from(area.width).saturating_sub(note.width());
        let text: String = last.spans.iter().map(|s| s.content.as_ref()).collect();
        let style = last.spans.get(1).map(|s| s.style).unwrap_or_default();
        *last = Line::from(vec![
            Span::styled(left(&text, width), style),
            Span::styled(note, looks.key()),
        ]);
    }
    lines(frame, area, shown);
}

fn entries(app: &App, looks: Looks, width: usize) -> Vec<Entry> {
    let Some(scene) = &app.scene else { return Vec::new() };
    let moment = &scene.moment;
    let at = app.finding_at();
    let mut all: Vec<Entry> = moment
        .findings
        .iter()
        .enumerate()
        .map(|(i, f)| {
            let selected = app.focus == Focus::Findings && at == i;
            Entry { finding: Some(i), lines: one(f, selected, looks, width) }
        })
        .collect();
    if all.is_empty() {
        let key = app.keys.first(Action::Take);
        let (line, why) = match moment.nobody {
            true => (format!("no process is watched any more; {key} takes one"), None),
            false => nothing_found(&moment.about.target, &moment.snapshot),
        };
        let mut text: Vec<Line<'static>> =
            wrap(&format!("  · {line}"), width, "    ").into_iter().map(Line::from).collect();
        if let Some(why) = why {
            text.extend(
                wrap(&format!("    {why}"), width, "    ")
                    .into_iter()
                    .map(|l| Line::styled(l, looks.dim())),
            );
        }
        all.push(Entry { finding: None, lines: text });
    }
    for ring in &moment.snapshot.rings {
        let text = format!(
            "  · io_uring of pid {}, fd {}: {} zerocopy requests seen (not analysed)",
            ring.pid,
            ring.fd,
            grouped(ring.requests)
        );
        let lines = wrap(&text, width, "    ").into_iter().map(Line::from).collect();
        all.push(Entry { finding: None, lines });
    }
    all
}

/// Its sign, its sentence, how sure, and the first remedy.
fn one(f: &Finding, selected: bool, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let severity = (f.id != FindingId::Healthy).then_some(f.severity);
    let style = looks.severity(severity);
    let sure = match f.certainty {
        Certainty::Measured => "measured",
        Certainty::Inferred => "inferred",
    };
    let word = match severity {
        Some(Severity::Problem) => "problem",
        Some(Severity::Warning) => "warning",
        Some(Severity::Note) => "note",
        None => "good",
    };
    let mark = if selected { "▸" } else { " " };
    let named = width >= 90;
    let before = match named {
        true => format!("{mark}{} {word:<8}", sign(severity)),
        false => format!("{mark}{} ", sign(severity)),
    };
    let after = if named { format!("   {sure}") } else { String::new() };
    let indent = " ".repeat(before.width());
    let room = width.saturating_sub(before.width() + after.width());
    let mut sentence = wrap(&f.sentence, room, "");
    // Two lines at a glance; all of it in its own view.
    if sentence.len() > 2 && !selected {
        let rest = sentence.split_off(1).join(" ");
        sentence.push(fit(&rest, room));
    }
    let weight = if selected { Modifier::BOLD } else { Modifier::empty() };
    let mut all: Vec<Line<'static>> = Vec::new();
    for (i, text) in sentence.into_iter().enumerate() {
        let (before, after) = match i {
            0 => (before.clone(), after.clone()),
            _ => (indent.clone(), String::new()),
        };
        let text = if after.is_empty() { text } else { left(&text, room) };
        all.push(Line::from(vec![
            Span::styled(before, style.add_modifier(Modifier::BOLD)),
            Span::styled(text, style.add_modifier(weight)),
            Span::styled(after, looks.dim()),
        ]));
    }
    if let Some(remedy) = f.remedies.first().filter(|_| width >= 50) {
        let text = fit(&format!("{indent}→ {remedy}"), width);
        all.push(Line::raw(text));
    }
    all
}
