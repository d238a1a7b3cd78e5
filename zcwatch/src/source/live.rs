//! The running kernel as a source: attaches, watches processes, drains the ring buffer.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use aya::maps::{HashMap, MapData, RingBuf};
use zcwatch_common::{self as raw, Header, Held, RingKey, kind, state};

use super::{calibrate, record, surroundings::Surroundings};
use crate::{
    event::{Counters, Event, Losses, ProcessFacts, SocketId, What},
    host::{packet, process},
    probe::{Probe, ProbeError, Settings, attach::Stats},
};

/// How long the entry of a closed socket is kept, ns: longer than any program runs.
const AFTER_CLOSE: u64 = 500_000_000;

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
    watched: BTreeMap<u32, ProcessFacts>,
    known: BTreeSet<SocketId>,
    /// Closed sockets whose entry in the kernel's table is still to be read and given back.
    closed: VecDeque<(u64, SocketId)>,
    surroundings: Surroundings,
    losses: Losses,
}

impl Live {
    /// Attaches the probes. Nothing is watched yet.
    ///
    /// # Errors
    /// As [`Probe::attach`], and where loopback cannot be used.
    pub fn open(settings: &Settings) -> Result<Self, ProbeError> {
        let mut probe = Probe::attach(settings)?;
        let mut ring = probe.ring()?;
        let mut sockets = probe.sockets()?;
        calibrate::learn(&mut sockets, &mut probe.readers()?, &mut ring)?;
        Ok(Self {
            pids: probe.pids()?,
            plain: probe.plain()?,
            devices: probe.devices()?,
            io_uring: probe.io_uring()?,
            ring,
            sockets,
            probe,
            watched: BTreeMap::new(),
            known: BTreeSet::new(),
            closed: VecDeque::new(),
            surroundings: Surroundings::default(),
            losses: Losses::default(),
        })
    }

    /// What attached.
    #[must_use]
    pub fn probe(&self) -> &Probe {
        &self.probe
    }

    /// Watches processes, with the sockets that they hold already.
    ///
    /// # Errors
    /// When the kernel refuses the table or the iterator.
    pub fn watch(&mut self, pids: &[u32], sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        for pid in pids {
            let full =
                |e: aya::maps::MapError| ProbeError::Map { map: "PIDS", reason: e.to_string() };
            self.pids.insert(pid, 1, 0).map_err(full)?;
            let comm = process::comm(*pid).unwrap_or_default();
            let facts = ProcessFacts { pid: *pid, comm, ended: false, parent: None };
            self.watched.insert(*pid, facts.clone());
            sink(Event { ts: now(), what: What::Process(facts) });
            if let Some(netns) = packet::netns_of(*pid) {
                self.surroundings.add_namespace(netns);
            }
        }
        self.probe.begin()?;
        // Those that the calibration crossed; their records are gone.
        self.tell_devices(sink);
        for held in self.probe.held()? {
            self.describe(SocketId(held.cookie), sink);
        }
        Ok(())
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
        let what = match header.kind {
            kind::SEND => record::read(&item).map(|r| What::Send(record::sent(&r))),
            kind::FAILED => record::read(&item).map(|r| What::Failed(record::failed(&r))),
            kind::IGNORED => record::read(&item).map(|r| What::Ignored(record::ignored(&r))),
            kind::FORKED | kind::EXECUTED | kind::EXITED => {
                record::read(&item).map(|r| What::Process(record::process(&r)))
            }
            kind::STARTED => record::read(&item).map(|r| What::Started(record::range(&r))),
            kind::PIECE => record::read(&item).map(|r| What::Merged(record::range(&r))),
            kind::READ => record::read(&item).map(|r| What::Read(record::range(&r))),
            kind::DEVICE => record::read(&item).map(|r| What::Device(record::device(&r))),
            kind::CLOSED => Some(What::Closed { socket: SocketId(header.cookie) }),
            _ => None,
        };
        drop(item);
        if header.cookie != 0 {
            self.describe(SocketId(header.cookie), sink);
        }
        if let Some(what) = what {
            match &what {
                What::Closed { socket } => self.closed.push_back((header.ts, *socket)),
                What::Process(facts) => self.remember(facts),
                What::Device(facts) => self.surroundings.saw(facts),
                _ => {}
            }
            sink(Event { ts: header.ts, what });
        }
        true
    }

    /// Looks at what no probe tells: processes that ended, packet sockets, losses.
    pub fn look_around(&mut self, sink: &mut impl FnMut(Event)) {
        for facts in self.watched.values_mut().filter(|p| !p.ended) {
            if process::ended(facts.pid) {
                facts.ended = true;
                // The id may be given to another process now.
                let _ = self.pids.remove(&facts.pid);
                sink(Event { ts: now(), what: What::Process(facts.clone()) });
            }
        }
        // With the last process its namespaces are out of sight; what was seen there stands.
        if !self.all_ended() {
            let alive: Vec<u32> =
                self.watched.values().filter(|p| !p.ended).map(|p| p.pid).collect();
            self.surroundings.look(&alive, &mut |what| sink(Event { ts: now(), what }));
        }
        self.give_back(sink);
        self.tell_losses(sink);
    }

