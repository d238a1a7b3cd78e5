//! What can go wrong in the lab, said to the person who ran it.

use std::{io, net::IpAddr, time::Duration};

/// An error of the lab. Each is one sentence that says what failed, where, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LabError {
    /// The kernel refused a step.
    #[error("could not {action}: {cause}{}", next_step(cause))]
    System {
        /// What was being done, and to what, as it follows "could not".
        action: String,
        /// The kernel's answer.
        cause: io::Error,
    },
    /// The kernel has no code for a step, or has it in modules that are not loaded.
    #[error("could not {action}: {cause}; try `modprobe -a {modules}`")]
    Lacking {
        /// What was being done, and to what, as it follows "could not".
        action: String,
        /// The kernel's answer.
        cause: io::Error,
        /// The modules that it takes.
        modules: &'static str,
    },
    /// A packet program could not be loaded or attached.
    #[error("could not {action}: {cause}; this needs CAP_BPF and CAP_NET_ADMIN, or root")]
    Program {
        /// What was being done, and to what, as it follows "could not".
        action: String,
        /// aya's error, with the causes below it.
        cause: String,
    },
    /// A device did not come up in time.
    #[error(
        "device {device} was still not operational after {waited:?}; \
         look at its other end, which must be up too"
    )]
    NotOperational {
        /// The device's name inside its namespace.
        device: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A device kept its carrier.
    #[error("device {device} still had a carrier {waited:?} after its other end had gone down")]
    StillOperational {
        /// The device's name inside its namespace.
        device: String,
        /// How long it was waited for.
        waited: Duration,
    },
    /// An address did not become the namespace's own in time.
    #[error("packets to {address} were still not received {waited:?} after it was set")]
    NotLocal {
        /// The address.
        address: IpAddr,
        /// How long it was waited for.
        waited: Duration,
    },
    /// A path has no such part.
    #[error("this path can't be changed so: it has no {0}")]
    Path(&'static str),
    /// The options of a sender contradict each other.
    #[error("the sender can't do this: {0}")]
    Options(&'static str),
}

impl LabError {
    /// For `map_err`: the kernel's answer to `action`.
    pub(super) fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |cause| Self::System { action: action.into(), cause: cause.into() }
    }

    /// For `map_err`: an answer of a kernel that lacks these modules says so.
    pub(super) fn lacking(modules: &'static str) -> impl FnOnce(Self) -> Self {
        const LACKS: [i32; 4] =
            [libc::EOPNOTSUPP, libc::ENOENT, libc::EPROTONOSUPPORT, libc::ENOSYS];
        move |error| match error {
            Self::System { action, cause }
                if cause.raw_os_error().is_some_and(|errno| LACKS.contains(&errno)) =>
            {
                Self::Lacking { action, cause, modules }
            }
            other => other,
        }
    }

    /// For `map_err`: what aya said to `action`, its whole chain of causes in one line.
    pub(super) fn program<E: std::error::Error>(
        action: impl Into<String>,
    ) -> impl FnOnce(E) -> Self {
        move |error| {
            let mut cause = error.to_string();
            let mut below = error.source();
            while let Some(error) = below {
                cause = format!("{cause}: {error}");
                below = error.source();
            }
            Self::Program { action: action.into(), cause }
        }
    }
}

fn next_step(cause: &io::Error) -> &'static str {
    match cause.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => {
            "; run as root, or grant CAP_SYS_ADMIN and CAP_NET_ADMIN"
        }
        Some(libc::EOPNOTSUPP) => {
            "; the kernel or the device can't do it: for veth itself, try `modprobe veth`"
        }
        Some(libc::ENOSPC) => "; raise the sysctl user.max_net_namespaces",
        _ => "",
    }
}
