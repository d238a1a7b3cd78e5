//! What is said of one socket, in two or three words.

use crate::{
    diagnosis::{Finding, FindingId, Severity},
    tracker::snapshot::Counts,
};

/// A verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// In words.
    pub words: String,
    /// How bad; `None`: nothing is wrong, or nothing can be said.
    pub severity: Option<Severity>,
    /// Something can be said.
    pub judged: bool,
}

/// The verdict on a socket with these counts, which these findings are about, the worst first.
#[must_use]
pub fn of(counts: &Counts, findings: &[&Finding]) -> Verdict {
    let worst = findings.iter().find(|f| f.id != FindingId::Healthy);
    if let Some(worst) = worst {
        return Verdict { words: words(worst), severity: Some(worst.severity), judged: true };
    }
    let healthy = !findings.is_empty();
    let said = match (healthy, counts.completed()) {
        (true, _) => "healthy",
        (_, 0..10) => "too few sends",
        _ => "nothing found",
    };
    let judged = healthy || counts.completed() >= 10;
    Verdict { words: said.into(), severity: None, judged }
}

/// A finding in two or three words.
#[must_use]
pub fn words(finding: &Finding) -> String {
    let fixed = match finding.id {
        FindingId::Copied => return format!("copied: {}", finding.cause.unwrap_or("unknown")),
        FindingId::HiddenCopy => "copied in secret",
        FindingId::FlagIgnored => "flag ignored",
        FindingId::EnobufsOptmem => "ENOBUFS: optmem",
        FindingId::EnobufsMemlock => "ENOBUFS: memlock",
        FindingId::DeviceDrop => "dropped",
        FindingId::NeverUsed => "never zerocopy",
        FindingId::GaveUp => "gave up",
        FindingId::SmallSends => "small sends",
        FindingId::OneInFlight => "one in flight",
        FindingId::SlowRelease => "slow release",
        FindingId::UnreadNotifications => "unread",
        FindingId::Misled => "misled",
        FindingId::OutOfOrder => "out of order",
        FindingId::Healthy => "healthy",
    };
    fixed.into()
}
