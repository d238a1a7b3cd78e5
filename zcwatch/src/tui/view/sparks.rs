//! The course of all sends, and of the copied ones: a cell a second.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::text::{lines, percent, rate};
use crate::{
    diagnosis::Severity,
    output::names::grouped,
    tui::{app::App, history::Point, theme::Looks},
};

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let Some(scene) = app.scene.as_ref().filter(|_| area.height > 0) else { return };
    let snapshot = &scene.moment.snapshot;
    let totals = snapshot.totals();
    let points: Vec<Point> = scene.history.all().points().iter().copied().collect();
    let agree = match snapshot.counters_agree() {
        Some(true) => "   counters agree",
        _ => "",
    };
    let tail = format!("   events lost {}{agree}", grouped(snapshot.losses.events));
    let width = usize::from(area.width);
    let fixed = " sends/s  ".len() + "   copied  ".len() + tail.len() + 14;
    let each = (width.saturating_sub(fixed) / 2).min(60);
    let last = points.last().copied().unwrap_or_default();
    let share = last.share().map_or("–".into(), percent);
    #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
    let copied = totals.copied as f64 / totals.completed().max(1) as f64;
    let style = looks.severity(if copied >= 0.05 { Some(Severity::Problem) } else { None });
    let parts = vec![
        Span::styled(" sends/s ", looks.dim()),
        Span::raw(spark(points.iter().map(|p| Some(p.sends)), each, None)),
        Span::raw(format!(" {}", rate(last.sends))),
        Span::styled("   copied ", looks.dim()),
        Span::styled(spark(points.iter().map(Point::share), each, Some(1.0)), style),
        Span::raw(format!(" {share}")),
        Span::styled(tail, looks.dim()),
    ];
    lines(frame, area, vec![Line::from(parts)]);
}

/// Eight heights, up to the largest or to `top`; nothing where there is no value. The newest is
/// at the right.
pub fn spark(
    values: impl DoubleEndedIterator<Item = Option<f64>>,
    width: usize,
    top: Option<f64>,
) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let mut shown: Vec<Option<f64>> = values.rev().take(width).collect();
    shown.reverse();
    let top = top.unwrap_or_else(|| shown.iter().flatten().fold(0.0, |a: f64, b| a.max(*b)));
    let level = |v: f64| {
        if v <= 0.0 || top <= 0.0 {
            return ' ';
        }
        let step = (v / top * 8.0).ceil().clamp(1.0, 8.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 8")]
        LEVELS[step as usize - 1]
    };
    let text: String = shown.into_iter().map(|v| v.map_or(' ', level)).collect();
    let pad = width.saturating_sub(text.chars().count());
    format!("{}{text}", " ".repeat(pad))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_at_the_right_and_the_largest_is_full() {
        let values = [Some(0.0), Some(1.0), None, Some(8.0)];
        assert_eq!(spark(values.into_iter(), 6, None), "   ▁ █");
        assert_eq!(spark(values.into_iter(), 2, None), " █");
        assert_eq!(spark([Some(0.5)].into_iter(), 1, Some(1.0)), "▄");
    }
}
