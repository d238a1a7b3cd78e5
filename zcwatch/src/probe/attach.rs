//! Loading and attaching, each program by trying. Nothing is decided by version: the kernel's
//! own answer tells what it can do.

use std::collections::BTreeMap;

use aya::{
    Btf, Ebpf, EbpfLoader, VerifierLogLevel, include_bytes_aligned,
    maps::Array,
    programs::{CgroupAttachMode, Program as AyaProgram, ProgramError},
};
use zcwatch_common::phase;

use super::{
    btf::KernelTypes,
    error::{ProbeError, Refusal, errno, reason},
    hooks::{Certainty, HOOKS, Hook, Kind, Question},
    layout::{self, Layout},
    maps::{absent, unusable},
    memlock,
    programs::{
        Attach, BESIDE, By, CHOICES, COPIES, Choice, Kernels, OPTIONAL, PROGRAMS, Program, RENAMED,
        Set,
    },
};
use crate::host::{
    caps::{Capabilities, Capability},
    cgroup::{self, Cgroup},
    lockdown, preemption, symbols,
};

static OBJECT: &[u8] = include_bytes_aligned!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../zcwatch-ebpf/obj/zcwatch.bpf.o"
));

/// The same programs for kernels before 5.12.
static EARLY: &[u8] =
    include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../zcwatch-ebpf/obj/early.bpf.o"));

/// What gives a tracing program the cookie of a socket; the kernels that have it have the atomic
/// operations too.
const COOKIES: &str = "bpf_get_socket_ptr_cookie";

/// The program on the function that counts pinned pages, which compilers split (5.10).
const MEMLOCK: &str = "memlock_asked";
const PINNED: &str = "mm_account_pinned_pages";

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
    /// Processes may be taken into the watch later.
    pub growing: bool,
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
            growing: false,
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
    pub(super) ebpf: Ebpf,
    /// It runs the programs for early kernels.
    early: bool,
    /// Functions that this kernel has by an older name: what they are called later, and here.
    renamed: Vec<(&'static str, &'static str)>,
    /// It can be told of a veth whether its peer has an XDP program.
    knows_veth: bool,
    /// Why packets are dropped, by the kernel's numbers.
    drop_reasons: BTreeMap<u32, String>,
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
        // The complaint, without the instructions on the way to it: a log that is full is asked for
        // again with ten times the room, and each time the program is verified anew.
        loader.verifier_log_level(VerifierLogLevel::STATS);
        for (name, value) in layout.globals() {
            loader.override_global(name, value, true);
        }
        let early = !kernel.has_function(COOKIES);
        // Such a kernel counts maps and programs as locked memory.
        let _room = if early { memlock::Raised::new() } else { None };
        let object = if early { EARLY } else { OBJECT };
        let ebpf = loader.load(object).map_err(|e| refused_maps(&e))?;
        let knows_veth = layout.has("VETH_XDP_PROG");
        let older = |(_, older): &&(&str, &str)| kernel.has_function(older);
        let renamed = RENAMED.iter().filter(older).copied().collect();
        let mut probe = Self {
            ebpf,
            early,
            renamed,
            knows_veth,
            drop_reasons: kernel.enumerators(layout::REASONS).unwrap_or_default(),
            refused: BTreeMap::new(),
        };
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
        let of_set = |p: &&Program| set.programs.contains(&p.name) && !self.is_needless(p.name);
        for program in PROGRAMS.iter().filter(of_set).collect::<Vec<_>>() {
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
        let other = if self.early { Kernels::Late } else { Kernels::Early };
        let outcome = if program.kernels == other {
            Err(Refusal::NotTried)
        } else if self.early && program.name == MEMLOCK && symbols::is_split(PINNED) {
            Err(Refusal::Refused("its callers have a part of it inlined".to_owned()))
        } else if missing.is_empty() {
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

    /// Is it a copy that only later kernels need, where a program that is running is skipped?
    fn is_needless(&self, name: &str) -> bool {
        self.early && COPIES.iter().any(|copy| name.ends_with(copy))
    }

    /// Does the program run, or has it nothing to run on?
    pub(super) fn runs(&self, name: &str) -> bool {
        if self.is_needless(name) {
            return true;
        }
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
        let renamed = &self.renamed;
        let called = |name: &'static str| {
            renamed.iter().find(|(now, _)| *now == name).map_or(name, |(_, here)| here)
        };
        let no_such = || Refusal::Refused(format!("the object has no program {}", program.name));
        let handle = self.ebpf.program_mut(program.name).ok_or_else(no_such)?;
        match (program.attach, handle) {
            (Attach::Tracepoint(name), AyaProgram::BtfTracePoint(p)) => {
                p.load(name, types).map_err(|e| refusal(&e))?;
                p.attach().map_err(|e| refusal(&e))?;
            }
            (Attach::Entry(name), AyaProgram::FEntry(p)) => {
                p.load(called(name), types).map_err(|e| refusal(&e))?;
                p.attach().map_err(|e| refusal(&e))?;
            }
            (Attach::Exit(name), AyaProgram::FExit(p)) => {
                p.load(called(name), types).map_err(|e| refusal(&e))?;
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
        if self.is_locked_down() {
            return Err(ProbeError::LockedDown);
        }
        let mut sentences: Vec<(String, Vec<&str>)> = Vec::new();
        for (hook, why) in reasons {
            match sentences.iter_mut().find(|(said, _)| *said == why.to_string()) {
                Some((_, hooks)) => hooks.push(hook),
                None => sentences.push((why.to_string(), vec![hook])),
            }
        }
        let sentences = sentences.iter().map(|(why, hooks)| format!("{}: {why}", hooks.join(", ")));
        Err(ProbeError::Nothing(sentences.collect::<Vec<_>>().join("; ")))
    }

    /// Are copies seen that a veth makes for its XDP program? From 6.6 on they have a function of
    /// their own; before they follow from what a veth and its peer are.
    #[must_use]
    pub fn copies_for_xdp_are_seen(&self) -> bool {
        self.knows_veth || !self.refused.contains_key("copied_for_xdp")
    }

    /// What a hook sits on, by the names that this kernel has.
    #[must_use]
    pub fn name(&self, hook: &Hook) -> String {
        let here = |name: String, (now, here): &(&str, &str)| name.replace(now, here);
        self.renamed.iter().fold(hook.name.to_owned(), here)
    }

    /// Why packets are dropped, by the kernel's numbers.
    #[must_use]
    pub fn drop_reasons(&self) -> BTreeMap<u32, String> {
        self.drop_reasons.clone()
    }

    /// Does it run the programs for kernels before 5.12?
    #[must_use]
    pub fn is_early(&self) -> bool {
        self.early
    }

    /// Was a program refused because the kernel is locked down?
    #[must_use]
    pub fn is_locked_down(&self) -> bool {
        self.refused
            .values()
            .any(|why| matches!(why, Refusal::Refused(why) if lockdown::explains(why)))
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

fn hook_of(program: &str) -> Option<&'static str> {
    PROGRAMS.iter().find(|p| p.name == program).map(|p| match p.attach {
        Attach::Tracepoint(name)
        | Attach::Entry(name)
        | Attach::Exit(name)
        | Attach::Iterator(name) => name,
        Attach::CgroupRoot => "cgroup/sock_release",
    })
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