    /// Reads the counters of sockets that were closed a while ago, and frees their entries.
    /// Programs that were running on them have ended long since.
    fn give_back(&mut self, sink: &mut impl FnMut(Event)) {
        let old = now().saturating_sub(AFTER_CLOSE);
        while let Some((_, socket)) = self.closed.pop_front_if(|(ts, _)| *ts < old) {
            let Ok(entry) = self.sockets.get(&socket.0, 0) else { continue };
            tell(socket, &entry, &[], sink);
            let _ = self.sockets.remove(&socket.0);
        }
    }

    /// Have all watched processes ended?
    #[must_use]
    pub fn all_ended(&self) -> bool {
        !self.watched.is_empty() && self.watched.values().all(|p| p.ended)
    }

    /// Stops watching: detaches, hands out the rest, then the exact counters.
    ///
    /// # Errors
    /// When the sockets cannot be looked at once more.
    pub fn finish(&mut self, sink: &mut impl FnMut(Event)) -> Result<(), ProbeError> {
        self.probe.end()?;
        self.tell_losses(sink);
        // The error queues are looked at while the hooks still see what leaves them.
        let held = self.probe.held()?;
        self.probe.stop();
        while self.next(sink) {}
        self.look_around(sink);
        self.tell_devices(sink);
        let entries: Vec<_> = self.sockets.iter().flatten().collect();
        for (cookie, entry) in entries {
            tell(SocketId(cookie), &entry, &held, sink);
        }
        let plain: Vec<_> = self.plain.iter().flatten().collect();
        for (pid, sends) in plain {
            sink(Event { ts: now(), what: What::Plain(record::plain(pid, &sends)) });
        }
        let rings: Vec<_> = self.io_uring.iter().flatten().collect();
        for (RingKey { tgid, fd }, requests) in rings {
            sink(Event { ts: now(), what: What::IoUring { pid: tgid, fd, requests } });
        }
        self.tell_losses(sink);
        Ok(())
    }

    /// A process that the kernel took into the watch, renamed, or let go.
    fn remember(&mut self, facts: &ProcessFacts) {
        if !facts.ended
            && let Some(netns) = packet::netns_of(facts.pid)
        {
            self.surroundings.add_namespace(netns);
        }
        let parent = self.watched.get(&facts.pid).and_then(|known| known.parent);
        let facts = ProcessFacts { parent: facts.parent.or(parent), ..facts.clone() };
        self.watched.insert(facts.pid, facts);
    }

    fn tell_devices(&mut self, sink: &mut impl FnMut(Event)) {
        for (_, device) in self.devices.iter().flatten() {
            let facts = record::device(&device);
            self.surroundings.saw(&facts);
            sink(Event { ts: now(), what: What::Device(facts) });
        }
    }

    fn describe(&mut self, socket: SocketId, sink: &mut impl FnMut(Event)) {
        if self.known.contains(&socket) {
            return;
        }
        let Ok(entry) = self.sockets.get(&socket.0, 0) else { return };
        // An entry without a base is being made this moment; the next record finds it ready.
        if entry.state & state::BASED == 0 && entry.ignored == 0 {
            return;
        }
        self.known.insert(socket);
        self.surroundings.add_namespace(entry.netns);
        let facts = record::socket(socket.0, &entry);
        sink(Event { ts: now(), what: What::Socket(Box::new(facts)) });
    }

    fn tell_losses(&mut self, sink: &mut impl FnMut(Event)) {
        let Stats { events_lost, sockets_full, paths_full, unpaired, processes_full, .. } =
            self.probe.stats();
        // The kernel forgets the skipped runs of a program with the program.
        let skipped = self.probe.skipped().max(self.losses.skipped);
        let losses = Losses {
            events: events_lost,
            sockets: sockets_full,
            processes: processes_full,
            paths: paths_full,
            unpaired,
            skipped,
        };
        if losses != self.losses {
            self.losses = losses;
            sink(Event { ts: now(), what: What::Losses(losses) });
        }
    }
}

/// A socket's last words: who it is by now, and its counters.
fn tell(socket: SocketId, entry: &raw::Socket, held: &[Held], sink: &mut impl FnMut(Event)) {
    let mut counters = record::counters(socket.0, entry);
    add_holders(&mut counters, held);
    let facts = record::socket(socket.0, entry);
    sink(Event { ts: now(), what: What::Socket(Box::new(facts)) });
    sink(Event { ts: now(), what: What::Counters(Box::new(counters)) });
}

fn add_holders(counters: &mut Counters, held: &[Held]) {
    for row in held.iter().filter(|h| h.cookie == counters.socket.0) {
        counters.holders.push((row.tgid, row.fd));
        // What was read since is in `reads` already.
        let since = |bit: usize| counters.reads[bit].saturating_sub(row.reads[bit]);
        let left = [0, 1].map(|bit: usize| row.unread[bit].saturating_sub(since(bit)));
        counters.unread = (row.truncated == 0).then_some(left);
        counters.srtt = (row.srtt_us != 0).then_some(u64::from(row.srtt_us) * 1000);
        if row.optmem_max != 0 {
            counters.optmem_max = Some(row.optmem_max);
        }
        counters.so_zerocopy = row.state & state::SO_ZEROCOPY != 0;
    }
}

/// ns since boot, on the probes' clock.
#[must_use]
pub fn now() -> u64 {
    let time = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    time.map_or(0, |t| Duration::from(t).as_nanos().try_into().unwrap_or(u64::MAX))
}
