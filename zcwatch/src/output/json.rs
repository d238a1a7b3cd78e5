//! `report --format json`: schema `zcwatch.report/1`, described in docs/json.md. Counts are exact
//! integers, bytes in bytes, times in ns; what is unknown is `null`, never 0.

use serde::{Deserialize, Serialize};

use super::names;
use crate::{
    diagnosis::{Finding, causes_of},
    event::{Family, Losses, ProcessFacts, SocketId},
    host::caps::{Capabilities, Capability},
    probe::{
        Probe,
        hooks::{Certainty, Kind, Question},
    },
    target::Target,
    tracker::{
        Snapshot,
        latency::Latency,
        snapshot::{Agreement, Counts, From, SocketSnapshot},
    },
};

/// What the report is about, besides the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Kernel release.
    pub kernel: String,
    /// The architecture that the zcwatch which watched was built for.
    pub arch: String,
    /// Which hook answers each question.
    pub hooks: Vec<HookRow>,
    /// What was to be watched.
    pub target: Target,
    /// Start of the window, ns since 1970.
    pub start_unix_ns: u64,
    /// What cannot be known or named here, in sentences.
    pub unseen: Vec<String>,
}

/// One question and what answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRow {
    /// [`Question::key`].
    pub question: String,
    /// The kernel function or tracepoint; `null`: nothing answers.
    pub hook: Option<String>,
    /// What it is attached with.
    pub kind: String,
    /// What is missing without it.
    pub without_it: String,
}

impl HookRow {
    /// All questions, as this probe answers them.
    #[must_use]
    pub fn all(probe: &Probe) -> Vec<Self> {
        Question::ALL
            .into_iter()
            .map(|q| {
                let hook = probe.answer(q);
                Self {
                    question: q.key().into(),
                    hook: hook.map(|h| h.name.into()),
                    kind: hook.map_or("none", |h| h.kind.name()).into(),
                    without_it: q.without().into(),
                }
            })
            .collect()
    }
}

/// What cannot be known or named with these hooks and privileges.
#[must_use]
pub fn unseen(probe: &Probe, caps: Capabilities) -> Vec<String> {
    let mut all: Vec<String> = Question::ALL
        .into_iter()
        .filter(|q| probe.answer(*q).is_none())
        .map(|q| q.without().to_owned())
        .collect();
    if probe.answer(Question::Closed).is_some_and(|h| h.kind != Kind::Cgroup) {
        all.push(format!("{} (needs CAP_NET_ADMIN)", Question::Closed.without()));
    }
    if !caps.missing(&[Capability::SysPtrace]).is_empty() {
        all.push(
            "the holders of packet sockets of other users are not named (needs CAP_SYS_PTRACE)"
                .into(),
        );
    }
    all
}

impl About {
    /// Does any hook answer this?
    #[must_use]
    pub fn answers(&self, question: Question) -> bool {
        self.hooks.iter().any(|h| h.question == question.key() && h.hook.is_some())
    }

    /// The kinds of hooks in use, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> =
            self.hooks.iter().filter(|h| h.hook.is_some()).map(|h| h.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// The whole document.
#[derive(Serialize)]
pub struct Report<'a> {
    schema: &'static str,
    host: Host<'a>,
    target: &'a Target,
    window: Window,
    processes: Vec<ProcessOut<'a>>,
    totals: CountsOut,
    sockets: Vec<SocketOut>,
    findings: &'a [Finding],
}

#[derive(Serialize)]
struct Host<'a> {
    kernel: &'a str,
    arch: &'a str,
    hooks: &'a [HookRow],
    events_lost: u64,
    counters_agree: Option<bool>,
    losses: Losses,
    unseen: &'a [String],
}

#[derive(Serialize)]
struct ProcessOut<'a> {
    pid: u32,
    comm: &'a str,
    parent: Option<u32>,
    ended: bool,
    plain: PlainOut,
}

/// Sends without MSG_ZEROCOPY.
#[derive(Default, Serialize)]
struct PlainOut {
    count: u64,
    bytes: u64,
    large: u64,
}

#[derive(Serialize)]
struct Window {
    start_unix_ns: u64,
    start_boot_ns: u64,
    duration_ns: u64,
}

#[derive(Serialize)]
struct SocketOut {
    id: Option<SocketId>,
    inode: Option<u64>,
    fds: Vec<i32>,
    pid: u32,
    pids: Vec<u32>,
    comm: String,
    api: &'static str,
    family: Option<Family>,
    protocol: Option<&'static str>,
    local: Option<String>,
    remote: Option<String>,
    netns: Option<u32>,
    device: Option<String>,
    so_zerocopy: Option<bool>,
    rtt_ns: Option<u64>,
    limits: Limits,
    plain: Plain,
    #[serde(flatten)]
    counts: CountsOut,
}

/// Sends without MSG_ZEROCOPY on one socket.
#[derive(Default, Serialize)]
struct Plain {
    count: Option<u64>,
    bytes: Option<u64>,
    since_zerocopy: Option<u64>,
}

#[derive(Default, Serialize)]
struct Limits {
    optmem_used: Option<u64>,
    optmem_max: Option<u64>,
    memlock_used: Option<u64>,
    memlock_limit: Option<u64>,
}

