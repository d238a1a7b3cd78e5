//! A live tail: each send as it completes.

use std::collections::VecDeque;

use ratatui::{Frame, layout::Rect, text::Line};

use super::text::{lines, rule, wrap};
use crate::{
    output::{names::grouped, trace::Line as Told},
    tui::{app::App, theme::Looks},
};

/// As wide as the time of an event.
const INDENT: &str = "                 ";

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
        let what = match (app.lines.is_empty(), app.is_over()) {
            (false, _) => "  no event is as the filter wants it",
            (true, true) => "  the watch has ended",
            (true, false) => "  waiting for a send to complete …",
        };
        text.push(Line::styled(what, looks.dim()));
    }
    text.extend(page(&all, app.scrolled, room, area.width.into()).into_iter().map(Line::raw));
    lines(frame, area, text);
}

/// What of the tail there is room for, where it ends so many events before the last; what is wider
/// than the screen goes on below.
fn page(all: &[&Told], scrolled: usize, room: usize, width: usize) -> Vec<String> {
    let wrapped = |line: &&Told| wrap(&line.text, width, INDENT.get(..width / 4).unwrap_or(INDENT));
    let upto = all.len().saturating_sub(scrolled);
    let mut page: VecDeque<String> = VecDeque::with_capacity(room);
    for line in all[..upto].iter().rev() {
        for part in wrapped(line).into_iter().rev() {
            if page.len() == room {
                return page.into();
            }
            page.push_front(part);
        }
    }
    // At the beginning the page is full all the same.
    for part in all[upto..].iter().flat_map(wrapped) {
        if page.len() == room {
            break;
        }
        page.push_back(part);
    }
    page.into()
}
