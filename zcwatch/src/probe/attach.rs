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
use zcwatch_common::{
    CallSite, Device, Held, LEFT_COUNT, Life, Plain, RingKey, Socket, life, phase, stat,
};

use super::{
    btf::KernelTypes,
    error::{ProbeError, Refusal, errno, reason},
    hooks::{Certainty, HOOKS, Hook, Kind, Question},
    layout::{self, Layout},
    programs::{Attach, BESIDE, By, CHOICES, COPIES, Choice, OPTIONAL, PROGRAMS, Program, Set},
};
use crate::host::{
    caps::{Capabilities, Capability},
    cgroup::{self, Cgroup},
    preemption,
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../zcwatch-ebpf/obj/zcwatch.bpf.o"
));

/// A function that the verifier offers since it follows loops without unrolling them.
const LOOPS: &str = "bpf_iter_num_new";

/// How to attach.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Size of the ring buffer, bytes: a power of two, at least a page.
    pub ring_bytes: u32,
    /// Globals to treat as missing, to see what then becomes of the hooks.
    pub pretend_missing: Vec<String>,
    /// What to watch besides processes by their id.
    pub filter: Filter,
    /// Tell from where in the programs is sent.
    pub call_sites: bool,
    /// Which hooks may be used.
    pub hooks: Hooks,
}

/// Which hooks may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Hooks {
    /// Trampolines where the kernel may preempt its own code, tracepoints elsewhere; the other ones
    /// where one of them does not attach
    #[default]
    Auto,
    /// Tracepoints only
    #[value(name = "tp_btf")]
    Tracepoints,
    /// Trampolines, and tracepoints where one does not attach
    #[value(name = "fentry")]
    Trampolines,
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
        Self {
            ring_bytes: 16 << 20,
            pretend_missing: Vec::new(),
            filter: Filter::default(),
            call_sites: false,
            hooks: Hooks::Auto,
        }
    }
}

