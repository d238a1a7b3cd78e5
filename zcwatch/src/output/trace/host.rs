//! What changes around the sends, in words: processes, devices, listeners, limits, losses.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    event::{DeviceFacts, Limits, LinkChange, Losses, PlainSends, ProcessFacts, Tunnel, What},
    host::{packet::Sniffer, process::escape},
};

/// `NETIF_F_SG`, `NETIF_F_IP_CSUM`, `NETIF_F_HW_CSUM` and `NETIF_F_IPV6_CSUM`
/// (include/linux/netdev_features.h, all versions).
const SG: u64 = 1 << 0;
const IP_CSUM: u64 = 1 << 1;
const HW_CSUM: u64 = 1 << 3;
const IPV6_CSUM: u64 = 1 << 4;

/// A line: the process that it is about, if it is about one, and what is said.
pub(super) type Said = (Option<u32>, String);

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Host {
    processes: BTreeMap<u32, ProcessFacts>,
    /// Names of processes that are known by their sockets only.
    strangers: BTreeMap<u32, String>,
    devices: BTreeMap<u16, DeviceFacts>,
    /// Names by namespace and `ifindex`.
    names: BTreeMap<(u32, u32), String>,
    sniffers: Vec<Sniffer>,
    unreadable: BTreeSet<u32>,
    tunnels: BTreeSet<Tunnel>,
    rings: BTreeMap<(u32, i32), u64>,
    plain: BTreeMap<u32, PlainSends>,
    limits: BTreeMap<(bool, u32), Limits>,
    losses: Losses,
}

impl Host {
    pub(super) fn comm(&self, pid: u32) -> Option<&String> {
        self.processes.get(&pid).map(|p| &p.comm).or_else(|| self.strangers.get(&pid))
    }

    /// A process that was seen with a socket.
    pub(super) fn meet(&mut self, pid: u32, comm: &str) {
        self.strangers.insert(pid, comm.to_owned());
    }

    pub(super) fn lost(&self) -> u64 {
        self.losses.events
    }

    /// Takes what is not about a socket; says what is new of it.
    pub(super) fn take(&mut self, what: &What) -> Vec<Said> {
        match what {
            What::Process(facts) => self.process(facts),
            What::Device(facts) => self.device(facts),
            What::Link(change) => self.link(change),
            What::Limits(limits) => self.limits(limits),
            What::Sniffers { list, unreadable } => self.sniffers(list, unreadable),
            What::Tunnels { list } => self.tunnels(list),
            What::Plain(plain) => self.plain(plain),
            What::IoUring { pid, fd, requests } => self.io_uring(*pid, *fd, *requests),
            What::Losses(losses) => self.losses(losses),
            _ => Vec::new(),
        }
    }

    fn process(&mut self, facts: &ProcessFacts) -> Vec<Said> {
        let before = self.processes.insert(facts.pid, facts.clone());
        let what = match (before, facts.parent) {
            (Some(before), _) if before.ended && facts.ended => return Vec::new(),
            _ if facts.ended => "ended".into(),
            // The id was given to another one.
            (Some(before), _) if before.ended => "watched".into(),
            (Some(_), _) => format!("exec: now {}", escape(&facts.comm)),
            (None, Some(parent)) => match self.comm(parent) {
                Some(comm) => format!("made by {} {parent}", escape(comm)),
                None => format!("made by {parent}"),
            },
            (None, None) => "watched".into(),
        };
        vec![(Some(facts.pid), what)]
    }

    fn device(&mut self, facts: &DeviceFacts) -> Vec<Said> {
        self.names.insert((facts.netns, facts.ifindex), facts.name.clone());
        let before = self.devices.insert(facts.index, facts.clone());
        let name = escape(&facts.name);
        let Some(before) = before else {
            let all = properties(facts).into_iter().flatten().collect::<Vec<_>>().join(", ");
            return vec![(None, format!("device {name}: {all}"))];
        };
        let changed = properties(facts).into_iter().zip(properties(&before));
        let mut new: Vec<String> = changed
            .filter(|(now, then)| now != then)
            .filter_map(|(now, then)| match now {
                Some(now) => Some(format!("now {now}")),
                None => Some(format!("no longer {}", then?)),
            })
            .collect();
        if before.features != facts.features {
            new.push(format!("now features {:#x} (were {:#x})", facts.features, before.features));
        }
        if before.name != facts.name {
            new.push(format!("was {}", escape(&before.name)));
        }
        if new.is_empty() {
            return Vec::new();
        }
        vec![(None, format!("device {name}: {}", new.join(", ")))]
    }

    fn link(&mut self, change: &LinkChange) -> Vec<Said> {
        let LinkChange { netns, ifindex, name, removed, up, carrier, mtu } = change;
        self.names.insert((*netns, *ifindex), name.clone());
        let mut state = vec![if *up { "up" } else { "down" }.to_owned()];
        state.extend((*up && !carrier).then(|| "no carrier".into()));
        state.extend((*mtu != 0).then(|| format!("mtu {mtu}")));
        let state = if *removed { "gone".into() } else { state.join(", ") };
        vec![(None, format!("link {} (netns {netns}): {state}", escape(name)))]
    }

    fn limits(&mut self, limits: &Limits) -> Vec<Said> {
        let (key, pid, what) = match *limits {
            Limits::Optmem { netns, max } => {
                ((true, netns), None, format!("net.core.optmem_max = {max} B (netns {netns})"))
            }
            Limits::Memlock { pid, max } => {
                let max = max.map_or_else(|| "unlimited".into(), |max| format!("{max} B"));
                ((false, pid), Some(pid), format!("RLIMIT_MEMLOCK = {max}"))
            }
        };
        let before = self.limits.insert(key, *limits);
        if before == Some(*limits) { Vec::new() } else { vec![(pid, what)] }
    }

