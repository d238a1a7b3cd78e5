//! `cargo xtask`: the tasks that plain cargo cannot say.
//!
//! - `ebpf build` and `ebpf check` make and verify the committed eBPF objects.
//! - `test` runs every test, those that need root included.
//! - `vm` runs scenarios in guests with other kernels.
//! - `bench` measures what watching costs.
//! - `pictures` makes the README's pictures of the screen.

mod bench;
mod cache;
mod ebpf;
mod fetch;
mod pictures;
mod process;
mod test;
mod tree;
mod vm;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::{ebpf::rustc, tree::Tree};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about = "zcwatch's build and test tasks")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// The eBPF objects that are committed in zcwatch-ebpf/obj
    Ebpf {
        #[command(subcommand)]
        task: EbpfTask,
    },
    /// Run every test of the workspace (as root), and the scenarios in guests
    Test {
        /// Leave out the guests
        #[arg(long)]
        no_guests: bool,
    },
    /// Run scenarios in guests with Debian's kernels, under QEMU
    Vm(vm::Arguments),
    /// Measure zcwatch
    Bench {
        #[command(subcommand)]
        task: bench::BenchTask,
    },
    /// Make the pictures of the screen in docs/pictures (as root)
    Pictures,
}

#[derive(Subcommand)]
enum EbpfTask {
    /// Compile the probes and replace the committed objects
    Build,
    /// Compile the probes again and compare them with the committed objects
    Check,
}

fn main() -> ExitCode {
    let result = if rustc::is_wrapper() { Err(rustc::exec()) } else { run(&Cli::parse()) };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: &Cli) -> Result<()> {
    let tree = Tree::from_env()?;
    match &cli.task {
        Task::Ebpf { task: EbpfTask::Build } => ebpf::build(&tree),
        Task::Ebpf { task: EbpfTask::Check } => ebpf::check(&tree),
        Task::Test { no_guests } => test::run(&tree, !no_guests),
        Task::Vm(arguments) => vm::run(&tree, arguments),
        Task::Bench { task } => bench::run(&tree, task),
        Task::Pictures => pictures::run(&tree),
    }
}
