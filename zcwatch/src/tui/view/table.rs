//! The table of sockets. Where there is no room for all columns, some are left out in a fixed order,
//! and it is said how many; in less than 60 columns a socket takes two lines.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::{Line, Span},
};

use unicode_width::UnicodeWidthStr;

use super::{
    Drawn,
    text::{bar, bytes_rate, left, lines, percent, rate, right, rule},
};
use crate::{
    diagnosis::{Severity, time},
    output::names::grouped,
    tui::{
        app::{App, Focus},
        keys::Action,
        rows::{Column, Row},
        theme::{Looks, sign},
    },
};

/// Below, a socket takes two lines.
const NARROW: u16 = 60;

/// Draws it; what it leaves out is said on the line above, where there is one.
pub fn draw(
    app: &App,
    looks: Looks,
    frame: &mut Frame<'_>,
    above: Rect,
    area: Rect,
    drawn: &mut Drawn,
) {
    if above.height > 0 {
        lines(frame, above, vec![rule("", above.width, looks.dim(), looks.dim())]);
    }
    if area.height == 0 {
        return;
    }
    if app.rows.is_empty() {
        let key = app.keys.first(Action::Over);
        let text = match (app.choice.filter.is_empty(), app.hidden) {
            (false, 0) => " no socket is as the filter wants it".into(),
            (true, 0) if app.is_over() => " no socket has sent with MSG_ZEROCOPY".into(),
            (true, 0) => " no socket has sent with MSG_ZEROCOPY yet".into(),
            (_, n) => format!(" {}: {key} shows them", closed(n)),
        };
        lines(frame, area, vec![Line::styled(text, looks.dim())]);
        return;
    }
    let narrow = area.width < NARROW;
    let each: u16 = if narrow { 2 } else { 1 };
    let head = u16::from(area.height > each);
    let room = usize::from((area.height - head) / each).max(1);
    drawn.page = room;
    let at = app.selected_at().unwrap_or_default();
    let first = first_row(at, app.rows.len(), room);
    let columns = if narrow { Vec::new() } else { columns(&app.rows, area.width.into()) };
    let mut all: Vec<Line<'_>> = Vec::new();
    let note = note(app, if narrow { None } else { Some(columns.len()) }, first, room);
    if head > 0 {
        let inside = if above.height > 0 { "" } else { note.as_str() };
        all.push(heading(app, &columns, narrow, looks, area.width.into(), inside));
    }
    if above.height > 0 && !note.is_empty() {
        let note = format!(" {note} ");
        let wide = u16::try_from(note.chars().count()).unwrap_or(u16::MAX).min(above.width);
        let at = Rect { x: above.x + above.width - wide, width: wide, ..above };
        lines(frame, at, vec![Line::styled(note, looks.dim())]);
    }
    for (i, row) in app.rows.iter().enumerate().skip(first).take(room) {
        let selected = match (i == at, app.focus) {
            (false, _) => Selected::No,
            (true, Focus::Sockets) => Selected::Yes,
            (true, Focus::Findings) => Selected::Waits,
        };
        if narrow {
            all.extend(two_lines(row, selected, looks, area.width.into()));
        } else {
            all.push(one_line(row, selected, &columns, looks));
        }
        if selected == Selected::Yes {
            let from = all.len() - usize::from(each);
            for line in &mut all[from..] {
                let text: String = line.spans.iter().map(|s| s.content.as_ref()).collect();
                let text = left(&text, area.width.into());
                *line = Line::styled(text, looks.selected());
            }
        }
    }
    let y = area.y + head;
    drawn.table = Some((Rect { y, height: area.height - head, ..area }, each, first));
    lines(frame, area, all);
}

/// The first row shown, so that the selected one is.
fn first_row(selected: usize, rows: usize, room: usize) -> usize {
    let page = selected / room.max(1) * room.max(1);
    page.min(rows.saturating_sub(room))
}

/// What goes last where there is no room, is shown first where there is: whose, where to, how much,
/// how bad.
const ORDER: [Column; 12] = [
    Column::Route,
    Column::Process,
    Column::Copied,
    Column::Rate,
    Column::Verdict,
    Column::Device,
    Column::Bytes,
    Column::Release,
    Column::Pid,
    Column::InFlight,
    Column::Unread,
    Column::Protocol,
];

