//! The first line: whom, where, by what, since when, how much; and what was not seen.

use ratatui::{
    Frame,
    layout::Rect,
    style::Modifier,
    text::{Line, Span},
};
use unicode_width::UnicodeWidthStr;

use super::text::{bytes_rate, clock, fit, lines, rate};
use crate::{
    diagnosis::Severity,
    output::{names::grouped, text::whom},
    recording::Why,
    tui::{app::App, moment::Moment, theme::Looks},
};

/// How many lines it takes.
pub fn height(app: &App, width: u16) -> u16 {
    let lost = app.scene.as_ref().is_some_and(|s| !lost(&s.moment).is_empty());
    1 + u16::from(lost && width > 0)
}

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let Some(scene) = &app.scene else {
        lines(frame, area, vec![Line::styled(" zcwatch", looks.title())]);
        return;
    };
    let moment = &scene.moment;
    let mut all = vec![first(app, moment, looks, area.width.into())];
    let lost = lost(moment);
    if !lost.is_empty() {
        let text = fit(&format!(" ✖ not all was seen: {}", lost.join(", ")), area.width.into());
        let style = looks.severity(Some(Severity::Problem)).add_modifier(Modifier::BOLD);
        all.push(Line::styled(text, style));
    }
    lines(frame, area, all);
}

fn first<'a>(app: &App, moment: &Moment, looks: Looks, width: usize) -> Line<'a> {
    let about = &moment.about;
    let snapshot = &moment.snapshot;
    let mut spans = vec![Span::styled(" zcwatch  ", looks.key())];
    if let Some((text, severity)) = state(app, moment, width) {
        let style = looks.severity(Some(severity)).add_modifier(Modifier::BOLD);
        spans.push(Span::styled(format!("{text}  "), style));
    }
    let mut left = width.saturating_sub(spans.iter().map(Span::width).sum());
    let time = clock(snapshot.end.saturating_sub(snapshot.start));
    let whom = match moment.nobody {
        true => "no process is watched".into(),
        false => whom(&about.target, snapshot),
    };
    let whom = fit(&whom, left.saturating_sub(time.width() + 3));
    left -= whom.width();
    let going = app.scene.as_ref().filter(|s| s.moment.ended.is_none() && !s.moment.nobody);
    let now = going.and_then(|s| s.history.all().rate());
    let speed = now.map(|r| format!("{} sends/s {}/s", rate(r.sends), bytes_rate(r.bytes)));
    let kernel = format!("Linux {}", about.kernel);
    let hooks = format!("hooks: {}", about.kinds().join(" "));
    // What is said first is left out last.
    let mut tail: Vec<(usize, String)> = Vec::new();
    let wanted = [(3, Some(time)), (4, speed), (2, Some(hooks)), (1, Some(kernel))];
    for (place, text) in wanted.into_iter().filter_map(|(place, text)| Some((place, text?))) {
        if text.width() + 3 <= left {
            left -= text.width() + 3;
            tail.push((place, text));
        }
    }
    tail.sort_by_key(|(place, _)| *place);
    spans.push(Span::styled(whom, looks.title()));
    spans.extend(tail.into_iter().map(|(_, text)| Span::styled(format!("   {text}"), looks.dim())));
    Line::from(spans)
}

/// What holds of all that is shown.
fn state(app: &App, moment: &Moment, width: usize) -> Option<(&'static str, Severity)> {
    let ended = moment.ended.map(|end| match end.why {
        Why::ProcessesEnded if width >= 60 => "ENDED: no process is left",
        Why::ProcessesEnded | Why::TimeOver | Why::Interrupted | Why::CountReached => "ENDED",
    });
    match (app.paused, ended) {
        (true, _) => Some(("PAUSED", Severity::Warning)),
        (false, Some(ended)) => Some((ended, Severity::Warning)),
        (false, None) => None,
    }
}

/// What was not seen, and that the numbers may be short of.
fn lost(moment: &Moment) -> Vec<String> {
    let l = &moment.snapshot.losses;
    let mut all = Vec::new();
    for (n, one, many) in [
        (l.events, "event lost", "events lost"),
        (l.sockets, "socket found no room", "sockets found no room"),
        (l.processes, "process found no room", "processes found no room"),
        (l.skipped, "run of a probe skipped", "runs of probes skipped"),
        (l.paths, "way not kept", "ways not kept"),
    ] {
        if n > 0 {
            all.push(format!("{} {}", grouped(n), if n == 1 { one } else { many }));
        }
    }
    if moment.snapshot.counters_agree() == Some(false) {
        all.push("events and counters differ: counts are the counters'".into());
    }
    all
}
