//! The processes that are known: those that were asked for, those that the kernel took in, and
//! those that were met because they sent.

use std::collections::BTreeMap;

use crate::{event::ProcessFacts, host::process};

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Processes {
    known: BTreeMap<u32, Known>,
}

#[derive(Debug)]
struct Known {
    facts: ProcessFacts,
    /// When it was seen to have ended: what comes later is of another process with its id.
    ended_at: Option<u64>,
    /// Its descriptors are closed too. The kernel tells of its end a moment before.
    gone: bool,
}

impl Processes {
    /// Takes in what is known of a process, and returns all that is: who made it stays known.
    pub(super) fn tell(&mut self, ts: u64, facts: ProcessFacts) -> ProcessFacts {
        let old = self.known.get(&facts.pid).filter(|k| !k.facts.ended || facts.ended);
        let parent = facts.parent.or(old.and_then(|k| k.facts.parent));
        let facts = ProcessFacts { parent, ..facts };
        let known =
            Known { facts: facts.clone(), ended_at: facts.ended.then_some(ts), gone: false };
        self.known.insert(facts.pid, known);
        facts
    }

    /// Is it known, as alive at this time?
    pub(super) fn knows(&self, pid: u32, ts: u64) -> bool {
        self.known.get(&pid).is_some_and(|k| k.ended_at.is_none_or(|at| ts <= at))
    }

    /// Was it ever known?
    pub(super) fn has(&self, pid: u32) -> bool {
        self.known.contains_key(&pid)
    }

    /// Takes in a process that was met at this time; `comm` is its name where it has ended since.
    /// Returns what is to be told of it.
    pub(super) fn meet(&mut self, pid: u32, comm: &str, ts: u64) -> Option<ProcessFacts> {
        if self.knows(pid, ts) {
            return None;
        }
        let ended = process::ended(pid);
        let comm = process::comm(pid).filter(|_| !ended).unwrap_or_else(|| comm.to_owned());
        Some(self.tell(ts, ProcessFacts { pid, comm, ended, parent: None }))
    }

    /// Looks who has ended since; `now` is the time of asking.
    pub(super) fn look(&mut self, now: u64) -> Vec<ProcessFacts> {
        let mut news = Vec::new();
        for known in self.known.values_mut().filter(|k| !k.gone) {
            if !process::ended(known.facts.pid) {
                continue;
            }
            known.gone = true;
            if !known.facts.ended {
                known.facts.ended = true;
                known.ended_at = Some(now);
                news.push(known.facts.clone());
            }
        }
        news
    }

    /// Have all ended, and closed what they held?
    pub(super) fn all_gone(&self) -> bool {
        self.known.values().all(|k| k.gone)
    }

    /// Those that have not ended.
    pub(super) fn alive(&self) -> Vec<u32> {
        self.known.values().filter(|k| !k.facts.ended).map(|k| k.facts.pid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(pid: u32, comm: &str, ended: bool, parent: Option<u32>) -> ProcessFacts {
        ProcessFacts { pid, comm: comm.into(), ended, parent }
    }

    #[test]
    fn the_parent_stays_known_until_the_id_is_anothers() {
        let mut all = Processes::default();
        all.tell(1, facts(u32::MAX, "child", false, Some(7)));
        let renamed = all.tell(2, facts(u32::MAX, "other", false, None));
        assert_eq!(renamed, facts(u32::MAX, "other", false, Some(7)));
        let ended = all.tell(3, facts(u32::MAX, "other", true, None));
        assert_eq!(ended.parent, Some(7));
        assert!(all.knows(u32::MAX, 3) && !all.knows(u32::MAX, 4));
        assert_eq!(all.tell(5, facts(u32::MAX, "new", false, None)).parent, None);
    }

    #[test]
    fn one_that_was_met_after_its_end_has_the_name_that_was_seen() {
        let mut all = Processes::default();
        let met = all.meet(u32::MAX, "brief", 5);
        assert_eq!(met, Some(facts(u32::MAX, "brief", true, None)));
        assert_eq!(all.meet(u32::MAX, "brief", 5), None);
        assert!(!all.all_gone());
        assert!(all.look(6).is_empty(), "its end is told already");
        assert!(all.all_gone() && all.alive().is_empty());
    }

    #[test]
    fn an_end_that_nobody_told_is_seen() {
        let mut all = Processes::default();
        all.tell(1, facts(u32::MAX, "gone", false, None));
        all.tell(1, facts(std::process::id(), "here", false, None));
        assert_eq!(all.look(9), [facts(u32::MAX, "gone", true, None)]);
        assert!(!all.all_gone());
        assert_eq!(all.alive(), [std::process::id()]);
    }
}
