//! One socket, as a value: how the kernel takes ids, completes uargs and merges notifications
//! (`msg_zerocopy_realloc`, `__msg_zerocopy_callback` and `skb_zerocopy_notify_extend`,
//! net/core/skbuff.c), and what the probes tell of it.

use std::{collections::VecDeque, net::Ipv4Addr};

use super::{
    call::{Call, Fate, Look, PLAIN, Past},
    truth::Truth,
};
use crate::event::{
    Counters, Endpoint, Event, FailedSend, Family, Protocol, Range, Sent, SocketFacts, SocketId,
    Way, What,
};

pub const THREADS: usize = 3;
pub const ENOBUFS: i32 = 105;
pub const EPERM: i32 = 1;

#[derive(Clone, Copy, Debug)]
struct Open {
    id: u32,
    entry: Option<u64>,
    bytes: u32,
    more: bool,
    fate: Fate,
}

#[derive(Clone, Copy, Debug)]
struct Uarg {
    lo: u32,
    len: u32,
    copied: bool,
    way: Way,
}

/// What is on the error queue.
#[derive(Clone, Copy, Debug)]
enum Queued {
    /// An ICMP error: nothing merges with it.
    Foreign,
    Notification {
        lo: u32,
        hi: u32,
        /// The bit of the uarg that began it.
        copied: bool,
        /// Ids of that uarg.
        own: u32,
        way: Way,
        looked: bool,
    },
}

/// What the probes have still to do or to tell.
#[derive(Clone, Copy, Debug)]
enum Later {
    Look { lo: u32, told: u64 },
    Started { range: Range, own: u32 },
    Merged { range: Range },
}

#[derive(Clone, Debug)]
pub struct Kernel {
    pub facts: SocketFacts,
    /// `sk_zckey`.
    next: u32,
    flying: Vec<Uarg>,
    queue: VecDeque<Queued>,
    open: [Option<Open>; THREADS],
    later: Vec<(u64, Later)>,
    counters: Counters,
    pub truth: Truth,
}

impl Kernel {
    /// A socket whose ids start at `first`, found by the watch after all of `past`. With
    /// `in_call`, its newest send of before has not returned.
    pub fn new(id: u64, protocol: Protocol, first: u32, past: &[Past], in_call: bool) -> Self {
        let socket = SocketId(id);
        let base = past.iter().fold(first, |at, p| at.wrapping_add(p.len));
        let end = |port| Endpoint { addr: Ipv4Addr::LOCALHOST.into(), port };
        let facts = SocketFacts {
            socket,
            cookie: None,
            base,
            family: Family::V4,
            protocol,
            local: end(40_000),
            remote: Some(end(9)),
            netns: 1,
            inode: None,
            pid: 10,
            comm: "sender".into(),
            so_zerocopy: true,
            before_watch: !past.is_empty(),
        };
        let counters = Counters { socket, base, key: base, ..Counters::default() };
        let mut kernel = Self {
            facts,
            next: first,
            flying: Vec::new(),
            queue: VecDeque::new(),
            open: [None; THREADS],
            later: Vec::new(),
            counters,
            truth: Truth::new(base),
        };
        for p in past {
            let uarg = Uarg { lo: kernel.next, len: p.len, copied: p.copied, way: Way::default() };
            kernel.next = kernel.next.wrapping_add(p.len);
            if p.queued {
                kernel.merge_or_queue(&uarg);
            } else {
                kernel.flying.push(uarg);
            }
        }
        if in_call && !past.is_empty() {
            let fate = Fate::Succeeds;
            let id = base.wrapping_sub(1);
            kernel.open[0] = Some(Open { id, entry: None, bytes: 1, more: false, fate });
        }
        kernel
    }

    pub fn id(&self) -> SocketId {
        self.facts.socket
    }

    pub fn is_closed(&self) -> bool {
        self.counters.closed.is_some()
    }

    fn tcp(&self) -> bool {
        self.facts.protocol == Protocol::Tcp
    }

    /// A send enters the kernel, and takes its id.
    pub fn send(&mut self, now: u64, call: &Call, out: &mut Vec<Event>) {
        if self.is_closed() {
            return;
        }
        self.returns(now, call.thread, out);
        let alone = self.open.iter().all(Option::is_none) && !self.counters.overlapped;
        let fate = match call.fate {
            Fate::KeepsItsId if self.tcp() || !alone => Fate::TakesNoId,
            fate => fate,
        };
        let bytes = if self.tcp() { call.bytes.max(1) } else { call.bytes };
        let id = self.next;
        if fate != Fate::TakesNoId {
            self.next = self.next.wrapping_add(1);
            let grows = |u: &&mut Uarg| call.joins && u.lo.wrapping_add(u.len) == id;
            if let Some(uarg) = self.flying.last_mut().filter(grows) {
                uarg.len += 1;
                self.truth.takes(id, None, uarg.way);
            } else {
                let uarg = Uarg { lo: id, len: 1, copied: false, way: call.way };
                self.flying.push(uarg);
                self.truth.takes(id, call.way.first, call.way);
            }
        }
        let entry = (self.tcp() && call.entry_seen).then_some(now);
        self.open[call.thread] = Some(Open { id, entry, bytes, more: call.more, fate });
        if fate == Fate::KeepsItsId {
            self.returns(now, call.thread, out);
        }
    }

