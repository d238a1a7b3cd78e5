//! Counts of ids, of one socket or of many, and their causes.

use serde::Serialize;

use super::About;
use crate::{
    diagnosis::causes_of,
    probe::hooks::{Certainty, Question},
    sums::add,
    tracker::{
        Snapshot,
        latency::Latency,
        snapshot::{Counts, From, SocketSnapshot},
    },
};

#[derive(Default, Serialize)]
pub(super) struct CountsOut {
    sends: Sends,
    failed: Failed,
    ignored: Ignored,
    completed: Completed,
    hidden_copies: Option<u64>,
    misled: Option<u64>,
    in_flight: Option<u64>,
    closed_in_flight: Option<u64>,
    unread: Option<u64>,
    release_ns: Times,
    spent_ns: Option<SpentOut>,
    reap_ns: Times,
    causes: Option<Vec<CauseOut>>,
}

#[derive(Serialize)]
struct SpentOut {
    before_queue: u64,
    queued: u64,
    after: u64,
}

#[derive(Default, Serialize)]
struct Sends {
    count: u64,
    bytes: Option<u64>,
    min: Option<u32>,
    p50: Option<u32>,
    max: Option<u32>,
    with_error: Option<u64>,
}

#[derive(Default, Serialize)]
struct Failed {
    enobufs_optmem: Option<u64>,
    enobufs_memlock: Option<u64>,
    other: Option<u64>,
}

#[derive(Default, Serialize)]
struct Ignored {
    count: Option<u64>,
    bytes: Option<u64>,
    sampled: bool,
}

#[derive(Default, Serialize)]
struct Completed {
    count: Option<u64>,
    copied: Option<u64>,
    reported_zerocopy: Option<u64>,
    before_attach: Option<u64>,
    before_return: Option<u64>,
}

#[derive(Default, Serialize)]
struct Times {
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Option<&'static str>>,
    count: u64,
    min: Option<u64>,
    p50: Option<u64>,
    p90: Option<u64>,
    p99: Option<u64>,
    max: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct CauseOut {
    key: &'static str,
    sends: u64,
    bytes: Option<u64>,
    device: Option<String>,
    certainty: Certainty,
    first_boot_ns: Option<u64>,
    last_boot_ns: Option<u64>,
    stack: Vec<String>,
}

/// `whole`: every event was seen, so what only events tell is complete.
pub(super) fn counts(
    c: &Counts,
    hidden: u64,
    whole: bool,
    causes: Vec<CauseOut>,
    about: &About,
) -> CountsOut {
    let sizes = c.sizes.summary().filter(|_| whole);
    let reads = about.answers(Question::NotificationRead);
    CountsOut {
        sends: Sends {
            count: c.sends,
            bytes: Some(c.bytes),
            min: sizes.map(|s| s.0),
            p50: sizes.map(|s| s.1),
            max: sizes.map(|s| s.2),
            with_error: Some(c.with_error),
        },
        failed: Failed {
            enobufs_optmem: Some(c.failed_optmem),
            enobufs_memlock: Some(c.failed_memlock),
            other: Some(c.failed_other),
        },
        ignored: Ignored {
            count: about.answers(Question::FlagIgnored).then_some(c.ignored),
            bytes: about.answers(Question::FlagIgnored).then_some(c.ignored_bytes),
            sampled: false,
        },
        completed: Completed {
            count: Some(c.completed().saturating_add(c.before_attach)),
            copied: Some(c.copied),
            reported_zerocopy: Some(c.reported),
            before_attach: Some(c.before_attach),
            before_return: Some(c.before_return),
        },
        hidden_copies: (whole && about.answers(Question::HiddenCopy)).then_some(hidden),
        misled: (whole && reads).then_some(c.misled),
        in_flight: Some(c.in_flight),
        closed_in_flight: Some(c.closed_in_flight),
        unread: reads.then_some(c.unread),
        release_ns: Times { from: Some(c.release_from.map(From::name)), ..times(&c.release) },
        spent_ns: (c.spent.total() > 0).then_some(SpentOut {
            before_queue: c.spent.before_queue,
            queued: c.spent.queued,
            after: c.spent.after,
        }),
        reap_ns: times(&c.reap),
        causes: about.answers(Question::CopyPlace).then_some(causes),
    }
}

impl CountsOut {
    /// Of io_uring no more than the number of its requests is known.
    pub(super) fn requests(count: u64) -> Self {
        Self { sends: Sends { count, ..Sends::default() }, ..Self::default() }
    }

    /// Of many sockets that were added up one by one: what lies between the ends is not known.
    pub(super) fn ends_only(mut self) -> Self {
        self.sends.p50 = None;
        for times in [&mut self.release_ns, &mut self.reap_ns] {
            (times.p50, times.p90, times.p99) = (None, None, None);
        }
        self
    }
}

fn times(latency: &Latency) -> Times {
    let Some(s) = latency.summary() else { return Times::default() };
    Times {
        from: None,
        count: s.count,
        min: Some(s.min),
        p50: Some(s.p50),
        p90: Some(s.p90),
        p99: Some(s.p99),
        max: Some(s.max),
    }
}

pub(super) fn causes(s: &SocketSnapshot, snapshot: &Snapshot) -> Vec<CauseOut> {
    causes_of(s, snapshot)
        .into_iter()
        .map(|c| CauseOut {
            key: c.cause.key,
            sends: c.group.sends,
            // The sizes of single ids are approximate where sends overlapped.
            bytes: (!s.overlapped).then_some(c.group.bytes),
            device: c.device.and_then(|d| Some(snapshot.devices.get(&d)?.name.clone())),
            certainty: c.certainty,
            first_boot_ns: c.group.span.map(|s| s.0),
            last_boot_ns: c.group.span.map(|s| s.1),
            stack: c.calls(snapshot).to_vec(),
        })
        .collect()
}

/// The causes of several, the most frequent first.
pub(super) fn together(all: impl Iterator<Item = CauseOut>) -> Vec<CauseOut> {
    let mut all = all.fold(Vec::new(), add_cause);
    all.sort_by(|a, b| {
        let sure = |c: &CauseOut| c.certainty == Certainty::Inferred;
        let key = |c: &CauseOut| (std::cmp::Reverse(c.sends), c.key, sure(c));
        key(a).cmp(&key(b)).then_with(|| a.device.cmp(&b.device))
    });
    all
}

fn add_cause(mut all: Vec<CauseOut>, c: CauseOut) -> Vec<CauseOut> {
    let same = all
        .iter_mut()
        .find(|a| a.key == c.key && a.device == c.device && a.certainty == c.certainty);
    match same {
        Some(a) => {
            add(&mut a.sends, c.sends);
            a.bytes = a.bytes.zip(c.bytes).map(|(x, y)| x.saturating_add(y));
            a.first_boot_ns = [a.first_boot_ns, c.first_boot_ns].into_iter().flatten().min();
            a.last_boot_ns = a.last_boot_ns.max(c.last_boot_ns);
        }
        None => all.push(c),
    }
    all
}
