//! All copies by cause, and who listens.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::text::{bar, fit, left, percent, right, rule, scrolled, wrap};
use crate::{
    diagnosis::Severity,
    host::process::escape,
    output::names::grouped,
    probe::hooks::{Certainty, Question},
    tracker::{Snapshot, snapshot::Presence},
    tui::{app::App, causes, theme::Looks},
};

/// Draws it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>, area: Rect) {
    let Some(scene) = &app.scene else { return };
    let width = usize::from(area.width);
    let snapshot = &scene.moment.snapshot;
    let all = causes::all(&scene.moment);
    let totals = snapshot.totals();
    let title = format!(
        "copies: {} of {} completed sends",
        grouped(totals.copied),
        grouped(totals.completed())
    );
    let mut text = vec![rule(&title, area.width, looks.title(), looks.dim())];
    if all.is_empty() {
        text.push(Line::raw(match scene.moment.about.answers(Question::CopyPlace) {
            true => "  no copy was seen",
            false => "  where copies are made cannot be seen here (zcwatch doctor says why)",
        }));
    }
    for (i, c) in all.iter().enumerate() {
        let selected = i == app.cause;
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        let share = c.sends as f64 / totals.completed().max(1) as f64;
        let sure = match c.certainty {
            Certainty::Measured => "",
            Certainty::Inferred => "  inferred",
        };
        let on = if c.device.is_empty() { String::new() } else { format!(" on {}", c.device) };
        let mark = if selected { "▸" } else { " " };
        let bars = (width / 8).clamp(4, 20);
        let first = format!(
            "{mark} {} {} {} {}",
            left(&format!("{}{on}", c.key), 34.min(width / 2)),
            left(&bar(share, bars), bars),
            right(&grouped(c.sends), 12),
            right(&percent(share.min(1.0)), 5),
        );
        let style = if selected { looks.selected() } else { Default::default() };
        let kind = if c.hidden { "  in secret" } else { "" };
        text.push(Line::from(vec![
            Span::styled(fit(&first, width), style),
            Span::styled(format!("{sure}{kind}"), looks.dim()),
        ]));
        let who: Vec<_> = c.processes.iter().map(|(pid, comm)| format!("{comm} ({pid})")).collect();
        let sockets = if c.sockets == 1 { "socket" } else { "sockets" };
        let line =
            format!("    {}; {} {sockets} of {}", c.title, grouped(c.sockets), who.join(", "));
        text.push(Line::styled(fit(&line, width), looks.dim()));
        if selected {
            let calls = c.calls.join(" < ");
            if !calls.is_empty() {
                for line in wrap(&format!("    calls: {calls}"), width, "           ") {
                    text.push(Line::raw(line));
                }
            }
            for line in wrap(&format!("    {}", c.explanation), width, "    ") {
                text.push(Line::raw(line));
            }
            for line in wrap(&format!("    → {}", c.advice), width, "      ") {
                text.push(Line::raw(line));
            }
        }
    }
    text.push(Line::raw(""));
    text.push(rule("who listens or reads along", area.width, looks.title(), looks.dim()));
    text.extend(listeners(snapshot, looks, width));
    scrolled(frame, area, text, app, looks);
}

fn listeners(snapshot: &Snapshot, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let mut all = Vec::new();
    let presence = |p: Presence| match p {
        Presence::Since(_) => "there now",
        Presence::Between(..) => "gone",
    };
    for seen in &snapshot.sniffers {
        let s = &seen.sniffer;
        let device = snapshot
            .devices
            .values()
            .find(|d| (d.netns, d.ifindex) == (s.netns, s.ifindex))
            .map(|d| escape(&d.name));
        let on = match (s.ifindex, device) {
            (0, _) => "every device".to_owned(),
            (_, Some(name)) => name,
            (index, None) => format!("device number {index}"),
        };
        let who = match (&s.comm, s.pid) {
            (Some(comm), Some(pid)) => format!("{} (pid {pid})", escape(comm)),
            (None, Some(pid)) => format!("pid {pid}"),
            _ => format!("a process not visible to zcwatch (socket inode {})", s.inode),
        };
        let text = format!("  packet socket of {who} on {on}: {}", presence(seen.presence));
        let style = match seen.presence {
            Presence::Since(_) => looks.severity(Some(Severity::Warning)),
            Presence::Between(..) => looks.dim(),
        };
        all.push(Line::styled(fit(&text, width), style));
    }
    for (tunnel, seen) in &snapshot.tunnels {
        let text = format!(
            "  {} is read by {} (pid {}): {}",
            escape(&tunnel.device),
            escape(&tunnel.comm),
            tunnel.pid,
            presence(*seen)
        );
        all.push(Line::raw(fit(&text, width)));
    }
    if all.is_empty() {
        all.push(Line::styled("  nobody, as far as it can be seen", looks.dim()));
    }
    if !snapshot.unreadable_netns.is_empty() {
        let text = "  packet sockets could not be read in a network namespace: no process there \
                    is visible";
        all.push(Line::styled(fit(text, width), looks.severity(Some(Severity::Warning))));
    }
    all
}
