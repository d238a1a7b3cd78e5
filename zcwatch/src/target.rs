//! What to watch, as the user asked for it.

use serde::{Deserialize, Serialize};

/// Each way adds processes; without any, all are watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Processes by their id.
    pub pids: Vec<u32>,
    /// Processes by their name, at most 15 bytes.
    pub comm: Vec<String>,
    /// Processes in these cgroups and below them, by the groups' paths.
    pub cgroup: Vec<String>,
    /// And those that they make.
    pub follow: bool,
    /// A command that was started to be watched, with its arguments.
    pub command: Option<Vec<String>>,
    /// The user whom that command runs as, where it is another.
    #[serde(default)]
    pub user: Option<String>,
}

impl Target {
    /// Processes by their id.
    #[must_use]
    pub fn of(pids: &[u32]) -> Self {
        Self { pids: pids.to_vec(), ..Self::default() }
    }

    /// Are all processes watched?
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.pids.is_empty()
            && self.comm.is_empty()
            && self.cgroup.is_empty()
            && self.command.is_none()
    }
}
