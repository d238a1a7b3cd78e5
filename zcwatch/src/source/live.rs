//! The running kernel as a source: attaches, watches processes, drains the ring buffer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, MapData, RingBuf};
use zcwatch_common::{self as raw, Header, Held, RingKey, kind, state};

use super::{
    calibrate, call_sites::CallSites, drops::Drops, processes::Processes, record, refresh::Refresh,
    stacks::Stacks, surroundings::Surroundings,
};
use crate::{
    event::{Counters, Event, Losses, ProcessFacts, SocketId, What},
    host::{cgroup::Cgroup, packet, process, symbols::Symbols},
    probe::{
        Probe, ProbeError, Settings,
        attach::{Filter, Stats},
    },
};

/// How long the entry of a closed socket is kept, ns: programs that begin when it is being closed
/// come within microseconds. Thousands of sockets a second must find room in the table.
const AFTER_CLOSE: u64 = 50_000_000;

/// How long, where the end of programs can't be waited for: longer than any of them runs.
const LONG_AFTER_CLOSE: u64 = 500_000_000;

/// Skipped runs of programs are counted so often.
const SKIPPED: Duration = Duration::from_secs(1);

/// How long one [`Live::poll`] may take.
const PATIENCE: Duration = Duration::from_millis(10);

/// Attached, and ready to be asked for events.
pub struct Live {
    probe: Probe,
    ring: RingBuf<MapData>,
    pids: HashMap<MapData, u32, u8>,
    sockets: HashMap<MapData, u64, raw::Socket>,
    plain: HashMap<MapData, u32, raw::Plain>,
    devices: HashMap<MapData, u64, raw::Device>,
    io_uring: HashMap<MapData, RingKey, u64>,
    filter: Filter,
    processes: Processes,
    /// Sockets that were told, with the first id of their window.
    known: BTreeMap<SocketId, u32>,
    /// Closed sockets whose entry in the kernel's table is still to be read and given back.
    closed: VecDeque<(u64, SocketId)>,
    surroundings: Surroundings,
    /// The kernel's functions.
    symbols: Symbols,
    stacks: Stacks,
    drops: Drops,
    /// Where it was asked for.
    call_sites: Option<CallSites>,
    refresh: Refresh,
    losses: Losses,
    /// When skipped runs were counted last.
    counted_skipped: Option<Instant>,
}

