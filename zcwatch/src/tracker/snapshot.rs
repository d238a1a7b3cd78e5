//! What is known at one moment: values only, for the diagnosis, the reports and the screen.

use std::collections::BTreeMap;

use super::{
    Devices, Drops, Stacks,
    ended::Alike,
    evidence::{Evidence, Group},
    socket::Waits,
};
use crate::{
    event::{
        CallSite, Counters, FailedSend, Limits, LinkChange, Losses, PlainSends, ProcessFacts,
        SocketFacts, SocketId, Tunnel,
    },
    host::packet::Sniffer,
    sums::sum,
};

pub use super::counts::{Counts, From, Sizes, Spent};

/// Everything at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Start of the window, ns since boot.
    pub start: u64,
    /// Its end.
    pub end: u64,
    /// Sockets that sent, tried to, or completed something, by their id.
    pub sockets: Vec<SocketSnapshot>,
    /// Ended sockets that are no rows any more.
    pub folded: Vec<Alike>,
    /// Sizes and latencies of all ended sockets; nothing else.
    pub spread: Counts,
    /// io_uring's zerocopy requests.
    pub rings: Vec<RingUse>,
    /// Devices by their number.
    pub devices: Devices,
    /// Calls that led to copies, by their number.
    pub stacks: Stacks,
    /// What dropped sends.
    pub drops: Drops,
    /// Watched processes.
    pub processes: BTreeMap<u32, ProcessFacts>,
    /// Packet sockets on every protocol, seen at any time in the window.
    pub sniffers: Vec<SnifferSeen>,
    /// Namespaces whose packet sockets could not be read.
    pub unreadable_netns: Vec<u32>,
    /// What processes sent without the flag on sockets that are not watched.
    pub plain: BTreeMap<u32, PlainSends>,
    /// Processes behind tun and tap devices, seen at any time in the window.
    pub tunnels: Vec<(Tunnel, Presence)>,
    /// Limits that changed or were first seen, with the time, ns since boot.
    pub limits: Vec<(u64, Limits)>,
    /// Devices that changed, with the time, ns since boot.
    pub links: Vec<(u64, LinkChange)>,
    /// What the probes could not do.
    pub losses: Losses,
}

/// Zerocopy requests of one io_uring user on one descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RingUse {
    /// The process.
    pub pid: u32,
    /// The descriptor named in the requests.
    pub fd: i32,
    /// Requests submitted.
    pub requests: u64,
}

/// A packet socket, and when it was there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnifferSeen {
    /// The socket and its holder.
    pub sniffer: Sniffer,
    /// When.
    pub presence: Presence,
}

/// Times of sight, ns since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// First seen then, and still there.
    Since(u64),
    /// First seen then, and found gone then.
    Between(u64, u64),
}

/// Packet sockets and tunnels are looked for so often, ns: one that was there for the copies may
/// have come so long before it was found, and completions come after the copies.
pub const LOOK: u64 = 500_000_000;

impl Presence {
    /// Was it there at some time between, ns since boot?
    #[must_use]
    pub fn meets(self, first: u64, last: u64) -> bool {
        let (from, to) = match self {
            Self::Since(from) => (from, u64::MAX),
            Self::Between(from, to) => (from, to),
        };
        from.saturating_sub(LOOK) <= last && first <= to.saturating_add(LOOK)
    }
}

/// Do the events and the counters tell the same?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agreement {
    /// The counters were not read.
    NotAsked,
    /// They do.
    Yes,
    /// They do not; the counters are shown.
    No,
}

/// How a send failed: its errno, and [`crate::event::DropFacts::index`] of what dropped it, where that was
/// seen.
pub type SendError = (i32, Option<u16>);

/// One socket.
#[derive(Clone, Debug)]
pub struct SocketSnapshot {
    /// Which.
    pub id: SocketId,
    /// Who.
    pub facts: SocketFacts,
    /// How much.
    pub counts: Counts,
    /// Why, as far as the packets showed it.
    pub evidence: Vec<(Evidence, Group)>,
    /// From where in the programs was sent on it, where that was asked for.
    pub call_sites: Vec<CallSite>,
    /// Processes that sent on it or hold it.
    pub pids: Vec<u32>,
    /// Their descriptors.
    pub fds: Vec<i32>,
    /// When it was closed, ns since boot.
    pub closed: Option<u64>,
    /// The oldest completion that was not read, ns since boot.
    pub oldest_unread: Option<u64>,
    /// The first completion in the window, ns since boot.
    pub first_completion: Option<u64>,
    /// The last, ns since boot.
    pub last_completion: Option<u64>,
    /// The last read, ns since boot.
    pub last_read: Option<u64>,
    /// The last send that failed, of those with ENOBUFS if there were any.
    pub last_failure: Option<FailedSend>,
    /// Sends in flight when it failed.
    pub failed_with: u64,
    /// Sends that failed and kept their id, by errno and what dropped them, as far as events told.
    pub errors: BTreeMap<SendError, u64>,
    /// How the application waits for its notifications, as far as events told.
    pub waits: Waits,
    /// The kernel's counters, where they were read.
    pub counters: Option<Counters>,
    /// Sends overlapped: sizes of single ids are approximate.
    pub overlapped: bool,
    /// The device that its packets were first seen on last.
    pub device: Option<u16>,
    /// Whether events and counters agree.
    pub agreement: Agreement,
    /// When this was asked, ns since boot.
    pub asked: u64,
    /// It has ended: its sizes and latencies are in [`Snapshot::spread`], and here no more of them
    /// than their summaries.
    pub ended: bool,
}

