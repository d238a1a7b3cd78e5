//! Nothing is wrong: said as clearly as something that was found.

use super::{About, Mark, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{count, percent},
    },
    event::Losses,
    probe::hooks::Certainty,
    sums::sum,
    tracker::{Snapshot, snapshot::SocketSnapshot},
};

/// When no finding is left. `ignored` are those that hold, and that nobody wanted to hear of.
pub(in super::super) fn healthy(
    snapshot: &Snapshot,
    context: &Context,
    ignored: &[FindingId],
) -> Option<Finding> {
    let about = About::those(snapshot, Mark::Sends);
    let all = snapshot.totals();
    // What was not seen cannot be called healthy.
    let Losses { sockets: unwatched, processes, skipped, events, .. } = snapshot.losses;
    let lost = [unwatched, processes, skipped, events].into_iter().any(|n| n > 0);
    let unsure = lost || snapshot.counters_agree() == Some(false);
    if all.completed() < threshold::SENDS || unsure {
        return None;
    }
    let names: Vec<_> = ignored.iter().map(|id| id.name()).collect();
    let but = match names.is_empty() {
        true => String::new(),
        false => format!(" but for what was ignored ({})", names.join(", ")),
    };
    let share = match all.copied {
        0 => String::new(),
        copied => format!(" ({})", percent(copied, all.completed())),
    };
    let hidden = sum(snapshot.parts().map(SocketSnapshot::hidden));
    let evidence = if context.places_unknown {
        "the completions say so; whether packets took a way that copies in secret cannot be known \
         on this host"
            .into()
    } else {
        let copies = match all.copied {
            0 => "no copy was reported".into(),
            1 => "1 copy was reported".into(),
            n => format!("{n} copies were reported"),
        };
        match hidden {
            0 => format!("{copies}, and no packet was seen to take a way that copies in secret"),
            n => format!("{copies}, and {} took a way that copies in secret", count(n, "send")),
        }
    };
    Some(Finding {
        id: FindingId::Healthy,
        cause: None,
        severity: Severity::Note,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "healthy{but}: {} completed, {} copied{share}",
            count(all.completed(), "send"),
            all.copied
        ),
        evidence,
        remedies: Vec::new(),
        certainty: if context.places_unknown { Certainty::Inferred } else { Certainty::Measured },
    })
}
