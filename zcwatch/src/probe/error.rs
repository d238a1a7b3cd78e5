//! Errors of attaching, in sentences a user can act on.

use std::{error::Error as StdError, io};

use super::btf::BtfError;
use crate::host::caps::Capability;

/// Why nothing could be watched.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The kernel's types cannot be read.
    #[error(
        "{0}; zcwatch needs a kernel built with CONFIG_DEBUG_INFO_BTF=y (all current distributions are)"
    )]
    Btf(#[from] BtfError),
    /// A capability is missing.
    #[error(
        "{} missing: the kernel refused {what}. Run zcwatch as root, or give the binary what it \
         needs: sudo setcap cap_bpf,cap_perfmon+ep $(command -v zcwatch)",
        list(.caps)
    )]
    Capabilities {
        /// Which.
        caps: Vec<Capability>,
        /// What was refused.
        what: &'static str,
    },
    /// A demo makes network namespaces, and that needs more.
    #[error("{} missing: a demo makes network namespaces with traffic in them. Run it as root: sudo zcwatch demo", list(.0))]
    Demo(Vec<Capability>),
    /// The object could not be loaded for another reason.
    #[error("the kernel did not take zcwatch's eBPF maps: {0}")]
    Load(String),
    /// No hook that sees sends and completions attached.
    #[error("nothing can be watched on this kernel: {0}")]
    Nothing(String),
    /// The same, because the kernel is locked down.
    #[error(
        "this kernel is locked down: with lockdown=confidentiality it forbids the reads that zcwatch's \
         programs need here. Boot it with lockdown=integrity, or a kernel from 6.12 on, where sends \
         and completions are seen without them"
    )]
    LockedDown,
    /// Reads cannot be told from merged completions.
    #[error(
        "a zerocopy datagram to ourselves over loopback did not come through ({0}), so what was \
         read cannot be told from what was merged; is lo up in this network namespace? ip link set \
         lo up"
    )]
    Loopback(String),
    /// A map could not be used.
    #[error("zcwatch's own eBPF map {map} cannot be used: {reason}")]
    Map {
        /// Which.
        map: &'static str,
        /// What the kernel said.
        reason: String,
    },
    /// The ring buffer size is not one the kernel takes.
    #[error(
        "a ring buffer of {0} bytes is not possible: give a power of two from 4096 to 1073741824"
    )]
    RingSize(u32),
}

fn list(caps: &[Capability]) -> String {
    let names: Vec<_> = caps.iter().map(|c| c.name()).collect();
    match names.len() {
        0 => "a capability is".into(),
        1 => format!("{} is", names.join("")),
        _ => format!("{} are", names.join(" and ")),
    }
}

/// Why one program is not running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The running kernel has no such member; nothing was loaded.
    Fields(Vec<String>),
    /// The kernel has no such tracepoint or function.
    Absent,
    /// Not permitted.
    NotPermitted,
    /// Another hook does its work, or was to be used.
    NotTried,
    /// Needs something of the host that is not there.
    Host(String),
    /// The verifier, or the kernel otherwise, refused it.
    Refused(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fields(names) => write!(f, "this kernel lacks {}", names.join("; ")),
            Self::Absent => write!(f, "this kernel has no such tracepoint or function"),
            Self::NotTried => write!(f, "not tried"),
            Self::NotPermitted => write!(f, "not permitted"),
            Self::Host(what) | Self::Refused(what) => write!(f, "{what}"),
        }
    }
}

/// The errno at the bottom of an error's chain.
pub(super) fn errno(error: &(dyn StdError + 'static)) -> Option<i32> {
    let mut at = Some(error);
    while let Some(e) = at {
        if let Some(io) = e.downcast_ref::<io::Error>() {
            return io.raw_os_error();
        }
        at = e.source();
    }
    None
}

/// The last words of a chain, in one line: the verifier's complaint is at its end.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> String {
    let text = error.to_string();
    let said = text.split("\nVerification failed: ").next().unwrap_or(&text);
    let line = said.lines().map(str::trim).rfind(|l| {
        let figures = ["processed ", "verification time ", "stack depth ", "insns processed "];
        !l.is_empty() && !l.contains(" insns_self ") && !figures.iter().any(|f| l.starts_with(f))
    });
    let mut out = line.unwrap_or("no reason given").to_owned();
    if let Some(n) = errno(error) {
        out = format!("{out} ({})", io::Error::from_raw_os_error(n));
    }
    out
}
