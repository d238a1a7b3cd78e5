//! `zcwatch trace`: one line a send when all of it is known, and one line for whatever else
//! changes. Events in, lines out; no clock and no terminal in here.

mod clock;
mod host;
mod send;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use clock::Clock;

use super::{names, style::Style};
use crate::{
    event::{Event, SocketFacts, SocketId, What},
    host::process::escape,
    recording::Header,
    tracker::{Tracker, evidence::Evidence, socket::LATE, story::Story},
};
use host::Host;

/// A line waits for sends that began before it, and are told only [`LATE`] after they were read.
const HOLD: u64 = LATE + 150_000_000;
/// Sends that complete so close together (ns) have one cause: who listened is known no better.
const MOMENT: u64 = 50_000_000;
/// Causes that are remembered.
const CAUSES: usize = 1024;
/// Columns grow to their widest entry, but not beyond this.
const WIDEST: usize = 48;

/// How to tell.
#[derive(Clone, Debug)]
pub struct Options {
    /// Colours and characters.
    pub style: Style,
    /// How times are written.
    pub clock: Clock,
    /// Only sends that took so long to complete, ns.
    pub min_latency: Option<u64>,
}

/// One line of text, without its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As it is printed.
    pub text: String,
    /// It is about a call that sent, or tried to.
    pub is_send: bool,
    /// The socket that it is about.
    pub about: Option<SocketId>,
}

/// Takes events, and tells them.
pub struct Teller {
    options: Options,
    start: u64,
    places_unknown: bool,
    tracker: Tracker,
    host: Host,
    sockets: BTreeMap<SocketId, Known>,
    waiting: Vec<Said>,
    /// Causes found lately: for a flood of sends they are the same.
    causes: BTreeMap<(SocketId, Evidence, Option<u64>), String>,
    latest: u64,
    left_out: u64,
    widths: [usize; 2],
}

/// A socket, as far as it was told.
struct Known {
    facts: SocketFacts,
    fd: Option<i32>,
    closed: bool,
    /// Its first line is still to come, with this time.
    first: Option<u64>,
}

/// A line that is not laid out yet.
#[derive(Debug)]
struct Said {
    at: u64,
    who: String,
    about: Option<SocketId>,
    socket: String,
    what: String,
    is_send: bool,
}

/// Who a line is about.
#[derive(Clone, Copy, Debug)]
struct Who {
    pid: u32,
    tid: u32,
}

impl Who {
    fn process(pid: u32) -> Self {
        Self { pid, tid: pid }
    }
}

impl Teller {
    /// Begins, with nothing to tell.
    #[must_use]
    pub fn new(options: Options, header: &Header) -> Self {
        let mut tracker = Tracker::default();
        tracker.tell_stories();
        Self {
            options,
            start: header.start_boot_ns,
            places_unknown: header.context.places_unknown,
            tracker,
            host: Host::default(),
            sockets: BTreeMap::new(),
            waiting: Vec::new(),
            causes: BTreeMap::new(),
            latest: header.start_boot_ns,
            left_out: 0,
            widths: [16, 24],
        }
    }