/// The columns that there is room for, with their widths, from left to right.
fn columns(rows: &[Row], width: usize) -> Vec<(Column, usize)> {
    let mut left = width.saturating_sub(2);
    // Least and wanted widths.
    let mut shown: Vec<(Column, usize, usize)> = Vec::new();
    for column in ORDER {
        let widest = rows.iter().map(|row| wanted(column, row)).max().unwrap_or_default();
        let title = column.title().chars().count() + 1;
        let (least, most) = match column {
            Column::Process => (8, 22),
            Column::Pid => (4, 8),
            Column::Protocol => (6, 6),
            Column::Route => (26, 72),
            Column::Device => (4, 15),
            Column::Rate => (8, 8),
            Column::Bytes => (8, 8),
            Column::Copied => (10, 10),
            Column::Release => (16, 18),
            Column::InFlight => (4, 9),
            Column::Unread => (7, 9),
            Column::Verdict => (12, 30),
        };
        let full = widest.max(title).clamp(least, most);
        let least = match column {
            // These may be cut off, where that makes room for more.
            Column::Route => full.min(least),
            Column::Verdict => full.min(18),
            _ => full,
        };
        if least + 1 > left {
            break;
        }
        left -= least + 1;
        shown.push((column, least, full));
    }
    for (_, wide, full) in &mut shown {
        let more = (*full - *wide).min(left);
        *wide += more;
        left -= more;
    }
    let place = |column: Column| Column::ALL.iter().position(|c| *c == column);
    shown.sort_by_key(|(column, ..)| place(*column));
    shown.into_iter().map(|(column, wide, _)| (column, wide)).collect()
}

fn wanted(column: Column, row: &Row) -> usize {
    cell(column, row).width()
}

/// What is left out: columns, and rows.
fn note(app: &App, columns: Option<usize>, first: usize, room: usize) -> String {
    let total = app.rows.len();
    let mut notes = Vec::new();
    if app.hidden > 0 {
        notes.push(closed(app.hidden));
    }
    if total > room {
        let upto = (first + room).min(total);
        notes.push(format!("{}–{upto} of {}", first + 1, grouped(total as u64)));
    }
    let more = columns.map_or(0, |shown| Column::ALL.len() - shown);
    if more > 0 {
        notes.push(format!("+{more} column{}", if more == 1 { "" } else { "s" }));
    }
    notes.join(", ")
}

/// Rows that are not shown since their sockets are closed.
fn closed(sockets: u64) -> String {
    let s = if sockets == 1 { "" } else { "s" };
    format!("{} closed socket{s} hidden", grouped(sockets))
}

fn heading<'a>(
    app: &App,
    columns: &[(Column, usize)],
    narrow: bool,
    looks: Looks,
    width: usize,
    note: &str,
) -> Line<'a> {
    if narrow {
        let by = app.choice.by.title();
        let title = format!("   sockets by {by}   {note}");
        return Line::styled(left(&title, width), looks.dim());
    }
    let mut text = "   ".to_owned();
    let mut spans = Vec::new();
    for (column, wide) in columns {
        let sorted = *column == app.choice.by;
        let arrow = match (sorted, app.choice.descending) {
            (true, true) => "↓",
            (true, false) => "↑",
            _ => "",
        };
        let title = format!("{}{arrow}", column.title());
        let title = if is_number(*column) { right(&title, *wide) } else { left(&title, *wide) };
        spans.push(Span::raw(std::mem::take(&mut text)));
        let style = if sorted { looks.title() } else { looks.dim() };
        spans.push(Span::styled(title, style));
        text = " ".into();
    }
    let used: usize = spans.iter().map(Span::width).sum();
    if !note.is_empty() && width > used + note.chars().count() {
        spans.push(Span::styled(format!(" {}", right(note, width - used - 1)), looks.dim()));
    }
    Line::from(spans)
}

fn is_number(column: Column) -> bool {
    matches!(
        column,
        Column::Pid
            | Column::Rate
            | Column::Bytes
            | Column::Release
            | Column::InFlight
            | Column::Unread
    )
}