    fn sniffers(&mut self, list: &[Sniffer], unreadable: &[u32]) -> Vec<Said> {
        let same = |a: &Sniffer, b: &Sniffer| {
            (a.netns, a.ifindex, a.inode) == (b.netns, b.ifindex, b.inode)
        };
        let mut said = Vec::new();
        for s in list.iter().filter(|s| !self.sniffers.iter().any(|k| same(k, s))) {
            let what = format!("packet socket of {} hears {}", holder(s), self.heard(s));
            said.push((None, what));
        }
        let here =
            |s: &&Sniffer| !list.iter().any(|k| same(k, s)) && !unreadable.contains(&s.netns);
        for s in self.sniffers.iter().filter(here) {
            let what = format!("packet socket of {} on {} is gone", holder(s), self.heard(s));
            said.push((None, what));
        }
        for netns in unreadable.iter().filter(|n| !self.unreadable.contains(n)) {
            said.push((None, format!("the packet sockets of netns {netns} cannot be read")));
        }
        // One in a namespace that cannot be read now may be there all the same.
        let hidden: Vec<_> =
            self.sniffers.iter().filter(|s| unreadable.contains(&s.netns)).cloned().collect();
        self.sniffers = list.to_vec();
        self.sniffers.extend(hidden);
        self.unreadable = unreadable.iter().copied().collect();
        said
    }

    fn heard(&self, s: &Sniffer) -> String {
        match self.names.get(&(s.netns, s.ifindex)) {
            _ if s.ifindex == 0 => format!("all devices (netns {})", s.netns),
            Some(name) => format!("{} (netns {})", escape(name), s.netns),
            None => format!("the device with index {} (netns {})", s.ifindex, s.netns),
        }
    }

    fn tunnels(&mut self, list: &[Tunnel]) -> Vec<Said> {
        let now: BTreeSet<Tunnel> = list.iter().cloned().collect();
        let name = |t: &Tunnel| {
            format!("device {}: held by {} (pid {})", escape(&t.device), escape(&t.comm), t.pid)
        };
        let mut said: Vec<Said> = now.difference(&self.tunnels).map(|t| (None, name(t))).collect();
        let gone = self.tunnels.difference(&now);
        said.extend(gone.map(|t| (None, format!("{} no longer", name(t)))));
        self.tunnels = now;
        said
    }

    fn plain(&mut self, plain: &PlainSends) -> Vec<Said> {
        let before = self.plain.insert(plain.pid, *plain).unwrap_or_default();
        let (sends, bytes) =
            (plain.sends.saturating_sub(before.sends), plain.bytes.saturating_sub(before.bytes));
        if sends == 0 {
            return Vec::new();
        }
        let what = format!(
            "{sends} sends without MSG_ZEROCOPY on sockets that are not told here, {bytes} B"
        );
        vec![(Some(plain.pid), what)]
    }

    fn io_uring(&mut self, pid: u32, fd: i32, requests: u64) -> Vec<Said> {
        let before = self.rings.insert((pid, fd), requests).unwrap_or(0);
        let new = requests.saturating_sub(before);
        if new == 0 {
            return Vec::new();
        }
        let what = format!("fd {fd}: {new} zerocopy requests of io_uring, not analysed");
        vec![(Some(pid), what)]
    }

    fn losses(&mut self, losses: &Losses) -> Vec<Said> {
        let before = std::mem::replace(&mut self.losses, *losses);
        [
            (
                losses.events,
                before.events,
                "events were lost: sends are missing here; --ring-size 67108864 holds more",
            ),
            (losses.sockets, before.sockets, "sockets found their table full: not told here"),
            (losses.processes, before.processes, "processes found their table full"),
            (losses.paths, before.paths, "ways could not be kept: the cause is unknown"),
            (losses.unpaired, before.unpaired, "merged completions were not paired"),
            (
                losses.skipped,
                before.skipped,
                "runs of the probes were skipped by the kernel: sends may be missing here",
            ),
        ]
        .into_iter()
        .filter(|(now, before, _)| now > before)
        .map(|(now, before, what)| (None, format!("{} {what}", now - before)))
        .collect()
    }
}

fn holder(s: &Sniffer) -> String {
    match (&s.comm, s.pid) {
        (Some(comm), Some(pid)) => format!("{} (pid {pid})", escape(comm)),
        (None, Some(pid)) => format!("pid {pid}"),
        _ => format!("a process not visible to zcwatch (socket inode {})", s.inode),
    }
}

/// What matters of a device, each in its place; `None`: not worth a word.
fn properties(d: &DeviceFacts) -> [Option<String>; 6] {
    let kind = match (d.kind.as_str(), d.loopback) {
        (_, true) => Some("loopback".into()),
        ("", _) => None,
        (kind, _) => Some(escape(kind)),
    };
    let on = |set: bool, what: &str| Some(format!("{what} {}", if set { "on" } else { "off" }));
    let checksums = d.features & HW_CSUM != 0 || d.features & (IP_CSUM | IPV6_CSUM) != 0;
    [
        kind,
        Some(format!("mtu {}", d.mtu)),
        on(d.features & SG != 0, "scatter-gather"),
        on(checksums, "checksums"),
        (d.peer_xdp == Some(true)).then(|| "native XDP at its peer".into()),
        (d.heard == Some(true)).then(|| "heard by packet sockets".into()),
    ]
}