impl Live {
    /// Attaches the probes. Nothing is watched yet.
    ///
    /// # Errors
    /// As [`Probe::attach`], and where loopback cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, ProbeError> {
        let mut probe = Probe::attach(settings)?;
        // Before anything waits for them.
        let symbols = match probe.copies_are_seen() {
            true => Symbols::read(),
            false => Symbols::default(),
        };
        let drops = Drops::with(probe.drop_reasons());
        let call_sites = match settings.call_sites {
            true => Some(CallSites::new(probe.call_sites()?)),
            false => None,
        };
        let mut ring = probe.ring()?;
        let mut sockets = probe.sockets()?;
        // Early kernels have no reader to tell apart, and know a socket by its address.
        let learnt = match probe.is_early() {
            true => Ok(()),
            false => calibrate::learn(&mut sockets, &mut probe.readers()?, &mut ring),
        };
        // Where reads are told apart anyway, only what a uarg looks like is missing then.
        if !probe.completions_are_exact() {
            learnt?;
        }
        Ok(Self {
            pids: probe.pids()?,
            plain: probe.plain()?,
            devices: probe.devices()?,
            io_uring: probe.io_uring()?,
            ring,
            sockets,
            probe,
            filter: settings.filter.clone(),
            processes: Processes::default(),
            known: BTreeMap::new(),
            closed: VecDeque::new(),
            surroundings: Surroundings::default(),
            symbols,
            stacks: Stacks::default(),
            drops,
            call_sites,
            refresh: Refresh::default(),
            losses: Losses::default(),
            counted_skipped: None,
        })
    }

    /// What attached, of a source that is not needed any more.
    #[must_use]
    pub fn into_probe(self) -> Probe {
        self.probe
    }

    /// What attached.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Begins to watch these processes, and those that the filter picks, with the sockets that
    /// they hold already.
    ///
    /// # Errors
    /// When the kernel refuses a table or the iterator.
    pub fn watch(&mut self, pids: &[u32], sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        for pid in pids {
            self.enter(*pid, None, sink)?;
        }
        self.probe.begin()?;
        let in_cgroups: BTreeSet<u32> =
            self.filter.cgroups.iter().flat_map(Cgroup::processes).collect();
        if self.filter.follow && !self.filter.everything {
            let picked = process::all_named(&self.filter.comms);
            let roots = pids.iter().copied().chain(picked).chain(in_cgroups.iter().copied());
            self.enter_descendants(roots.collect(), sink)?;
        }
        // Those that the calibration crossed; their records are gone.
        self.tell_devices(sink);
        let lent = self.lend(&in_cgroups)?;
        let held = self.probe.held();
        for pid in lent {
            // It may have ended since.
            let _ = self.pids.remove(&pid);
        }
        for held in held? {
            self.describe(SocketId(held.cookie), None, now(), sink);
        }
        Ok(())
    }

    /// Watches one process more, with the sockets that it holds, and with `--follow` what it has
    /// started.
    ///
    /// # Errors
    /// When the kernel refuses a table or the iterator.
    pub fn take(&mut self, pid: u32, sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        self.enter(pid, None, sink)?;
        if self.filter.follow {
            self.enter_descendants(BTreeSet::from([pid]), sink)?;
        }
        for held in self.probe.held()? {
            self.describe(SocketId(held.cookie), None, now(), sink);
        }
        Ok(())
    }

    /// Watches a process no more: what it sends on sockets that were not watched yet is not seen from
    /// now on. Those that were are counted until they are closed, whoever sends on them.
    ///
    /// # Errors
    /// A sentence, where it was not watched by its id.
    pub fn let_go(&mut self, pid: u32) -> Result<(), String> {
        let listed = self.pids.remove(&pid).is_ok();
        if !listed && self.picks() {
            return Err(format!(
                "process {pid} is watched for its name or its cgroup; the filter hides it: \
                 -pid:{pid}"
            ));
        }
        if listed { Ok(()) } else { Err(format!("process {pid} is not watched")) }
    }

    /// Is it watched by its id?
    #[must_use]
    pub fn has_listed(&self, pid: u32) -> bool {
        self.pids.get(&pid, 0).is_ok()
    }

    /// Puts one process into the kernel's table.
    fn enter(
        &mut self,
        pid: u32,
        parent: Option<u32>,
        sink: &mut impl FnMut(Event),
    ) -> Result<(), ProbeError> {
        self.pids.insert(pid, 1, 0).map_err(|e| full(&e))?;
        let comm = process::comm(pid).unwrap_or_default();
        let ts = now();
        let facts = ProcessFacts { pid, comm, ended: false, parent };
        sink(Event { ts, what: What::Process(self.processes.tell(ts, facts)) });
        if let Some(netns) = packet::netns_of(pid) {
            self.surroundings.add_namespace(netns);
        }
        Ok(())
    }

    /// Enters what these processes have started already, and what that has, and so on. Whatever
    /// one of them starts from the moment it is entered, the kernel takes in itself: so there is
    /// an end when a look finds nobody new.
    fn enter_descendants(
        &mut self,
        mut family: BTreeSet<u32>,
        sink: &mut impl FnMut(Event),
    ) -> Result<(), ProbeError> {
        // We may be a descendant ourselves: of the shell that we are to watch.
        let own = std::process::id();
        loop {
            let mut new = process::parents();
            new.retain(|(pid, parent)| {
                family.contains(parent) && !family.contains(pid) && *pid != own
            });
            if new.is_empty() {
                return Ok(());
            }
            for (pid, parent) in new {
                self.enter(pid, Some(parent), sink)?;
                family.insert(pid);
            }
        }
    }

    /// Puts the processes of cgroups into the table while the iterator looks at what they hold: it
    /// cannot ask for a cgroup. Returns those that must not stay there.
    fn lend(&mut self, pids: &BTreeSet<u32>) -> Result<Vec<u32>, ProbeError> {
        let mut lent = Vec::new();
        for pid in pids {
            if self.pids.get(pid, 0).is_err() {
                self.pids.insert(pid, 1, 0).map_err(|e| full(&e))?;
                lent.push(*pid);
            }
        }
        Ok(lent)
    }

    /// Hands out what has happened since the last call, but not for longer than [`PATIENCE`]: a
    /// flood must not keep the caller from its other work. Returns whether there is more.
    pub fn poll(&mut self, sink: &mut impl FnMut(Event)) -> bool {
        let start = Instant::now();
        loop {
            for _ in 0..256 {
                if !self.next(sink) {
                    return false;
                }
            }
            if start.elapsed() > PATIENCE {
                return true;
            }
        }
    }

    /// Hands out one record; `false`: there is none.
    fn next(&mut self, sink: &mut impl FnMut(Event)) -> bool {
        let Some(item) = self.ring.next() else { return false };
        let Some(header) = record::read::<Header>(&item) else { return true };
        let range = |r: &raw::Completed| record::range(r, |index| self.stacks.number(index));
        let what = match header.kind {
            kind::SEND => record::read(&item).map(|r| {
                let (dropped, new) = self.drops.of(&r, &mut self.symbols);
                if let Some(facts) = new {
                    sink(Event { ts: header.ts, what: What::Drop(facts) });
                }
                What::Send(record::sent(&r, dropped))
            }),
            kind::FAILED => record::read(&item).map(|r| What::Failed(record::failed(&r))),
            kind::IGNORED => record::read(&item).map(|r| What::Ignored(record::ignored(&r))),
            kind::FORKED | kind::EXECUTED | kind::EXITED => {
                record::read(&item).map(|r| What::Process(record::process(&r)))
            }
            kind::STARTED => record::read(&item).map(|r| What::Started(range(&r))),
            kind::PIECE => record::read(&item).map(|r| What::Merged(range(&r))),
            kind::READ => record::read(&item).map(|r| What::Read(range(&r))),
            kind::STACK => record::read(&item)
                .and_then(|r| self.stacks.take(&r, &mut self.symbols))
                .map(What::Stack),
            kind::DEVICE => record::read(&item).map(|r| What::Device(record::device(&r))),
            kind::CLOSED => Some(What::Closed { socket: SocketId(header.cookie) }),
            _ => None,
        };
        drop(item);
        if header.cookie != 0 {
            let id = match &what {
                Some(What::Send(sent)) => Some(sent.id),
                Some(What::Started(r) | What::Merged(r) | What::Read(r)) => Some(r.lo),
                _ => None,
            };
            self.describe(SocketId(header.cookie), id, header.ts, sink);
        }
        if matches!(header.kind, kind::SEND | kind::FAILED | kind::IGNORED) {
            self.meet(header.tgid, "", header.ts, sink);
        }
        let what = match what {
            Some(What::Process(facts)) => self.told(header.ts, facts),
            what => what,
        };
        match &what {
            Some(What::Closed { socket }) => self.closed.push_back((header.ts, *socket)),
            Some(What::Device(facts)) => self.surroundings.saw(facts),
            _ => {}
        }
        if let Some(what) = what {
            sink(Event { ts: header.ts, what });
        }
        true
    }

    /// Looks at what no probe tells: processes that ended, packet sockets, losses.
    pub fn look_around(&mut self, sink: &mut impl FnMut(Event)) {
        for facts in self.processes.look(now()) {
            sink(Event { ts: now(), what: What::Process(facts) });
        }
        // Where the kernel's program could not attach, or has missed one: the id may be given to
        // another process now.
        let listed: Vec<u32> = self.pids.keys().flatten().collect();
        for pid in listed.into_iter().filter(|pid| process::ended(*pid)) {
            let _ = self.pids.remove(&pid);
        }
        if self.picks() {
            // Their names are to be had only while they live.
            let senders: Vec<u32> = self.plain.keys().flatten().collect();
            let rings: Vec<RingKey> = self.io_uring.keys().flatten().collect();
            for pid in senders.into_iter().chain(rings.into_iter().map(|r| r.tgid)) {
                if !self.processes.has(pid) {
                    self.meet(pid, "", now(), sink);
                }
            }
        }
        // With the last process its namespaces are out of sight; what was seen there stands.
        if !self.all_ended() {
            let alive = self.processes.alive();
            self.surroundings.look(&alive, &mut |what| sink(Event { ts: now(), what }));
        }
        if let Some(sites) = &mut self.call_sites {
            sites.look();
        }
        self.give_back(sink);
        self.tell_losses(false, sink);
    }

    /// Tells what the kernel has counted up to now, where that is due: counters of sockets that are
    /// not closed, sends without the flag, requests of io_uring.
    ///
    /// # Errors
    /// When the sockets that processes hold cannot be looked at.
    pub fn refresh(&mut self, sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        let start = Instant::now();
        if self.refresh.holders_are_due(start) {
            let held = self.probe.held()?;
            self.refresh.walked(start, held);
        }
        let start = Instant::now();
        if !self.refresh.is_due(start) {
            return Ok(());
        }
        self.tell_interim(sink);
        self.refresh.told(start);
        Ok(())
    }

    /// Tells counters as they are now.
    pub fn tell_interim(&mut self, sink: &mut impl FnMut(Event)) {
        // Sockets that the walk has found are described first.
        let found: Vec<u64> = self.refresh.held().iter().map(|h| h.cookie).collect();
        for cookie in found {
            self.describe(SocketId(cookie), None, now(), sink);
        }
        let entries: Vec<_> = self.sockets.iter().flatten().collect();
        for (cookie, entry) in entries {
            let known = self.known.contains_key(&SocketId(cookie));
            if !known || entry.closed_ns != 0 {
                continue;
            }
            let mut counters = self.counters(cookie, &entry, self.refresh.held());
            counters.interim = true;
            sink(Event { ts: now(), what: What::Counters(Box::new(counters)) });
        }
        self.tell_plain(sink);
    }

    /// What was sent without the flag, and by io_uring, up to now.
    fn tell_plain(&self, sink: &mut impl FnMut(Event)) {
        let plain: Vec<_> = self.plain.iter().flatten().collect();
        for (pid, sends) in plain {
            sink(Event { ts: now(), what: What::Plain(record::plain(pid, &sends)) });
        }
        let rings: Vec<_> = self.io_uring.iter().flatten().collect();
        for (RingKey { tgid, fd }, requests) in rings {
            sink(Event { ts: now(), what: What::IoUring { pid: tgid, fd, requests } });
        }
    }

    /// Reads the counters of sockets that were closed a while ago, and frees their entries. No
    /// program that was running on them then runs any more: its entry would be another socket's.
    fn give_back(&mut self, sink: &mut impl FnMut(Event)) {
        let now = now();
        let older = |age: u64| move |(ts, _): &mut (u64, SocketId)| *ts < now.saturating_sub(age);
        if self.closed.front().is_none_or(|(ts, _)| *ts >= now.saturating_sub(AFTER_CLOSE)) {
            return;
        }
        let age = if programs_have_ended() { AFTER_CLOSE } else { LONG_AFTER_CLOSE };
        while let Some((_, socket)) = self.closed.pop_front_if(older(age)) {
            let Ok(entry) = self.sockets.get(&socket.0, 0) else { continue };
            self.tell(socket, &entry, &[], sink);
            let _ = self.sockets.remove(&socket.0);
        }
    }

    /// Does the filter pick processes by itself, now and later?
    fn picks(&self) -> bool {
        let Filter { everything, comms, cgroups, .. } = &self.filter;
        *everything || !comms.is_empty() || !cgroups.is_empty()
    }

    /// Can there be an end, when all watched processes have ended?
    #[must_use]
    pub fn may_end(&self) -> bool {
        !self.picks()
    }

    /// Have all watched processes ended, and can none follow? Those that the filter picks have no
    /// end. The kernel's own table says so: it takes in a child before its parent can end.
    #[must_use]
    pub fn all_ended(&self) -> bool {
        !self.picks() && self.processes.all_gone() && self.pids.keys().next().is_none()
    }

    /// Stops watching: detaches, hands out the rest, then the exact counters.
    ///
    /// # Errors
    /// When the sockets cannot be looked at once more.
    pub fn finish(&mut self, sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        self.probe.end()?;
        self.tell_losses(true, sink);
        // The error queues are looked at while the hooks still see what leaves them.
        let held = self.probe.held()?;
        self.probe.look_at_what_is_left()?;
        self.probe.stop();
        while self.next(sink) {}
        self.look_around(sink);
        self.tell_devices(sink);
        let entries: Vec<_> = self.sockets.iter().flatten().collect();
        for (cookie, entry) in entries {
            self.tell(SocketId(cookie), &entry, &held, sink);
        }
        for site in self.call_sites.as_mut().map(CallSites::told).unwrap_or_default() {
            sink(Event { ts: now(), what: What::CallSite(site) });
        }
        self.tell_plain(sink);
        self.tell_losses(true, sink);
        Ok(())
    }

    /// A process that the kernel took into the watch, renamed, or let go.
    fn told(&mut self, ts: u64, facts: ProcessFacts) -> Option<What> {
        // One that was in the table only for the iterator's sake may have ended meanwhile.
        if facts.ended && !self.processes.has(facts.pid) {
            return None;
        }
        Some(What::Process(self.processes.tell(ts, facts)))
    }

    /// A process that sent at this time; `comm` is its name where it has ended since.
    fn meet(&mut self, pid: u32, comm: &str, ts: u64, sink: &mut impl FnMut(Event)) {
        // Others may send on a watched socket that was passed to them, and are not watched.
        if self.processes.knows(pid, ts) || !(self.picks() || self.pids.get(&pid, 0).is_ok()) {
            return;
        }
        if let Some(facts) = self.processes.meet(pid, comm, ts) {
            sink(Event { ts, what: What::Process(facts) });
        }
    }

    fn tell_devices(&mut self, sink: &mut impl FnMut(Event)) {
        for (_, device) in self.devices.iter().flatten() {
            let facts = record::device(&device);
            self.surroundings.saw(&facts);
            sink(Event { ts: now(), what: What::Device(facts) });
        }
    }

    /// Tells who a socket is, and its process, where that is not known yet; and again when an id
    /// comes from before the window as it was told: of sends that overlapped, an earlier one may have
    /// been seen later.
    fn describe(
        &mut self,
        socket: SocketId,
        id: Option<u32>,
        ts: u64,
        sink: &mut impl FnMut(Event),
    ) {
        let below = |base: u32| id.is_some_and(|id| id.wrapping_sub(base).cast_signed() < 0);
        if self.known.get(&socket).is_some_and(|base| !below(*base)) {
            return;
        }
        let Ok(entry) = self.sockets.get(&socket.0, 0) else { return };
        // An entry without a base is being made this moment; the next record finds it ready.
        if entry.state & state::BASED == 0 && entry.ignored == 0 {
            return;
        }
        if self.known.insert(socket, entry.base) == Some(entry.base) {
            return;
        }
        self.surroundings.add_namespace(entry.netns);
        let facts = record::socket(socket.0, &entry);
        self.meet(facts.pid, &facts.comm, ts, sink);
        sink(Event { ts: now(), what: What::Socket(Box::new(facts)) });
    }

    /// A socket's last words: who it is by now, and its counters.
    fn tell(
        &self,
        socket: SocketId,
        entry: &raw::Socket,
        held: &[Held],
        sink: &mut impl FnMut(Event),
    ) {
        let counters = self.counters(socket.0, entry, held);
        let facts = record::socket(socket.0, entry);
        sink(Event { ts: now(), what: What::Socket(Box::new(facts)) });
        sink(Event { ts: now(), what: What::Counters(Box::new(counters)) });
    }

    /// What the kernel counted of a socket, with what its holders tell.
    fn counters(&self, cookie: u64, entry: &raw::Socket, held: &[Held]) -> Counters {
        let mut counters = record::counters(cookie, entry);
        add_holders(&mut counters, &entry.began, held);
        if self.probe.completions_are_exact() {
            record::all_are_pieces(&mut counters);
        }
        counters
    }

    /// Tells what could not be done up to now; the `last` time, all of it.
    fn tell_losses(&mut self, last: bool, sink: &mut impl FnMut(Event)) {
        let Stats {
            events_lost,
            sockets_full,
            paths_full,
            unpaired,
            processes_full,
            counted_full,
            uargs_full,
            ..
        } = self.probe.stats();
        // The kernel tells of them a file a program, and forgets them with the program.
        let due = last || self.counted_skipped.is_none_or(|at| at.elapsed() >= SKIPPED);
        let skipped = match due {
            true => self.probe.skipped().max(self.losses.skipped),
            false => self.losses.skipped,
        };
        if due {
            self.counted_skipped = Some(Instant::now());
        }
        let losses = Losses {
            events: events_lost,
            sockets: sockets_full,
            processes: processes_full,
            paths: paths_full,
            // Either way a total of completions may be off by what one of them covers.
            unpaired: unpaired + counted_full + uargs_full,
            skipped,
        };
        if losses != self.losses {
            self.losses = losses;
            sink(Event { ts: now(), what: What::Losses(losses) });
        }
    }
}

