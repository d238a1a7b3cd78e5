//! Which sends failed, and on which limit?

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::{About, Mark, Part, median, threshold};
use crate::{
    diagnosis::{
        Context, Finding, FindingId, Severity,
        words::{count, device, in_netns, memory, moment, process_of, shell},
    },
    event::{DropFacts, FailedSend, Limit, Limits},
    output::names::grouped,
    probe::hooks::Certainty,
    sums::add,
    tracker::{
        Snapshot,
        snapshot::{SendError, SocketSnapshot},
    },
};

/// Default of `net.core.optmem_max` in 6.12 and later, bytes.
const OPTMEM_TODAY: u64 = 131_072;
/// Default of RLIMIT_MEMLOCK in 5.16 and later (MLOCK_LIMIT), bytes.
const MEMLOCK_TODAY: u64 = 8 << 20;
/// A send in flight holds less option memory than this: SKB_TRUESIZE(0) is 768 to 896 B.
const OPTMEM_OF_SEND: u32 = 1024;
/// `mm_account_pinned_pages` charges the pages of a send and two more.
const PAGE: u64 = 4096;

/// A limit that was raised after a send had failed on it: when, ns since boot, and to what.
type Raised = Option<(u64, u64)>;

/// Was this the limit on option memory, and not that on locked memory? As the probes tell them
/// apart.
fn by_optmem(f: &FailedSend) -> bool {
    if let Some(limit) = f.limit {
        return limit == Limit::Optmem;
    }
    f.optmem_max.is_some_and(|max| f.optmem_used.saturating_add(OPTMEM_OF_SEND) > max)
}

fn refused(s: &SocketSnapshot, by: impl Fn(&FailedSend) -> bool) -> Option<FailedSend> {
    s.last_failure.filter(|f| f.errno == libc::ENOBUFS && f.limit != Some(Limit::Other) && by(f))
}

/// The last limit known in the watch, if it is more than what a send failed on.
fn raised(snapshot: &Snapshot, was: u64, of: impl Fn(&Limits) -> Option<u64>) -> Raised {
    let last = snapshot.limits.iter().rev().find_map(|(ts, l)| Some((*ts, of(l)?)));
    last.filter(|(_, max)| *max > was)
}

fn raised_words(raised: Raised, unit: impl Fn(u64) -> String, snapshot: &Snapshot) -> String {
    let Some((at, max)) = raised else { return String::new() };
    let to = if max == u64::MAX { "lifted".into() } else { format!("raised to {}", unit(max)) };
    format!("; {to} at {} of the watch", moment(at, snapshot))
}

/// Where it is known what a send failed on, that socket is named.
pub(super) fn worst_optmem(s: &SocketSnapshot) -> (u64, u64) {
    (refused(s, by_optmem).is_some().into(), s.counts.failed_optmem)
}

/// As [`worst_optmem`].
pub(super) fn worst_memlock(s: &SocketSnapshot) -> (u64, u64) {
    (refused(s, |f| !by_optmem(f)).is_some().into(), s.counts.failed_memlock)
}

/// Bytes.
pub(super) fn usual_size(s: &SocketSnapshot) -> u64 {
    median(s).unwrap_or_default().into()
}

/// The process that ran into the limit on locked memory.
pub(super) fn blamed(s: &SocketSnapshot) -> u32 {
    refused(s, |f| !by_optmem(f)).map_or(s.facts.pid, |f| f.pid)
}

/// The limit is one per network namespace: so is the finding.
pub(super) fn enobufs_optmem(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let all = About::those(snapshot, Mark::Optmem);
    let netns = |p: &Part<'_>| p.socket.facts.netns;
    let one = |of: u32| one_optmem(of, &all.only(|p| netns(p) == of), snapshot, context);
    all.keys(netns).into_iter().filter_map(one).collect()
}

