//! The rows of the table of sockets: what a snapshot says of each, ready to be sorted and shown.

use std::{cmp::Ordering, collections::BTreeMap};

use super::{filter::Filter, history::History, moment::Moment, verdict};
use crate::{
    diagnosis::{FindingId, Severity, causes_of},
    event::SocketId,
    host::process::escape,
    output::names::{endpoint, grouped},
    sums::add,
    tracker::{
        ended::OfProcess,
        snapshot::{Counts, SocketSnapshot},
    },
};

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// One socket.
    Socket(SocketId),
    /// All sockets of a process, grouped.
    Process(u32),
    /// Closed sockets of a process that have no row of their own; `None`: of several processes.
    Folded(Option<u32>),
}

/// One row.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is about.
    pub key: Key,
    /// Name of the process that sent first, escaped.
    pub comm: String,
    /// That process.
    pub pid: u32,
    /// All processes that sent on it or hold it.
    pub pids: Vec<u32>,
    /// How many sockets it stands for.
    pub sockets: u64,
    /// "tcp", "udp"; empty for several.
    pub protocol: &'static str,
    /// "local → remote", or how many sockets it stands for.
    pub route: String,
    /// The same without its own address.
    pub short_route: String,
    /// Their ports.
    pub ports: Vec<u16>,
    /// The device its packets were first seen on, escaped; empty: not known; "several".
    pub device: String,
    /// Ids taken.
    pub sends: u64,
    /// Ids completed.
    pub completed: u64,
    /// Copied of them.
    pub copied: u64,
    /// Reported zero-copy, and copied all the same.
    pub hidden: u64,
    /// Ids a second; `None`: not known yet.
    pub rate: Option<f64>,
    /// Bytes a second.
    pub bytes_rate: Option<f64>,
    /// Release latency, ns: median and 99th percentile; of several sockets the longest of each.
    pub release: Option<(u64, u64)>,
    /// All completed before anything was seen of their start.
    pub at_send: bool,
    /// Sent, not completed.
    pub in_flight: u64,
    /// Completed, not read.
    pub unread: u64,
    /// In words.
    pub verdict: String,
    /// How bad that is; `None`: nothing is wrong, or nothing can be said.
    pub severity: Option<Severity>,
    /// Something can be said of it.
    pub judged: bool,
    /// What was found of it.
    pub findings: Vec<FindingId>,
    /// Keys of its copies' causes.
    pub causes: Vec<&'static str>,
    /// Why nothing more will come: closed, or its process ended.
    pub over: Option<&'static str>,
}

impl Row {
    /// Copied, and copied in secret, of what completed.
    #[must_use]
    pub fn share(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        (self.completed > 0)
            .then(|| (self.copied.saturating_add(self.hidden)) as f64 / self.completed as f64)
            .map(|share| share.min(1.0))
    }
}

/// What the table is sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Name of the process.
    Process,
    /// Its id.
    Pid,
    /// Protocol.
    Protocol,
    /// Addresses.
    Route,
    /// Device.
    Device,
    /// Ids a second.
    Rate,
    /// Bytes a second.
    Bytes,
    /// Copied share.
    Copied,
    /// Release latency.
    Release,
    /// In flight.
    InFlight,
    /// Unread.
    Unread,
    /// Verdict.
    Verdict,
}

impl Column {
    /// All of them, from left to right.
    pub const ALL: [Self; 12] = [
        Self::Process,
        Self::Pid,
        Self::Protocol,
        Self::Route,
        Self::Device,
        Self::Rate,
        Self::Bytes,
        Self::Copied,
        Self::Release,
        Self::InFlight,
        Self::Unread,
        Self::Verdict,
    ];