#[derive(Default, Serialize)]
struct CountsOut {
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
    reap_ns: Times,
    causes: Option<Vec<CauseOut>>,
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
struct CauseOut {
    key: &'static str,
    sends: u64,
    bytes: Option<u64>,
    device: Option<String>,
    certainty: Certainty,
    first_boot_ns: Option<u64>,
    last_boot_ns: Option<u64>,
    stack: Vec<String>,
}

impl<'a> Report<'a> {
    /// Builds the document.
    #[must_use]
    pub fn new(about: &'a About, snapshot: &'a Snapshot, findings: &'a [Finding]) -> Self {
        let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| !s.is_idle()).collect();
        let hidden = sockets.iter().map(|s| s.hidden()).sum();
        let whole = sockets.iter().all(|s| s.agreement != Agreement::No);
        let causes: Vec<_> =
            sockets.iter().flat_map(|s| causes(s, snapshot)).fold(Vec::new(), add_cause);
        let rings = snapshot.rings.iter().map(|r| SocketOut {
            id: None,
            inode: None,
            fds: vec![r.fd],
            pid: r.pid,
            pids: vec![r.pid],
            comm: snapshot.processes.get(&r.pid).map_or_else(String::new, |p| p.comm.clone()),
            api: "io_uring",
            family: None,
            protocol: None,
            local: None,
            remote: None,
            netns: None,
            device: None,
            so_zerocopy: None,
            rtt_ns: None,
            limits: Limits::default(),
            plain: Plain::default(),
            counts: CountsOut {
                sends: Sends { count: r.requests, ..Sends::default() },
                ..CountsOut::default()
            },
        });
        Self {
            schema: "zcwatch.report/1",
            host: Host {
                kernel: &about.kernel,
                arch: &about.arch,
                hooks: &about.hooks,
                events_lost: snapshot.losses.events,
                counters_agree: snapshot.counters_agree(),
                losses: snapshot.losses,
                unseen: &about.unseen,
            },
            target: &about.target,
            window: Window {
                start_unix_ns: about.start_unix_ns,
                start_boot_ns: snapshot.start,
                duration_ns: snapshot.end.saturating_sub(snapshot.start),
            },
            processes: snapshot.processes.values().map(|p| process(p, snapshot)).collect(),
            totals: counts(&snapshot.totals(), hidden, whole, causes, about),
            sockets: sockets.iter().map(|s| socket(s, snapshot, about)).chain(rings).collect(),
            findings,
        }
    }
}

fn process<'a>(p: &'a ProcessFacts, snapshot: &Snapshot) -> ProcessOut<'a> {
    let plain = snapshot.plain.get(&p.pid).map_or_else(PlainOut::default, |sends| PlainOut {
        count: sends.sends,
        bytes: sends.bytes,
        large: sends.large,
    });
    ProcessOut { pid: p.pid, comm: &p.comm, parent: p.parent, ended: p.ended, plain }
}

fn socket(s: &SocketSnapshot, snapshot: &Snapshot, about: &About) -> SocketOut {
    let f = &s.facts;
    let c = s.counters.as_ref();
    SocketOut {
        id: Some(s.id),
        inode: f.inode,
        fds: s.fds.clone(),
        pid: f.pid,
        pids: s.pids.clone(),
        comm: f.comm.clone(),
        api: "socket",
        family: Some(f.family),
        protocol: Some(f.protocol.name()),
        local: Some(names::endpoint(&f.local)),
        remote: f.remote.as_ref().map(names::endpoint),
        netns: Some(f.netns),
        device: s.device.and_then(|d| Some(snapshot.devices.get(&d)?.name.clone())),
        so_zerocopy: Some(c.map_or(f.so_zerocopy, |c| c.so_zerocopy)),
        rtt_ns: c.and_then(|c| c.srtt),
        plain: Plain {
            count: c.map(|c| c.plain),
            bytes: c.map(|c| c.plain_bytes),
            since_zerocopy: c.map(|c| c.plain_run),
        },
        limits: Limits {
            optmem_used: c.map(|c| c.optmem_used.into()),
            optmem_max: c.and_then(|c| c.optmem_max.map(u64::from)),
            memlock_used: c.map(|c| c.memlock_used),
            memlock_limit: c.and_then(|c| c.memlock_limit),
        },
        counts: counts(
            &s.counts,
            s.hidden(),
            s.agreement != Agreement::No,
            causes(s, snapshot),
            about,
        ),
    }
}

/// `whole`: every event was seen, so what only events tell is complete.
fn counts(c: &Counts, hidden: u64, whole: bool, causes: Vec<CauseOut>, about: &About) -> CountsOut {
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
            count: Some(c.completed() + c.before_attach),
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
        reap_ns: times(&c.reap),
        causes: about.answers(Question::CopyPlace).then_some(causes),
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

fn causes(s: &SocketSnapshot, snapshot: &Snapshot) -> Vec<CauseOut> {
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
            stack: Vec::new(),
        })
        .collect()
}

fn add_cause(mut all: Vec<CauseOut>, c: CauseOut) -> Vec<CauseOut> {
    let same = all
        .iter_mut()
        .find(|a| a.key == c.key && a.device == c.device && a.certainty == c.certainty);
    match same {
        Some(a) => {
            a.sends += c.sends;
            a.bytes = a.bytes.zip(c.bytes).map(|(x, y)| x + y);
            a.first_boot_ns = [a.first_boot_ns, c.first_boot_ns].into_iter().flatten().min();
            a.last_boot_ns = a.last_boot_ns.max(c.last_boot_ns);
        }
        None => all.push(c),
    }
    all
}
