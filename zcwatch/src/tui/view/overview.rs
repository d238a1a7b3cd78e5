//! All sockets, and what is wrong.
//!
//! ```text
//! findings, the worst first
//! ─────────────────────────
//! table of sockets
//! ─────────────────────────
//! course of sends and copies
//! ```

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
};

use super::{
    Drawn, findings, sparks, table,
    text::{lines, rule},
};
use crate::tui::{app::App, theme::Looks};

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect, drawn: &mut Drawn) {
    let tall = area.height >= 12;
    let rules = u16::from(tall);
    // Where everything is small, the worst finding and some rows are what matters.
    let most = if tall { area.height * 2 / 5 } else { area.height.saturating_sub(3).min(3) };
    let found = findings::height(app, area.width, most.max(1));
    let sparks_height = u16::from(area.height >= 16);
    let [top, line, middle, under, bottom] = Layout::vertical([
        Constraint::Length(found),
        Constraint::Length(rules),
        Constraint::Min(0),
        Constraint::Length(rules.min(sparks_height)),
        Constraint::Length(sparks_height),
    ])
    .areas(area);
    findings::draw(app, looks, frame, top, drawn);
    if under.height > 0 {
        lines(frame, under, vec![rule("", under.width, looks.dim(), looks.dim())]);
    }
    table::draw(app, looks, frame, line, middle, drawn);
    sparks::draw(app, looks, frame, bottom);
}
