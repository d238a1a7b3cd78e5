//! The scenarios. Data: a row is a path, traffic, and what must be said of it.

mod causes;
mod findings;

use std::time::Duration;

use super::scenario::{Path, Scenario, Traffic};
use crate::lab::{
    Family, Layout, Tweak,
    sender::{Api, Drain, Options, Protocol},
};

/// All of them, by what they show.
pub(super) const GROUPS: [(&str, &[Scenario]); 3] = [
    ("Causes of copies (`zcwatch causes` explains them)", causes::ROWS),
    ("Findings", findings::ROWS),
    ("Nothing wrong", HEALTHY),
];

/// The one that runs when none is named.
pub(super) const FIRST: &str = "loopback";

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Scenario> {
    GROUPS.into_iter().flat_map(|(_, scenarios)| scenarios)
}

const HEALTHY: &[Scenario] = &[Scenario {
    name: "zerocopy",
    shows: "UDP through a forwarding namespace, dropped at the end: nothing is copied",
    path: UNCOPIED,
    traffic: UDP,
    time: BRIEFLY,
    expected: &["healthy"],
}];

/// What most need to be seen.
pub(super) const BRIEFLY: Duration = Duration::from_millis(800);

/// Datagrams of the demos' size fit.
const WIDE: Tweak = Tweak::Mtu(65_535);

const LOOPBACK: Path = Path { layout: Layout::Loopback, tweaks: &[], listener: None };

/// Every datagram stays the sender's own to its end.
const UNCOPIED: Path = Path { layout: Layout::ForwardedDrop, tweaks: &[WIDE], listener: None };

const TCP: Traffic = Traffic {
    protocol: Protocol::Tcp,
    family: Family::V4,
    but: |options| options,
    elsewhere: None,
    memlock: None,
};

const UDP: Traffic = Traffic { protocol: Protocol::Udp, ..TCP };

impl Traffic {
    /// As a program sends that was written with care: 16 KiB at a time, a thousand times a
    /// second, notifications read when a few sends are in flight, and without end.
    pub(super) fn options(&self, to: Vec<std::net::SocketAddr>) -> Option<Options> {
        let first = *to.first()?;
        Some((self.but)(Options {
            protocol: self.protocol,
            destinations: to,
            sizes: vec![16 << 10],
            count: u64::MAX,
            delay: Duration::from_millis(1),
            api: Api::Sendmsg,
            drain: Drain::Window,
            window: 8,
            ..Options::tcp(first)
        }))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::diagnosis::{CAUSES, FindingId};

    fn expected() -> BTreeSet<(&'static str, Option<&'static str>)> {
        let split = |name: &'static str| match name.split_once('/') {
            Some((finding, cause)) => (finding, Some(cause)),
            None => (name, None),
        };
        all().flat_map(|s| s.expected.iter().copied().map(split)).collect()
    }

    /// What no demo makes on every host: what zcwatch does not know, what takes an older kernel,
    /// hardware, or a tunnel with keys.
    const NOT_MADE: &[&str] = &[
        "unknown",
        "local_rx",
        "ipsec",
        "udp_ipsec",
        "wireguard",
        "cow_crypto",
        "xdp_generic",
        "driver_linearize",
        "mixed_uarg",
    ];

    #[test]
    fn every_finding_and_every_cause_can_be_seen() {
        let findings: BTreeSet<_> = expected().into_iter().map(|(finding, _)| finding).collect();
        assert_eq!(findings, FindingId::ALL.map(FindingId::name).into());
        let causes: BTreeSet<_> = expected().into_iter().filter_map(|(_, cause)| cause).collect();
        let known = CAUSES.iter().map(|c| c.key).filter(|key| !NOT_MADE.contains(key));
        assert_eq!(causes, known.collect());
    }

    #[test]
    fn each_has_a_name_of_its_own_and_a_sentence() {
        let names: BTreeSet<_> = all().map(|s| s.name).collect();
        assert_eq!(names.len(), all().count());
        assert!(names.contains(FIRST));
        for s in all() {
            assert!(s.name.len() <= 20 && !s.shows.ends_with('.'), "{}", s.name);
        }
    }
}
