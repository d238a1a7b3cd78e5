//! Which sockets may be folded into one: those that no finding tells apart.

use super::Judged;
use crate::{
    event::Protocol,
    tracker::{
        evidence::{Evidence, Group, talks_ipv4},
        snapshot::{Agreement, LOOK, SendError, SocketSnapshot},
    },
};

/// More changes than these are not told apart.
const CHANGES: usize = 4096;

/// When packet sockets and tunnels were first seen and found gone, ns since boot. Copies between
/// the same of these times were heard by the same.
#[derive(Debug, Default)]
pub struct Looks {
    came: Vec<u64>,
    went: Vec<u64>,
}

impl Looks {
    /// Something was seen for the first time.
    pub fn came(&mut self, ts: u64) {
        note(&mut self.came, ts);
    }

    /// Something is not there any more.
    pub fn went(&mut self, ts: u64) {
        note(&mut self.went, ts);
    }

    /// Which of them were there at a time between: as [`super::super::snapshot::Presence::meets`].
    fn between(&self, first: u64, last: u64) -> (usize, usize) {
        let came = self.came.partition_point(|ts| ts.saturating_sub(LOOK) <= last);
        let went = self.went.partition_point(|ts| ts.saturating_add(LOOK) < first);
        (came, went)
    }
}

fn note(all: &mut Vec<u64>, ts: u64) {
    if all.len() < CHANGES {
        let at = all.partition_point(|known| *known <= ts);
        all.insert(at, ts);
    }
}

/// What sockets must have in common.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    apart: Option<Apart>,
    udp: bool,
    ipv4: bool,
    agrees: bool,
    overlapped: bool,
    idle: bool,
    marks: u32,
}

/// What they have not, where there are too many kinds.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Apart {
    pid: u32,
    blamed: Option<u32>,
    netns: u32,
    so_zerocopy: bool,
    device: Option<u16>,
    pulled: Option<Option<u16>>,
    /// The most frequent first, and who was there meanwhile.
    evidence: Vec<(Evidence, Option<(usize, usize)>)>,
    errors: Vec<SendError>,
    errors_told: bool,
}

impl Key {
    pub(super) fn of(s: &SocketSnapshot, judged: &Judged, looks: &Looks) -> Self {
        let pulled = s.counters.as_ref().filter(|c| c.pulled > 0).map(|c| c.pulled_device);
        let mut groups: Vec<&(Evidence, Group)> = s.evidence.iter().collect();
        groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.sends));
        let there = |g: &Group| g.span.map(|(first, last)| looks.between(first, last));
        let apart = Apart {
            pid: s.facts.pid,
            blamed: judged.blamed,
            netns: s.facts.netns,
            so_zerocopy: s.facts.so_zerocopy,
            device: s.device,
            pulled,
            evidence: groups.into_iter().map(|(e, group)| (*e, there(group))).collect(),
            errors: s.errors.keys().copied().collect(),
            errors_told: s.errors_told(),
        };
        Self {
            apart: Some(apart),
            udp: s.facts.protocol == Protocol::Udp,
            ipv4: talks_ipv4(&s.facts),
            agrees: s.agreement == Agreement::Yes,
            overlapped: s.overlapped,
            idle: s.is_idle(),
            marks: judged.marks,
        }
    }

    pub(super) fn coarse(self) -> Self {
        Self { apart: None, ..self }
    }

    pub(super) fn is_coarse(&self) -> bool {
        self.apart.is_none()
    }
}
