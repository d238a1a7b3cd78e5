//! What really happened to each id of one socket, and what of it must be known at a time.

use std::collections::BTreeMap;

use super::script::place_of;
use crate::{
    event::{Range, Way},
    tracker::{evidence::Place, snapshot::SocketSnapshot, socket::LATE},
};

/// One id of the window.
#[derive(Clone, Debug)]
struct Id {
    way: Way,
    /// The first sight at a device, of the first id of a uarg.
    first: Option<u64>,
    /// Sends that said it was theirs: entry and return.
    claims: Vec<(Option<u64>, u64)>,
    /// Its completion's bit, and whether it was merged.
    completed: Option<(bool, bool)>,
    /// When an event told of its completion.
    seen: Option<u64>,
    /// The notification's bit, and when it was read.
    read: Option<(bool, u64)>,
    /// The first of a notification that was seen to start: when.
    head: Option<u64>,
    /// It was on the queue when the counters were read.
    counted: bool,
}

#[derive(Clone, Debug)]
pub struct Truth {
    base: u32,
    ids: Vec<Id>,
    /// One behind the last id that an event named.
    named: usize,
    bytes: u64,
    with_error: u64,
    notifications_read: u64,
    closed: bool,
    marks: Marks,
}

/// Times that the diagnosis looks at, ns since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    pub first_completion: Option<u64>,
    pub last_read: Option<u64>,
    pub oldest_unread: Option<u64>,
}

/// What a socket must show.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    pub sends: u64,
    pub copied: u64,
    pub reported: u64,
    pub read: u64,
    pub notifications_read: u64,
    pub misled: u64,
    pub unread: u64,
    pub in_flight: u64,
    pub closed_in_flight: u64,
}

/// What it must show of times.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub release: Vec<u64>,
    pub before_return: u64,
    /// Ids that several sends say are theirs: completed before their return, or released within
    /// these bounds.
    pub unsure: Vec<(u64, u64)>,
    pub reap: Vec<u64>,
}

impl Truth {
    pub fn new(base: u32) -> Self {
        Self {
            base,
            ids: Vec::new(),
            named: 0,
            bytes: 0,
            with_error: 0,
            notifications_read: 0,
            closed: false,
            marks: Marks::default(),
        }
    }

    pub fn is_before(&self, id: u32) -> bool {
        id.wrapping_sub(self.base).cast_signed() < 0
    }

    fn at(&self, id: u32) -> usize {
        id.wrapping_sub(self.base) as usize
    }

    fn all(&mut self, lo: u32, n: u32) -> impl Iterator<Item = &mut Id> {
        let below = if self.is_before(lo) { self.base.wrapping_sub(lo).min(n) } else { 0 };
        let from = self.at(lo.wrapping_add(below));
        self.ids.iter_mut().skip(from).take((n - below) as usize)
    }

    fn in_range(&mut self, r: &Range) -> impl Iterator<Item = &mut Id> {
        self.named = self.named.max(self.at(r.hi) + 1);
        self.all(r.lo, r.hi.wrapping_sub(r.lo).wrapping_add(1))
    }

    pub fn takes(&mut self, id: u32, first: Option<u64>, way: Way) {
        assert_eq!(self.at(id), self.ids.len(), "the model's ids are dense");
        self.ids.push(Id {
            way,
            first,
            claims: Vec::new(),
            completed: None,
            seen: None,
            read: None,
            head: None,
            counted: false,
        });
    }

    pub fn claims(&mut self, id: u32, entry: Option<u64>, returned: u64, bytes: Option<u32>) {
        if self.is_before(id) {
            return;
        }
        match bytes {
            Some(n) => self.bytes += u64::from(n),
            None => self.with_error += 1,
        }
        let at = self.at(id);
        self.named = self.named.max(at + 1);
        self.ids[at].claims.push((entry, returned));
    }

    pub fn completes(&mut self, lo: u32, n: u32, copied: bool, merged: bool) {
        for id in self.all(lo, n) {
            assert!(id.completed.is_none(), "the model completes each id once");
            id.completed = Some((copied, merged));
        }
    }

    pub fn merged(&mut self, range: &Range, ts: u64) {
        self.marks.first_completion.get_or_insert(ts);
        self.in_range(range).for_each(|id| id.seen = Some(ts));
    }

    pub fn started(&mut self, range: &Range, own: u32, ts: u64) {
        self.marks.first_completion.get_or_insert(ts);
        self.in_range(range).take(1).for_each(|id| id.head = Some(ts));
        self.in_range(range).take(own as usize).for_each(|id| id.seen = Some(ts));
    }

    pub fn read(&mut self, range: &Range, ts: u64) {
        self.notifications_read += 1;
        self.marks.last_read = Some(ts);
        self.in_range(range).for_each(|id| id.read = Some((range.copied, ts)));
    }

    pub fn is_read(&self, id: u32) -> bool {
        self.ids[self.at(id)].read.is_some()
    }

    pub fn closed(&mut self) {
        self.closed = true;
    }

    pub fn counted(&mut self, walked: bool) {
        self.ids.iter_mut().for_each(|id| id.counted = walked && id.completed.is_some());
    }

