//! Words and numbers that fit.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};
use unicode_width::UnicodeWidthStr;

use crate::tui::{app::App, keys::Action, theme::Looks};

/// The text, with its end left out where it is too wide.
pub fn fit(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut out = String::new();
    for c in text.chars() {
        let more = c.to_string();
        if out.width() + more.width() + 1 > width {
            break;
        }
        out.push_str(&more);
    }
    if width > 0 {
        out.push('…');
    }
    out
}

/// As wide as said, at the left.
pub fn left(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let pad = width.saturating_sub(text.width());
    format!("{text}{}", " ".repeat(pad))
}

/// As wide as said, at the right.
pub fn right(text: &str, width: usize) -> String {
    let text = fit(text, width);
    let pad = width.saturating_sub(text.width());
    format!("{}{text}", " ".repeat(pad))
}

/// Lines no wider than this; the later ones begin with an indent.
pub fn wrap(text: &str, width: usize, indent: &str) -> Vec<String> {
    if width == 0 {
        return Vec::new();
    }
    // Signs belong to what follows.
    let options = textwrap::Options::new(width.max(8))
        .subsequent_indent(indent)
        .word_splitter(textwrap::WordSplitter::NoHyphenation);
    let text = glued(text);
    let lines = textwrap::wrap(&text, options);
    lines.into_iter().map(|line| line.replace(GLUE, " ")).collect()
}

/// A space that no line ends at.
const GLUE: char = '\u{a0}';

/// The text with its grouped numbers glued.
fn glued(text: &str) -> String {
    let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
    let bytes = text.as_bytes();
    let inside = |(at, c): (usize, char)| {
        let groups = c == ' ' && at > 0 && digit(bytes.get(at - 1));
        let three = || (1..=3).all(|n| digit(bytes.get(at + n))) && !digit(bytes.get(at + 4));
        if groups && three() { GLUE } else { c }
    };
    text.char_indices().map(inside).collect()
}

/// A text in an area, wrapped.
pub fn paragraph(frame: &mut Frame<'_>, area: Rect, text: &str, style: Style) {
    let text = Paragraph::new(text.to_owned()).style(style).wrap(Wrap { trim: false });
    frame.render_widget(text, area);
}

/// Lines in an area, from the top.
pub fn lines(frame: &mut Frame<'_>, area: Rect, lines: Vec<Line<'_>>) {
    frame.render_widget(Paragraph::new(lines), area);
}

/// Lines in an area, from this one on; where there are more, the last line says so.
pub fn scrolled(
    frame: &mut Frame<'_>,
    area: Rect,
    all: Vec<Line<'static>>,
    app: &App,
    looks: Looks,
) {
    page(frame, area, all, app.scroll, app, looks);
}

/// [`scrolled`], so far.
pub fn page(
    frame: &mut Frame<'_>,
    area: Rect,
    mut all: Vec<Line<'static>>,
    scrolled: usize,
    app: &App,
    looks: Looks,
) {
    let room = usize::from(area.height);
    if all.len() > room && room > 1 {
        let most = all.len() + 1 - room;
        let from = scrolled.min(most);
        all.drain(..from);
        if all.len() > room {
            let hidden = all.len() + 1 - room;
            all.truncate(room - 1);
            let key = app.keys.first(Action::PageDown);
            all.push(Line::styled(format!(" +{hidden} lines below ({key})"), looks.key()));
        }
    }
    lines(frame, area, all);
}

/// A line across, with a title.
pub fn rule(title: &str, width: u16, style: Style, line: Style) -> Line<'static> {
    let width = usize::from(width);
    let text = if title.is_empty() { String::new() } else { format!(" {title} ") };
    let text = fit(&text, width.saturating_sub(2));
    let rest = width.saturating_sub(text.width() + 2);
    Line::from(vec![
        Span::styled("──", line),
        Span::styled(text, style),
        Span::styled("─".repeat(rest), line),
    ])
}

