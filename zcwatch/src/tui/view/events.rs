//! A live tail: each send as it completes.

use ratatui::{Frame, layout::Rect, text::Line};

use super::text::{fit, lines, rule};
use crate::{
    output::names::grouped,
    tui::{app::App, theme::Looks},
};

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let all = app.told();
    let mut title = format!("events: {}", grouped(all.len() as u64));
    if !app.choice.filter.is_empty() {
        title.push_str(&format!(
            " of {}, filter: {}",
            grouped(app.lines.len() as u64),
            app.filter_text
        ));
    }
    if app.scrolled > 0 {
        title.push_str(&format!(", {} newer below", grouped(app.scrolled as u64)));
    }
    let mut text = vec![rule(&title, area.width, looks.title(), looks.dim())];
    let room = usize::from(area.height).saturating_sub(1);
    if all.is_empty() {
        let what = match app.is_over() {
            true => "  the watch has ended",
            false => "  waiting for a send to complete …",
        };
        text.push(Line::styled(what, looks.dim()));
    }
    let upto = all.len().saturating_sub(app.scrolled).max(room.min(all.len()));
    for line in &all[upto.saturating_sub(room)..upto] {
        text.push(Line::raw(fit(&line.text, area.width.into())));
    }
    lines(frame, area, text);
}
