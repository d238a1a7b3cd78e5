//! Guests: Debian's kernels under QEMU, in which zcwatch and its tests run.
//!
//! All is emulated, so that it works without KVM; a guest boots in a few seconds all the same.

mod arguments;
mod console;
mod cpio;
mod debian;
mod doctor;
mod guest;
mod initramfs;
mod judge;
mod kernel;
mod module;
mod modules;
mod outcome;
mod page;
mod print;
mod programs;
#[path = "../../../tests/src/guest/protocol.rs"]
mod protocol;
mod qemu;
mod scenario;
mod select;
mod table;

use std::{
    fs,
    num::NonZero,
    thread::{self, ScopedJoinHandle},
};

use anyhow::{Context, Result, anyhow, bail};

pub use arguments::Arguments;

use self::{
    kernel::{Kernel, OF_PAGE, Series},
    outcome::Column,
    scenario::{On, Parameters, Run},
};
use crate::tree::Tree;

/// Runs what is asked for, and prints a table of it.
///
/// # Errors
/// When something is missing, or a scenario failed.
pub fn run(tree: &Tree, arguments: &Arguments) -> Result<()> {
    if arguments.list {
        print::list(&table::scenarios());
        return Ok(());
    }
    qemu::installed()?;
    let of_page = OF_PAGE.map(str::to_owned);
    let series = if arguments.page { &of_page[..] } else { &arguments.kernel };
    let series: Vec<Series> = series.iter().map(|name| name.parse()).collect::<Result<_>>()?;
    let kernels = kernel::find(&series, arguments.update)?;
    let (mut scenarios, built) = select::select(tree, &arguments.only)?;
    if arguments.page {
        scenarios.retain(|scenario| {
            matches!(scenario.run, Run::Doctor(_)) && scenario.parameters == Parameters::default()
        });
    }
    if arguments.everywhere {
        scenarios.iter_mut().for_each(|scenario| scenario.on = On::All);
    }
    fs::create_dir_all(tree.guests())
        .with_context(|| format!("{} cannot be made", tree.guests().display()))?;
    let logs = arguments.keep_log.as_deref();
    if let Some(folder) = logs {
        fs::create_dir_all(folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }

    let mut booted: Vec<&Kernel> = Vec::new();
    for kernel in &kernels {
        match booted.iter().find(|other| other.release == kernel.release) {
            Some(_) => println!("{} is {} too", kernel.series.name, kernel.release),
            None => booted.push(kernel),
        }
    }
    let guests = all_at_once(&booted, |kernel| guest::run(tree, kernel, &scenarios, &built, logs))?;
    let of = |kernel: &&Kernel| guests.iter().find(|column| column.release == kernel.release);
    let shown = if arguments.page { kernels.iter().collect() } else { booted };
    let columns: Vec<Column> = shown
        .iter()
        .filter_map(|kernel| {
            let series = kernel.series.name.to_owned();
            of(kernel).map(|column| Column { series, ..column.clone() })
        })
        .collect();
    print::results(&columns);
    let failures = columns.iter().map(Column::failures).sum::<usize>();
    if failures > 0 {
        bail!("{failures} of the scenarios in guests failed: see above");
    }
    let file = tree.root().join(page::FILE);
    if arguments.page {
        fs::write(&file, page::page(&columns)?)
            .with_context(|| format!("{} cannot be written", file.display()))?;
        println!("wrote {}", page::FILE);
        return Ok(());
    }
    page::compare(&fs::read_to_string(&file).unwrap_or_default(), &columns)
}

/// Runs the guests of each kernel: those that take one CPU of this machine each at the same time, as
/// many as it has, then those that take two.
fn all_at_once(
    kernels: &[&Kernel],
    run: impl Fn(&Kernel) -> Result<Column> + Sync,
) -> Result<Vec<Column>> {
    let cpus = thread::available_parallelism().map_or(1, NonZero::get);
    let (two, one): (Vec<&Kernel>, Vec<&Kernel>) =
        kernels.iter().partition(|kernel| guest::takes_two(kernel));
    let together = one.chunks(cpus).chain(two.chunks(1));
    let mut columns = Vec::new();
    for kernels in together {
        let ended = thread::scope(|scope| {
            let runs: Vec<_> = kernels.iter().map(|kernel| scope.spawn(|| run(kernel))).collect();
            runs.into_iter().map(ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        for column in ended {
            columns.push(column.map_err(|_| anyhow!("a guest's thread panicked"))??);
        }
    }
    Ok(columns)
}