    /// Its heading.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Pid => "pid",
            Self::Protocol => "proto",
            Self::Route => "local → remote",
            Self::Device => "dev",
            Self::Rate => "sends/s",
            Self::Bytes => "B/s",
            Self::Copied => "copied",
            Self::Release => "release p50/p99",
            Self::InFlight => "flight",
            Self::Unread => "unread",
            Self::Verdict => "verdict",
        }
    }

    /// Numbers begin with the largest, names with the first.
    #[must_use]
    pub fn descends(self) -> bool {
        !matches!(self, Self::Process | Self::Pid | Self::Protocol | Self::Route | Self::Device)
    }

    fn compare(self, a: &Row, b: &Row) -> Ordering {
        let rate = |a: Option<f64>, b: Option<f64>| a.unwrap_or(-1.0).total_cmp(&b.unwrap_or(-1.0));
        match self {
            Self::Process => a.comm.cmp(&b.comm),
            Self::Pid => a.pid.cmp(&b.pid),
            Self::Protocol => a.protocol.cmp(b.protocol),
            Self::Route => a.route.cmp(&b.route),
            Self::Device => a.device.cmp(&b.device),
            // What sends no more comes after what does, by how much it has sent.
            Self::Rate => rate(a.rate, b.rate).then(a.sends.cmp(&b.sends)),
            Self::Bytes => rate(a.bytes_rate, b.bytes_rate).then(a.sends.cmp(&b.sends)),
            Self::Copied => rate(a.share(), b.share()).then(a.copied.cmp(&b.copied)),
            Self::Release => a.release.map(|(_, p99)| p99).cmp(&b.release.map(|(_, p99)| p99)),
            Self::InFlight => a.in_flight.cmp(&b.in_flight),
            Self::Unread => a.unread.cmp(&b.unread),
            Self::Verdict => {
                let badness = |r: &Row| r.severity.map_or(u8::from(!r.judged), |s| 4 - s as u8);
                badness(a).cmp(&badness(b)).then(b.verdict.cmp(&a.verdict))
            }
        }
    }
}

/// Which rows, and in which order.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Sorted by this.
    pub by: Column,
    /// From the largest to the smallest.
    pub descending: bool,
    /// One row a process.
    pub grouped: bool,
    /// Sockets of which nothing more will come are shown too.
    pub over: bool,
    /// Only these.
    pub filter: Filter,
}

impl Default for Choice {
    fn default() -> Self {
        Self {
            by: Column::Rate,
            descending: true,
            grouped: false,
            over: true,
            filter: Filter::default(),
        }
    }
}

/// What was chosen to be shown.
#[derive(Clone, Debug, Default)]
pub struct Chosen {
    /// In their order.
    pub rows: Vec<Row>,
    /// So many sockets more, were the closed ones not hidden.
    pub hidden: u64,
}

/// The rows chosen, in order.
#[must_use]
pub fn rows(moment: &Moment, history: &History, choice: &Choice) -> Chosen {
    let found = found(moment);
    let sockets = moment.snapshot.sockets.iter().filter(|s| !s.is_idle());
    let mut all: Vec<Row> = sockets
        .map(|s| one(s, moment, history, found.get(&s.id).map_or(&[], Vec::as_slice)))
        .collect();
    all.extend(OfProcess::all(&moment.snapshot.folded).iter().map(|of| folded(of, moment)));
    all.retain(|row| choice.filter.takes(row));
    let mut hidden = 0;
    all.retain(|row| {
        let shown = choice.over || row.over.is_none();
        add(&mut hidden, if shown { 0 } else { row.sockets });
        shown
    });
    if choice.grouped {
        all = grouped_by_process(all);
    }
    all.sort_by(|a, b| {
        let order = choice.by.compare(a, b);
        let order = if choice.descending { order.reverse() } else { order };
        // What is over comes last of its equals, and the order does not dance.
        order.then(a.over.is_some().cmp(&b.over.is_some())).then(a.key.cmp(&b.key))
    });
    Chosen { rows: all, hidden }
}

/// The row of one socket, whatever is chosen.
#[must_use]
pub fn row(socket: &SocketSnapshot, moment: &Moment, history: &History) -> Row {
    let about = |f: &&crate::diagnosis::Finding| f.sockets.contains(&socket.id);
    let found: Vec<usize> = (0..moment.findings.len())
        .filter(|i| moment.findings.get(*i).as_ref().is_some_and(about))
        .collect();
    one(socket, moment, history, &found)
}

