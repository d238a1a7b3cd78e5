//! All copies by their cause and device, over all sockets.

use std::collections::BTreeSet;

use super::moment::Moment;
use crate::{
    diagnosis::{causes_of, hidden_words},
    host::process::escape,
    probe::hooks::Certainty,
    sums::add,
    tracker::{
        evidence::{Group, Place},
        snapshot::SocketSnapshot,
    },
};

/// Copies with one cause on one device.
#[derive(Clone, Debug)]
pub struct Copies {
    /// The cause's key.
    pub key: &'static str,
    /// In a few words.
    pub title: String,
    /// What happens in the kernel.
    pub explanation: String,
    /// What to do in general.
    pub advice: &'static str,
    /// The device, escaped; empty: not known.
    pub device: String,
    /// Sends.
    pub sends: u64,
    /// Their bytes, as far as they are known.
    pub bytes: u64,
    /// Sockets.
    pub sockets: u64,
    /// The processes that sent first on them, each once.
    pub processes: BTreeSet<(u32, String)>,
    /// The calls that led to most of them; empty: not seen.
    pub calls: Vec<String>,
    /// How many had those calls, or the same evidence.
    pub largest: u64,
    /// How sure.
    pub certainty: Certainty,
    /// The completions did not show them.
    pub hidden: bool,
}

impl Copies {
    fn none() -> Self {
        Self {
            key: "",
            title: String::new(),
            explanation: String::new(),
            advice: "",
            device: String::new(),
            sends: 0,
            bytes: 0,
            sockets: 0,
            processes: BTreeSet::new(),
            calls: Vec::new(),
            largest: 0,
            certainty: Certainty::Measured,
            hidden: false,
        }
    }
}

/// All of them, the most frequent first.
#[must_use]
pub fn all(moment: &Moment) -> Vec<Copies> {
    let snapshot = &moment.snapshot;
    let mut all: Vec<Copies> = Vec::new();
    let rows = snapshot.sockets.iter().map(|s| (s, 1));
    let folded = snapshot.folded.iter().map(|f| (&f.sum, f.sockets));
    for (socket, sockets) in rows.chain(folded) {
        for c in causes_of(socket, snapshot) {
            let device = c.device.and_then(|d| snapshot.devices.get(&d));
            let new = Copies {
                key: c.cause.key,
                title: c.cause.title.into(),
                explanation: c.cause.explanation.into(),
                advice: c.cause.advice,
                device: device.map(|d| escape(&d.name)).unwrap_or_default(),
                certainty: c.certainty,
                calls: c.calls(snapshot).to_vec(),
                largest: c.largest,
                ..Copies::none()
            };
            put(&mut all, new, &c.group, socket, sockets);
        }
        for (evidence, group) in &socket.evidence {
            let Place::Hidden { device, how, measured } = evidence.place else { continue };
            let device = snapshot.devices.get(&device);
            let (name, kind) = device.map_or(("", ""), |d| (&d.name, &d.kind));
            let (title, explanation) = hidden_words(how, name, kind);
            let new = Copies {
                key: "hidden-copy",
                title,
                explanation,
                advice: "The completions report zero-copy; only the way says otherwise.",
                device: escape(name),
                certainty: if measured { Certainty::Measured } else { Certainty::Inferred },
                hidden: true,
                largest: group.sends,
                ..Copies::none()
            };
            put(&mut all, new, group, socket, sockets);
        }
    }
    all.sort_by_key(|c| std::cmp::Reverse(c.sends));
    all
}

/// Adds copies of a socket to those that are alike.
fn put(all: &mut Vec<Copies>, new: Copies, group: &Group, socket: &SocketSnapshot, sockets: u64) {
    let same = |c: &Copies| {
        (c.key, &c.title, &c.device, c.certainty)
            == (new.key, &new.title, &new.device, new.certainty)
    };
    let at = all.iter().position(same).unwrap_or(all.len());
    if at == all.len() {
        all.push(Copies { largest: 0, calls: Vec::new(), ..new.clone() });
    }
    let known = &mut all[at];
    add(&mut known.sends, group.sends);
    add(&mut known.bytes, group.bytes);
    add(&mut known.sockets, sockets);
    known.processes.insert((socket.facts.pid, escape(&socket.facts.comm)));
    if new.largest > known.largest {
        (known.largest, known.calls) = (new.largest, new.calls);
    }
}
