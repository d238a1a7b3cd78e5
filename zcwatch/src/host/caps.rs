//! Capabilities of this process, by name.

/// A capability that zcwatch uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capability {
    /// Maps and programs (5.8 and later).
    Bpf,
    /// Tracing programs, and reading kernel memory in them (5.8 and later).
    Perfmon,
    /// Everything of the two, and entering network namespaces.
    SysAdmin,
    /// cgroup hooks, links, XDP and tc.
    NetAdmin,
    /// Packet sockets.
    NetRaw,
    /// Descriptors and namespaces of other users' processes.
    SysPtrace,
}

impl Capability {
    /// As in capabilities(7).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::Perfmon => "CAP_PERFMON",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::NetRaw => "CAP_NET_RAW",
            Self::SysPtrace => "CAP_SYS_PTRACE",
        }
    }

    fn bit(self) -> u64 {
        1 << match self {
            Self::NetAdmin => 12,
            Self::NetRaw => 13,
            Self::SysPtrace => 19,
            Self::SysAdmin => 21,
            Self::Perfmon => 38,
            Self::Bpf => 39,
        }
    }
}

/// The effective set.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities(u64);

impl Capabilities {
    /// Of this process; none where /proc cannot be read.
    #[must_use]
    pub fn current() -> Self {
        let status = procfs::process::Process::myself().and_then(|p| p.status());
        Self(status.map_or(0, |s| s.capeff))
    }

    /// Is it in the effective set?
    #[must_use]
    pub fn has(self, cap: Capability) -> bool {
        self.0 & cap.bit() != 0
    }

    /// What of `wanted` is missing. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
    #[must_use]
    pub fn missing(self, wanted: &[Capability]) -> Vec<Capability> {
        let covered = |c: Capability| {
            self.has(c)
                || (matches!(c, Capability::Bpf | Capability::Perfmon)
                    && self.has(Capability::SysAdmin))
        };
        wanted.iter().copied().filter(|c| !covered(*c)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sys_admin_stands_for_bpf_and_perfmon_only() {
        let caps = Capabilities(Capability::SysAdmin.bit());
        let wanted = [Capability::Bpf, Capability::Perfmon, Capability::NetAdmin];
        assert_eq!(caps.missing(&wanted), [Capability::NetAdmin]);
        assert_eq!(Capabilities(1 << 39).missing(&wanted[..2]), [Capability::Perfmon]);
    }
}
