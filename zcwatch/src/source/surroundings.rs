//! What no probe tells: packet sockets and who holds them, devices that are renamed or go, limits,
//! the processes behind tunnels. Looked at now and then; only changes are told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use crate::{
    event::{DeviceFacts, Limits, Tunnel, What},
    host::{limits, links::Links, netns::Entrance, packet, tunnel},
};

/// How often what is costly is looked at: searches through all processes.
const SEARCH: Duration = Duration::from_secs(1);

/// Processes whose limits are looked at; more do not send with zerocopy in practice.
const PROCESSES: usize = 256;

/// See the module.
#[derive(Default)]
pub(super) struct Surroundings {
    namespaces: BTreeSet<u32>,
    /// Inode number and listener; `None`: it cannot be entered.
    links: BTreeMap<u32, Option<Links>>,
    /// Devices on packets' ways: only their changes matter.
    devices: BTreeSet<(u32, u32)>,
    /// The namespaces that these are in: who listens there copies what passes.
    crossed: BTreeSet<u32>,
    sniffers: packet::Lookout,
    optmem: BTreeMap<u32, u64>,
    memlock: BTreeMap<u32, Option<u64>>,
    has_tunnel: bool,
    tunnels: Vec<Tunnel>,
    searched: Option<Instant>,
    /// Something happened that makes a search due.
    due: bool,
}

impl Surroundings {
    /// A namespace of a watched process or socket.
    pub(super) fn add_namespace(&mut self, netns: u32) {
        self.due |= self.namespaces.insert(netns);
    }

    /// A device that packets cross, new or changed.
    pub(super) fn saw(&mut self, device: &DeviceFacts) {
        self.devices.insert((device.netns, device.ifindex));
        self.due |= self.crossed.insert(device.netns) && !self.namespaces.contains(&device.netns);
        let tunnel = device.kind == "tun";
        self.due |= tunnel;
        self.has_tunnel |= tunnel;
    }

    /// Looks at everything. `alive` are watched processes, by which their namespaces are entered.
    pub(super) fn look(&mut self, alive: &[u32], sink: &mut impl FnMut(What)) {
        let searching = self.due || self.searched.is_none_or(|at| at.elapsed() >= SEARCH);
        if searching {
            self.searched = Some(Instant::now());
            self.due = false;
        }
        self.look_for_sniffers(alive, searching, sink);
        self.listen(alive, sink);
        if searching {
            self.look_at_limits(alive, sink);
            self.look_for_tunnels(sink);
        }
    }

    fn look_for_sniffers(&mut self, alive: &[u32], search: bool, sink: &mut impl FnMut(What)) {
        let wanted = self.namespaces.union(&self.crossed).copied().collect();
        if self.sniffers.look(&wanted, alive, search) {
            let packet::Lookout { list, unreadable, .. } = &self.sniffers;
            // In a namespace on the way often no process is: that is nothing to complain of.
            let own = unreadable.iter().copied().filter(|n| self.namespaces.contains(n));
            sink(What::Sniffers { list: list.clone(), unreadable: own.collect() });
        }
    }

    fn listen(&mut self, alive: &[u32], sink: &mut impl FnMut(What)) {
        let missing = self.namespaces.iter().any(|n| !self.links.contains_key(n));
        if missing {
            for pid in alive {
                let Some(netns) = packet::netns_of(*pid) else { continue };
                if self.namespaces.contains(&netns) && !self.links.contains_key(&netns) {
                    let listener = Entrance::of(*pid).and_then(|e| Links::open(&e, netns));
                    self.links.insert(netns, listener.ok());
                }
            }
        }
        let Self { links, devices, .. } = self;
        for listener in links.values_mut().flatten() {
            listener.poll(&mut |change| {
                if devices.contains(&(change.netns, change.ifindex)) {
                    sink(What::Link(change));
                }
            });
        }
    }

    fn look_at_limits(&mut self, alive: &[u32], sink: &mut impl FnMut(What)) {
        let mut done = BTreeSet::new();
        for pid in alive.iter().take(PROCESSES) {
            if let Some(netns) = packet::netns_of(*pid).filter(|n| done.insert(*n))
                && let Some(max) = limits::optmem_max(*pid)
                && self.optmem.insert(netns, max) != Some(max)
            {
                sink(What::Limits(Limits::Optmem { netns, max }));
            }
            if let Some(max) = limits::memlock(*pid)
                && self.memlock.insert(*pid, max) != Some(max)
            {
                sink(What::Limits(Limits::Memlock { pid: *pid, max }));
            }
        }
    }

    fn look_for_tunnels(&mut self, sink: &mut impl FnMut(What)) {
        if !self.has_tunnel {
            return;
        }
        let list = tunnel::holders();
        if list != self.tunnels {
            self.tunnels.clone_from(&list);
            sink(What::Tunnels { list });
        }
    }
}