fn full(e: &aya::maps::MapError) -> ProbeError {
    ProbeError::Map { map: "PIDS", reason: e.to_string() }
}

fn add_holders(counters: &mut Counters, began: &raw::Connection, held: &[Held]) {
    let socket = counters.socket;
    for row in held.iter().filter(|h| h.cookie == socket.0) {
        counters.holders.push((row.tgid, row.fd));
        // What was read since is in `reads` already.
        let since = |bit: usize| counters.reads[bit].saturating_sub(row.reads[bit]);
        let left = [0, 1].map(|bit: usize| row.unread[bit].saturating_sub(since(bit)));
        counters.unread = (row.truncated == 0).then_some(left);
        let read_since = counters.before.saturating_sub(row.before);
        counters.unread_before =
            (row.truncated == 0).then_some(row.unread_before.saturating_sub(read_since));
        record::connection(counters, began, &row.tcp);
        if row.optmem_max != 0 {
            counters.optmem_max = Some(row.optmem_max);
        }
        counters.so_zerocopy = row.state & state::SO_ZEROCOPY != 0;
    }
}

/// Waits until all programs that are running now have ended: they run under RCU's read lock, and
/// this call waits for a grace period (`synchronize_rcu` in `membarrier`, all versions), which
/// takes some hundredths of a second at most. `false`: the kernel does not offer it.
fn programs_have_ended() -> bool {
    // SAFETY: no pointers are passed.
    unsafe { libc::syscall(libc::SYS_membarrier, libc::MEMBARRIER_CMD_GLOBAL, 0, 0) == 0 }
}

/// ns since boot, on the probes' clock.
#[must_use]
pub fn now() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    time.map_or(0, |t| Duration::from(t).as_nanos().try_into().unwrap_or(u64::MAX))
}