    /// One send that ends well, with a uarg of its own.
    pub fn send_plainly(&mut self, now: u64, out: &mut Vec<Event>) {
        self.send(now, &PLAIN, out);
        self.returns(now, PLAIN.thread, out);
    }

    /// The same, in the newest uarg.
    pub fn join_plainly(&mut self, now: u64, out: &mut Vec<Event>) {
        self.send(now, &Call { joins: true, ..PLAIN }, out);
        self.returns(now, PLAIN.thread, out);
    }

    /// The thread's send returns (`send_return`): what it was is told.
    pub fn returns(&mut self, now: u64, thread: usize, out: &mut Vec<Event>) {
        let Some(open) = self.open[thread].take() else { return };
        let (socket, pid, tid, fd) = (self.id(), 10, 100 + thread as u32, Some(3));
        if open.fate == Fate::TakesNoId {
            self.counters.failed_optmem += 1;
            let failed = FailedSend {
                socket,
                errno: ENOBUFS,
                pid,
                tid,
                fd,
                optmem_used: 0,
                optmem_max: None,
                memlock_used: 0,
                memlock_limit: None,
                limit: None,
            };
            out.push(Event { ts: now, what: What::Failed(failed) });
            return;
        }
        let (id, id_exact) = match open.entry {
            Some(_) => (open.id, true),
            // Of several threads, each takes the newest id for its own.
            None => (self.next.wrapping_sub(1), false),
        };
        let failed = open.fate == Fate::KeepsItsId;
        let bytes = if failed { 0 } else { open.bytes };
        let before = self.truth.is_before(id);
        let c = &mut self.counters;
        c.overlapped |= self.next.wrapping_sub(c.key) != 1;
        c.key = self.next;
        if failed {
            c.with_error += 1;
        } else if !before {
            c.sends += 1;
            c.bytes += u64::from(bytes);
        }
        self.truth.claims(id, open.entry, now, (!failed).then_some(bytes));
        let errno = failed.then_some(EPERM);
        let (entry, more) = (open.entry, open.more);
        let sent = Sent {
            socket,
            id,
            id_exact,
            bytes,
            errno,
            dropped: None,
            entry,
            pid,
            tid,
            fd,
            more,
            before,
        };
        out.push(Event { ts: now, what: What::Send(sent) });
    }

    /// Something on its way copies a uarg (`skb_copy_ubufs`).
    pub fn copy(&mut self, which: usize) {
        if let Some(n) = which.checked_rem(self.flying.len()) {
            self.flying[n].copied = true;
        }
    }

    /// The last reference to a uarg goes; a merged piece is told after `delay`.
    pub fn complete(
        &mut self,
        now: u64,
        which: usize,
        look: Look,
        delay: u64,
        out: &mut Vec<Event>,
    ) {
        let Some(n) = which.checked_rem(self.flying.len()) else { return };
        let uarg = self.flying.remove(n);
        if self.is_closed() {
            return; // SOCK_DEAD: nothing is queued
        }
        if let Some(into) = self.merge_or_queue(&uarg) {
            let range = self.range(uarg.lo, uarg.len, uarg.copied, uarg.way);
            if let Some((range, ids)) = range {
                self.counters.pieces[usize::from(uarg.copied)] += ids;
                self.counters.merged_into[usize::from(into)] += ids;
                self.later.push((now + delay, Later::Merged { range }));
            }
            // The merge is reported too, and the tail is new to a probe that missed its start.
            self.look(now, uarg.lo.wrapping_sub(1), 0);
        } else {
            match look {
                Look::AtOnce => self.look(now, uarg.lo, 0),
                Look::After { look, told } => {
                    self.later.push((now + look, Later::Look { lo: uarg.lo, told }));
                }
                Look::Missed => {}
            }
        }
        self.run(now, out);
    }

