//! What is known at one moment: values only, for the diagnosis, the reports and the screen.

use std::collections::BTreeMap;

use super::{
    Devices,
    ended::Alike,
    evidence::{Evidence, Group},
    latency::Latency,
    socket::Waits,
};
use crate::{
    event::{
        Counters, FailedSend, Limits, LinkChange, Losses, PlainSends, ProcessFacts, SocketFacts,
        SocketId, Tunnel,
    },
    host::packet::Sniffer,
    sums::{add, sum},
};

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

/// Where a release latency starts; the later ones are less exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// Inside the send, under the socket's lock.
    Entry,
    /// At the device queue.
    Queue,
    /// At the return of the send.
    Return,
}

impl From {
    /// The word in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Entry => "entry",
            Self::Queue => "queue",
            Self::Return => "return",
        }
    }
}

/// Sizes of sends, bytes, each with how often it occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sizes(pub BTreeMap<u32, u64>);

impl Sizes {
    /// Smallest, median and largest.
    #[must_use]
    pub fn summary(&self) -> Option<(u32, u32, u32)> {
        let (min, max) = (*self.0.first_key_value()?.0, *self.0.last_key_value()?.0);
        let half = sum(self.0.values().copied()).div_ceil(2);
        let mut below = 0;
        let median = self.0.iter().find(|(_, n)| {
            add(&mut below, **n);
            below >= half
        });
        Some((min, median.map_or(max, |(size, _)| *size), max))
    }

    /// Keeps of them what the summary is made of.
    fn reduce(&mut self) {
        let Some((min, median, max)) = self.summary() else { return };
        let all = sum(self.0.values().copied());
        let ends = u64::from(min < median) + u64::from(max > median);
        self.0 = BTreeMap::from([(min, 1), (max, 1)]);
        if min == median && all > 1 {
            // Half of them, at least: the median is the lower of the two in the middle.
            self.0.insert(min, all - u64::from(max > median));
        } else {
            self.0.insert(median, all - ends);
        }
    }

    pub(super) fn add(&mut self, bytes: u32) {
        add(self.0.entry(bytes).or_default(), 1);
    }

    fn merge(&mut self, other: &Self) {
        for (size, n) in &other.0 {
            add(self.0.entry(*size).or_default(), *n);
        }
    }
}

/// Counts of one socket, or of all. All are counts of ids, unless they say otherwise.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Ids taken.
    pub sends: u64,
    /// Bytes of the calls that succeeded.
    pub bytes: u64,
    /// Their sizes.
    pub sizes: Sizes,
    /// Sends that failed and kept their id.
    pub with_error: u64,
    /// Calls refused by the limit on option memory.
    pub failed_optmem: u64,
    /// Calls refused by the limit on locked memory.
    pub failed_memlock: u64,
    /// Calls that failed otherwise.
    pub failed_other: u64,
    /// Sends whose flag was ignored.
    pub ignored: u64,
    /// Their bytes.
    pub ignored_bytes: u64,
    /// Completed and copied.
    pub copied: u64,
    /// Completed and reported zero-copy.
    pub reported: u64,
    /// Completed, sent before the window.
    pub before_attach: u64,
    /// Completed before anything was seen of their start.
    pub before_return: u64,
    /// Read by the application.
    pub read: u64,
    /// Notifications read.
    pub notifications_read: u64,
    /// Whose notification said otherwise than their completion.
    pub misled: u64,
    /// Sent, not completed.
    pub in_flight: u64,
    /// Sent, not completed when the socket was closed.
    pub closed_in_flight: u64,
    /// Completed, not read.
    pub unread: u64,
    /// First sight → completion.
    pub release: Latency,
    /// Where it starts.
    pub release_from: Option<From>,
    /// Completion → read.
    pub reap: Latency,
}

