//! What is known of a socket at one moment.

use super::{SocketTracker, ids::Half};
use crate::{
    event::{Counters, SocketId},
    tracker::{
        evidence::{Evidence, Group},
        snapshot::{Agreement, SocketSnapshot},
    },
};

impl SocketTracker {
    /// What is known now; `None` for a socket that was never described.
    #[must_use]
    pub fn snapshot(&self, id: SocketId, now: u64, lossy: bool) -> Option<SocketSnapshot> {
        let facts = self.facts.clone()?;
        let mut counts = self.counts.clone();
        // A send may complete before it returns: its id is taken all the same.
        counts.sends = self.taken.saturating_sub(self.base);
        counts.with_error = self.seen.with_error;
        let mut agreement = Agreement::NotAsked;
        let mut silent = [0; 2];
        if let Some(c) = self.counters.as_ref().filter(|c| c.interim) {
            counts.take_interim(c, lossy);
        } else if let Some(c) = &self.counters {
            agreement = if self.matches(c) { Agreement::Yes } else { Agreement::No };
            counts.take_exact(c);
            if lossy || agreement == Agreement::No {
                counts.take_counted(c);
            } else if self.reads.is_empty() && self.fresh_heads.is_empty() {
                // A notification that was not the queue's tail when its start was reported, and
                // was not read, is known by the look at the queue only.
                silent = counts.take_waiting(c);
            }
        }
        let unread = counts.completed().saturating_sub(counts.read);
        counts.unread = unread;
        let mut counters = self.counters.clone();
        self.since_zero(&mut counts, &mut counters, &mut silent);
        let open = counts.sends.saturating_sub(counts.completed());
        if self.closed.is_some() {
            counts.closed_in_flight = open;
        } else {
            counts.in_flight = open;
        }
        Some(SocketSnapshot {
            id: facts.cookie.unwrap_or(id),
            counts,
            evidence: self.evidence(silent[1]),
            call_sites: self.call_sites.clone(),
            pids: self.pids.iter().copied().collect(),
            fds: self.fds.iter().copied().collect(),
            closed: self.closed,
            oldest_unread: self.oldest_unread(),
            first_completion: self.first_completion,
            last_completion: self.last_completion,
            last_read: self.last_read,
            last_failure: self.last_failure,
            failed_with: self.failed_with,
            errors: self.errors.clone(),
            waits: self.waits,
            overlapped: self.counters.as_ref().is_some_and(|c| c.overlapped),
            counters,
            device: self.device,
            agreement,
            asked: now,
            ended: false,
            facts,
        })
    }

    /// Groups, with the completed ids whose send was not seen added, their bytes unknown, and
    /// `silent` copies of which nothing else is known.
    fn evidence(&self, silent: u64) -> Vec<(Evidence, Group)> {
        let mut groups = self.groups.clone();
        if silent > 0 {
            groups.entry(Evidence::nothing()).or_default().add_sends(silent);
        }
        if let Some(facts) = &self.facts {
            for half in self.halves.values() {
                if let Half::Done { way, sight: Some(sight), .. } = half {
                    let e = Evidence::of(way, sight, None, facts);
                    groups.entry(e).or_default().add_sends(1);
                }
            }
        }
        groups.into_iter().collect()
    }

    fn oldest_unread(&self) -> Option<u64> {
        let pieces = self.pieces.values().filter_map(|p| p.ts);
        self.heads.values().map(|h| h.ts).chain(pieces).min()
    }

    fn matches(&self, c: &Counters) -> bool {
        let seen = &self.seen;
        (seen.sends, seen.with_error) == (c.sends, c.with_error)
            && (seen.pieces, seen.reads) == (c.pieces, c.reads)
    }
}