    /// Sends that were not told for [`Options::min_latency`].
    #[must_use]
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Events that were lost up to now.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.host.lost()
    }

    /// Takes one event.
    pub fn take(&mut self, event: &Event) {
        let ts = event.ts;
        self.latest = self.latest.max(ts);
        match &event.what {
            What::Socket(facts) => self.socket(facts, ts),
            What::Send(sent) => {
                self.sight(sent.socket, sent.entry.unwrap_or(ts), sent.fd);
            }
            What::Failed(failed) => {
                self.sight(failed.socket, ts, failed.fd);
                let who = Who { pid: failed.pid, tid: failed.tid };
                let what = send::failed(failed, self.options.style);
                self.call(ts, who, failed.socket, failed.fd, what);
            }
            What::Ignored(ignored) => {
                self.sight(ignored.socket, ts, ignored.fd);
                let who = Who { pid: ignored.pid, tid: ignored.tid };
                let what = send::ignored(ignored, self.options.style);
                self.call(ts, who, ignored.socket, ignored.fd, what);
            }
            What::Started(r) | What::Merged(r) | What::Read(r) => {
                self.sight(r.socket, r.way.first.unwrap_or(ts), None);
            }
            What::Closed { socket } => self.closed(*socket, ts),
            What::Counters(_) => {}
            other => {
                // Who listens where, and what a device can do, are part of a cause.
                self.causes.clear();
                for (pid, what) in self.host.take(other) {
                    let who = pid.map_or_else(|| "host".into(), |p| self.name(Who::process(p)));
                    self.say(ts, who, None, String::new(), what, false);
                }
            }
        }
        self.tracker.apply(event);
    }

    /// The lines that are ready, in the order of their times as far as that is known; all events
    /// up to `up_to` (ns since boot) have been taken. `None`: more are waiting.
    pub fn lines(&mut self, up_to: Option<u64>) -> Vec<Line> {
        let stories = self.tracker.stories(up_to.unwrap_or(0), false);
        let now = up_to.unwrap_or(self.latest);
        let told = stories.last().map_or(0, |(_, s)| s.begin);
        self.ready(&stories, told.max(now.saturating_sub(HOLD)))
    }

    /// All that is left: nothing more will come.
    pub fn last_lines(&mut self) -> Vec<Line> {
        let stories = self.tracker.stories(u64::MAX, true);
        self.ready(&stories, u64::MAX)
    }

    fn ready(&mut self, stories: &[(SocketId, Story)], until: u64) -> Vec<Line> {
        let mut ready = self.first_lines(until);
        let (now, later) =
            std::mem::take(&mut self.waiting).into_iter().partition(|s| s.at <= until);
        self.waiting = later;
        ready.extend::<Vec<Said>>(now);
        ready.extend(stories.iter().filter_map(|(id, story)| self.story(*id, story)));
        ready.sort_by_key(|s| s.at);
        ready.into_iter().map(|s| self.lay_out(&s)).collect()
    }

    /// The lines that introduce sockets.
    fn first_lines(&mut self, until: u64) -> Vec<Said> {
        let due: Vec<_> = self
            .sockets
            .iter_mut()
            .filter_map(|(id, s)| Some((*id, s.first.take_if(|at| *at <= until)?)))
            .collect();
        due.into_iter()
            .filter_map(|(id, at)| {
                let known = self.sockets.get(&id)?;
                Some(Said {
                    at,
                    who: self.name(Who::process(known.facts.pid)),
                    about: Some(id),
                    socket: socket_name(Some(known), id, None),
                    what: send::socket(&known.facts),
                    is_send: false,
                })
            })
            .collect()
    }

    fn story(&mut self, id: SocketId, story: &Story) -> Option<Said> {
        if let Some(least) = self.options.min_latency
            && story.release().is_none_or(|took| took < least)
        {
            self.left_out += 1;
            return None;
        }
        let cause = story.completed.and_then(|c| Some(self.cause(id, c.evidence?, c.ts)));
        let closed = self.sockets.get(&id).is_some_and(|s| s.closed);
        let lossy = self.host.lost() > 0;
        let m = &story.message;
        Some(Said {
            at: story.begin,
            who: self.name(Who { pid: m.pid, tid: m.tid }),
            about: Some(id),
            socket: socket_name(self.sockets.get(&id), id, m.fd),
            what: send::story(story, cause.as_deref(), closed, lossy, self.options.style),
            is_send: true,
        })
    }

    /// Why, in a few words; empty where that cannot be known here.
    fn cause(&mut self, id: SocketId, evidence: Evidence, completed: Option<u64>) -> String {
        let key = (id, evidence, completed.map(|ts| ts / MOMENT));
        if let Some(known) = self.causes.get(&key) {
            return known.clone();
        }
        let snapshot = self.tracker.snapshot_of(id, self.start, self.latest);
        let cause = send::cause(&evidence, completed, &snapshot, self.places_unknown);
        let cause = cause.unwrap_or_default();
        if self.causes.len() >= CAUSES {
            self.causes.clear();
        }
        self.causes.insert(key, cause.clone());
        cause
    }

    fn socket(&mut self, facts: &SocketFacts, ts: u64) {
        self.host.meet(facts.pid, &facts.comm);
        let Some(known) = self.sockets.get_mut(&facts.socket) else {
            let known = Known { facts: facts.clone(), fd: None, closed: false, first: Some(ts) };
            self.sockets.insert(facts.socket, known);
            return;
        };
        let before = std::mem::replace(&mut known.facts, facts.clone());
        if known.first.is_some() {
            return;
        }
        if let Some(what) = send::changed(&before, facts) {
            let socket = socket_name(Some(known), facts.socket, None);
            let who = self.name(Who::process(facts.pid));
            self.say(ts, who, Some(facts.socket), socket, what, false);
        }
    }

    /// A socket is described when it is noticed, which is after what it was noticed by.
    fn sight(&mut self, id: SocketId, at: u64, fd: Option<i32>) {
        if let Some(known) = self.sockets.get_mut(&id) {
            known.fd = fd.or(known.fd);
            known.first = known.first.map(|first| first.min(at));
        }
    }

    fn closed(&mut self, id: SocketId, ts: u64) {
        let Some(known) = self.sockets.get_mut(&id) else { return };
        known.closed = true;
        let pid = known.facts.pid;
        let socket = socket_name(Some(known), id, None);
        let who = self.name(Who::process(pid));
        self.say(ts, who, Some(id), socket, "closed".into(), false);
    }

    /// A call that took no id.
    fn call(&mut self, at: u64, who: Who, id: SocketId, fd: Option<i32>, what: String) {
        if self.options.min_latency.is_some() {
            self.left_out += 1;
            return;
        }
        let socket = socket_name(self.sockets.get(&id), id, fd);
        let who = self.name(who);
        self.say(at, who, Some(id), socket, what, true);
    }

    fn say(
        &mut self,
        at: u64,
        who: String,
        about: Option<SocketId>,
        socket: String,
        what: String,
        is_send: bool,
    ) {
        self.waiting.push(Said { at, who, about, socket, what, is_send });
    }

    /// "python3 2210", "python3 2210/2214" for a thread of it.
    fn name(&self, who: Who) -> String {
        let Who { pid, tid } = who;
        let comm = self.host.comm(pid).map_or("?".into(), |c| escape(c));
        if pid == tid { format!("{comm} {pid}") } else { format!("{comm} {pid}/{tid}") }
    }

    fn lay_out(&mut self, said: &Said) -> Line {
        let Said { at, who, about, socket, what, is_send } = said;
        let mut text = self.options.clock.text(*at, self.start);
        for (column, width) in [who, socket].into_iter().zip(&mut self.widths) {
            // What has no socket is told in its place.
            if column.is_empty() {
                continue;
            }
            *width = (*width).max(column.chars().count().min(WIDEST));
            text.push_str(&format!("  {column:<width$}", width = *width));
        }
        text.push_str("  ");
        text.push_str(what);
        Line { text: self.options.style.plain(&text), is_send: *is_send, about: *about }
    }
}

/// "fd 5 tcp → 10.0.0.2:9", "udp *:9000".
fn socket_name(known: Option<&Known>, id: SocketId, fd: Option<i32>) -> String {
    let fd = fd.or_else(|| known?.fd).map_or_else(String::new, |fd| format!("fd {fd} "));
    let Some(Known { facts, .. }) = known else { return format!("{fd}socket {id}") };
    let protocol = facts.protocol.name();
    match &facts.remote {
        Some(remote) => format!("{fd}{protocol} → {}", names::endpoint(remote)),
        None => format!("{fd}{protocol} {}", names::endpoint(&facts.local)),
    }
}
