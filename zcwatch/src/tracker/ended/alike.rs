//! Ended sockets of one kind, folded into one.

use std::collections::BTreeMap;

use crate::{
    sums::add,
    tracker::{
        evidence::{Evidence, Group},
        snapshot::{Counts, SocketSnapshot},
    },
};

/// What the diagnosis says of a socket that has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// What may be found of it; only the judge reads it.
    pub marks: u32,
    /// The process whose limit it ran into.
    pub blamed: Option<u32>,
    /// Something is wrong with it.
    pub trouble: bool,
    /// What it may be the worst example of.
    pub claims: Vec<Claim>,
}

/// How good an example a socket is of something; only the judge knows of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Of what.
    pub of: u8,
    /// The larger the better.
    pub rank: (u64, u64),
}

/// Judges a socket.
pub type Judge = fn(&SocketSnapshot) -> Judged;

/// Of what a socket is an example.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Claim(u8),
    Evidence(Evidence),
}

/// Sockets that no finding tells apart.
#[derive(Clone, Debug)]
pub struct Alike {
    /// How many.
    pub sockets: u64,
    /// All of them together, under the name of the one with the lowest id. Of sizes and
    /// latencies it has the ends only.
    pub sum: SocketSnapshot,
    /// What the judge said of each.
    pub judged: Judged,
    /// There were too many kinds: these are of several processes, devices and namespaces.
    pub coarse: bool,
    examples: Vec<(Of, (u64, u64), SocketSnapshot)>,
}

impl Alike {
    pub(super) fn new(socket: &SocketSnapshot, judged: &Judged, coarse: bool) -> Self {
        let mut sum = socket.clone();
        (sum.pids, sum.fds) = (Vec::new(), Vec::new());
        if coarse {
            sum.device = None;
        }
        let judged_of_all = Judged { claims: Vec::new(), ..judged.clone() };
        let mut all = Self { sockets: 1, sum, judged: judged_of_all, coarse, examples: Vec::new() };
        all.exemplify(socket, judged);
        all
    }

    pub(super) fn add(&mut self, s: &SocketSnapshot, judged: &Judged) {
        add(&mut self.sockets, 1);
        let sum = &mut self.sum;
        if s.id < sum.id {
            (sum.id, sum.facts) = (s.id, s.facts.clone());
        }
        sum.counts.merge(&s.counts);
        sum.counts.reduce();
        for (evidence, group) in &s.evidence {
            match sum.evidence.binary_search_by_key(evidence, |(e, _)| *e) {
                Ok(at) => sum.evidence[at].1.merge(group),
                Err(at) => sum.evidence.insert(at, (*evidence, *group)),
            }
        }
        for (errno, n) in &s.errors {
            add(sum.errors.entry(*errno).or_default(), *n);
        }
        sum.closed = sum.closed.max(s.closed);
        let first = [sum.first_completion, s.first_completion].into_iter().flatten().min();
        sum.first_completion = first;
        sum.last_completion = sum.last_completion.max(s.last_completion);
        sum.last_read = sum.last_read.max(s.last_read);
        add(&mut sum.waits.out_of_order, s.waits.out_of_order);
        if let (Some(all), Some(c)) = (&mut sum.counters, &s.counters) {
            add(&mut all.plain, c.plain);
            add(&mut all.plain_bytes, c.plain_bytes);
            add(&mut all.pulled, c.pulled);
        }
        self.exemplify(s, judged);
    }

    /// Keeps it if there is no better example.
    fn exemplify(&mut self, socket: &SocketSnapshot, judged: &Judged) {
        let claims = judged.claims.iter().map(|c| (Of::Claim(c.of), c.rank));
        let copies = |(e, g): &(Evidence, Group)| (Of::Evidence(*e), (g.sends, 0));
        for (of, rank) in claims.chain(socket.evidence.iter().map(copies)) {
            match self.examples.iter_mut().find(|(known, ..)| *known == of) {
                // Of equals the last one: as where all have rows.
                Some((_, best, known)) if (rank, socket.id) > (*best, known.id) => {
                    (*best, *known) = (rank, socket.clone());
                }
                Some(_) => {}
                None => self.examples.push((of, rank, socket.clone())),
            }
        }
    }

    /// The worst of them, in each respect; some perhaps twice.
    pub fn examples(&self) -> impl Iterator<Item = &SocketSnapshot> {
        self.examples.iter().map(|(.., socket)| socket)
    }
}

/// The folded sockets of one process.
#[derive(Clone, Debug)]
pub struct OfProcess<'a> {
    /// The first sender of each; `None`: of several processes, for there were too many kinds.
    pub process: Option<(u32, &'a str)>,
    /// How many.
    pub sockets: u64,
    /// Of all of them; of sizes and latencies the ends only.
    pub counts: Counts,
    /// By what findings tell apart.
    pub kinds: Vec<&'a Alike>,
}

impl<'a> OfProcess<'a> {
    /// All of them but those on which nothing happened, the most first.
    #[must_use]
    pub fn all(folded: &'a [Alike]) -> Vec<Self> {
        let mut all: BTreeMap<Option<u32>, Self> = BTreeMap::new();
        for kind in folded.iter().filter(|f| !f.sum.is_idle()) {
            let facts = &kind.sum.facts;
            let process = (!kind.coarse).then_some((facts.pid, facts.comm.as_str()));
            let of = all.entry(process.map(|(pid, _)| pid)).or_insert_with(|| Self {
                process,
                sockets: 0,
                counts: Counts::default(),
                kinds: Vec::new(),
            });
            add(&mut of.sockets, kind.sockets);
            of.counts.merge(&kind.sum.counts);
            of.counts.reduce();
            of.kinds.push(kind);
        }
        let mut all: Vec<_> = all.into_values().collect();
        all.sort_by_key(|of| std::cmp::Reverse(of.sockets));
        all
    }
}
