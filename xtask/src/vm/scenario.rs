//! A scenario: a command that runs in a guest, and what must hold.

use super::{kernel::Kernel, module::Carried, protocol::Task, table};

/// The folder of the programs in a guest; tests look for them above their own folder.
pub const PROGRAMS: &str = "/bin";
/// The folder of the test programs in a guest.
pub const TESTS: &str = "/bin/deps";

/// A scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// What runs.
    pub run: Run,
    /// Where.
    pub on: On,
    /// The modules to load before, besides those that every guest has.
    pub modules: &'static [&'static str],
    /// The seconds that it may take, emulated.
    pub limit: u64,
    /// What its guest boots with; those with equal parameters share one.
    pub parameters: Parameters,
}

/// What a guest's kernel is told besides what all are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// What names of scenarios begin with, so that the same test may run in several guests; nothing
    /// for nothing.
    pub name: &'static str,
    /// For the kernel's command line.
    pub words: &'static str,
}

/// What runs, and what must hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Run {
    /// One test passes: the test target, and the name of the test in it.
    Test(&'static str, String),
    /// A program's exit code is this one, and its output has these words.
    Command { name: &'static str, words: &'static [&'static str], code: i32, says: &'static str },
    /// `zcwatch doctor` answers, asked with these `--hooks`, or with none; what it answers is
    /// compared with docs/kernels.md, or goes into it.
    Doctor(Option<&'static str>),
}

/// On which kernels a scenario makes sense, and why not on others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// All.
    All,
    /// This version and newer ones.
    From((u32, u32), &'static str),
    /// The first version and newer ones, but not the second: why not before, and why not then.
    Between((u32, u32), &'static str, (u32, u32), &'static str),
    /// Those before this version.
    Before((u32, u32), &'static str),
}

impl Scenario {
    /// A test, on any kernel.
    pub fn of_test(target: &'static str, test: &str) -> Self {
        let run = Run::Test(target, test.to_owned());
        Self {
            run,
            on: On::All,
            modules: &[],
            limit: table::limit(test),
            parameters: Parameters::default(),
        }
    }

    /// Its name: of a test, that of its target and its own; before it, that of the guest's
    /// parameters.
    pub fn name(&self) -> String {
        let name = match &self.run {
            Run::Test(target, test) => format!("{target}::{test}"),
            Run::Command { name, .. } => (*name).to_owned(),
            Run::Doctor(None) => "answers".to_owned(),
            Run::Doctor(Some(hooks)) => format!("answers::{hooks}"),
        };
        match self.parameters.name {
            "" => name,
            parameters => format!("{parameters}::{name}"),
        }
    }

    /// Why it does not run on this kernel, with what the guest carries; `None` where it does.
    pub fn not_on(&self, kernel: &Kernel, carried: &Carried) -> Option<String> {
        let too_old = |version, why| (!kernel.is_at_least(version)).then_some(why);
        let too_new = |version, why| kernel.is_at_least(version).then_some(why);
        let misfit = match self.on {
            On::All => None,
            On::From(version, why) => too_old(version, why),
            On::Between(from, why_from, before, why_before) => {
                too_old(from, why_from).or_else(|| too_new(before, why_before))
            }
            On::Before(version, why) => too_new(version, why),
        };
        let absent = || self.modules.iter().find(|name| carried.absent.iter().any(|a| a == *name));
        misfit
            .map(str::to_owned)
            .or_else(|| absent().map(|name| format!("the kernel has no module {name}")))
    }

    /// What the guest is told.
    pub fn task(&self) -> Task {
        let command = match &self.run {
            Run::Test(target, test) => {
                let program = format!("{TESTS}/{target}");
                let how = ["--exact", test, "--include-ignored", "--nocapture", "--test-threads=1"];
                std::iter::once(program).chain(how.map(str::to_owned)).collect()
            }
            Run::Command { words, .. } => words.iter().map(|&word| word.to_owned()).collect(),
            Run::Doctor(hooks) => {
                let program = format!("{PROGRAMS}/zcwatch");
                let hooks = hooks.iter().flat_map(|&hooks| ["--hooks", hooks]);
                let how = ["doctor", "--format", "json"].into_iter().chain(hooks);
                std::iter::once(program).chain(how.map(str::to_owned)).collect()
            }
        };
        let modules = self.modules.iter().map(|&name| name.to_owned()).collect();
        Task { name: self.name(), command, modules, limit: self.limit }
    }
}

/// What a test may take, if nothing else is said.
pub const LIMIT: u64 = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_runs_on_its_kernels_only() {
        let old = Kernel::for_test("6.1", "6.1.0-50-cloud-amd64");
        let new = Kernel::for_test("6.12", "6.12.107+deb13-cloud-amd64");
        let scenario = |on| Scenario { on, ..Scenario::of_test("rows", "a") };
        let carried = Carried::default();
        let not = |on, kernel| scenario(on).not_on(kernel, &carried);
        assert_eq!(not(On::All, &old), None);
        assert_eq!(not(On::From((6, 12), "too old"), &old).as_deref(), Some("too old"));
        assert_eq!(not(On::From((6, 12), "too old"), &new), None);
        assert_eq!(not(On::Before((6, 12), "too new"), &old), None);
        assert_eq!(not(On::Before((6, 12), "too new"), &new).as_deref(), Some("too new"));
        let between = |before| On::Between((6, 2), "too old", before, "too new");
        assert_eq!(not(between((7, 0)), &old).as_deref(), Some("too old"));
        assert_eq!(not(between((7, 0)), &new), None);
        assert_eq!(not(between((6, 12)), &new).as_deref(), Some("too new"));
    }

    #[test]
    fn a_scenario_does_not_run_without_its_modules() {
        let kernel = Kernel::for_test("6.1", "6.1.0-50-cloud-amd64");
        let scenario =
            Scenario { modules: &["tls", "wireguard"], ..Scenario::of_test("rows", "a") };
        let absent = |name: &str| Carried { absent: vec![name.to_owned()], ..Carried::default() };
        assert_eq!(scenario.not_on(&kernel, &absent("veth")), None);
        let why = scenario.not_on(&kernel, &absent("wireguard"));
        assert_eq!(why.as_deref(), Some("the kernel has no module wireguard"));
    }

    #[test]
    fn a_test_is_asked_for_by_its_whole_name() {
        let task = Scenario::of_test("rows", "devices::a").task();
        assert_eq!(task.name, "rows::devices::a");
        assert_eq!(task.command[..3], ["/bin/deps/rows", "--exact", "devices::a"]);
    }

    #[test]
    fn a_test_has_another_name_in_a_guest_with_parameters() {
        let parameters = Parameters { name: "locked", words: "lockdown=integrity" };
        let scenario = Scenario { parameters, ..Scenario::of_test("rows", "devices::a") };
        assert_eq!(scenario.name(), "locked::rows::devices::a");
        assert_eq!(scenario.task().name, scenario.name());
        assert_eq!(scenario.task().command[..3], ["/bin/deps/rows", "--exact", "devices::a"]);
    }

    #[test]
    fn doctor_is_asked_by_its_own_options() {
        let asked = |hooks| Scenario { run: Run::Doctor(hooks), ..Scenario::of_test("", "") };
        let command = ["/bin/zcwatch", "doctor", "--format", "json", "--hooks", "fentry"];
        assert_eq!(asked(None).task().command, command[..4]);
        assert_eq!(asked(Some("fentry")).task().command, command);
        assert_eq!(asked(Some("fentry")).name(), "answers::fentry");
    }
}
