//! Loading and attaching, each program by trying. Nothing is decided by version: the kernel's
//! own answer tells what it can do.

use std::{
    collections::BTreeMap,
    io::Read,
    os::fd::{AsFd, AsRawFd},
};

use aya::{
    Btf, Ebpf, EbpfLoader, include_bytes_aligned,
    maps::{Array, HashMap, Map, MapData, PerCpuArray, RingBuf},
    programs::{CgroupAttachMode, Program as AyaProgram, ProgramError},
};
use zcwatch_common::{Device, Held, Plain, RingKey, Socket, phase, stat};

use super::{
    btf::KernelTypes,
    error::{ProbeError, Refusal, errno, reason},
    hooks::{HOOKS, Hook, Question},
    layout::{self, Layout},
    programs::{Attach, PROGRAMS, Program},
};
use crate::host::{
    caps::{Capabilities, Capability},
    cgroup::{self, Cgroup},
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../zcwatch-ebpf/obj/zcwatch.bpf.o"
));

/// How to attach.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of the ring buffer, bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Globals to treat as missing, to see what then becomes of the hooks.
    pub pretend_missing: Vec<String>,
    /// What to watch besides processes by their id.
    pub filter: Filter,
}

/// Which processes the probes pick themselves. Each way adds processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// This process alone, and never another one: it costs the others least.
    pub only: Option<u32>,
    /// All but zcwatch.
    pub everything: bool,
    /// By name, at most 15 bytes each.
    pub comms: Vec<String>,
    /// By cgroup.
    pub cgroups: Vec<Cgroup>,
    /// And those that they make, from then on.
    pub follow: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { ring_bytes: 16 << 20, pretend_missing: Vec::new(), filter: Filter::default() }
    }
}

/// What the probes could not do, summed over CPUs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Records that found the ring buffer full.
    pub events_lost: u64,
    /// Sockets that found their table full.
    pub sockets_full: u64,
    /// Uargs whose way could not be kept.
    pub paths_full: u64,
    /// TCP entries that could not be kept.
    pub calls_full: u64,
    /// Merged pieces that were not paired with their notification.
    pub unpaired: u64,
    /// Devices that found their table full.
    pub devices_full: u64,
    /// Processes that found a table full.
    pub processes_full: u64,
}

/// The attached programs and their maps. Dropping it detaches everything; so does the kernel
/// when the process dies, because nothing is pinned.
pub struct Probe {
    ebpf: Ebpf,
    refused: BTreeMap<&'static str, Refusal>,
}

impl Probe {
    /// Loads the object and attaches whatever the kernel takes.
    ///
    /// # Errors
    /// When the kernel's types cannot be read, a capability is missing, or no hook attached that
    /// sees sends.
    pub fn attach(settings: &Settings) -> Result<Self, ProbeError> {
        let ring = settings.ring_bytes;
        if !ring.is_power_of_two() || !(4096..=1 << 30).contains(&ring) {
            return Err(ProbeError::RingSize(ring));
        }
        let mut layout = Layout::resolve(&KernelTypes::open(layout::MODULES)?);
        for global in &settings.pretend_missing {
            layout = layout.without(global);
        }
        let filter = &settings.filter;
        layout.set("SELF", std::process::id());
        layout.set("ONLY", filter.only.unwrap_or(0));
        layout.set("EVERYTHING", filter.everything.into());
        layout.set("BY_COMM", (!filter.comms.is_empty()).into());
        layout.set("FOLLOW", filter.follow.into());
        layout.set("CGROUP_LEVELS", filter.cgroups.iter().fold(0, |all, c| all | 1 << c.level));
        let mut loader = EbpfLoader::new();
        loader.map_max_entries("EVENTS", ring);
        for (name, value) in layout.globals() {
            loader.override_global(name, value, true);
        }
        let ebpf = loader.load(OBJECT).map_err(|e| refused_maps(&e))?;
        let mut probe = Self { ebpf, refused: BTreeMap::new() };
        probe.write_blank()?;
        probe.write_filter(filter)?;

        let types = Btf::from_sys_fs().map_err(|e| ProbeError::Load(e.to_string()))?;
        for program in PROGRAMS {
            let missing = layout.missing(&program.fields());
            let outcome = if missing.is_empty() {
                probe.start(program, &types)
            } else {
                Err(Refusal::Fields(missing))
            };
            if let Err(why) = outcome {
                probe.refused.insert(program.name, why);
                probe.usable()?;
            }
        }
        Ok(probe)
    }