impl Counts {
    /// What only the counters know.
    pub(super) fn take_exact(&mut self, c: &Counters) {
        self.failed_optmem = c.failed_optmem;
        self.failed_memlock = c.failed_memlock;
        // Before overlapping sends were noticed, a failure may have been taken for a send that
        // kept its id. The ids say how many there can be.
        let ids = u64::from(c.key.wrapping_sub(c.base)).max(self.sends);
        self.with_error = c.with_error.min(ids.saturating_sub(c.sends));
        self.failed_other = c.failed_other.saturating_add(c.with_error - self.with_error);
        self.ignored = c.ignored;
        self.ignored_bytes = c.ignored_bytes;
        self.before_attach = c.before;
    }

    /// What the events told too, where they did not tell all.
    pub(super) fn take_counted(&mut self, c: &Counters) {
        // The ids say how many sends there were, but for whole turns of the circle.
        let told = c.sends.saturating_add(c.with_error);
        #[expect(clippy::cast_possible_truncation, reason = "the circle is 32 bits wide")]
        let more = c.key.wrapping_sub(c.base).wrapping_sub(told as u32).cast_signed();
        self.sends = told.saturating_add_signed(more.into());
        self.bytes = c.bytes;
        self.notifications_read = c.notifications_read;
        self.read = sum(c.reads);
        (self.copied, self.reported) = completed(c);
        self.sends = self.sends.max(self.completed());
    }

    /// Completions that wait on the error queue and that no event told of; how many of them were
    /// copied. The events may be ahead of the look at the queue, and then they stand.
    pub(super) fn take_waiting(&mut self, c: &Counters) -> u64 {
        let (copied, reported) = completed(c);
        if c.unread.is_none() || copied < self.copied || reported < self.reported {
            return 0;
        }
        let more = copied - self.copied;
        (self.copied, self.reported) = (copied, reported);
        more
    }

    /// Adds another socket's.
    pub fn merge(&mut self, o: &Self) {
        self.count(o);
        self.spread(o);
    }

    /// Adds another socket's sizes and latencies.
    pub(super) fn spread(&mut self, o: &Self) {
        self.sizes.merge(&o.sizes);
        self.release.merge(&o.release);
        self.reap.merge(&o.reap);
    }

    /// Keeps of sizes and latencies what their summaries are made of.
    pub(super) fn reduce(&mut self) {
        self.sizes.reduce();
        self.release.reduce();
        self.reap.reduce();
    }

    /// Adds all but sizes and latencies.
    fn count(&mut self, o: &Self) {
        add(&mut self.sends, o.sends);
        add(&mut self.bytes, o.bytes);
        add(&mut self.with_error, o.with_error);
        add(&mut self.failed_optmem, o.failed_optmem);
        add(&mut self.failed_memlock, o.failed_memlock);
        add(&mut self.failed_other, o.failed_other);
        add(&mut self.ignored, o.ignored);
        add(&mut self.ignored_bytes, o.ignored_bytes);
        add(&mut self.copied, o.copied);
        add(&mut self.reported, o.reported);
        add(&mut self.before_attach, o.before_attach);
        add(&mut self.before_return, o.before_return);
        add(&mut self.read, o.read);
        add(&mut self.notifications_read, o.notifications_read);
        add(&mut self.misled, o.misled);
        add(&mut self.in_flight, o.in_flight);
        add(&mut self.closed_in_flight, o.closed_in_flight);
        add(&mut self.unread, o.unread);
        self.release_from = self.release_from.max(o.release_from);
    }

    /// Completed in the window.
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.copied.saturating_add(self.reported)
    }
}

/// What the counters say of completions: copied, and reported zero-copy.
fn completed(c: &Counters) -> (u64, u64) {
    let unread = c.unread.unwrap_or_default();
    let done = sum(c.reads.into_iter().chain(unread));
    // A copied notification's ids, less the pieces in it, are those that began it.
    let copied = sum([c.pieces[1], c.reads[1], unread[1]]).saturating_sub(c.merged_into[1]);
    (copied, done.saturating_sub(copied))
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
    /// Sends that failed and kept their id, by errno, as far as events told.
    pub errors: BTreeMap<i32, u64>,
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
