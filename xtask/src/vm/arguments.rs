//! The command line of `cargo xtask vm`.

use std::path::PathBuf;

use super::kernel::TESTED;

/// What to run, and where.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kernels: 5.10, 6.1, 6.12, 7.2, or newest, the highest version that Debian offers
    #[arg(long, value_name = "SERIES", value_delimiter = ',', default_values = TESTED)]
    pub kernel: Vec<String>,
    /// These scenarios; or any tests, by the whole name or the beginning of it:
    /// rows::devices::, scenarios::limits::option_memory
    #[arg(long, value_name = "SCENARIO", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Run them on kernels too that the table of scenarios leaves out
    #[arg(long)]
    pub everywhere: bool,
    /// Keep the consoles of all guests in this folder, not only those of failures
    #[arg(long, value_name = "DIR")]
    pub keep_log: Option<PathBuf>,
    /// Look for newer kernels, though there are some in the cache
    #[arg(long)]
    pub update: bool,
    /// Boot every kernel of docs/kernels.md, ask `zcwatch doctor` there, and write that page
    #[arg(long, conflicts_with_all = ["only", "everywhere", "list"])]
    pub page: bool,
    /// Print the scenarios, and for which kernels they are
    #[arg(long)]
    pub list: bool,
}

impl Arguments {
    /// What a change is tested with.
    pub fn of_test() -> Self {
        Self {
            kernel: TESTED.map(str::to_owned).to_vec(),
            only: Vec::new(),
            everywhere: false,
            keep_log: None,
            update: false,
            page: false,
            list: false,
        }
    }
}
