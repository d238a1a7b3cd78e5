//! Measuring zcwatch.

mod arguments;
mod build;
mod child;
mod columns;
mod cpus;
mod load;
mod machine;
mod overhead;
mod pairs;
mod print;
mod probes;
mod result;
mod row;
mod statistics;
mod tool;
mod tui;
mod usage;

pub use arguments::BenchTask;

use anyhow::Result;

use crate::tree::Tree;

/// Runs one benchmark.
///
/// # Errors
/// When it can't be run, or its results not be written; that an aim is missed is none.
pub fn run(tree: &Tree, task: &BenchTask) -> Result<()> {
    match task {
        BenchTask::Overhead(arguments) => overhead::run(tree, arguments),
        BenchTask::Tui(arguments) => tui::run(tree, arguments),
    }
}
