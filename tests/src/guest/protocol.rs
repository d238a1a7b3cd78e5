//! What the host and a guest tell each other; `cargo xtask vm` includes this file.
//!
//! The host leaves a [`Plan`] in the guest's initramfs. The guest answers on its second serial port
//! with a [`Word`] a line, as JSON, where no message of the kernel can come between.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the [`Plan`] lies in the initramfs.
pub const PLAN: &str = "/plan.json";
/// Where the [`Modules`] lie in the initramfs.
pub const MODULES: &str = "/modules.json";
/// The folder of the modules' files in the initramfs, `NAME.ko` each.
pub const MODULE_FOLDER: &str = "/modules";

/// The modules in the initramfs: those that each one needs, in the order to load them. One that is
/// part of the kernel itself is there too, and [`BuiltIn`](Module::BuiltIn).
pub type Modules = BTreeMap<String, Module>;

/// A module of the kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Module {
    /// There is nothing to load.
    BuiltIn,
    /// A file, and what has to be loaded before.
    After(Vec<String>),
}

/// What a guest is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The modules to load at boot.
    pub modules: Vec<String>,
    /// What to run, one after the other.
    pub tasks: Vec<Task>,
}

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Task {
    /// The scenario's name.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The modules to load before.
    pub modules: Vec<String>,
    /// The seconds it may take.
    pub limit: u64,
}

/// What a guest says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// The guest has booted, with this kernel release.
    Booted(String),
    /// Something that the guest itself could not do.
    Trouble(String),
    /// A task begins: its name.
    Began(String),
    /// A task has ended.
    Ended(Ended),
    /// All tasks are done; the guest powers off.
    Done,
}

/// How a task has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// The scenario's name.
    pub name: String,
    /// How.
    pub end: End,
    /// How long it took.
    pub seconds: f64,
    /// What it printed, on stdout and stderr; the end of it where that is long.
    pub output: String,
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// By itself, with this exit code.
    Exited(i32),
    /// By this signal.
    Killed(i32),
    /// It took longer than it may, and was killed.
    TimedOut,
    /// It was not started: why.
    NotStarted(String),
}
