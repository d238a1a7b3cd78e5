//! What a scenario is: a path, traffic on it, and what must be said of that.

use std::time::Duration;

use super::table::{GROUPS, all};
use crate::{
    host::caps::{Capabilities, Capability},
    lab::{
        Family, Layout, Tweak,
        sender::{Options, Protocol},
    },
};

/// One scenario.
#[derive(Debug)]
pub(super) struct Scenario {
    pub name: &'static str,
    /// One sentence.
    pub shows: &'static str,
    pub path: Path,
    pub traffic: Traffic,
    /// So long `demo --all` watches it.
    pub time: Duration,
    /// The findings that must hold, and no others, each with its cause: `copied/tap_tx`. Only
    /// `demo --all` and the tests look at it; the diagnosis never does.
    pub expected: &'static [&'static str],
}

/// What the packets go over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub layout: Layout,
    pub tweaks: &'static [Tweak],
    /// Where a packet socket listens on every device.
    pub listener: Option<Place>,
}

/// A namespace of the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Sender,
    Router,
}

/// What is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub protocol: Protocol,
    pub family: Family,
    /// What is different from [`Traffic::options`].
    pub but: fn(Options) -> Options,
    /// One message of so many goes elsewhere, by an unconnected socket.
    pub elsewhere: Option<(usize, To)>,
    /// The sender is no root, and may lock so many bytes.
    pub memlock: Option<u64>,
}

/// Where else messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum To {
    /// To the router itself, which receives them.
    Router,
    /// To an address of the sender's network that nobody has.
    Nobody,
}

impl Scenario {
    /// Looks one up.
    pub(super) fn named(name: &str) -> Result<&'static Self, String> {
        all().find(|s| s.name == name).ok_or_else(|| {
            let names: Vec<_> = all().map(|s| s.name).collect();
            format!("there is no demo {name:?}; there are {}", names.join(", "))
        })
    }

    /// What we lack to make it.
    pub(super) fn missing(&self) -> Vec<Capability> {
        let mut all =
            vec![Capability::SysAdmin, Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];
        // Packet sockets, and IPv6 extension headers.
        if self.path.listener.is_some() || self.traffic.family == Family::V6 {
            all.push(Capability::NetRaw);
        }
        Capabilities::current().missing(&all)
    }
}

/// The list for a person.
pub(super) fn list() -> String {
    let mut out = String::new();
    for (title, scenarios) in GROUPS {
        out.push_str(&format!("{title}:\n"));
        for s in scenarios {
            let shows = wrapped(s.shows, 80 - INDENT).join(&format!("\n{:INDENT$}", ""));
            out.push_str(&format!("  {:<width$} {shows}\n", s.name, width = INDENT - 3));
        }
        out.push('\n');
    }
    out.push_str("`zcwatch demo NAME` runs one, `zcwatch demo --all` all of them.\n");
    out
}

/// Where the sentences begin.
const INDENT: usize = 24;

fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}