/// A number a second in the unit a person would choose: "88", "4 410", "41.2 k", "1.32 M".
pub fn rate(n: f64) -> String {
    match n {
        n if n < 0.05 => "0".into(),
        n if n < 9.95 => format!("{n:.1}"),
        n if n < 9_999.5 => crate::output::names::grouped(whole(n)),
        n if n < 99_950.0 => format!("{:.1} k", n / 1e3),
        n if n < 999_500.0 => format!("{:.0} k", n / 1e3),
        n if n < 99_950_000.0 => format!("{:.1} M", n / 1e6),
        n => format!("{:.0} M", n / 1e6),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "it is small, and no less than 0"
)]
fn whole(n: f64) -> u64 {
    n.round() as u64
}

/// Bytes a second: "740 B", "18.6 MB", "2.7 GB".
pub fn bytes_rate(n: f64) -> String {
    match n {
        n if n < 999.5 => format!("{n:.0} B"),
        n if n < 999_500.0 => format!("{} KB", three(n / 1e3)),
        n if n < 999_500_000.0 => format!("{} MB", three(n / 1e6)),
        n => format!("{} GB", three(n / 1e9)),
    }
}

/// Three digits that count, at most.
fn three(n: f64) -> String {
    if n < 99.95 { format!("{n:.1}") } else { format!("{n:.0}") }
}

/// A share, so that a few never look like none, and nearly all never like all.
pub fn percent(share: f64) -> String {
    let p = share * 100.0;
    match p {
        p if p > 0.0 && p < 1.0 => "<1%".into(),
        p if p > 99.0 && p < 100.0 => ">99%".into(),
        p => format!("{p:.0}%"),
    }
}

/// A time since the start: "00:01:42".
pub fn clock(ns: u64) -> String {
    let s = ns / 1_000_000_000;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}

/// A bar as long as its share of a width, exact to an eighth of a cell; what is more than nothing
/// is seen.
pub fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    #[expect(clippy::cast_precision_loss, reason = "a width of a screen")]
    let eighths = whole((share.clamp(0.0, 1.0) * width as f64 * 8.0).ceil());
    let eighths = usize::try_from(eighths).unwrap_or_default();
    let eighths = eighths.min(width * 8);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_and_say_their_unit() {
        let rates = [0.0, 0.3, 88.0, 4410.0, 41_210.0, 310_000.0, 1_320_000.0].map(rate);
        assert_eq!(rates, ["0", "0.3", "88", "4 410", "41.2 k", "310 k", "1.3 M"]);
        let bytes = [0.0, 740.0, 18_600_000.0, 468_000_000.0, 2.71e9].map(bytes_rate);
        assert_eq!(bytes, ["0 B", "740 B", "18.6 MB", "468 MB", "2.7 GB"]);
        assert_eq!(
            [0.0, 0.001, 0.5, 0.999, 1.0].map(percent),
            ["0%", "<1%", "50%", ">99%", "100%"]
        );
        assert_eq!(clock(102_000_000_000), "00:01:42");
    }

    #[test]
    fn a_number_is_not_broken_where_it_is_grouped() {
        assert_eq!(wrap("sent 8 388 608 B", 10, ""), ["sent", "8 388 608", "B"]);
        assert_eq!(wrap("port 80 8080 is 80 443", 12, ""), ["port 80 8080", "is 80 443"]);
    }

    #[test]
    fn what_is_cut_off_says_so() {
        assert_eq!(fit("10.0.0.4:41822", 8), "10.0.0.…");
        assert_eq!((fit("abc", 3), fit("abc", 0)), ("abc".into(), String::new()));
        assert_eq!((left("ab", 4), right("ab", 4)), ("ab  ".into(), "  ab".into()));
        assert_eq!(
            (bar(1.0, 3), bar(0.0, 3), bar(0.001, 3)),
            ("███".into(), String::new(), "▏".into())
        );
    }
}