    /// What must be known at a time from the events alone; `last`: and from all there will be.
    pub fn shown(&self, now: u64, last: bool) -> Shown {
        let mut s = Shown { notifications_read: self.notifications_read, ..Shown::default() };
        s.sends = self.named as u64;
        let until = if last { u64::MAX } else { now };
        for id in &self.ids {
            if let Some(copied) = id.known(until, last) {
                s.copied += u64::from(copied);
                s.reported += u64::from(!copied);
                if let Some((told, ts)) = id.read
                    && settled(ts, until)
                {
                    s.read += 1;
                    s.misled += u64::from(told != copied);
                }
            }
        }
        s.balance(self.closed);
        s
    }

    /// What happened, known or not.
    pub fn happened(&self) -> Shown {
        let mut s = Shown { notifications_read: self.notifications_read, ..Shown::default() };
        s.sends = self.ids.len() as u64;
        for id in &self.ids {
            let copied = id.completed.map(|(copied, _)| copied);
            s.copied += u64::from(copied == Some(true));
            s.reported += u64::from(copied == Some(false));
            s.read += u64::from(id.read.is_some());
            s.misled += u64::from(id.read.is_some_and(|(told, _)| Some(told) != copied));
        }
        s.balance(self.closed);
        s
    }

    /// Has an event or a counter told of each completion?
    pub fn is_all_known(&self) -> bool {
        self.ids.iter().all(|id| id.completed.is_none() || id.known(u64::MAX, true).is_some())
    }

    /// Do the counters tell all, without any event? What was purged with its socket they do not
    /// know, nor what is on a queue that was not walked.
    pub fn counters_know_all(&self) -> bool {
        self.ids.iter().all(|id| id.completed.is_none() || id.counted || id.read.is_some())
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    pub fn with_error(&self) -> u64 {
        self.with_error
    }

    /// Where the copies known at a time were made, and the hidden ones.
    pub fn places(&self, now: u64, last: bool) -> BTreeMap<Place, u64> {
        let until = if last { u64::MAX } else { now };
        let mut places = BTreeMap::new();
        for id in &self.ids {
            let Some(copied) = id.known(until, last) else { continue };
            // Of a notification that only the counters know, no way is known.
            let way = if id.told(until) { id.way } else { Way::default() };
            if let Some(place) = place_of(&way, copied) {
                *places.entry(place).or_default() += 1;
            }
        }
        places
    }

    pub fn marks(&self, now: u64, last: bool) -> Marks {
        let until = if last { u64::MAX } else { now };
        let unread = |id: &&Id| !id.read.is_some_and(|(_, ts)| settled(ts, until));
        let seen = self.ids.iter().filter(unread).flat_map(|id| [id.seen, id.head]);
        Marks { oldest_unread: seen.flatten().min(), ..self.marks }
    }

    /// The times that must be known.
    pub fn times(&self, now: u64, last: bool) -> Times {
        let until = if last { u64::MAX } else { now };
        let mut times = Times::default();
        for id in self.ids.iter().filter(|id| id.told(until)) {
            let Some(done) = id.seen else { continue };
            if let Some((_, read)) = id.read
                && settled(read, until)
                && done <= read
            {
                times.reap.push(read - done);
            }
            let begins =
                id.claims.iter().map(|(entry, returned)| entry.or(id.first).unwrap_or(*returned));
            match (begins.clone().min(), begins.max()) {
                (Some(begin), Some(same)) if begin == same && begin <= done => {
                    times.release.push(done - begin);
                }
                (Some(begin), Some(same)) if begin == same => times.before_return += 1,
                (Some(from), Some(to)) => {
                    times.unsure.push((done.saturating_sub(to), done.saturating_sub(from)));
                }
                _ => {} // its send was not told
            }
        }
        times
    }
}

fn settled(ts: u64, until: u64) -> bool {
    ts.saturating_add(LATE) <= until
}

impl Id {
    /// Its bit, if the tracker must know it.
    fn known(&self, until: u64, last: bool) -> Option<bool> {
        let (copied, _) = self.completed?;
        (self.told(until) || last && self.counted).then_some(copied)
    }

    /// Has an event told of its completion, long enough ago to conclude from it?
    fn told(&self, until: u64) -> bool {
        match self.completed {
            None => false,
            Some((_, true)) => self.seen.is_some(),
            Some((_, false)) => {
                let read = self.read.is_some_and(|(_, ts)| settled(ts, until));
                read || self.seen.is_some_and(|ts| settled(ts, until))
            }
        }
    }
}

impl Marks {
    pub fn of(s: &SocketSnapshot) -> Self {
        Self {
            first_completion: s.first_completion,
            last_read: s.last_read,
            oldest_unread: s.oldest_unread,
        }
    }
}

impl Shown {
    fn balance(&mut self, closed: bool) {
        let done = self.copied + self.reported;
        self.unread = done - self.read;
        if closed {
            self.closed_in_flight = self.sends - done;
        } else {
            self.in_flight = self.sends - done;
        }
    }

    pub fn of(s: &SocketSnapshot) -> Self {
        let c = &s.counts;
        Self {
            sends: c.sends,
            copied: c.copied,
            reported: c.reported,
            read: c.read,
            notifications_read: c.notifications_read,
            misled: c.misled,
            unread: c.unread,
            in_flight: c.in_flight,
            closed_in_flight: c.closed_in_flight,
        }
    }
}
