//! One socket.
//!
//! ```text
//! who it is, its limits
//! ── verdict ───────────────────────────────────
//! findings with their remedies
//! ── course ────────────────────────────────────
//! ── causes ──────────────── ── release ────────
//! ── sizes ───────────────── ── reap ───────────
//! ── waiting for ───────────────────────────────
//! ```

mod causes;
mod identity;
mod sizes;
mod times;

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::{
    finding::said,
    text::{lines, rule, scrolled},
};
use crate::{
    event::SocketId,
    tui::{app::App, theme::Looks},
};

/// Draws it.
pub fn draw(app: &App, id: SocketId, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let (Some(scene), Some(s)) = (&app.scene, app.socket(id)) else {
        lines(frame, area, vec![Line::styled(" this socket is not shown any more", looks.dim())]);
        return;
    };
    let snapshot = &scene.moment.snapshot;
    let width = usize::from(area.width);
    let mut all = identity::identity(s, snapshot, looks, width);
    let title = |text: &str, width: u16| rule(text, width, looks.title(), looks.dim());
    all.push(title("verdict", area.width));
    let findings = app.findings_of(id);
    let mut verdict = said(&findings, app.item, looks, width);
    verdict.pop();
    if findings.is_empty() {
        let few = s.counts.completed() < 10;
        verdict.push(match few {
            true => Line::styled("   too few sends for a verdict", looks.dim()),
            false => Line::styled(" ✔ nothing wrong was found", looks.severity(None)),
        });
    }
    all.append(&mut verdict);
    if let Some(course) = scene.history.socket(id) {
        all.push(title("over time, a cell a second", area.width));
        all.extend(identity::over_time(course, looks, width));
    }
    // Side by side, where there is room.
    let two = width >= 76;
    let half = if two { (width - 2) / 2 } else { width };
    let wide = u16::try_from(half).unwrap_or(u16::MAX);
    let mut sides = [Vec::new(), Vec::new()];
    sides[0].push(title("causes", wide));
    sides[0].extend(causes::causes(s, snapshot, looks, half));
    sides[1].push(title("release latency", wide));
    sides[1].extend(times::latency(&s.counts.release, s, looks, half));
    let second = [
        [vec![title("sizes", wide)], sizes::sizes(&s.counts, looks, half)].concat(),
        [vec![title("reap latency", wide)], times::latency(&s.counts.reap, s, looks, half)]
            .concat(),
    ];
    if two {
        all.extend(beside(&sides, half));
        all.extend(beside(&second, half));
    } else {
        all.extend(sides.into_iter().flatten());
        all.extend(second.into_iter().flatten());
    }
    all.push(title("waiting for", area.width));
    all.extend(times::waiting(s, looks, width));
    scrolled(frame, area, all, app, looks);
}

/// Two columns, each of this width.
fn beside(sides: &[Vec<Line<'static>>; 2], width: usize) -> Vec<Line<'static>> {
    let rows = sides[0].len().max(sides[1].len());
    (0..rows)
        .map(|i| {
            let mut line = sides[0].get(i).cloned().unwrap_or_default();
            let pad = (width + 2).saturating_sub(line.width());
            line.spans.push(Span::raw(" ".repeat(pad)));
            line.spans.extend(sides[1].get(i).cloned().unwrap_or_default().spans);
            line
        })
        .collect()
}