/// Which findings are about each socket, the worst first.
fn found(moment: &Moment) -> BTreeMap<SocketId, Vec<usize>> {
    let mut found: BTreeMap<SocketId, Vec<usize>> = BTreeMap::new();
    for (i, finding) in moment.findings.iter().enumerate() {
        for id in &finding.sockets {
            found.entry(*id).or_default().push(i);
        }
    }
    found
}

fn one(s: &SocketSnapshot, moment: &Moment, history: &History, found: &[usize]) -> Row {
    let snapshot = &moment.snapshot;
    let f = &s.facts;
    let remote = f.remote.as_ref();
    let (route, short_route) = match remote {
        Some(remote) => (
            format!("{} → {}", endpoint(&f.local), endpoint(remote)),
            format!(":{} → {}", f.local.port, endpoint(remote)),
        ),
        None => (endpoint(&f.local), endpoint(&f.local)),
    };
    let device = s.device.and_then(|d| snapshot.devices.get(&d));
    // What is over has no rate any more.
    let goes_on = moment.ended.is_none() && s.closed.is_none();
    let course = history.socket(s.id).filter(|_| goes_on);
    let rate = course.and_then(super::history::Course::rate);
    let ended = snapshot.processes.get(&f.pid).is_some_and(|p| p.ended);
    let findings: Vec<_> = found.iter().filter_map(|i| moment.findings.get(*i)).collect();
    let verdict = verdict::of(&s.counts, &findings);
    let mut causes: Vec<_> = causes_of(s, snapshot).iter().map(|c| c.cause.key).collect();
    causes.dedup();
    Row {
        key: Key::Socket(s.id),
        comm: escape(&f.comm),
        pid: f.pid,
        pids: s.pids.clone(),
        protocol: f.protocol.name(),
        route,
        short_route,
        ports: [f.local.port].into_iter().chain(remote.map(|r| r.port)).collect(),
        device: device.map(|d| escape(&d.name)).unwrap_or_default(),
        hidden: s.hidden(),
        rate: rate.map(|r| r.sends),
        bytes_rate: rate.map(|r| r.bytes),
        verdict: verdict.words,
        severity: verdict.severity,
        judged: verdict.judged,
        findings: findings.iter().map(|f| f.id).collect(),
        causes,
        over: match (ended, s.closed) {
            (true, _) => Some("ended"),
            (_, Some(_)) => Some("closed"),
            _ => None,
        },
        ..counted(&s.counts)
    }
}

/// A row with nothing but its counts.
fn counted(c: &Counts) -> Row {
    let release = c.release.summary();
    Row {
        key: Key::Folded(None),
        comm: String::new(),
        pid: 0,
        pids: Vec::new(),
        sockets: 1,
        protocol: "",
        route: String::new(),
        short_route: String::new(),
        ports: Vec::new(),
        device: String::new(),
        sends: c.sends,
        completed: c.completed(),
        copied: c.copied,
        hidden: 0,
        rate: None,
        bytes_rate: None,
        at_send: release.is_none() && c.before_return > 0,
        release: release.map(|r| (r.p50, r.p99)),
        in_flight: c.in_flight,
        unread: c.unread,
        verdict: String::new(),
        severity: None,
        judged: false,
        findings: Vec::new(),
        causes: Vec::new(),
        over: None,
    }
}

fn folded(of: &OfProcess<'_>, moment: &Moment) -> Row {
    let (pid, comm) = of.process.unwrap_or((0, "several"));
    let mut causes: Vec<_> = of
        .kinds
        .iter()
        .flat_map(|kind| causes_of(&kind.sum, &moment.snapshot))
        .map(|c| c.cause.key)
        .collect();
    causes.sort_unstable();
    causes.dedup();
    let hidden = of.kinds.iter().map(|kind| kind.sum.hidden()).fold(0, u64::saturating_add);
    let row = counted(&of.counts);
    Row {
        key: Key::Folded(of.process.map(|(pid, _)| pid)),
        comm: escape(comm),
        pid,
        pids: vec![pid],
        sockets: of.sockets,
        route: format!("{} more sockets, closed", grouped(of.sockets)),
        short_route: format!("{} more sockets", grouped(of.sockets)),
        hidden,
        // Of their latencies only the ends are kept.
        release: None,
        at_send: false,
        verdict: "added up".into(),
        causes,
        over: Some("closed"),
        ..row
    }
}

