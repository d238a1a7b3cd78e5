//! What keys do, and what the words mean.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::text::{left, page, wrap};
use crate::diagnosis::Severity;
use crate::tui::{
    app::App,
    filter,
    keys::BINDINGS,
    theme::{Looks, sign},
};

/// Words of the screen, in the order of their columns.
const WORDS: &[(&str, &str)] = &[
    ("sends/s", "sends with MSG_ZEROCOPY that took a notification id, a second"),
    (
        "copied",
        "of the completed ones: copied after all; with * also copied though reported zero-copy",
    ),
    (
        "release",
        "first sight inside the send until its completion: so long a buffer must not be touched",
    ),
    ("flight", "in flight: sent, not completed"),
    ("unread", "completed, and not read from the error queue"),
    ("measured", "seen happening; inferred: it follows from what was seen"),
];

/// Draws it, from this line on.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect, scrolled: usize) {
    let width = usize::from(area.width);
    let mut all: Vec<Line<'static>> = Vec::new();
    let mut entry = |name: String, text: &str| {
        let column = 18.min(width / 3);
        let rest = width.saturating_sub(column + 2);
        for (i, line) in wrap(text, rest, "").into_iter().enumerate() {
            let name = if i == 0 { name.as_str() } else { "" };
            all.push(Line::from(vec![
                Span::styled(format!(" {} ", left(name, column)), looks.key()),
                Span::raw(line.clone()),
            ]));
        }
    };
    for b in BINDINGS {
        entry(app.keys.all(b.action), b.what);
    }
    entry(String::new(), " ");
    for (key, what) in filter::KEYS {
        entry((*key).into(), &format!("in the filter: {what}"));
    }
    entry(String::new(), " ");
    for (word, what) in WORDS {
        entry((*word).into(), what);
    }
    for (severity, what) in [
        (Some(Severity::Problem), "problem: zerocopy does not do what it was asked for"),
        (Some(Severity::Warning), "warning: it will, or may, hurt"),
        (Some(Severity::Note), "note: good to know"),
        (None, "nothing wrong was found"),
    ] {
        entry(sign(severity).into(), what);
    }
    page(frame, area, all, scrolled, app, looks);
}
