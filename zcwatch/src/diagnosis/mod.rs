//! From a snapshot to what is wrong and what to change. Pure: the facts of the host are in the
//! snapshot and the [`Context`].

pub mod cause;
pub mod finding;
mod rules;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use words::{command_in, time};

use cause::Case;
pub use cause::{CAUSES, Cause, hidden_words};
pub use finding::{Finding, FindingId, Known, Severity};
pub use rules::judge;

use serde::{Deserialize, Serialize};

use crate::{
    probe::hooks::Certainty,
    tracker::{
        Snapshot,
        evidence::{Evidence, Group},
        snapshot::SocketSnapshot,
    },
};

/// What the diagnosis must know besides the snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// Inode number of zcwatch's own network namespace: commands for another one say so.
    pub own_netns: Option<u32>,
    /// Packets could not be followed here: no place of a copy is known.
    pub places_unknown: bool,
    /// What refused a send was seen doing so.
    #[serde(default)]
    pub limits_seen: bool,
    /// Findings that nobody wants to hear of; a wish of who reads, and so in no recording.
    #[serde(skip)]
    pub ignored: Vec<FindingId>,
}

/// Copies of one socket by one cause.
#[derive(Clone, Debug)]
pub struct CausedCopies {
    /// Why.
    pub cause: &'static Cause,
    /// What says so: of the largest group, where there are several.
    pub evidence: Evidence,
    /// The number of the device where; `None`: no packet was seen.
    pub device: Option<u16>,
    /// How many.
    pub group: Group,
    /// How many of them with that evidence.
    pub largest: u64,
    /// How sure the cause is.
    pub certainty: Certainty,
}

impl CausedCopies {
    /// The calls that led to the largest group of them, the function that copied first; empty where
    /// they were not seen.
    #[must_use]
    pub fn calls<'a>(&self, snapshot: &'a Snapshot) -> &'a [String] {
        let stack = self.evidence.copy.and_then(|c| c.stack);
        stack.and_then(|s| snapshot.stacks.get(&s)).map_or(&[], |s| &s.calls)
    }
}

/// The causes of a socket's copies, the most frequent first.
#[must_use]
pub fn causes_of(socket: &SocketSnapshot, snapshot: &Snapshot) -> Vec<CausedCopies> {
    let mut all: Vec<CausedCopies> = Vec::new();
    let mut groups: Vec<&(Evidence, Group)> = socket.evidence.iter().collect();
    groups.sort_by_key(|(_, group)| std::cmp::Reverse(group.sends));
    for (evidence, group) in groups {
        let case = Case::new(evidence, group.span, socket, snapshot);
        let Some((cause, certainty)) = cause::explain(&case) else { continue };
        let device = case.device_index();
        let same = |c: &&mut CausedCopies| {
            (c.cause.key, c.device, c.certainty) == (cause.key, device, certainty)
        };
        match all.iter_mut().find(same) {
            Some(known) => known.group.merge(group),
            None => {
                let evidence = *evidence;
                let (group, largest) = (*group, group.sends);
                all.push(CausedCopies { cause, evidence, device, group, largest, certainty });
            }
        }
    }
    all.sort_by_key(|c| std::cmp::Reverse(c.group.sends));
    all
}

/// One send's copy.
#[derive(Clone, Debug)]
pub struct OneCopy {
    /// Why.
    pub cause: &'static Cause,
    /// The number of the device where; `None`: no packet was seen.
    pub device: Option<u16>,
    /// How sure the cause is.
    pub certainty: Certainty,
    /// What was seen that says so.
    pub seen: String,
}

/// Why one send was copied that completed at this time (ns since boot); `None` where its
/// completion shows no copy.
#[must_use]
pub fn cause_of(
    evidence: &Evidence,
    completed: Option<u64>,
    socket: &SocketSnapshot,
    snapshot: &Snapshot,
) -> Option<OneCopy> {
    let case = Case::new(evidence, completed.map(|ts| (ts, ts)), socket, snapshot);
    let (cause, certainty) = cause::explain(&case)?;
    Some(OneCopy { cause, device: case.device_index(), certainty, seen: cause.seen(&case) })
}

/// What is wrong, the worst first; or that nothing is. What is ignored is left out, and `healthy`
/// then says what it leaves aside.
#[must_use]
pub fn diagnose(snapshot: &Snapshot, context: &Context) -> Vec<Finding> {
    let all = rules::RULES.iter().flat_map(|rule| rule(snapshot, context));
    let (left_out, mut findings): (Vec<_>, Vec<_>) =
        all.partition(|f| context.ignored.contains(&f.id));
    findings.sort_by_key(|f| f.severity);
    if several_processes(snapshot) {
        findings.iter_mut().for_each(|f| say_whose(f, snapshot));
    }
    if findings.is_empty() && !context.ignored.contains(&FindingId::Healthy) {
        let mut ignored: Vec<FindingId> = left_out.iter().map(|f| f.id).collect();
        ignored.dedup();
        findings.extend(rules::healthy(snapshot, context, &ignored));
    }
    findings
}

fn several_processes(snapshot: &Snapshot) -> bool {
    let mut active = snapshot.parts().filter(|s| !s.is_idle()).map(|s| s.facts.pid);
    let first = active.next();
    active.any(|pid| Some(pid) != first)
}

/// So many processes are named in a sentence.
const NAMED: usize = 3;

/// Begins the sentence with the processes that it is about, unless it names them.
fn say_whose(finding: &mut Finding, snapshot: &Snapshot) {
    let whose = match finding.pids.as_slice() {
        [] => return,
        pids if pids.len() > NAMED => format!("{} processes", pids.len()),
        pids => {
            let names: Vec<_> = pids.iter().map(|pid| words::process_of(*pid, snapshot)).collect();
            if names.iter().all(|name| finding.sentence.contains(name)) {
                return;
            }
            names.join(", ")
        }
    };
    finding.sentence = format!("{whose}: {}", finding.sentence);
}
