//! The last line: what is typed, what was said, or what keys do.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::text::{fit, lines};
use crate::{
    diagnosis::Severity,
    tui::{
        app::{App, View},
        keys::{Action, BINDINGS},
        theme::Looks,
    },
};

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    if area.height == 0 {
        return;
    }
    let width = usize::from(area.width);
    if let Some(prompt) = &app.prompt {
        let label = format!(" {}", prompt.label());
        let room = width.saturating_sub(label.width() + 1).max(1);
        let scroll = prompt.input.visual_scroll(room);
        let shown: String = prompt.input.value().chars().skip(scroll).collect();
        let mut spans = vec![Span::styled(label.clone(), looks.key()), Span::raw(shown)];
        if let Some(wrong) = &prompt.wrong {
            let style = looks.severity(Some(Severity::Warning));
            spans.push(Span::styled(format!("   ▲ {wrong}"), style));
        }
        lines(frame, area, vec![Line::from(spans)]);
        let at = label.width() + prompt.input.visual_cursor().saturating_sub(scroll);
        let at = u16::try_from(at).unwrap_or(u16::MAX).min(area.width.saturating_sub(1));
        frame.set_cursor_position((area.x + at, area.y));
        return;
    }
    if let Some(said) = &app.said {
        let text = fit(&format!(" {said}"), width);
        lines(frame, area, vec![Line::styled(text, looks.title())]);
        return;
    }
    lines(frame, area, vec![keys(app, looks, width)]);
}

/// The keys of this view, as many as there is room for; help and quit always.
fn keys<'a>(app: &App, looks: Looks, width: usize) -> Line<'a> {
    let of_view = |action: Action| match app.view {
        _ if app.help.is_some() => action == Action::Back,
        View::Overview => !matches!(action, Action::Back | Action::Overview | Action::Copy),
        View::Socket(_) => {
            matches!(action, Action::Back | Action::Copy | Action::Pause | Action::Write)
        }
        View::Finding(_) => {
            matches!(action, Action::Open | Action::Back | Action::Copy | Action::Pause)
        }
        View::Causes => {
            matches!(action, Action::Open | Action::Back | Action::Pause | Action::Events)
        }
        View::Events => {
            matches!(action, Action::Back | Action::Filter | Action::Pause | Action::Causes)
        }
    };
    let in_help = app.help.is_some();
    let always = |action: Action| !in_help && matches!(action, Action::Help | Action::Quit);
    let shown: Vec<_> = BINDINGS
        .iter()
        .filter(|b| !b.short.is_empty() && (always(b.action) || of_view(b.action)))
        .map(|b| (b.action, app.keys.first(b.action), b.short))
        .filter(|(_, key, _)| !key.is_empty())
        .collect();
    let room = |(_, key, short): &(Action, String, &str)| key.width() + short.width() + 3;
    let mut left =
        width.saturating_sub(shown.iter().filter(|k| always(k.0)).map(room).sum::<usize>() + 1);
    let mut spans = vec![Span::raw(" ")];
    if app.view == View::Overview && !app.choice.filter.is_empty() {
        let text = format!("filter: {}   ", app.filter_text);
        left = left.saturating_sub(text.width());
        spans.push(Span::styled(text, looks.severity(Some(Severity::Warning))));
    }
    for part in shown {
        let room = room(&part);
        let (action, key, short) = part;
        if !always(action) {
            if room > left {
                continue;
            }
            left -= room;
        }
        spans.push(Span::styled(key, looks.key()));
        spans.push(Span::styled(format!(" {short}  "), looks.dim()));
    }
    Line::from(spans)
}
