//! The guests of one kernel: booted until every scenario has its outcome.

mod life;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result};

use self::life::Life;
use super::{
    initramfs,
    kernel::Kernel,
    module::Modules,
    modules,
    outcome::Column,
    programs::Built,
    protocol::Plan,
    qemu::{self, Boot, Threads},
    scenario::{Parameters, Scenario},
};
use crate::tree::Tree;

/// Scenarios with the same parameters are given up after so many guests.
const BOOTS: usize = 3;

/// Is it emulated with a thread for each of its CPUs? Where zcwatch has to use trampolines, they are put
/// into functions that run meanwhile, and so the emulator goes on executing a breakpoint that is not
/// there any more.
pub fn takes_two(kernel: &Kernel) -> bool {
    kernel.is_at_least((6, 12))
}

/// Runs the scenarios that this kernel is for; one guest runs all with the same parameters, if it
/// lives so long.
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
    let series = kernel.series.name;
    println!("{series}: {}", kernel.release);
    let wanted: Vec<&str> = [&modules::AT_BOOT[..], &modules::LATER].concat();
    let carried = Modules::in_folder(&kernel.modules())?.carry(&wanted)?;
    if !carried.absent.is_empty() {
        println!("{series}: without the modules {}", carried.absent.join(", "));
    }
    let mut life = Life::new(scenarios, kernel, &carried);
    let folder = tree.guests().join(kernel.series.name);
    fs::create_dir_all(&folder).with_context(|| format!("{} cannot be made", folder.display()))?;

    let plain = Parameters::default();
    // Whether it boots at all is told of every kernel.
    let mut all = vec![scenarios.first().map_or(plain, |scenario| scenario.parameters)];
    for scenario in scenarios {
        if !all.contains(&scenario.parameters) {
            all.push(scenario.parameters);
        }
    }
    let guests = all.iter().flat_map(|parameters| (1..=BOOTS).map(move |n| (*parameters, n)));
    for (number, (parameters, boot)) in (1..).zip(guests) {
        let mut pending = life.pending(scenarios);
        pending.retain(|scenario| scenario.parameters == parameters);
        if number > 1 && pending.is_empty() {
            continue;
        }
        let at_boot = modules::AT_BOOT.iter().filter(|name| carried.modules.contains_key(**name));
        let plan = Plan {
            modules: at_boot.map(|&name| name.to_owned()).collect(),
            tasks: pending.iter().map(Scenario::task).collect(),
        };
        let files = Files::of(&folder, number);
        fs::write(&files.initramfs, initramfs::pack(kernel, built, &carried, &plan, &pending)?)
            .with_context(|| format!("{} cannot be written", files.initramfs.display()))?;
        let how = Boot {
            image: kernel.image(),
            initramfs: &files.initramfs,
            console: &files.console,
            answers: &files.answers,
            // What died of the emulator once would again; slower, it does not.
            threads: if boot == 1 && takes_two(kernel) { Threads::Multi } else { Threads::Single },
            parameters: parameters.words,
        };
        if !parameters.words.is_empty() {
            println!("{series}: {}", parameters.words);
        }
        let began = Instant::now();
        let ended = qemu::boot(&how, |word| Ok(life.hear(word, &pending, began.elapsed())))?;
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
    Ok(life.column(kernel, BOOTS, start.elapsed()))
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