/// What a column says of a row.
fn cell(column: Column, row: &Row) -> String {
    match column {
        Column::Process => match row.over {
            Some("ended") => format!("{} ended", row.comm),
            _ => row.comm.clone(),
        },
        Column::Pid => row.pid.to_string(),
        Column::Protocol => row.protocol.into(),
        Column::Route => row.route.clone(),
        Column::Device => row.device.clone(),
        Column::Rate => row.rate.map_or("–".into(), rate),
        Column::Bytes => row.bytes_rate.map_or("–".into(), bytes_rate),
        Column::Copied => copied(row),
        Column::Release => release(row),
        Column::InFlight => grouped(row.in_flight),
        Column::Unread => grouped(row.unread),
        Column::Verdict => match row.over {
            Some("closed") if !row.protocol.is_empty() => format!("{}, closed", row.verdict),
            _ => row.verdict.clone(),
        },
    }
}

/// "███ 97%"; with a star, copies that the completions do not report are in it.
fn copied(row: &Row) -> String {
    let Some(share) = row.share() else { return "         –".into() };
    let star = if row.hidden > 0 { "*" } else { "" };
    format!("{}{}", left(&bar(share, 3), 3), right(&format!("{}{star}", percent(share)), 7))
}

fn release(row: &Row) -> String {
    match row.release {
        Some((_, p99)) if row.sockets > 1 => format!("p99 ≤ {}", time(p99)),
        Some((p50, p99)) => format!("{} / {}", time(p50), time(p99)),
        None if row.at_send => "at send".into(),
        None => "–".into(),
    }
}

/// How the row stands out.
fn styles(row: &Row, looks: Looks) -> (Style, Style) {
    let over = row.over.is_some();
    let text = if over { looks.dim() } else { Style::new() };
    let sign = match (row.judged, row.severity) {
        (false, None) => looks.dim(),
        (_, severity) => looks.severity(severity).add_modifier(Modifier::BOLD),
    };
    (text, sign)
}

/// Is it the row that keys are about?
#[derive(Clone, Copy, PartialEq, Eq)]
enum Selected {
    No,
    Yes,
    /// When they are about the table again.
    Waits,
}

fn mark(row: &Row, selected: Selected) -> String {
    let sign = match (row.judged, row.severity) {
        (false, None) => " ",
        (_, severity) => sign(severity),
    };
    let mark = match selected {
        Selected::Yes => "▸",
        Selected::Waits => "▹",
        Selected::No => " ",
    };
    format!("{mark}{sign}")
}

fn one_line<'a>(
    row: &Row,
    selected: Selected,
    columns: &[(Column, usize)],
    looks: Looks,
) -> Line<'a> {
    let (text, signed) = styles(row, looks);
    let mut spans = vec![Span::styled(mark(row, selected), signed)];
    for (column, wide) in columns {
        let mut cell = cell(*column, row);
        if *column == Column::Route && cell.width() > *wide {
            // Its own address says less than where it sends to.
            cell.clone_from(&row.short_route);
        }
        let cell = match is_number(*column) {
            true => right(&cell, *wide),
            false => left(&cell, *wide),
        };
        let style = match column {
            Column::Copied if row.share().is_some_and(|s| s >= 0.05) => {
                looks.severity(Some(Severity::Problem))
            }
            Column::Verdict if row.judged => looks.severity(row.severity),
            _ => text,
        };
        spans.push(Span::raw(" "));
        spans.push(Span::styled(cell, style));
    }
    Line::from(spans)
}

fn two_lines<'a>(row: &Row, selected: Selected, looks: Looks, width: usize) -> [Line<'a>; 2] {
    let (text, signed) = styles(row, looks);
    let mark = mark(row, selected);
    let first = format!(
        " {} {}{}{}",
        row.comm,
        row.protocol,
        if row.protocol.is_empty() { "" } else { " " },
        if row.route.width() + row.comm.width() + 8 > width {
            &row.short_route
        } else {
            &row.route
        }
    );
    let share = row.share().map_or("–".into(), percent);
    let second =
        format!("   {}/s  copied {share}  {}", row.rate.map_or("–".into(), rate), row.verdict);
    let second_style = if row.judged { looks.severity(row.severity) } else { text };
    [
        Line::from(vec![
            Span::styled(mark, signed),
            Span::styled(left(&first, width.saturating_sub(2)), text),
        ]),
        Line::styled(left(&second, width), second_style),
    ]
}