fn one_optmem(
    netns: u32,
    about: &About<'_>,
    snapshot: &Snapshot,
    context: &Context,
) -> Option<Finding> {
    let failed = about.sum(|s| s.counts.failed_optmem);
    let worst = about.most(worst_optmem)?;
    let failure = refused(worst, by_optmem);
    let counted = worst.counters.as_ref().and_then(|c| c.optmem_max);
    let max = failure.and_then(|f| f.optmem_max).or(counted).map(u64::from);
    let raised = max.and_then(|max| {
        raised(snapshot, max, |l| match l {
            Limits::Optmem { netns: of, max } if *of == netns => Some(*max),
            _ => None,
        })
    });
    let used = match (failure, max) {
        (Some(f), Some(max)) => format!(
            ": {} of {} B with {} in flight",
            grouped(f.optmem_used.into()),
            grouped(max),
            count(worst.failed_with, "send")
        ),
        (None, Some(max)) => format!(": at most {} B for a socket", grouped(max)),
        (_, None) => String::new(),
    };
    // What was in flight needed all there was; twice as much lets twice as many fly.
    let enough = (max.unwrap_or(0) * 2).next_power_of_two().max(OPTMEM_TODAY);
    let mut remedies = Vec::new();
    if raised.is_none_or(|(_, max)| max < enough) {
        let command = format!("sysctl -w net.core.optmem_max={enough}");
        remedies.push(in_netns(&command, netns, snapshot, context));
    }
    let unread = about.sum(|s| s.counts.unread);
    if unread >= threshold::UNREAD {
        remedies.push(format!(
            "Read the notifications of {} too: those that did not merge hold option memory.",
            count(unread, "completed send")
        ));
    }
    remedies.push("When a send fails so, wait for completions, and send on then.".into());
    Some(Finding {
        id: FindingId::EnobufsOptmem,
        cause: None,
        severity: Severity::Problem,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "ENOBUFS from optmem on {}{used}{}",
            count(failed, "send"),
            raised_words(raised, |b| format!("{} B", grouped(b)), snapshot),
        ),
        evidence: format!(
            "{}; each send holds some until it has completed and its notification has merged or \
             was read",
            if context.limits_seen {
                "sock_omalloc refused"
            } else {
                "by the option memory in use right after"
            }
        ),
        remedies,
        certainty: certainty(context),
    })
}

/// The limit is one per process: so is the finding.
pub(super) fn enobufs_memlock(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let all = About::those(snapshot, Mark::Memlock);
    let one = |pid: u32| one_memlock(pid, &all.only(|p| p.blamed == pid), snapshot, context);
    all.keys(|p| p.blamed).into_iter().filter_map(one).collect()
}

fn certainty(context: &Context) -> Certainty {
    if context.limits_seen { Certainty::Measured } else { Certainty::Inferred }
}

fn one_memlock(
    pid: u32,
    about: &About<'_>,
    snapshot: &Snapshot,
    context: &Context,
) -> Option<Finding> {
    let failed = about.sum(|s| s.counts.failed_memlock);
    let worst = about.most(worst_memlock)?;
    let failure = refused(worst, |f| !by_optmem(f));
    let limit = failure
        .and_then(|f| f.memlock_limit)
        .or(worst.counters.as_ref().and_then(|c| c.memlock_limit));
    let raised = limit.and_then(|limit| {
        raised(snapshot, limit, |l| match l {
            Limits::Memlock { pid: of, max } if *of == pid => Some(max.unwrap_or(u64::MAX)),
            _ => None,
        })
    });
    let used = match (failure, limit) {
        (Some(f), Some(limit)) => format!(
            ": {} of {}, {} in flight",
            memory(f.memlock_used),
            memory(limit),
            worst.failed_with
        ),
        (None, Some(limit)) => format!(": at most {}", memory(limit)),
        (_, None) => String::new(),
    };
    let size = about.most(usual_size).map_or(0, usual_size);
    let one = (size.div_ceil(PAGE) + 2) * PAGE;
    let needed = one.saturating_mul(worst.failed_with.saturating_add(1)).max(limit.unwrap_or(0));
    let enough = needed.saturating_mul(2).min(1 << 62).next_power_of_two().max(MEMLOCK_TODAY);
    let mut remedies = Vec::new();
    if raised.is_none_or(|(_, max)| max < enough) {
        remedies.push(format!("prlimit --pid {pid} --memlock={enough}:{enough}"));
        remedies.push(format!("or LimitMEMLOCK={enough} in its unit, for good"));
    }
    remedies.push("When a send fails so, wait for completions, and send on then.".into());
    Some(Finding {
        id: FindingId::EnobufsMemlock,
        cause: None,
        severity: Severity::Problem,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!(
            "ENOBUFS from locked memory on {} of {}{used}{}",
            count(failed, "send"),
            process_of(pid, snapshot),
            raised_words(raised, memory, snapshot),
        ),
        evidence: format!(
            "{}; RLIMIT_MEMLOCK counts the pages of all sends that the user has in flight, and what \
             else is locked",
            if context.limits_seen {
                "mm_account_pinned_pages refused"
            } else {
                "by the memory locked right after"
            }
        ),
        remedies,
        certainty: certainty(context),
    })
}

