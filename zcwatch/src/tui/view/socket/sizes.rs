//! How large its sends are.

use ratatui::text::{Line, Span};

use crate::{
    diagnosis::Severity,
    output::names::grouped,
    tracker::snapshot::Counts,
    tui::{
        theme::Looks,
        view::text::{bar, fit, left, right},
    },
};

/// From here on zerocopy is worth it, bytes.
const BREAK_EVEN: u32 = zcwatch_common::LARGE.unsigned_abs();

/// Sizes by powers of two, with the mark where zerocopy begins to be worth it.
pub(super) fn sizes(c: &Counts, looks: Looks, width: usize) -> Vec<Line<'static>> {
    let mut octaves: Vec<(u32, u64)> = Vec::new();
    for (size, n) in &c.sizes.0 {
        let power = 31 - size.max(&1).leading_zeros();
        match octaves.last_mut().filter(|(p, _)| *p == power) {
            Some((_, sum)) => *sum = sum.saturating_add(*n),
            None => octaves.push((power, *n)),
        }
    }
    let Some((min, median, max)) = c.sizes.summary() else {
        return vec![Line::styled("   no size is known", looks.dim())];
    };
    let most = octaves.iter().map(|(_, n)| *n).max().unwrap_or(1);
    let bars = width.saturating_sub(10 + 14).max(4);
    let mut all = Vec::new();
    let mut marked = false;
    for (power, n) in octaves {
        if !marked && (1_u64 << (power + 1)) > u64::from(BREAK_EVEN) {
            marked = true;
            let text = format!(" {} break-even, about 10 KB", "╌".repeat(7));
            all.push(Line::styled(fit(&text, width), looks.severity(Some(Severity::Warning))));
        }
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        let share = n as f64 / most as f64;
        let small = (1_u64 << power) < u64::from(BREAK_EVEN) / 2;
        let style = looks.severity(small.then_some(Severity::Warning));
        all.push(Line::from(vec![
            Span::styled(format!(" {} ", right(&binary(power), 7)), looks.dim()),
            Span::styled(left(&bar(share, bars), bars), style),
            Span::raw(format!(" {}", right(&grouped(n), 11))),
        ]));
    }
    if !marked {
        let text = format!(" {} break-even, about 10 KB", "╌".repeat(7));
        all.push(Line::styled(fit(&text, width), looks.severity(Some(Severity::Warning))));
    }
    let text = format!(
        "   min {} median {} max {} B",
        grouped(min.into()),
        grouped(median.into()),
        grouped(max.into())
    );
    all.push(Line::styled(fit(&text, width), looks.dim()));
    all
}

/// A power of two of bytes: "512 B", "64 KiB".
fn binary(power: u32) -> String {
    match power {
        0..10 => format!("{} B", 1 << power),
        10..20 => format!("{} KiB", 1 << (power - 10)),
        _ => format!("{} MiB", 1_u64 << (power - 20)),
    }
}