    /// `Some`: merged into the tail, whose bit it is.
    fn merge_or_queue(&mut self, uarg: &Uarg) -> Option<bool> {
        let last = uarg.lo.wrapping_add(uarg.len - 1);
        if let Some(Queued::Notification { hi, copied, .. }) = self.queue.back_mut()
            && hi.wrapping_add(1) == uarg.lo
        {
            *hi = last;
            let into = *copied;
            self.truth.completes(uarg.lo, uarg.len, uarg.copied, true);
            return Some(into);
        }
        self.truth.completes(uarg.lo, uarg.len, uarg.copied, false);
        self.queue.push_back(Queued::Notification {
            lo: uarg.lo,
            hi: last,
            copied: uarg.copied,
            own: uarg.len,
            way: uarg.way,
            looked: false,
        });
        None
    }

    /// The probe looks at the tail, if that is the notification that holds `id`.
    fn look(&mut self, now: u64, id: u32, told: u64) {
        let Some(Queued::Notification { lo, hi, copied, own, way, looked }) = self.queue.back_mut()
        else {
            return;
        };
        if *looked || id.wrapping_sub(*lo) > hi.wrapping_sub(*lo) {
            return;
        }
        *looked = true;
        let (lo, n, copied, own, way) =
            (*lo, hi.wrapping_sub(*lo).wrapping_add(1), *copied, *own, *way);
        if let Some((range, _)) = self.range(lo, n, copied, way) {
            let own = own.saturating_sub(range.lo.wrapping_sub(lo));
            self.later.push((now + told, Later::Started { range, own }));
        }
    }

    /// Tells what is due.
    pub fn run(&mut self, until: u64, out: &mut Vec<Event>) {
        loop {
            let next = self.later.iter().enumerate().min_by_key(|(i, (due, _))| (*due, *i));
            let Some((i, (due, _))) = next else { return };
            let due = *due;
            if due > until {
                return;
            }
            match self.later.remove(i).1 {
                Later::Look { lo, told } => self.look(due, lo, told),
                Later::Started { mut range, own } => {
                    // A reader that came first has taken the way.
                    if self.truth.is_read(range.lo) {
                        range.way = Way::default();
                    }
                    self.truth.started(&range, own, due);
                    out.push(Event { ts: due, what: What::Started(range) });
                }
                Later::Merged { range } => {
                    self.truth.merged(&range, due);
                    out.push(Event { ts: due, what: What::Merged(range) });
                }
            }
        }
    }

    /// An ICMP error is queued.
    pub fn foreign(&mut self) {
        self.queue.push_back(Queued::Foreign);
    }

    /// The application reads the head of its error queue.
    pub fn read(&mut self, now: u64, out: &mut Vec<Event>) {
        let Some(Queued::Notification { lo, hi, copied, way, .. }) = self.queue.pop_front() else {
            return;
        };
        let n = hi.wrapping_sub(lo).wrapping_add(1);
        let range = self.range(lo, n, copied, way);
        self.counters.before += u64::from(n) - range.map_or(0, |(_, ids)| ids);
        if let Some((range, ids)) = range {
            self.counters.reads[usize::from(copied)] += ids;
            self.counters.notifications_read += 1;
            self.truth.read(&range, now);
            out.push(Event { ts: now, what: What::Read(range) });
        }
    }

    /// The application closes it: all its calls have returned, and the queue is purged.
    pub fn close(&mut self, now: u64, out: &mut Vec<Event>) {
        if self.is_closed() {
            return;
        }
        for thread in 0..THREADS {
            self.returns(now, thread, out);
        }
        self.truth.closed();
        self.queue.clear();
        self.counters.closed = Some(now);
        out.push(Event { ts: now, what: What::Closed { socket: self.id() } });
    }

    /// The counters, as read at the end of the watch. `walked`: the whole error queue could be
    /// looked at.
    pub fn counters(&mut self, walked: bool) -> Counters {
        let mut unread = [0; 2];
        for queued in &self.queue {
            if let Queued::Notification { lo, hi, copied, way, .. } = queued {
                let n = hi.wrapping_sub(*lo).wrapping_add(1);
                let ids = self.range(*lo, n, *copied, *way).map_or(0, |(_, ids)| ids);
                unread[usize::from(*copied)] += ids;
            }
        }
        let known = walked && !self.is_closed();
        self.counters.unread = known.then_some(unread);
        self.truth.counted(known);
        self.counters.clone()
    }

    /// The part of a range that is in the window (`clip`), and how many ids that is.
    fn range(&self, lo: u32, n: u32, copied: bool, way: Way) -> Option<(Range, u64)> {
        let below = if self.truth.is_before(lo) { self.facts.base.wrapping_sub(lo) } else { 0 };
        let ids = n.checked_sub(below).filter(|ids| *ids > 0)?;
        let (lo, hi) = (lo.wrapping_add(below), lo.wrapping_add(n - 1));
        Some((Range { socket: self.id(), lo, hi, copied, way }, u64::from(ids)))
    }
}
