//! The account of a socket that its threads share.

use std::collections::BTreeMap;

use nix::errno::Errno;

use super::truth::{Notified, SendRecord, Tally};

/// The mutable half of a [`Truth`](super::Truth).
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) sends: Tally,
    pub(super) sends_with_error: u64,
    pub(super) ignored: Tally,
    pub(super) plain: Tally,
    pub(super) errors: BTreeMap<String, u64>,
    /// sendmmsg calls that stopped before the last message of their batch: the one they stopped
    /// at failed without a word.
    pub(super) cut_short: u64,
    pub(super) notifications: u64,
    pub(super) notified: u64,
    pub(super) copied: u64,
    pub(super) notified_twice: u64,
    pub(super) timestamps: u64,
    pub(super) first_id: Option<u32>,
    pub(super) last_id: Option<u32>,
    pub(super) log: Vec<SendRecord>,
    pub(super) notification_log: Vec<Notified>,
    /// Which ids were notified, one bit each.
    seen: Vec<u64>,
}

impl Ledger {
    /// Ids taken so far, as far as the calls that returned tell.
    pub(super) fn ids(&self) -> u64 {
        self.sends.count + self.sends_with_error
    }

    /// Notes ids that failed calls must have kept: more were notified than accepted.
    pub(super) fn settle_errors(&mut self) {
        let failed = self.errors.values().sum::<u64>() + self.cut_short;
        self.sends_with_error = self.notified.saturating_sub(self.sends.count).min(failed);
    }

    /// The log, each message with what its notification said.
    pub(super) fn joined_log(&self) -> Vec<SendRecord> {
        let mut log = self.log.clone();
        for notified in &self.notification_log {
            for id in notified.lo..=notified.hi {
                // One thread's ids are its messages' places in the log.
                if let Some(record) = log.get_mut(id as usize).filter(|r| r.id == Some(id)) {
                    record.copied = Some(notified.copied);
                    record.t_notified = Some(notified.t);
                }
            }
        }
        log
    }

    /// Notes a failed call.
    pub(super) fn fail(&mut self, errno: Errno) {
        *self.errors.entry(format!("{errno:?}")).or_default() += 1;
    }

    /// Notes a notification; with `log`, in the log as well.
    pub(super) fn notify(&mut self, notified: Notified, log: bool) {
        self.notifications += 1;
        // A socket of the lab starts at 0 and never sends enough to wrap.
        for id in notified.lo..=notified.hi {
            if self.see(id) {
                self.notified += 1;
                self.copied += u64::from(notified.copied);
            } else {
                self.notified_twice += 1;
            }
        }
        self.first_id = Some(self.first_id.map_or(notified.lo, |id| id.min(notified.lo)));
        self.last_id = Some(self.last_id.map_or(notified.hi, |id| id.max(notified.hi)));
        if log {
            self.notification_log.push(notified);
        }
    }

    /// Marks an id as notified; false where it was already.
    fn see(&mut self, id: u32) -> bool {
        let (word, bit) = (id as usize / 64, 1 << (id % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notified(lo: u32, hi: u32, copied: bool) -> Notified {
        Notified { lo, hi, copied, t: 7 }
    }

    #[test]
    fn each_id_counts_once() {
        let mut ledger = Ledger::default();
        ledger.notify(notified(60, 70, true), false);
        ledger.notify(notified(0, 1, false), false);
        ledger.notify(notified(70, 71, false), false);
        assert_eq!((ledger.notified, ledger.copied, ledger.notified_twice), (14, 11, 1));
        assert_eq!((ledger.first_id, ledger.last_id), (Some(0), Some(71)));
        assert_eq!(ledger.notifications, 3);
    }

    #[test]
    fn ids_beyond_the_accepted_sends_are_those_of_failed_calls() {
        let mut ledger = Ledger::default();
        ledger.sends.add(100);
        ledger.notify(notified(0, 2, false), false);
        ledger.settle_errors();
        assert_eq!(ledger.sends_with_error, 0, "no call failed");
        ledger.fail(Errno::ENOBUFS);
        ledger.fail(Errno::ENOBUFS);
        ledger.fail(Errno::ENOBUFS);
        ledger.settle_errors();
        assert_eq!((ledger.sends_with_error, ledger.ids()), (2, 3));
        ledger.notify(notified(3, 9, false), false);
        ledger.settle_errors();
        assert_eq!(ledger.sends_with_error, 3, "no more than failed");
        ledger.cut_short += 1;
        ledger.settle_errors();
        assert_eq!(ledger.sends_with_error, 4, "or ended a batch");
        assert_eq!(ledger.errors["ENOBUFS"], 3);
    }

    #[test]
    fn the_log_is_joined_with_what_was_said() {
        let mut ledger = Ledger::default();
        for id in 0..3 {
            let (t_notified, copied) = (None, None);
            let record =
                SendRecord { id: Some(id), bytes: 1, t_before: 1, t_after: 2, t_notified, copied };
            ledger.log.push(record);
        }
        ledger.notify(notified(1, 1, true), true);
        let said: Vec<_> = ledger.joined_log().iter().map(|r| (r.copied, r.t_notified)).collect();
        assert_eq!(said, [(None, None), (Some(true), Some(7)), (None, None)]);
    }
}
