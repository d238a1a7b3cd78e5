//! From events to a snapshot: which ids were sent, completed, copied and read. Pure: values in,
//! values out; time is in the events.

pub mod evidence;
pub mod ids;
pub mod latency;
pub mod snapshot;
pub mod socket;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crate::{
    event::{DeviceFacts, Event, Losses, ProcessFacts, SocketId, What},
    host::packet::Sniffer,
};
pub use snapshot::Snapshot;
use snapshot::{Presence, RingUse, SnifferSeen};
use socket::SocketTracker;

/// Devices by their number.
pub type Devices = BTreeMap<u16, DeviceFacts>;

/// Everything that was seen since the window began.
#[derive(Debug, Default)]
pub struct Tracker {
    sockets: BTreeMap<SocketId, SocketTracker>,
    devices: Devices,
    processes: BTreeMap<u32, ProcessFacts>,
    sniffers: BTreeMap<(u32, u32, u64), SnifferSeen>,
    unreadable: Vec<u32>,
    rings: BTreeMap<(u32, i32), u64>,
    losses: Losses,
}

impl Tracker {
    /// Takes one event.
    pub fn apply(&mut self, event: &Event) {
        let ts = event.ts;
        match &event.what {
            What::Socket(facts) => {
                self.sockets.entry(facts.socket).or_default().describe(facts, ts);
            }
            What::Send(sent) => {
                self.sockets.entry(sent.socket).or_default().sent(sent, ts, &self.devices);
            }
            What::Failed(failed) => self.socket(failed.socket).failed(failed),
            What::Started(range) => {
                self.sockets.entry(range.socket).or_default().started(range, ts, &self.devices);
            }
            What::Merged(range) => {
                self.sockets.entry(range.socket).or_default().merged(range, ts, &self.devices);
            }
            What::Read(range) => {
                self.sockets.entry(range.socket).or_default().read(range, ts, &self.devices);
            }
            What::Closed { socket } => self.socket(*socket).closed(ts),
            What::Counters(counters) => self.socket(counters.socket).count(counters),
            What::Device(facts) => {
                self.devices.insert(facts.index, facts.clone());
            }
            What::Process(facts) => {
                self.processes.insert(facts.pid, facts.clone());
            }
            What::Sniffers { list, unreadable } => self.sniffers(list, unreadable, ts),
            What::IoUring { pid, fd, requests } => {
                self.rings.insert((*pid, *fd), *requests);
            }
            What::Losses(losses) => self.losses = *losses,
        }
    }

    /// What is known now. `end` is the time of asking; with `last`, nothing more is to come, and
    /// what was still waiting for a late companion is decided.
    pub fn snapshot(&mut self, start: u64, end: u64, last: bool) -> Snapshot {
        let until = if last { u64::MAX } else { end };
        for socket in self.sockets.values_mut() {
            socket.settle(until, &self.devices);
        }
        let lossy = self.losses.events > 0;
        let sockets: Vec<_> =
            self.sockets.iter().filter_map(|(id, s)| s.snapshot(*id, end, lossy)).collect();
        Snapshot {
            start,
            end,
            sockets,
            rings: self
                .rings
                .iter()
                .map(|((pid, fd), n)| RingUse { pid: *pid, fd: *fd, requests: *n })
                .collect(),
            devices: self.devices.clone(),
            processes: self.processes.clone(),
            sniffers: self.sniffers.values().cloned().collect(),
            unreadable_netns: self.unreadable.clone(),
            losses: self.losses,
        }
    }

    // Split borrows: the devices are read while a socket is written.
    fn socket(&mut self, id: SocketId) -> &mut SocketTracker {
        self.sockets.entry(id).or_default()
    }

    fn sniffers(&mut self, list: &[Sniffer], unreadable: &[u32], ts: u64) {
        let key = |s: &Sniffer| (s.netns, s.ifindex, s.inode);
        for (known, seen) in &mut self.sniffers {
            if let Presence::Since(from) = seen.presence
                && !list.iter().any(|s| key(s) == *known)
                && !unreadable.contains(&known.0)
            {
                seen.presence = Presence::Between(from, ts);
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
                .or_insert(new);
        }
        self.unreadable = unreadable.to_vec();
    }
}
