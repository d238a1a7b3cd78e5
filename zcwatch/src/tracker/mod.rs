//! From events to a snapshot: which ids were sent, completed, copied and read. Pure: values in,
//! values out; time is in the events.

pub mod counts;
pub mod ended;
pub mod evidence;
pub mod ids;
pub mod latency;
pub mod snapshot;
pub mod socket;
pub mod story;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{
        DeviceFacts, DropFacts, Event, Limits, LinkChange, Losses, PlainSends, ProcessFacts,
        SocketFacts, SocketId, StackFacts, Tunnel, What,
    },
    host::packet::Sniffer,
};
use ended::{Ended, Judge, Looks, REST};
pub use snapshot::Snapshot;
use snapshot::{Counts, Presence, RingUse, SnifferSeen, SocketSnapshot};
use socket::SocketTracker;
use story::Story;

/// Devices by their number.
pub type Devices = BTreeMap<u16, DeviceFacts>;
/// Calls that led to copies, by their number.
pub type Stacks = BTreeMap<u16, StackFacts>;
/// What dropped sends, by its number.
pub type Drops = BTreeMap<u16, DropFacts>;

/// Changes of one kind that are remembered; more than any sane host makes in a watch.
const CHANGES: usize = 4096;

fn keep<T>(all: &mut Vec<(u64, T)>, ts: u64, new: T) {
    if all.len() < CHANGES {
        all.push((ts, new));
    }
}

/// Everything that was seen since the window began.
#[derive(Debug, Default)]
pub struct Tracker {
    /// Boxed, for a map of large values has half of its room empty.
    sockets: BTreeMap<SocketId, Box<SocketTracker>>,
    /// Closed, and counted for the last time; by the time of their close.
    leaving: BTreeSet<(u64, SocketId)>,
    ended: Ended,
    /// The latest event of a probe.
    probed: u64,
    looks: Looks,
    devices: Devices,
    stacks: Stacks,
    drops: Drops,
    processes: BTreeMap<u32, ProcessFacts>,
    sniffers: BTreeMap<(u32, u32, u64), SnifferSeen>,
    unreadable: Vec<u32>,
    rings: BTreeMap<(u32, i32), u64>,
    plain: BTreeMap<u32, PlainSends>,
    /// What there was of both when the window began.
    rings_before: BTreeMap<(u32, i32), u64>,
    plain_before: BTreeMap<u32, PlainSends>,
    tunnels: BTreeMap<(String, Option<u32>, u32), (Tunnel, Presence)>,
    /// They were looked for.
    tunnels_known: bool,
    limits: Vec<(u64, Limits)>,
    links: Vec<(u64, LinkChange)>,
    with_stories: bool,
    losses: Losses,
}