    fn start(&mut self, program: &Program, types: &Btf) -> Result<(), Refusal> {
        let no_such = || Refusal::Refused(format!("the object has no program {}", program.name));
        let handle = self.ebpf.program_mut(program.name).ok_or_else(no_such)?;
        match (program.attach, handle) {
            (Attach::Tracepoint(name), AyaProgram::BtfTracePoint(p)) => {
                p.load(name, types).map_err(|e| refusal(&e))?;
                p.attach().map_err(|e| refusal(&e))?;
            }
            (Attach::Iterator(name), AyaProgram::Iter(p)) => {
                p.load(name, types).map_err(|e| refusal(&e))?;
            }
            (Attach::CgroupRoot, AyaProgram::CgroupSock(p)) => {
                let root = cgroup::root()
                    .and_then(|dir| std::fs::File::open(dir).ok())
                    .ok_or_else(|| Refusal::Host("no cgroup v2 hierarchy is mounted".to_owned()))?;
                p.load().map_err(|e| refusal(&e))?;
                // A link is always one of many, whatever the mode says; it takes no flags.
                p.attach(root, CgroupAttachMode::Single).map_err(|e| refusal(&e))?;
            }
            _ => return Err(no_such()),
        }
        Ok(())
    }

    /// Can sends and completions still be seen?
    fn usable(&self) -> Result<(), ProbeError> {
        if self.answer(Question::Send).is_some() && self.answer(Question::Completion).is_some() {
            return Ok(());
        }
        let why = |name| self.refused.get(name);
        if [why("send_return"), why("consumed")].contains(&Some(&Refusal::NotPermitted)) {
            let caps = Capabilities::current().missing(&[Capability::Bpf, Capability::Perfmon]);
            return Err(ProbeError::Capabilities { caps, what: "to load a tracing program" });
        }
        let reasons: Vec<_> = ["send_return", "consumed", "notified"]
            .iter()
            .filter_map(|p| match (hook_of(p)?, why(p)?) {
                (hook, Refusal::Absent) => Some(format!(
                    "it has no tracepoint {hook}, by which zcwatch sees sends and completions; \
                     Linux 6.12 and later have it"
                )),
                (hook, why) => Some(format!("{hook}: {why}")),
            })
            .collect();
        Err(ProbeError::Nothing(reasons.join("; ")))
    }