/// What attaching asks of the host.
struct Host<'a> {
    layout: &'a Layout,
    types: &'a Btf,
    follows_loops: bool,
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
    /// Completions or reads that may have been counted twice.
    pub counted_full: u64,
    /// Sends whose completion may not have been seen.
    pub uargs_full: u64,
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
        let kernel = KernelTypes::open(layout::MODULES)?;
        let mut layout = Layout::resolve(&kernel);
        for global in &settings.pretend_missing {
            layout = layout.without(global);
        }
        let filter = &settings.filter;
        layout.set("SELF", std::process::id());
        layout.set("ONLY", filter.only.unwrap_or(0));
        layout.set("EVERYTHING", filter.everything.into());
        layout.set("BY_COMM", (!filter.comms.is_empty()).into());
        layout.set("FOLLOW", filter.follow.into());
        layout.set("CALL_SITES_WANTED", settings.call_sites.into());
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
        let follows_loops = kernel.has_function(LOOPS);
        let host = Host { layout: &layout, types: &types, follows_loops };
        for choice in CHOICES {
            probe.choose(choice, settings.hooks, &host);
        }
        probe.usable()?;
        for set in BESIDE {
            if settings.hooks != Hooks::Tracepoints {
                probe.attach_all(set, &host);
                continue;
            }
            probe.refused.extend(set.programs.iter().map(|name| (*name, Refusal::NotTried)));
        }
        if probe.limits_are_seen() {
            probe.write_limits_seen()?;
        }
        let chosen = |name| {
            let mut sets = CHOICES.iter().copied().flatten().chain(BESIDE);
            sets.any(|set| set.programs.contains(&name))
        };
        for program in PROGRAMS.iter().filter(|p| !chosen(p.name)) {
            probe.attempt(program, &host);
        }
        Ok(probe)
    }

    /// Attaches the first set of a choice that attaches.
    fn choose(&mut self, choice: Choice, hooks: Hooks, host: &Host<'_>) {
        for set in self.order(choice, hooks, host) {
            if self.attach_all(set, host) {
                break;
            }
        }
        for name in choice.iter().flat_map(|set| set.programs) {
            if !self.loaded(name) {
                self.refused.entry(name).or_insert(Refusal::NotTried);
            }
        }
    }

    /// The sets to try, in their order.
    fn order(&self, choice: Choice, hooks: Hooks, host: &Host<'_>) -> Vec<&'static Set> {
        let by = |way: By| choice.iter().filter(move |set| set.by == way);
        let (functions, tracepoints) = (by(By::Trampolines), by(By::Tracepoints));
        // Older verifiers give up on the walk over the error queues, after a long time; those that
        // know loops do not. Where completions are told one by one, it only tells what was unread
        // before the watch.
        let unasked = self.completions_are_exact() && !host.follows_loops;
        let looks = by(By::Iterator).skip(unasked.into());
        match hooks {
            Hooks::Auto if !preemption::may_be() => {
                tracepoints.chain(functions).chain(looks).collect()
            }
            Hooks::Tracepoints => tracepoints.chain(looks).collect(),
            Hooks::Auto | Hooks::Trampolines => functions.chain(tracepoints).chain(looks).collect(),
        }
    }

    /// Attaches these, or none of them; those that are spared may be missing.
    fn attach_all(&mut self, set: &Set, host: &Host<'_>) -> bool {
        for program in PROGRAMS.iter().filter(|p| set.programs.contains(&p.name)) {
            self.attempt(program, host);
            if self.runs(program.name) || set.spared.contains(&program.name) {
                continue;
            }
            for name in set.programs {
                self.refused.entry(name).or_insert(Refusal::NotTried);
                self.detach(name);
            }
            return false;
        }
        true
    }

    /// Tries a program; what the kernel says against it is kept.
    fn attempt(&mut self, program: &Program, host: &Host<'_>) {
        let missing = host.layout.missing(&program.fields());
        let outcome = if missing.is_empty() {
            self.start(program, host.types)
        } else {
            Err(Refusal::Fields(missing))
        };
        match outcome {
            Ok(()) => self.refused.remove(program.name),
            Err(why) => self.refused.insert(program.name, why),
        };
    }

    fn detach(&mut self, name: &str) {
        if let Some(program) = self.ebpf.program_mut(name) {
            unload(program);
        }
    }

    fn loaded(&self, name: &str) -> bool {
        self.ebpf.program(name).is_some_and(|p| p.fd().is_ok())
    }

    /// Does the program run, or has it nothing to run on?
    fn runs(&self, name: &str) -> bool {
        match self.refused.get(name) {
            None => true,
            Some(why) => *why == Refusal::Absent && OPTIONAL.contains(&name),
        }
    }

    /// Do the exact hooks tell of completions? Then the head of a notification is no guess.
    #[must_use]
    pub fn completions_are_exact(&self) -> bool {
        self.answer(Question::Completion).is_some_and(|h| h.kind == Kind::Fentry)
    }

    /// Are copies seen where they are made, with the calls that led there?
    #[must_use]
    pub fn copies_are_seen(&self) -> bool {
        self.answer(Question::CopyPlace).is_some_and(|h| h.kind == Kind::Fentry)
    }

    /// Is what refuses a send seen doing so?
    #[must_use]
    pub fn limits_are_seen(&self) -> bool {
        self.answer(Question::Limit).is_some_and(|h| h.certainty == Certainty::Measured)
    }

    fn start(&mut self, program: &Program, types: &Btf) -> Result<(), Refusal> {
        let no_such = || Refusal::Refused(format!("the object has no program {}", program.name));
        let handle = self.ebpf.program_mut(program.name).ok_or_else(no_such)?;
        match (program.attach, handle) {
            (Attach::Tracepoint(name), AyaProgram::BtfTracePoint(p)) => {
                p.load(name, types).map_err(|e| refusal(&e))?;
                p.attach().map_err(|e| refusal(&e))?;
            }
            (Attach::Entry(name), AyaProgram::FEntry(p)) => {
                p.load(name, types).map_err(|e| refusal(&e))?;
                p.attach().map_err(|e| refusal(&e))?;
            }
            (Attach::Exit(name), AyaProgram::FExit(p)) => {
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
        // The first of each list that did not attach says why the others were not tried.
        let refused = |names: &[&str]| {
            let tried = names.iter().filter(|p| !self.runs(p));
            let mut tried = tried.filter_map(|p| Some((hook_of(p)?, self.refused.get(*p)?)));
            tried.find(|(_, why)| **why != Refusal::NotTried)
        };
        let unanswered =
            |choice: &&Choice| !choice.iter().any(|set| set.programs.iter().all(|p| self.runs(p)));
        let reasons: Vec<_> = CHOICES
            .iter()
            .filter(unanswered)
            .flat_map(|choice| choice.iter().filter(|set| set.by != By::Iterator))
            .filter_map(|set| refused(set.programs))
            .collect();
        if reasons.iter().all(|(_, why)| **why == Refusal::NotPermitted) {
            let caps = Capabilities::current().missing(&[Capability::Bpf, Capability::Perfmon]);
            return Err(ProbeError::Capabilities { caps, what: "to load a tracing program" });
        }
        let reasons: Vec<_> = reasons.iter().map(|(hook, why)| format!("{hook}: {why}")).collect();
        Err(ProbeError::Nothing(reasons.join("; ")))
    }

    /// The row that answers a question here.
    #[must_use]
    pub fn answer(&self, question: Question) -> Option<&'static Hook> {
        HOOKS.iter().find(|h| {
            h.question == question
                && !h.programs.is_empty()
                && h.programs.iter().all(|p| self.runs(p))
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
            .filter(|(_, why)| **why != Refusal::NotTried)
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
            unload(program);
        }
    }

    fn write_blank(&mut self) -> Result<(), ProbeError> {
        let mut map: Array<_, Socket> =
            Array::try_from(self.ebpf.map_mut("BLANK").ok_or_else(|| absent("BLANK"))?)
                .map_err(|e| unusable("BLANK", &e))?;
        map.set(0, blank(), 0).map_err(|e| unusable("BLANK", &e))
    }

    fn write_limits_seen(&mut self) -> Result<(), ProbeError> {
        let map = self.ebpf.map_mut("LIMITS_SEEN").ok_or_else(|| absent("LIMITS_SEEN"))?;
        let mut map = Array::<_, u32>::try_from(map).map_err(|e| unusable("LIMITS_SEEN", &e))?;
        map.set(0, 1, 0).map_err(|e| unusable("LIMITS_SEEN", &e))
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

/// Detaches a program. One that was never loaded says so: there is nothing to detach then.
fn unload(program: &mut AyaProgram) {
    let _ = match program {
        AyaProgram::BtfTracePoint(p) => p.unload(),
        AyaProgram::FEntry(p) => p.unload(),
        AyaProgram::FExit(p) => p.unload(),
        AyaProgram::CgroupSock(p) => p.unload(),
        _ => Ok(()),
    };
}

/// What a socket's entry starts from.
#[must_use]
pub fn blank() -> Socket {
    Socket { base: zcwatch_common::ABSENT, ..bytemuck::Zeroable::zeroed() }
}

fn hook_of(program: &str) -> Option<&'static str> {
    PROGRAMS.iter().find(|p| p.name == program).map(|p| match p.attach {
        Attach::Tracepoint(name)
        | Attach::Entry(name)
        | Attach::Exit(name)
        | Attach::Iterator(name) => name,
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
