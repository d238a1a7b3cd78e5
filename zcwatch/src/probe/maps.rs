//! What a running probe's maps hold, for whoever watches; and what is written to them.

use std::{
    io::Read,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf},
    programs::Program as AyaProgram,
};
use zcwatch_common::{
    CallSite, Device, Held, LEFT_COUNT, Life, Plain, RingKey, Socket, life, stat,
};

use super::{
    attach::{Filter, Probe, Stats},
    error::ProbeError,
    programs::{COPIES, PROGRAMS},
};

impl Probe {
    /// The maps that userspace reads while watching.
    ///
    /// # Errors
    /// When the object lacks one.
    pub fn ring(&mut self) -> Result<RingBuf<MapData>, ProbeError> {
        RingBuf::try_from(self.take("EVENTS")?).map_err(|e| unusable("EVENTS", &e))
    }

    /// The processes that are watched.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn pids(&mut self) -> Result<HashMap<MapData, u32, u8>, ProbeError> {
        HashMap::try_from(self.take("PIDS")?).map_err(|e| unusable("PIDS", &e))
    }

    /// What watched processes send without the flag.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn plain(&mut self) -> Result<HashMap<MapData, u32, Plain>, ProbeError> {
        HashMap::try_from(self.take("PLAIN")?).map_err(|e| unusable("PLAIN", &e))
    }

    /// The sockets that are watched, with their counters.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn sockets(&mut self) -> Result<HashMap<MapData, u64, Socket>, ProbeError> {
        HashMap::try_from(self.take("SOCKETS")?).map_err(|e| unusable("SOCKETS", &e))
    }

    /// The callers of `consume_skb` that hand out notifications, of IPv4 and of IPv6.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn readers(&mut self) -> Result<Array<MapData, u64>, ProbeError> {
        Array::try_from(self.take("READERS")?).map_err(|e| unusable("READERS", &e))
    }

    /// Devices on the packets' ways.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn devices(&mut self) -> Result<HashMap<MapData, u64, Device>, ProbeError> {
        HashMap::try_from(self.take("DEVICES")?).map_err(|e| unusable("DEVICES", &e))
    }

    /// Where programs send.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn call_sites(&mut self) -> Result<HashMap<MapData, CallSite, u64>, ProbeError> {
        HashMap::try_from(self.take("CALL_SITES")?).map_err(|e| unusable("CALL_SITES", &e))
    }

    /// io_uring's zerocopy requests.
    ///
    /// # Errors
    /// When the object lacks the map.
    pub fn io_uring(&mut self) -> Result<HashMap<MapData, RingKey, u64>, ProbeError> {
        HashMap::try_from(self.take("IO_URING")?).map_err(|e| unusable("IO_URING", &e))
    }

    /// What the probes could not do so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Some(map) = self.ebpf.map("STATS") else { return Stats::default() };
        let Ok(map) = PerCpuArray::<_, u64>::try_from(map) else { return Stats::default() };
        let sum = |i: u32| map.get(&i, 0).map_or(0, |v| v.iter().sum());
        Stats {
            events_lost: sum(stat::EVENTS_LOST),
            sockets_full: sum(stat::SOCKETS_FULL),
            paths_full: sum(stat::PATHS_FULL),
            calls_full: sum(stat::CALLS_FULL),
            unpaired: sum(stat::UNPAIRED),
            devices_full: sum(stat::DEVICES_FULL),
            processes_full: sum(stat::PROCESSES_FULL),
            counted_full: sum(stat::COUNTED_FULL),
            uargs_full: sum(stat::UARGS_FULL),
        }
    }

    /// Runs of the tracing programs that the kernel skipped (`recursion_misses`, 5.12 and later);
    /// known while they are loaded. Of a program with copies, as many as all of them may have missed.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let misses = |name: &str| {
            let fd = match self.ebpf.program(name)? {
                AyaProgram::BtfTracePoint(p) => p.fd(),
                AyaProgram::FEntry(p) => p.fd(),
                AyaProgram::FExit(p) => p.fd(),
                _ => return None,
            };
            let fd = fd.ok()?.as_fd().as_raw_fd();
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let line = text.lines().find_map(|l| l.strip_prefix("recursion_misses:"))?;
            line.trim().parse::<u64>().ok()
        };
        let copy = |name: &str| COPIES.iter().any(|copy| name.ends_with(copy));
        let firsts = PROGRAMS.iter().filter(|p| !copy(p.name));
        firsts
            .filter_map(|p| {
                let first = misses(p.name)?;
                let others = COPIES.iter().filter_map(|copy| misses(&format!("{}{copy}", p.name)));
                Some(others.fold(first, u64::min))
            })
            .sum()
    }

    /// Runs the iterator over the sockets of the watched processes; those that are new enter the
    /// table. Empty where it did not load.
    ///
    /// # Errors
    /// When the kernel refuses to run it.
    pub fn held(&mut self) -> Result<Vec<Held>, ProbeError> {
        let programs = ["held_sockets", "held_sockets_only"];
        let Some(name) = programs.iter().find(|name| self.runs(name)) else {
            return Ok(Vec::new());
        };
        let bytes = self.iterate(name)?;
        Ok(bytes.chunks_exact(size_of::<Held>()).map(bytemuck::pod_read_unaligned).collect())
    }

    /// Looks at uargs that seem to live: the end of some may have passed unseen. Does nothing where
    /// completions are told otherwise.
    ///
    /// # Errors
    /// When the kernel refuses a map or the iterator.
    pub fn look_at_what_is_left(&mut self) -> Result<(), ProbeError> {
        if !self.runs("left_over") {
            return Ok(());
        }
        let uargs = self.ebpf.map("UARGS").ok_or_else(|| absent("UARGS"))?;
        let uargs = HashMap::<_, u64, Life>::try_from(uargs).map_err(|e| unusable("UARGS", &e))?;
        let alive = |l: &Life| l.stage & life::STAGE == life::ALIVE;
        let alive: Vec<u64> =
            uargs.iter().flatten().filter(|(_, l)| alive(l)).map(|(at, _)| at).collect();
        for some in alive.chunks(LEFT_COUNT as usize) {
            let places = || 0..LEFT_COUNT;
            for (i, at) in places().zip(some) {
                self.left()?.set(i, *at, 0).map_err(|e| unusable("LEFT", &e))?;
            }
            // In a namespace of few processes one go does not reach all.
            let mut before = usize::MAX;
            loop {
                self.iterate("left_over")?;
                let left = self.left()?;
                let still = places().filter(|i| left.get(i, 0).is_ok_and(|at| at != 0)).count();
                if still == 0 || still >= before {
                    break;
                }
                before = still;
            }
        }
        Ok(())
    }

    fn left(&mut self) -> Result<Array<&mut MapData, u64>, ProbeError> {
        let map = self.ebpf.map_mut("LEFT").ok_or_else(|| absent("LEFT"))?;
        Array::try_from(map).map_err(|e| unusable("LEFT", &e))
    }

    /// Runs an iterator to its end, and returns what it wrote.
    fn iterate(&mut self, name: &'static str) -> Result<Vec<u8>, ProbeError> {
        let failed =
            |e: &dyn std::fmt::Display| ProbeError::Map { map: name, reason: e.to_string() };
        let Some(AyaProgram::Iter(program)) = self.ebpf.program_mut(name) else {
            return Ok(Vec::new());
        };
        let id = program.attach().map_err(|e| failed(&e))?;
        let link = program.take_link(id).map_err(|e| failed(&e))?;
        let mut file = link.into_file().map_err(|e| failed(&e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        Ok(bytes)
    }

    pub(super) fn write_blank(&mut self) -> Result<(), ProbeError> {
        let mut map: Array<_, Socket> =
            Array::try_from(self.ebpf.map_mut("BLANK").ok_or_else(|| absent("BLANK"))?)
                .map_err(|e| unusable("BLANK", &e))?;
        map.set(0, blank(), 0).map_err(|e| unusable("BLANK", &e))
    }

    pub(super) fn write_limits_seen(&mut self) -> Result<(), ProbeError> {
        let map = self.ebpf.map_mut("LIMITS_SEEN").ok_or_else(|| absent("LIMITS_SEEN"))?;
        let mut map = Array::<_, u32>::try_from(map).map_err(|e| unusable("LIMITS_SEEN", &e))?;
        map.set(0, 1, 0).map_err(|e| unusable("LIMITS_SEEN", &e))
    }

    pub(super) fn write_filter(&mut self, filter: &Filter) -> Result<(), ProbeError> {
        let comms = self.ebpf.map_mut("COMMS").ok_or_else(|| absent("COMMS"))?;
        let mut comms =
            HashMap::<_, [u8; 16], u8>::try_from(comms).map_err(|e| unusable("COMMS", &e))?;
        for name in &filter.comms {
            let mut key = [0; 16];
            for (to, from) in key.iter_mut().zip(name.bytes().take(15)) {
                *to = from;
            }
            comms.insert(key, 1, 0).map_err(|e| unusable("COMMS", &e))?;
        }
        let cgroups = self.ebpf.map_mut("CGROUPS").ok_or_else(|| absent("CGROUPS"))?;
        let mut cgroups =
            HashMap::<_, u64, u8>::try_from(cgroups).map_err(|e| unusable("CGROUPS", &e))?;
        for cgroup in &filter.cgroups {
            cgroups.insert(cgroup.id, 1, 0).map_err(|e| unusable("CGROUPS", &e))?;
        }
        Ok(())
    }

    fn take(&mut self, name: &'static str) -> Result<Map, ProbeError> {
        self.ebpf.take_map(name).ok_or_else(|| absent(name))
    }
}

/// What a socket's entry starts from.
#[must_use]
pub fn blank() -> Socket {
    Socket { base: zcwatch_common::ABSENT, ..bytemuck::Zeroable::zeroed() }
}

pub(super) fn absent(map: &'static str) -> ProbeError {
    ProbeError::Map { map, reason: "it is not in the object".into() }
}

pub(super) fn unusable(map: &'static str, e: &aya::maps::MapError) -> ProbeError {
    ProbeError::Map { map, reason: e.to_string() }
}