impl SocketSnapshot {
    /// Ids reported zero-copy that took a way that copies.
    #[must_use]
    pub fn hidden(&self) -> u64 {
        sum(self.evidence.iter().filter(|(e, _)| !e.is_shown()).map(|(_, g)| g.sends))
    }

    /// Copied ids of which it is known where; fewer than were copied where events were lost.
    #[must_use]
    pub fn explained(&self) -> u64 {
        sum(self.evidence.iter().filter(|(e, _)| e.is_shown()).map(|(_, g)| g.sends))
    }

    /// Completions of sends from before the window that are still to be read, where the queue was
    /// looked at.
    #[must_use]
    pub fn unread_before(&self) -> u64 {
        self.counters.as_ref().and_then(|c| c.unread_before).unwrap_or(0)
    }

    /// Nothing happened on it in the window.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        let c = &self.counts;
        let plain = self.counters.as_ref().map_or(0, |c| c.plain);
        let all = [c.sends, c.copied, c.reported, c.before_attach, c.ignored, plain];
        let failed = [c.failed_optmem, c.failed_memlock, c.failed_other];
        all.into_iter().chain(failed).all(|n| n == 0)
    }

    /// Did events tell with which error each send failed that kept its id?
    #[must_use]
    pub fn errors_told(&self) -> bool {
        sum(self.errors.values().copied()) == self.counts.with_error
    }

    /// Keeps of an ended socket what a row shows.
    pub(super) fn reduce(&mut self) {
        self.ended = true;
        self.counts.reduce();
        self.evidence.shrink_to_fit();
        self.pids.shrink_to_fit();
        self.fds.shrink_to_fit();
    }
}

impl Snapshot {
    /// All sockets together.
    #[must_use]
    pub fn totals(&self) -> Counts {
        let mut all = self.spread.clone();
        for s in &self.sockets {
            all.count(&s.counts);
            if !s.ended {
                all.spread(&s.counts);
            }
        }
        self.folded.iter().for_each(|f| all.count(&f.sum.counts));
        all
    }

    /// The same moment as if there were this socket only; `None`: it has no row.
    #[must_use]
    pub fn of_one(&self, id: SocketId) -> Option<Self> {
        let socket = self.sockets.iter().find(|s| s.id == id)?;
        Some(Self {
            start: self.start,
            end: self.end,
            sockets: vec![socket.clone()],
            folded: Vec::new(),
            spread: Counts::default(),
            rings: Vec::new(),
            devices: self.devices.clone(),
            stacks: self.stacks.clone(),
            drops: self.drops.clone(),
            processes: self.processes.clone(),
            sniffers: self.sniffers.clone(),
            unreadable_netns: self.unreadable_netns.clone(),
            plain: BTreeMap::new(),
            tunnels: self.tunnels.clone(),
            limits: self.limits.clone(),
            links: self.links.clone(),
            losses: self.losses,
        })
    }

    /// Rows, and folded ones together.
    pub fn parts(&self) -> impl Iterator<Item = &SocketSnapshot> {
        self.sockets.iter().chain(self.folded.iter().map(|f| &f.sum))
    }

    /// The one with the lowest id, of all that are so.
    pub fn first(&self, is_so: impl Fn(&SocketSnapshot) -> bool) -> Option<&SocketSnapshot> {
        let row = self.sockets.iter().find(|s| is_so(s));
        let folded = self.folded.iter().map(|f| &f.sum).filter(|s| is_so(s));
        row.into_iter().chain(folded).min_by_key(|s| s.id)
    }

    /// Do all sockets' counters agree with the events? `None`: they were not read.
    #[must_use]
    pub fn counters_agree(&self) -> Option<bool> {
        let mut asked = self.parts().filter(|s| s.agreement != Agreement::NotAsked).peekable();
        (asked.peek().is_some() || self.sockets.is_empty())
            .then(|| asked.all(|s| s.agreement == Agreement::Yes))
    }

    /// The packet sockets that hear what a device sends: in its namespace, bound to it or to all.
    pub fn sniffers_on(&self, netns: u32, ifindex: u32) -> impl Iterator<Item = &SnifferSeen> {
        self.sniffers.iter().filter(move |s| {
            s.sniffer.netns == netns && (s.sniffer.ifindex == 0 || s.sniffer.ifindex == ifindex)
        })
    }
}
