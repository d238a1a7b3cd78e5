//! One send from its beginning to its end, for whoever wants to see each: kept only when asked for.

use std::collections::BTreeMap;

use super::{
    evidence::{Evidence, Message},
    snapshot::From,
};

/// How long a completed send waits for its read before it is told without, ns.
const UNREAD: u64 = 1_000_000_000;

/// One send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Story {
    /// Its id.
    pub id: u32,
    /// What was sent, and by whom.
    pub message: Message,
    /// When it began, ns since boot.
    pub begin: u64,
    /// What that time is.
    pub from: From,
    /// When the call returned, ns since boot.
    pub returned: u64,
    /// Its completion; `None`: in flight to the end.
    pub completed: Option<Completed>,
    /// When the application read its notification, ns since boot; `None`: not yet.
    pub read: Option<u64>,
}

/// How a send ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// When, ns since boot; `None`: it was seen only when it was read.
    pub ts: Option<u64>,
    /// The completion's own bit.
    pub copied: bool,
    /// Where it was copied, or might have been in secret.
    pub evidence: Option<Evidence>,
}

impl Story {
    pub(super) fn new(
        at: u64,
        message: Message,
        begin: u64,
        from: From,
        returned: u64,
        completed: Option<Completed>,
    ) -> Self {
        #[expect(clippy::cast_possible_truncation, reason = "an id is its place on the circle")]
        let id = at as u32;
        Self { id, message, begin, from, returned, completed, read: None }
    }

    /// Beginning to completion, ns; `None` where one of them is not known, or it completed before
    /// anything was seen of its beginning.
    #[must_use]
    pub fn release(&self) -> Option<u64> {
        self.completed?.ts?.checked_sub(self.begin)
    }

    /// Completion to read, ns.
    #[must_use]
    pub fn reap(&self) -> Option<u64> {
        self.read?.checked_sub(self.completed?.ts?)
    }
}

/// Stories of one socket that wait for their end, and those that have it.
#[derive(Clone, Debug, Default)]
pub(super) struct Stories {
    waiting: BTreeMap<u64, Story>,
    told: Vec<Story>,
}

impl Stories {
    pub(super) fn complete(&mut self, at: u64, story: Story) {
        self.waiting.insert(at, story);
    }

    pub(super) fn read(&mut self, lo: u64, hi: u64, ts: u64) {
        let mut ids = self.waiting.split_off(&lo);
        if let Some(behind) = hi.checked_add(1) {
            self.waiting.append(&mut ids.split_off(&behind));
        }
        self.told.extend(ids.into_values().map(|s| Story { read: Some(ts), ..s }));
    }

    /// Tells those that nobody has read for long.
    pub(super) fn give_up(&mut self, now: u64) {
        let old = |s: &Story| {
            let end = s.completed.and_then(|c| c.ts).unwrap_or(s.returned);
            end.saturating_add(UNREAD) <= now
        };
        while let Some(first) = self.waiting.first_entry() {
            if !old(first.get()) {
                return;
            }
            self.told.push(first.remove());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.told.is_empty()
    }

    pub(super) fn take(&mut self, last: bool) -> Vec<Story> {
        if last {
            self.told.extend(std::mem::take(&mut self.waiting).into_values());
        }
        std::mem::take(&mut self.told)
    }
}
