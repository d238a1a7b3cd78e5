//! What a recording is made of, besides its events: the line before them and the line after
//! them. One JSON object a line, described in docs/events.md; written by
//! [`crate::output::ndjson`], read by [`crate::source::recorded`].

#[cfg(test)]
pub(crate) mod tests;

use serde::{Deserialize, Serialize};

use crate::{diagnosis::Context, output::json::About};

/// The form of the lines. Within a version fields and kinds of events may be added.
pub const SCHEMA: &str = "zcwatch.events/1";

/// The first line: all that a report needs besides the events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// The version of the zcwatch that watched.
    pub version: String,
    /// Who was watched, where and by what.
    pub about: About,
    /// When the watch began, ns since boot.
    pub start_boot_ns: u64,
    /// What the diagnosis must know of the host.
    pub context: Context,
}

impl Header {
    /// The header of a watch that this zcwatch makes.
    #[must_use]
    pub fn new(about: About, start_boot_ns: u64, context: Context) -> Self {
        let version = env!("CARGO_PKG_VERSION").into();
        Self { schema: SCHEMA.into(), version, about, start_boot_ns, context }
    }
}

/// The last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename = "end")]
pub struct End {
    /// When the watch ended, ns since boot.
    pub ts: u64,
    /// Why.
    pub why: Why,
    /// The signal that interrupted it.
    pub signal: Option<u8>,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was to last so long.
    TimeOver,
    /// By a signal.
    Interrupted,
    /// All processes that were watched have ended.
    ProcessesEnded,
    /// As many sends were seen as were asked for.
    CountReached,
}

impl End {
    /// An end without a signal.
    #[must_use]
    pub fn new(ts: u64, why: Why) -> Self {
        Self { ts, why, signal: None }
    }
}