/// Sends that failed below the socket: the id was taken, and the datagram is gone.
pub(super) fn device_drop(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    type Key = (Option<u16>, Option<SendError>);
    let mut all: BTreeMap<Key, (u64, About<'_>)> = BTreeMap::new();
    for part in About::those(snapshot, Mark::Errors).parts {
        let s = part.socket;
        let mut take = |error, n| {
            let (sends, about) = all.entry((s.device, error)).or_default();
            add(sends, n);
            about.parts.push(part);
        };
        // Where events were lost the counters know how many there were, and not with which error.
        if s.errors_told() {
            s.errors.iter().for_each(|(error, n)| take(Some(*error), *n));
        } else if s.counts.with_error > 0 {
            take(None, s.counts.with_error);
        }
    }
    let one = |((index, error), (n, about)): (Key, (u64, About<'_>))| {
        one_drop(index, error, n, &about, snapshot, context)
    };
    all.into_iter().map(one).collect()
}

fn one_drop(
    index: Option<u16>,
    error: Option<SendError>,
    n: u64,
    about: &About<'_>,
    snapshot: &Snapshot,
    context: &Context,
) -> Finding {
    let name = device(index, snapshot);
    let facts = index.and_then(|i| snapshot.devices.get(&i));
    let first = about.parts.first();
    let netns = facts.map(|d| d.netns).or(first.map(|p| p.socket.facts.netns)).unwrap_or(0);
    let inside = |command: String| in_netns(&command, netns, snapshot, context);
    let word = shell(&name);
    let drop = error.and_then(|(_, drop)| snapshot.drops.get(&drop?));
    let errno = error.map(|(errno, _)| errno);
    let reason = drop.and_then(|d| d.reason.as_deref());
    let culprit = match reason {
        Some(reason) => Culprit::seen(reason),
        None => errno.and_then(Culprit::by_errno),
    };
    let by = match (culprit, reason) {
        (Some(culprit), _) => format!(": {} dropped them", culprit.name()),
        (None, Some(reason)) => format!(": they were dropped ({reason})"),
        (None, None) => String::new(),
    };
    let commands = match culprit {
        Some(Culprit::Queue) => &[Command::Queue][..],
        Some(Culprit::TcProgram) => &[Command::TcProgram],
        Some(Culprit::QueueOrTcProgram) => &[Command::Queue, Command::TcProgram],
        Some(Culprit::Firewall) => &[Command::Firewall],
        Some(Culprit::CgroupProgram) => &[Command::CgroupPrograms],
        None => &[],
    };
    let remedies = commands.iter().filter_map(|command| match command {
        Command::Queue => facts.map(|_| inside(format!("tc -s qdisc show dev {word}"))),
        Command::TcProgram => facts.map(|_| inside(format!("tc filter show dev {word} egress"))),
        Command::Firewall => Some(inside("nft list ruleset".into())),
        Command::CgroupPrograms => Some("bpftool cgroup tree".into()),
    });
    let with = errno.map_or_else(String::new, |e| format!(" with {}", errno_name(e)));
    let on = if index.is_some() { format!(" on {name}") } else { String::new() };
    let doubt = about.parts.iter().any(|p| p.socket.overlapped);
    Finding {
        id: FindingId::DeviceDrop,
        cause: None,
        severity: Severity::Warning,
        sockets: about.ids(),
        folded: about.folded(),
        pids: about.pids(),
        sentence: format!("{} failed{with}{on} and kept their ids{by}", count(n, "send")),
        evidence: format!(
            "{}the call returned an error after the id was taken, so the send completes and is \
             notified like any other; it is no limit on zerocopy",
            drop.map(seen_dropping).unwrap_or_default()
        ),
        remedies: remedies.collect(),
        certainty: if doubt { Certainty::Inferred } else { Certainty::Measured },
    }
}

/// What drops a datagram in the call that sends it.
#[derive(Clone, Copy)]
enum Culprit {
    Queue,
    TcProgram,
    QueueOrTcProgram,
    Firewall,
    CgroupProgram,
}

enum Command {
    Queue,
    TcProgram,
    Firewall,
    CgroupPrograms,
}

impl Culprit {
    /// By the kernel's own reason.
    fn seen(reason: &str) -> Option<Self> {
        match reason {
            "TC_EGRESS" => Some(Self::TcProgram),
            "NETFILTER_DROP" => Some(Self::Firewall),
            "BPF_CGROUP_EGRESS" => Some(Self::CgroupProgram),
            reason if reason.starts_with("QDISC_") => Some(Self::Queue),
            _ => None,
        }
    }

    /// By what the call returned, where the kernel gives no reasons.
    fn by_errno(errno: i32) -> Option<Self> {
        match errno {
            libc::ENOBUFS => Some(Self::QueueOrTcProgram),
            libc::EPERM => Some(Self::Firewall),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Queue => "the device's queue",
            Self::TcProgram => "a tc program",
            Self::QueueOrTcProgram => "a full queue or a tc program",
            Self::Firewall => "a firewall",
            Self::CgroupProgram => "a cgroup's eBPF program",
        }
    }
}

/// The drop as the kernel told it: "dropped in nf_hook_slow (NETFILTER_DROP); ".
fn seen_dropping(drop: &DropFacts) -> String {
    let function = drop.function.as_deref().map_or_else(String::new, |f| format!(" in {f}"));
    match &drop.reason {
        Some(reason) => format!("dropped{function} ({reason}); "),
        None if function.is_empty() => String::new(),
        None => format!("dropped{function}; "),
    }
}

fn errno_name(errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::UnknownErrno => format!("errno {errno}"),
        known => format!("{known:?}"),
    }
}
