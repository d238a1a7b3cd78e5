//! Guests: Debian's kernels under QEMU, in which zcwatch and its tests run.
//!
//! All is emulated, so that it works without KVM; a guest boots in a few seconds all the same.

mod arguments;
mod console;
mod cpio;
mod debian;
mod guest;
mod initramfs;
mod judge;
mod kernel;
mod module;
mod modules;
mod outcome;
mod print;
mod programs;
#[path = "../../../tests/src/guest/protocol.rs"]
mod protocol;
mod qemu;
mod scenario;
mod select;
mod table;

use std::fs;

use anyhow::{Context, Result, bail};

pub use arguments::Arguments;

use self::{kernel::Series, outcome::Column, scenario::On};
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
    let series: Vec<Series> =
        arguments.kernel.iter().map(|name| name.parse()).collect::<Result<_>>()?;
    let kernels = kernel::find(&series, arguments.update)?;
    let (mut scenarios, built) = select::select(tree, &arguments.only)?;
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

    let mut columns: Vec<Column> = Vec::new();
    for kernel in &kernels {
        if columns.iter().any(|column| column.release == kernel.release) {
            println!("{} is {} too", kernel.series.name, kernel.release);
            continue;
        }
        columns.push(guest::run(tree, kernel, &scenarios, &built, logs)?);
    }
    print::results(&columns);
    let failures = columns.iter().map(Column::failures).sum::<usize>();
    if failures > 0 {
        bail!("{failures} of the scenarios in guests failed: see above");
    }
    Ok(())
}