impl Tracker {
    /// Of ended sockets keeps so many rows; the judge says what the others have in common.
    #[must_use]
    pub fn keeping(rows: usize, judge: Judge) -> Self {
        let mut tracker = Self::default();
        tracker.ended.keep(rows, judge);
        tracker
    }

    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        let ts = event.ts;
        match &event.what {
            What::Socket(facts) => {
                let with_stories = self.with_stories;
                self.of(facts.socket, |socket, _| {
                    if with_stories {
                        socket.tell_stories();
                    }
                    socket.describe(facts);
                });
            }
            What::Send(sent) => self.probed(ts, sent.socket, |s, _| s.sent(sent, ts)),
            What::Ignored(i) => self.probed(ts, i.socket, |s, _| s.ignored(i)),
            What::Failed(failed) => self.probed(ts, failed.socket, |s, _| s.failed(failed, ts)),
            What::Started(r) => self.probed(ts, r.socket, |s, all| s.started(r, ts, all)),
            What::Merged(r) => self.probed(ts, r.socket, |s, all| s.merged(r, ts, all)),
            What::Read(r) => self.probed(ts, r.socket, |s, all| s.read(r, ts, all)),
            What::Closed { socket } => {
                self.probed(ts, *socket, |s, _| s.closed(ts));
                self.may_leave(*socket);
            }
            What::Counters(counters) => {
                self.of(counters.socket, |s, _| s.count(counters));
                self.may_leave(counters.socket);
            }
            What::Device(facts) => {
                self.devices.insert(facts.index, facts.clone());
            }
            What::CallSite(site) => self.of(site.socket, |s, _| s.sent_from(site)),
            What::Stack(facts) => {
                self.stacks.insert(facts.index, facts.clone());
            }
            What::Drop(facts) => {
                self.drops.insert(facts.index, facts.clone());
            }
            What::Process(facts) => {
                self.processes.insert(facts.pid, facts.clone());
            }
            What::Sniffers { list, unreadable } => self.sniffers(list, unreadable, ts),
            What::IoUring { pid, fd, requests } => {
                self.rings.insert((*pid, *fd), *requests);
            }
            What::Plain(plain) => {
                self.plain.insert(plain.pid, *plain);
            }
            What::Tunnels { list } => self.tunnels(list, ts),
            What::Link(change) => self.link(change, ts),
            What::Limits(limits) => keep(&mut self.limits, ts, *limits),
            What::Losses(losses) => self.losses = *losses,
        }
    }

    /// What is known now. `end` is the time of asking; with `last`, nothing more is to come, and
    /// what was still waiting for a late companion is decided.
    pub fn snapshot(&mut self, start: u64, end: u64, last: bool) -> Snapshot {
        let until = if last { u64::MAX } else { end };
        for socket in self.sockets.values_mut() {
            socket.settle(until);
        }
        let lossy = self.losses.events > 0;
        let open = self.sockets.iter().filter_map(|(id, s)| s.snapshot(*id, end, lossy));
        self.with_ended(start, end, open.collect())
    }

    /// What is known this moment: what still waits for a late companion is shown as it would be
    /// without one, and decided anew next time.
    #[must_use]
    pub fn snapshot_as_is(&self, start: u64, end: u64) -> Snapshot {
        let lossy = self.losses.events > 0;
        let decided = |id: SocketId, s: &SocketTracker| match s.is_settled() {
            true => s.snapshot(id, end, lossy),
            false => {
                let mut s = s.clone();
                s.settle(u64::MAX);
                s.snapshot(id, end, lossy)
            }
        };
        let open = self.sockets.iter().filter_map(|(id, s)| decided(*id, s));
        self.with_ended(start, end, open.collect())
    }

    /// These sockets, with those that have ended.
    fn with_ended(&self, start: u64, end: u64, mut sockets: Vec<SocketSnapshot>) -> Snapshot {
        sockets.extend(self.ended.rows().cloned());
        sockets.sort_by_key(|s| s.id);
        Snapshot {
            folded: self.ended.folded().cloned().collect(),
            spread: self.ended.spread().clone(),
            ..self.around(start, end, sockets)
        }
    }

    /// What is known now, of one socket only: cheap where there are many.
    #[must_use]
    pub fn snapshot_of(&self, id: SocketId, start: u64, end: u64) -> Snapshot {
        let lossy = self.losses.events > 0;
        let open = self.sockets.get(&id).and_then(|s| s.snapshot(id, end, lossy));
        let socket = open.or_else(|| self.ended.row(id).cloned());
        self.around(start, end, socket.into_iter().collect())
    }

    /// A new window begins now (ns since boot): from here on every count is a difference to what it
    /// was. Who and what is there stays known; losses stay counted.
    pub fn reset(&mut self, ts: u64) {
        let lossy = self.losses.events > 0;
        for (id, socket) in &mut self.sockets {
            socket.settle(ts);
            socket.reset(*id, ts, lossy);
        }
        self.ended.forget();
        self.rings_before.clone_from(&self.rings);
        self.plain_before.clone_from(&self.plain);
        self.links.clear();
        // The last of each kind is how it is.
        let limits = std::mem::take(&mut self.limits);
        for (at, new) in limits {
            self.limits.retain(|(_, known)| !known.is_same_as(&new));
            self.limits.push((at, new));
        }
    }

    /// What is there, as events: for one that takes them from now on.
    #[must_use]
    pub fn retell(&self, ts: u64) -> Vec<Event> {
        let mut all: Vec<What> = Vec::new();
        all.extend(self.devices.values().cloned().map(What::Device));
        all.extend(self.stacks.values().cloned().map(What::Stack));
        all.extend(self.drops.values().cloned().map(What::Drop));
        all.extend(self.processes.values().cloned().map(What::Process));
        let sockets = self.sockets.values().filter_map(|s| s.from_now_on());
        all.extend(sockets.map(|facts| What::Socket(Box::new(facts))));
        all.extend(self.limits.iter().map(|(_, limits)| What::Limits(*limits)));
        let there = |p: &Presence| matches!(p, Presence::Since(_));
        let sniffers = self.sniffers.values().filter(|s| there(&s.presence));
        all.push(What::Sniffers {
            list: sniffers.map(|s| s.sniffer.clone()).collect(),
            unreadable: self.unreadable.clone(),
        });
        if self.tunnels_known {
            let tunnels = self.tunnels.values().filter(|(_, p)| there(p));
            all.push(What::Tunnels { list: tunnels.map(|(t, _)| t.clone()).collect() });
        }
        all.push(What::Losses(self.losses));
        all.into_iter().map(|what| Event { ts, what }).collect()
    }

    /// Sockets, with all else that is known.
    fn around(&self, start: u64, end: u64, sockets: Vec<SocketSnapshot>) -> Snapshot {
        Snapshot {
            start,
            end,
            sockets,
            folded: Vec::new(),
            spread: Counts::default(),
            rings: self
                .rings
                .iter()
                .map(|(of, n)| {
                    let before = self.rings_before.get(of).copied().unwrap_or_default();
                    RingUse { pid: of.0, fd: of.1, requests: n.saturating_sub(before) }
                })
                .filter(|ring| ring.requests > 0)
                .collect(),
            devices: self.devices.clone(),
            stacks: self.stacks.clone(),
            drops: self.drops.clone(),
            processes: self.processes.clone(),
            sniffers: self.sniffers.values().cloned().collect(),
            unreadable_netns: self.unreadable.clone(),
            plain: self.plain.iter().map(|(pid, p)| (*pid, self.plain_since(*pid, p))).collect(),
            tunnels: self.tunnels.values().cloned().collect(),
            limits: self.limits.clone(),
            links: self.links.clone(),
            losses: self.losses,
        }
    }

    fn plain_since(&self, pid: u32, now: &PlainSends) -> PlainSends {
        self.plain_before.get(&pid).map_or(*now, |before| now.since(before))
    }

    /// From now on, keeps the story of each send.
    pub fn tell_stories(&mut self) {
        self.with_stories = true;
    }

    /// The stories that came to their end since the last call, in the order of their beginnings;
    /// with `last`, all that are left.
    pub fn stories(&mut self, now: u64, last: bool) -> Vec<(SocketId, Story)> {
        let until = if last { u64::MAX } else { now };
        let mut all = Vec::new();
        for (id, socket) in &mut self.sockets {
            socket.settle(until);
            all.extend(socket.stories(last).into_iter().map(|s| (*id, s)));
        }
        all.sort_by_key(|(_, s)| s.begin);
        all
    }

    /// Who a socket is, if that is known.
    #[must_use]
    pub fn facts(&self, id: SocketId) -> Option<&SocketFacts> {
        match self.sockets.get(&id) {
            Some(socket) => socket.facts(),
            None => self.ended.row(id).map(|s| &s.facts),
        }
    }

    /// Hands an event to its socket. One that has ended has said all.
    fn of(&mut self, id: SocketId, take: impl FnOnce(&mut SocketTracker, &Devices)) {
        if self.ended.row(id).is_none() {
            take(self.sockets.entry(id).or_default(), &self.devices);
        }
    }

    /// [`Self::of`], of what a probe told. These events are nearly in the order of time, so what
    /// was closed long before this one has nothing more to tell.
    fn probed(&mut self, ts: u64, id: SocketId, take: impl FnOnce(&mut SocketTracker, &Devices)) {
        self.probed = self.probed.max(ts);
        self.of(id, take);
        let rested = |closed: u64| closed.saturating_add(REST) <= self.probed;
        if self.leaving.first().is_some_and(|(closed, _)| rested(*closed)) {
            // Each once: one with stories comes back, perhaps with a time that has passed.
            let due: Vec<_> =
                self.leaving.iter().take_while(|(at, _)| rested(*at)).copied().collect();
            for (closed, id) in due {
                self.leaving.remove(&(closed, id));
                self.leave(id);
            }
        }
    }

    fn may_leave(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if let Some(closed) = socket.last_counted() {
            socket.shrink();
            self.leaving.insert((closed, id));
        }
    }

    fn leave(&mut self, id: SocketId) {
        let Some(mut socket) = self.sockets.remove(&id) else { return };
        socket.settle(u64::MAX);
        if socket.has_stories() {
            // Who asked for them will come.
            self.sockets.insert(id, socket);
            self.leaving.insert((self.probed, id));
            return;
        }
        let lossy = self.losses.events > 0;
        if let Some(row) = socket.snapshot(id, self.probed, lossy).filter(|_| !self.with_stories) {
            self.ended.take(row, &self.looks);
        }
    }

    /// A device under a new name keeps its number on the ways.
    fn link(&mut self, change: &LinkChange, ts: u64) {
        keep(&mut self.links, ts, change.clone());
        let same = |d: &&mut DeviceFacts| (d.netns, d.ifindex) == (change.netns, change.ifindex);
        if !change.removed
            && let Some(device) = self.devices.values_mut().find(same)
        {
            device.name.clone_from(&change.name);
        }
    }

    fn tunnels(&mut self, list: &[Tunnel], ts: u64) {
        let key = |t: &Tunnel| (t.device.clone(), t.netns, t.pid);
        for (known, (_, presence)) in &mut self.tunnels {
            if let Presence::Since(from) = *presence
                && !list.iter().any(|t| key(t) == *known)
            {
                *presence = Presence::Between(from, ts);
                self.looks.went(ts);
            }
        }
        // Nobody looks for them before a packet has gone to such a device: the first ones that are found
        // were there for it, however long the look took.
        let first = !std::mem::replace(&mut self.tunnels_known, true);
        for t in list {
            self.tunnels.entry(key(t)).or_insert_with(|| {
                if first {
                    return (t.clone(), Presence::Since(0));
                }
                self.looks.came(ts);
                (t.clone(), Presence::Since(ts))
            });
        }
    }

    fn sniffers(&mut self, list: &[Sniffer], unreadable: &[u32], ts: u64) {
        let key = |s: &Sniffer| (s.netns, s.ifindex, s.inode);
        for (known, seen) in &mut self.sniffers {
            if let Presence::Since(from) = seen.presence
                && !list.iter().any(|s| key(s) == *known)
                && !unreadable.contains(&known.0)
            {
                seen.presence = Presence::Between(from, ts);
                self.looks.went(ts);
            }
        }
        for s in list {
            let new = SnifferSeen { sniffer: s.clone(), presence: Presence::Since(ts) };
            self.sniffers
                .entry(key(s))
                .and_modify(|seen| {
                    seen.sniffer = s.clone();
                    if let Presence::Between(from, _) = seen.presence {
                        seen.presence = Presence::Since(from);
                    }
                })
                .or_insert_with(|| {
                    self.looks.came(ts);
                    new
                });
        }
        self.unreadable = unreadable.to_vec();
    }
}
