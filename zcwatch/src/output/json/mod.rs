//! `report --format json`: schema `zcwatch.report/1`, described in docs/json.md. Counts are exact
//! integers, bytes in bytes, times in ns; what is unknown is `null`, never 0.

mod about;
mod counts;

use serde::Serialize;

use super::names;
use crate::{
    diagnosis::Finding,
    event::{CallSite, Family, Losses, ProcessFacts, SocketId},
    sums::sum,
    target::Target,
    tracker::{
        Snapshot,
        ended::OfProcess,
        snapshot::{Agreement, SocketSnapshot},
    },
};
pub use about::{About, HookRow, unseen};
use counts::{CountsOut, causes, counts, together};

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
    folded: Vec<FoldedOut<'a>>,
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
    call_sites: Vec<CallSiteOut>,
    plain: Plain,
    #[serde(flatten)]
    counts: CountsOut,
}

/// A place in a program from which it sent.
#[derive(Serialize)]
struct CallSiteOut {
    pid: u32,
    sends: u64,
    calls: Vec<String>,
}

/// Ended sockets of one process that have no row.
#[derive(Serialize)]
struct FoldedOut<'a> {
    pid: Option<u32>,
    comm: Option<&'a str>,
    sockets: u64,
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

impl<'a> Report<'a> {
    /// Builds the document.
    #[must_use]
    pub fn new(about: &'a About, snapshot: &'a Snapshot, findings: &'a [Finding]) -> Self {
        let sockets: Vec<_> = snapshot.sockets.iter().filter(|s| !s.is_idle()).collect();
        let parts = || snapshot.parts().filter(|s| !s.is_idle());
        let hidden = sum(parts().map(SocketSnapshot::hidden));
        let whole = parts().all(|s| s.agreement != Agreement::No);
        let causes = together(parts().flat_map(|s| causes(s, snapshot)));
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
            call_sites: Vec::new(),
            plain: Plain::default(),
            counts: CountsOut::requests(r.requests),
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
            folded: OfProcess::all(&snapshot.folded)
                .iter()
                .map(|of| folded(of, snapshot, about))
                .collect(),
            findings,
        }
    }
}

fn folded<'a>(of: &OfProcess<'a>, snapshot: &Snapshot, about: &About) -> FoldedOut<'a> {
    let parts = || of.kinds.iter().map(|kind| &kind.sum);
    let hidden = sum(parts().map(SocketSnapshot::hidden));
    let whole = parts().all(|s| s.agreement != Agreement::No);
    let causes = together(parts().flat_map(|s| causes(s, snapshot)));
    FoldedOut {
        pid: of.process.map(|(pid, _)| pid),
        comm: of.process.map(|(_, comm)| comm),
        sockets: of.sockets,
        counts: counts(&of.counts, hidden, whole, causes, about).ends_only(),
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

fn call_site(site: &CallSite) -> CallSiteOut {
    CallSiteOut { pid: site.pid, sends: site.sends, calls: site.calls.clone() }
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
        call_sites: s.call_sites.iter().map(call_site).collect(),
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
