//! The guests of one kernel: booted until every scenario has its outcome.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    console::{self, Death},
    initramfs, judge,
    kernel::Kernel,
    module::{Carried, Modules},
    modules,
    outcome::{Column, Outcome},
    programs::Built,
    protocol::{Plan, Word},
    qemu::{self, Boot, Ended, Threads},
    scenario::Scenario,
};
use crate::tree::Tree;

/// A kernel's scenarios are given up after so many guests.
const BOOTS: usize = 3;

/// Runs the scenarios that this kernel is for; one guest runs them all, if it lives so long.
///
/// # Errors
/// When a guest cannot be made or started; what happens in it is an outcome.
pub fn run(
    tree: &Tree,
    kernel: &Kernel,
    scenarios: &[Scenario],
    built: &Built,
    logs: Option<&Path>,
) -> Result<Column> {
    let start = Instant::now();
    println!("{}", kernel.release);
    let wanted: Vec<&str> = [&modules::AT_BOOT[..], &modules::LATER].concat();
    let carried = Modules::in_folder(&kernel.modules())?.carry(&wanted)?;
    let mut life = Life::new(scenarios, kernel, &carried);
    let folder = tree.guests().join(kernel.series.name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;

    for number in 1..=BOOTS {
        let pending = life.pending(scenarios);
        if number > 1 && pending.is_empty() {
            break;
        }
        let at_boot = modules::AT_BOOT.iter().filter(|name| carried.modules.contains_key(**name));
        let plan = Plan {
            modules: at_boot.map(|&name| name.to_owned()).collect(),
            tasks: pending.iter().map(Scenario::task).collect(),
        };
        let files = Files::of(&folder, number);
        fs::write(&files.initramfs, initramfs::pack(built, &carried, &plan, &pending)?)
            .with_context(|| format!("{} cannot be written", files.initramfs.display()))?;
        let boot = Boot {
            image: kernel.image(),
            initramfs: &files.initramfs,
            console: &files.console,
            answers: &files.answers,
            // The last one must not die as those before.
            threads: if number < BOOTS { Threads::Multi } else { Threads::Single },
        };
        let began = Instant::now();
        let ended = qemu::boot(&boot, |word| Ok(life.hear(word, &pending, began)))?;
        let console = fs::read(&files.console)
            .with_context(|| format!("{} cannot be read", files.console.display()))?;
        life.end(ended, &String::from_utf8_lossy(&console));
        if let Some(folder) = logs {
            let to = folder.join(format!("{}-{number}.log", kernel.release));
            fs::copy(&files.console, &to)
                .with_context(|| format!("{} cannot be written", to.display()))?;
        }
        let _ = fs::remove_file(&files.initramfs);
    }
    Ok(life.column(kernel, start.elapsed()))
}

/// The files of a guest.
struct Files {
    initramfs: PathBuf,
    console: PathBuf,
    answers: PathBuf,
}

impl Files {
    fn of(folder: &Path, number: usize) -> Self {
        Self {
            initramfs: folder.join(format!("initramfs-{number}.cpio")),
            console: folder.join(format!("console-{number}.log")),
            answers: folder.join(format!("answers-{number}.jsonl")),
        }
    }
}

/// What is known so far.
#[derive(Debug, Default)]
struct Life {
    /// Each scenario by its name; `None` while it has no outcome.
    cells: Vec<(String, Option<Outcome>)>,
    boot: Option<Outcome>,
    troubles: Vec<String>,
    deaths: Vec<String>,
    running: Option<String>,
    done: bool,
}

impl Life {
    fn new(scenarios: &[Scenario], kernel: &Kernel, carried: &Carried) -> Self {
        let cell = |scenario: &Scenario| {
            (scenario.name(), scenario.not_on(kernel, carried).map(Outcome::NotHere))
        };
        Self { cells: scenarios.iter().map(cell).collect(), ..Self::default() }
    }

    fn pending(&self, scenarios: &[Scenario]) -> Vec<Scenario> {
        let open = |scenario: &&Scenario| {
            let name = scenario.name();
            self.cells.iter().any(|(other, outcome)| *other == name && outcome.is_none())
        };
        scenarios.iter().filter(open).cloned().collect()
    }

    /// Takes a word of the guest, and returns how long the next one may take.
    fn hear(&mut self, word: Word, pending: &[Scenario], began: Instant) -> Duration {
        match word {
            Word::Booted(_) => {
                self.boot.get_or_insert(Outcome::Ok(began.elapsed().as_secs_f64()));
            }
            Word::Trouble(what) => self.troubles.push(what),
            Word::Began(name) => {
                let scenario = pending.iter().find(|scenario| scenario.name() == name);
                self.running = Some(name);
                return Duration::from_secs(scenario.map_or(0, |scenario| scenario.limit));
            }
            Word::Ended(ended) => {
                self.running = None;
                if let Some(scenario) = pending.iter().find(|s| s.name() == ended.name) {
                    let outcome = match judge::failure(scenario, &ended) {
                        None => Outcome::Ok(ended.seconds),
                        Some(why) => Outcome::Failed { why, output: ended.output },
                    };
                    let word = if matches!(outcome, Outcome::Ok(_)) { "ok" } else { "FAILED" };
                    println!("    {} {word} in {:.1} s", ended.name, ended.seconds);
                    self.set(&ended.name, outcome);
                }
            }
            Word::Done => self.done = true,
        }
        Duration::ZERO
    }

    /// The guest has ended: what was running then has failed, unless the emulator did.
    fn end(&mut self, ended: Ended, console: &str) {
        let running = self.running.take();
        if self.done {
            return;
        }
        let (why, by_emulator) = match (console::death(console), ended) {
            (Some(Death::Emulator(said)), _) => (format!("the emulator failed: {said}"), true),
            (Some(Death::Kernel(said)), _) => (format!("the guest's kernel died: {said}"), false),
            (None, Ended::Silent) => ("the guest fell silent".to_owned(), false),
            (None, Ended::ByItself) => ("the guest ended without a word".to_owned(), false),
        };
        println!("    {why}");
        match running {
            Some(name) if !by_emulator => {
                let output = format!("The end of the guest's console:\n{}", console::end(console));
                self.set(&name, Outcome::Failed { why, output });
            }
            Some(name) => self.deaths.push(format!("{why}, in {name}")),
            None => self.deaths.push(why),
        }
    }

    fn set(&mut self, name: &str, outcome: Outcome) {
        if let Some((_, cell)) = self.cells.iter_mut().find(|(other, _)| other == name) {
            *cell = Some(outcome);
        }
    }

    fn column(self, kernel: &Kernel, took: Duration) -> Column {
        let no_result = || Outcome::Failed {
            why: format!("it had no result in {BOOTS} guests"),
            output: self.deaths.join("\n"),
        };
        let boot = match self.boot {
            Some(_) if !self.troubles.is_empty() => Outcome::Failed {
                why: "the guest could not do all that it should".to_owned(),
                output: self.troubles.join("\n"),
            },
            Some(boot) => boot,
            None => no_result(),
        };
        let mut cells = vec![("boot".to_owned(), boot)];
        cells.extend(
            self.cells
                .iter()
                .map(|(name, outcome)| (name.clone(), outcome.clone().unwrap_or_else(no_result))),
        );
        Column {
            series: kernel.series.name.to_owned(),
            release: kernel.release.clone(),
            cells,
            deaths: self.deaths,
            seconds: took.as_secs_f64(),
        }
    }
}
