//! What the screen shows: all that was known at one moment. The same snapshot and the same
//! findings as a report; the screen adds nothing to them.

use std::{collections::BTreeSet, ops::ControlFlow, sync::Arc};

use crate::{
    diagnosis::{Context, Finding, FindingId, diagnose, judge},
    event::{Event, SocketId},
    output::{json::About, names::grouped},
    recording::{End, Header},
    tracker::{Snapshot, Tracker, ended::ROWS},
};

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// Who is watched, where and by what.
    pub about: Arc<About>,
    /// What was seen.
    pub snapshot: Snapshot,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// What the findings rest on besides the snapshot.
    pub context: Arc<Context>,
    /// How the watch ended; `None`: it goes on.
    pub ended: Option<End>,
    /// No process is watched any more, though the watch goes on.
    pub nobody: bool,
    /// Other processes are shown than before: what is more or less by that is no rate.
    pub leap: bool,
}

impl Moment {
    /// What is about this socket, the worst first, with its own numbers; where only the numbers of
    /// several together make a finding, theirs.
    #[must_use]
    pub fn findings_of(&self, id: SocketId) -> Vec<Finding> {
        let Some(alone) = self.snapshot.of_one(id) else { return Vec::new() };
        let mut own = diagnose(&alone, &self.context);
        let same = |a: &Finding, b: &Finding| (a.id, a.cause) == (b.id, b.cause);
        let about = |f: &&Finding| f.sockets.contains(&id) && f.id != FindingId::Healthy;
        let together = self.findings.iter().filter(about);
        let more: Vec<_> = together
            .filter(|f| !own.iter().any(|o| same(o, f)))
            .map(|f| {
                let sockets = grouped(f.sockets.len() as u64 + f.folded);
                Finding { sentence: format!("of {sockets} sockets: {}", f.sentence), ..f.clone() }
            })
            .collect();
        if !more.is_empty() {
            own.retain(|f| f.id != FindingId::Healthy);
            own.extend(more);
            own.sort_by_key(|f| f.severity);
        }
        own
    }
}

/// Takes events, and says what is known.
#[derive(Debug)]
pub struct Feed {
    header: Header,
    about: Arc<About>,
    context: Arc<Context>,
    tracker: Tracker,
    start: u64,
    end: Option<End>,
    /// Processes that are not to be shown any more.
    gone: BTreeSet<u32>,
    /// All that were watched were let go.
    nobody: bool,
    /// They have changed since the last moment.
    leap: bool,
    /// Something was told since the last moment.
    fresh: bool,
    /// Nothing was said yet.
    first: bool,
}

impl Feed {
    /// Begins. Findings that are `ignored` are left out.
    #[must_use]
    pub fn new(header: &Header, ignored: &[FindingId]) -> Self {
        let context = Arc::new(Context { ignored: ignored.to_vec(), ..header.context.clone() });
        Self {
            header: header.clone(),
            about: Arc::new(header.about.clone()),
            context,
            tracker: Tracker::keeping(ROWS, judge),
            start: header.start_boot_ns,
            end: None,
            gone: BTreeSet::new(),
            nobody: false,
            leap: false,
            fresh: true,
            first: true,
        }
    }

    /// Takes one event.
    pub fn take(&mut self, event: &Event) {
        self.fresh = true;
        self.tracker.apply(event);
    }

    /// Nothing more will come.
    pub fn end(&mut self, end: &End) {
        self.fresh = true;
        self.end = Some(*end);
    }

    /// Was anything told since the last moment?
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Was nothing said yet?
    #[must_use]
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// Begins a new window now (ns since boot).
    pub fn reset(&mut self, now: u64) {
        self.fresh = true;
        let since = now.saturating_sub(self.start);
        self.start = now;
        let about = Arc::make_mut(&mut self.about);
        about.start_unix_ns = about.start_unix_ns.saturating_add(since);
        self.tracker.reset(now);
    }

    /// Shows nothing of this process any more.
    pub fn let_go(&mut self, pid: u32) {
        let about = Arc::make_mut(&mut self.about);
        about.target.pids.retain(|known| *known != pid);
        if about.target.is_everything() && !about.target.follow {
            about.target.pids = vec![pid];
            self.nobody = true;
        }
        self.leap |= self.gone.insert(pid);
        self.fresh = true;
    }

    /// Shows this process, whatever was said before.
    pub fn take_back(&mut self, pid: u32) {
        let target = &mut Arc::make_mut(&mut self.about).target;
        if std::mem::take(&mut self.nobody) {
            target.pids.clear();
        }
        if !target.pids.contains(&pid) {
            target.pids.push(pid);
        }
        self.leap |= self.gone.remove(&pid);
        self.fresh = true;
    }

    /// What is there already, for whoever takes events from now on.
    #[must_use]
    pub fn retell(&self, now: u64) -> Vec<Event> {
        self.tracker.retell(now)
    }

    /// What is known now (ns since boot).
    pub fn moment(&mut self, now: u64) -> Moment {
        (self.fresh, self.first) = (false, false);
        let now = self.end.map_or(now, |end| end.ts);
        let mut snapshot = match self.end {
            Some(_) => self.tracker.snapshot(self.start, now, true),
            None => self.tracker.snapshot_as_is(self.start, now),
        };
        let gone = &self.gone;
        snapshot.sockets.retain(|s| !gone.contains(&s.facts.pid));
        snapshot.plain.retain(|pid, _| !gone.contains(pid));
        snapshot.rings.retain(|ring| !gone.contains(&ring.pid));
        let findings = diagnose(&snapshot, &self.context);
        let leap = std::mem::take(&mut self.leap);
        Moment {
            about: Arc::clone(&self.about),
            snapshot,
            findings,
            context: Arc::clone(&self.context),
            ended: self.end,
            nobody: self.nobody,
            leap,
        }
    }

    /// The first line of a recording of this watch.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All events of a recording, with a moment each second of its time and one at its end;
    /// whoever takes them may have enough.
    pub fn replay(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        end: End,
        mut moments: impl FnMut(Moment) -> ControlFlow<()>,
    ) {
        const SECOND: u64 = 1_000_000_000;
        let mut next = self.start + SECOND;
        for event in events {
            while event.ts >= next && next < end.ts {
                if moments(self.moment(next)).is_break() {
                    return;
                }
                next += SECOND;
            }
            self.take(&event);
        }
        self.end(&end);
        let _ = moments(self.moment(end.ts));
    }
}