fn grouped_by_process(rows: Vec<Row>) -> Vec<Row> {
    let mut processes: BTreeMap<u32, Row> = BTreeMap::new();
    // What is added up has no device and no protocol of its own: those of the others come first.
    let (added_up, own): (Vec<_>, Vec<_>) =
        rows.into_iter().partition(|row| matches!(row.key, Key::Folded(_)));
    for row in own.into_iter().chain(added_up) {
        match processes.get_mut(&row.pid) {
            None => {
                processes.insert(row.pid, Row { key: Key::Process(row.pid), ..row });
            }
            Some(all) => join(all, &row),
        }
    }
    let named = |mut row: Row| {
        if row.sockets > 1 {
            row.route = format!("{} sockets", grouped(row.sockets));
            row.short_route.clone_from(&row.route);
        }
        row
    };
    processes.into_values().map(named).collect()
}

fn join(all: &mut Row, row: &Row) {
    let sum = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (None, None) => None,
        (a, b) => Some(a.unwrap_or_default() + b.unwrap_or_default()),
    };
    all.rate = sum(all.rate, row.rate);
    all.bytes_rate = sum(all.bytes_rate, row.bytes_rate);
    for (a, b) in [
        (&mut all.sockets, row.sockets),
        (&mut all.sends, row.sends),
        (&mut all.completed, row.completed),
        (&mut all.copied, row.copied),
        (&mut all.hidden, row.hidden),
        (&mut all.in_flight, row.in_flight),
        (&mut all.unread, row.unread),
    ] {
        *a = a.saturating_add(b);
    }
    // Percentiles of several cannot be added: what theirs cannot exceed is shown.
    all.release = match (all.release, row.release) {
        (Some(a), Some(b)) => Some((a.0.max(b.0), a.1.max(b.1))),
        (a, b) => a.or(b),
    };
    all.at_send &= row.at_send;
    let worse = match (row.severity, all.severity) {
        (Some(new), Some(known)) => new < known,
        (Some(_), None) => true,
        (None, Some(_)) => false,
        (None, None) => row.judged && !all.judged,
    };
    if worse {
        (all.verdict, all.severity, all.judged) = (row.verdict.clone(), row.severity, row.judged);
    }
    if !matches!(row.key, Key::Folded(_)) {
        if all.protocol != row.protocol {
            all.protocol = "";
        }
        if all.device != row.device {
            all.device = "several".into();
        }
    }
    all.over = all.over.and(row.over);
    all.ports.extend(&row.ports);
    all.pids.extend(&row.pids);
    all.causes.extend(&row.causes);
    all.findings.extend(&row.findings);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: Key, sockets: u64, device: &str, release: Option<(u64, u64)>) -> Row {
        Row { key, pid: 7, sockets, device: device.into(), release, ..counted(&Counts::default()) }
    }

    #[test]
    fn a_process_stands_for_all_its_sockets_those_added_up_too() {
        let one = |id, device, release| row(Key::Socket(SocketId(id)), 1, device, Some(release));
        let added_up = row(Key::Folded(Some(7)), 40, "", None);
        let rows = vec![added_up.clone(), one(1, "eth0", (1, 9)), one(2, "eth0", (2, 8))];
        let all = grouped_by_process(rows);
        let [all] = all.as_slice() else { panic!("{all:?}") };
        assert_eq!((all.sockets, all.route.as_str()), (42, "42 sockets"));
        assert_eq!((all.device.as_str(), all.release), ("eth0", Some((2, 9))));
        let rows = vec![one(1, "eth0", (1, 9)), one(2, "eth1", (2, 8)), added_up];
        assert_eq!(grouped_by_process(rows)[0].device, "several");
    }
}