    /// The row that answers a question here.
    #[must_use]
    pub fn answer(&self, question: Question) -> Option<&'static Hook> {
        HOOKS.iter().find(|h| {
            h.question == question
                && !h.programs.is_empty()
                && h.programs.iter().all(|p| !self.refused.contains_key(p))
        })
    }

    /// Why the programs of a question's rows are not running.
    #[must_use]
    pub fn refusals(&self, question: Question) -> Vec<(&'static str, &Refusal)> {
        let mut all: Vec<_> = HOOKS
            .iter()
            .filter(|h| h.question == question)
            .flat_map(|h| h.programs)
            .filter_map(|p| Some((hook_of(p)?, self.refused.get(p)?)))
            .collect();
        all.dedup_by_key(|(hook, _)| *hook);
        all
    }

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
        }
    }

    /// Runs of the tracing programs that the kernel skipped (`recursion_misses`, 5.12 and later);
    /// known while they are loaded.
    #[must_use]
    pub fn skipped(&self) -> u64 {
        let fds = self.ebpf.programs().filter_map(|(_, p)| match p {
            AyaProgram::BtfTracePoint(p) => p.fd().ok().map(|fd| fd.as_fd().as_raw_fd()),
            _ => None,
        });
        fds.filter_map(|fd| {
            let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).ok()?;
            let line = text.lines().find_map(|l| l.strip_prefix("recursion_misses:"))?;
            line.trim().parse::<u64>().ok()
        })
        .sum()
    }

    /// Runs the iterator over the sockets of the watched processes; those that are new enter the
    /// table. Empty where it did not load.
    ///
    /// # Errors
    /// When the kernel refuses to run it.
    pub fn held(&mut self) -> Result<Vec<Held>, ProbeError> {
        if self.refused.contains_key("held_sockets") {
            return Ok(Vec::new());
        }
        let failed = |e: &dyn std::fmt::Display| ProbeError::Map {
            map: "held_sockets",
            reason: e.to_string(),
        };
        let Some(AyaProgram::Iter(program)) = self.ebpf.program_mut("held_sockets") else {
            return Ok(Vec::new());
        };
        let id = program.attach().map_err(|e| failed(&e))?;
        let link = program.take_link(id).map_err(|e| failed(&e))?;
        let mut file = link.into_file().map_err(|e| failed(&e))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(|e| failed(&e))?;
        Ok(bytes.chunks_exact(size_of::<Held>()).map(bytemuck::pod_read_unaligned).collect())
    }

    /// Begins the window in the kernel: processes that are picked by what they are count now.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn begin(&mut self) -> Result<(), ProbeError> {
        self.enter(phase::WATCHING)
    }

    /// Ends the window in the kernel: what is sent from now on is in no number.
    ///
    /// # Errors
    /// When the map cannot be written.
    pub fn end(&mut self) -> Result<(), ProbeError> {
        self.enter(phase::OVER)
    }

    fn enter(&mut self, phase: u32) -> Result<(), ProbeError> {
        let map = self.ebpf.map_mut("PHASE").ok_or_else(|| absent("PHASE"))?;
        let mut map = Array::<_, u32>::try_from(map).map_err(|e| unusable("PHASE", &e))?;
        map.set(0, phase, 0).map_err(|e| unusable("PHASE", &e))
    }

    /// Detaches every hook; the maps stay readable.
    pub fn stop(&mut self) {
        for (_, program) in self.ebpf.programs_mut() {
            // A program that was never loaded says so here; there is nothing to detach then.
            let _ = match program {
                AyaProgram::BtfTracePoint(p) => p.unload(),
                AyaProgram::CgroupSock(p) => p.unload(),
                _ => Ok(()),
            };
        }
    }

    fn write_blank(&mut self) -> Result<(), ProbeError> {
        let mut map: Array<_, Socket> =
            Array::try_from(self.ebpf.map_mut("BLANK").ok_or_else(|| absent("BLANK"))?)
                .map_err(|e| unusable("BLANK", &e))?;
        map.set(0, blank(), 0).map_err(|e| unusable("BLANK", &e))
    }

    fn write_filter(&mut self, filter: &Filter) -> Result<(), ProbeError> {
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

fn hook_of(program: &str) -> Option<&'static str> {
    PROGRAMS.iter().find(|p| p.name == program).map(|p| match p.attach {
        Attach::Tracepoint(name) | Attach::Iterator(name) => name,
        Attach::CgroupRoot => "cgroup/sock_release",
    })
}

fn absent(map: &'static str) -> ProbeError {
    ProbeError::Map { map, reason: "it is not in the object".into() }
}

fn unusable(map: &'static str, e: &aya::maps::MapError) -> ProbeError {
    ProbeError::Map { map, reason: e.to_string() }
}

fn refused_maps(e: &aya::EbpfError) -> ProbeError {
    if errno(e) == Some(libc::EPERM) {
        let mut caps = Capabilities::current().missing(&[Capability::Bpf, Capability::Perfmon]);
        if caps.is_empty() {
            caps.push(Capability::SysAdmin);
        }
        return ProbeError::Capabilities { caps, what: "to create an eBPF map" };
    }
    ProbeError::Load(reason(e))
}

fn refusal(e: &ProgramError) -> Refusal {
    match (errno(e), e) {
        (Some(libc::EPERM | libc::EACCES), ProgramError::LoadError { verifier_log, .. })
            if !verifier_log.to_string().is_empty() =>
        {
            Refusal::Refused(reason(e))
        }
        (Some(libc::EPERM | libc::EACCES), _) => Refusal::NotPermitted,
        (_, ProgramError::Btf(_)) | (Some(libc::ENOENT), _) => Refusal::Absent,
        _ => Refusal::Refused(reason(e)),
    }
}
