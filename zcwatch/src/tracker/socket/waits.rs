//! How an application waits for its notifications.

use super::ids::Ids;
use crate::sums::add;

/// How an application waits for its notifications.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Ids read up to now.
    read: u64,
    /// Behind the newest id read.
    read_to: u64,
    /// Most sends at once that were not read yet.
    pub peak: u64,
    /// Since when any is.
    since: Option<u64>,
    /// Time with a send not read yet, ns.
    pub waited: u64,
    /// The first return of a send, ns since boot.
    pub first: Option<u64>,
    /// The last read.
    pub last: Option<u64>,
    /// Notifications that were read after one with later ids.
    pub out_of_order: u64,
}

impl Waits {
    /// What goes on into a window that begins at this time, ns since boot.
    pub(super) fn from(earlier: &Self, ts: u64) -> Self {
        let Self { read, read_to, since, .. } = *earlier;
        Self { read, read_to, since: since.map(|_| ts), ..Self::default() }
    }

    pub(super) fn sent(&mut self, taken: u64, ts: u64) {
        self.first.get_or_insert(ts);
        let open = taken.saturating_sub(self.read);
        self.peak = self.peak.max(open);
        if open > 0 {
            self.since.get_or_insert(ts);
        }
    }

    pub(super) fn read(&mut self, ids: &Ids, taken: u64, ts: u64) {
        self.read += ids.len();
        self.last = Some(ts);
        if ids.lo < self.read_to {
            self.out_of_order += 1;
        }
        self.read_to = self.read_to.max(ids.hi + 1);
        if self.read >= taken
            && let Some(since) = self.since.take()
        {
            add(&mut self.waited, ts.saturating_sub(since));
        }
    }
}
