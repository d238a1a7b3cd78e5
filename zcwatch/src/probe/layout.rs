//! Every struct member that a probe reads, as one table, resolved from the running kernel.

use std::collections::BTreeMap;

use zcwatch_common::ABSENT;

use super::btf::KernelTypes;

/// How a row's number is found.
#[derive(Clone, Copy, Debug)]
pub enum Source {
    /// The byte offset of a member.
    Offset(&'static str, &'static str),
    /// The first of these members that the kernel has.
    First(&'static [(&'static str, &'static str)]),
    /// A member's byte offset, plus bytes into it (an array element).
    Into(&'static str, &'static str, u32),
    /// A member of another struct that is laid over a member of this one.
    Over((&'static str, &'static str), (&'static str, &'static str)),
    /// The byte that holds a bitfield of one bit.
    BitByte(&'static str, &'static str),
    /// The mask of that bit in its byte.
    BitMask(&'static str, &'static str),
    /// These, of the one struct, or where there is none, of its older one.
    Renamed(&'static Self, &'static str, &'static Self),
    /// The one number where the kernel has this member, the other one where it has not.
    Where(&'static str, &'static str, u32, u32),
    /// Whether there is such an enum: 1.
    Enum(&'static str),
    /// From the lowest byte of a task's stack to the registers at its top.
    Registers,
    /// Where a driver's private data starts: a member, or the aligned end of the struct.
    AfterDevice,
    /// `SKB_TRUESIZE(0)`, what one pending notification takes of the option memory.
    TrueSize,
    /// Fixed by the architecture.
    Fixed(u32),
    /// Not on this architecture.
    Nowhere,
    /// Not of the kernel: what the user asked for, 0 unless it is set ([`Layout::set`]).
    Asked,
}

/// One row: a read-only global of the probes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// The name of the global.
    pub global: &'static str,
    /// Where its value comes from.
    pub source: Source,
    /// A program goes without it: it branches on its absence.
    pub optional: bool,
}

const fn row(global: &'static str, source: Source) -> Field {
    Field { global, source, optional: false }
}
const fn may(global: &'static str, source: Source) -> Field {
    Field { global, source, optional: true }
}
const fn at(global: &'static str, of: &'static str, member: &'static str) -> Field {
    row(global, Source::Offset(of, member))
}
const fn serr(global: &'static str, member: &'static str) -> Field {
    row(global, Source::Over(("sk_buff", "cb"), ("sock_exterr_skb", member)))
}

/// What a uarg of MSG_ZEROCOPY is, and what it was before 6.1, when all uargs were of one struct.
const UARG: &str = "ubuf_info_msgzc";
const OLD_UARG: &str = "ubuf_info";

const fn uarg(global: &'static str, names: &'static [(&'static str, &'static str)]) -> Field {
    row(global, Source::First(names))
}

/// Why a packet was dropped (5.17).
pub const REASONS: &str = "skb_drop_reason";

/// RLIMIT_MEMLOCK's index in `signal_struct.rlim`, times the size of a `struct rlimit`.
const MEMLOCK: u32 = 8 * 16;

/// `THREAD_SIZE` on x86_64 and arm64 with pages of 4 KiB.
const STACK: u32 = 16 << 10;

#[cfg(target_arch = "x86_64")]
const REGISTERS: [Field; 9] = [
    at("REGS_NR", "pt_regs", "orig_ax"),
    at("REGS_ARG0", "pt_regs", "di"),
    at("REGS_ARG2", "pt_regs", "dx"),
    at("REGS_ARG3", "pt_regs", "r10"),
    may("REGS_CS", Source::Offset("pt_regs", "cs")),
    row("NR_SENDTO", Source::Fixed(44)),
    row("NR_SENDMSG", Source::Fixed(46)),
    row("NR_SENDMMSG", Source::Fixed(307)),
    row("NR_IO_URING_ENTER", Source::Fixed(426)),
];

#[cfg(target_arch = "aarch64")]
const REGISTERS: [Field; 9] = [
    at("REGS_NR", "pt_regs", "syscallno"),
    at("REGS_ARG0", "pt_regs", "regs"),
    row("REGS_ARG2", Source::Into("pt_regs", "regs", 2 * 8)),
    row("REGS_ARG3", Source::Into("pt_regs", "regs", 3 * 8)),
    may("REGS_CS", Source::Nowhere),
    row("NR_SENDTO", Source::Fixed(206)),
    row("NR_SENDMSG", Source::Fixed(211)),
    row("NR_SENDMMSG", Source::Fixed(269)),
    row("NR_IO_URING_ENTER", Source::Fixed(426)),
];

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const REGISTERS: [Field; 9] = [
    row("REGS_NR", Source::Nowhere),
    row("REGS_ARG0", Source::Nowhere),
    row("REGS_ARG2", Source::Nowhere),
    row("REGS_ARG3", Source::Nowhere),
    may("REGS_CS", Source::Nowhere),
    row("NR_SENDTO", Source::Nowhere),
    row("NR_SENDMSG", Source::Nowhere),
    row("NR_SENDMMSG", Source::Nowhere),
    row("NR_IO_URING_ENTER", Source::Nowhere),
];

const MEMBERS: &[Field] = &[
    at("SK_FAMILY", "sock", "__sk_common.skc_family"),
    at("SK_STATE", "sock", "__sk_common.skc_state"),
    at("SK_COOKIE", "sock", "__sk_common.skc_cookie"),
    at("SK_FLAGS", "sock", "__sk_common.skc_flags"),
    at("SK_NET", "sock", "__sk_common.skc_net.net"),
    at("SK_DADDR", "sock", "__sk_common.skc_daddr"),
    at("SK_RCV_SADDR", "sock", "__sk_common.skc_rcv_saddr"),
    at("SK_DPORT", "sock", "__sk_common.skc_dport"),
    at("SK_NUM", "sock", "__sk_common.skc_num"),
    at("SK_V6_DADDR", "sock", "__sk_common.skc_v6_daddr"),
    at("SK_V6_RCV_SADDR", "sock", "__sk_common.skc_v6_rcv_saddr"),
    at("SK_PROTOCOL", "sock", "sk_protocol"),
    at("SK_ZCKEY", "sock", "sk_zckey"),
    at("SK_OMEM", "sock", "sk_omem_alloc"),
    at("SK_ERROR_QUEUE", "sock", "sk_error_queue"),
    at("SK_SOCKET", "sock", "sk_socket"),
    at("SOCKET_FILE", "socket", "file"),
    at("SOCKET_SK", "socket", "sk"),
    at("FILE_INODE", "file", "f_inode"),
    at("FILE_PRIVATE", "file", "private_data"),
    at("INODE_INO", "inode", "i_ino"),
    at("INODE_MODE", "inode", "i_mode"),
    at("NET_INUM", "net", "ns.inum"),
    may("NET_OPTMEM_MAX", Source::Offset("net", "core.sysctl_optmem_max")),
    at("SKB_SK", "sk_buff", "sk"),
    at("SKB_LEN", "sk_buff", "len"),
    at("SKB_DATA_LEN", "sk_buff", "data_len"),
    at("SKB_HEAD", "sk_buff", "head"),
    at("SKB_END", "sk_buff", "end"),
    at("SKB_CB", "sk_buff", "cb"),
    at("SKB_DEV", "sk_buff", "dev"),
    at("SKB_NEXT", "sk_buff", "next"),
    at("SKB_LIST_PREV", "sk_buff_head", "prev"),
    at("SKB_LIST_NEXT", "sk_buff_head", "next"),
    row(
        "SHINFO_FLAGS",
        Source::First(&[("skb_shared_info", "flags"), ("skb_shared_info", "tx_flags")]),
    ),
    // SKBFL_ZEROCOPY_ENABLE; before 5.12 SKBTX_DEV_ZEROCOPY.
    row("SHINFO_ZEROCOPY", Source::Where("skb_shared_info", "flags", 1, 8)),
    at("SHINFO_NR_FRAGS", "skb_shared_info", "nr_frags"),
    at("SHINFO_GSO_SIZE", "skb_shared_info", "gso_size"),
    at("SHINFO_DESTRUCTOR_ARG", "skb_shared_info", "destructor_arg"),
    serr("SERR_ORIGIN", "ee.ee_origin"),
    serr("SERR_CODE", "ee.ee_code"),
    serr("SERR_INFO", "ee.ee_info"),
    serr("SERR_DATA", "ee.ee_data"),
    uarg("UARG_ID", &[(UARG, "id"), (OLD_UARG, "id")]),
    uarg("UARG_LEN", &[(UARG, "len"), (OLD_UARG, "len")]),
    may(
        "UARG_OPS",
        Source::First(&[(UARG, "ubuf.ops"), (UARG, "ubuf.callback"), (OLD_UARG, "callback")]),
    ),
    uarg("UARG_REFS", &[(UARG, "ubuf.refcnt"), (OLD_UARG, "refcnt")]),
    uarg("UARG_BITS", &[(UARG, "zerocopy"), (OLD_UARG, "zerocopy")]),
    row(
        "UARG_ZEROCOPY_MASK",
        Source::Renamed(
            &Source::BitMask(UARG, "zerocopy"),
            UARG,
            &Source::BitMask(OLD_UARG, "zerocopy"),
        ),
    ),
    at("DEV_FEATURES", "net_device", "features"),
    at("DEV_NET", "net_device", "nd_net.net"),
    at("DEV_IFINDEX", "net_device", "ifindex"),
    at("DEV_NAME", "net_device", "name"),
    at("DEV_MTU", "net_device", "mtu"),
    at("DEV_FLAGS", "net_device", "flags"),
    at("DEV_LINK_OPS", "net_device", "rtnl_link_ops"),
    row("DEV_PRIV", Source::AfterDevice),
    at("LINK_OPS_KIND", "rtnl_link_ops", "kind"),
    may("VETH_PEER", Source::Offset("veth_priv", "peer")),
    may("VETH_XDP_PROG", Source::Offset("veth_priv", "_xdp_prog")),
    at("MSG_FLAGS", "msghdr", "msg_flags"),
    may("MSG_UBUF", Source::Offset("msghdr", "msg_ubuf")),
    at("TASK_TGID", "task_struct", "tgid"),
    at("TASK_COMM", "task_struct", "comm"),
    at("TASK_FLAGS", "task_struct", "flags"),
    at("TASK_CRED", "task_struct", "cred"),
    at("TASK_SIGNAL", "task_struct", "signal"),
    at("TASK_FILES", "task_struct", "files"),
    at("TASK_STACK", "task_struct", "stack"),
    row("REGS_IN_STACK", Source::Registers),
    at("CRED_USER", "cred", "user"),
    at("CRED_CAPS", "cred", "cap_effective"),
    at("USER_LOCKED_VM", "user_struct", "locked_vm"),
    row("SIGNAL_MEMLOCK", Source::Into("signal_struct", "rlim", MEMLOCK)),
    at("FILES_FDT", "files_struct", "fdt"),
    at("FDT_FD", "fdtable", "fd"),
    at("FDT_MAX_FDS", "fdtable", "max_fds"),
    at("KIOCB_OPCODE", "io_kiocb", "opcode"),
    at("KIOCB_FD", "io_kiocb", "cqe.fd"),
    row("OMALLOC_TRUESIZE", Source::TrueSize),
    may("DROP_REASONS", Source::Enum(REASONS)),
    may("NET_PTYPE_ALL", Source::Offset("net", "ptype_all")),
    may("DEV_PTYPE_ALL", Source::Offset("net_device", "ptype_all")),
    may("DEV_TCX_INGRESS", Source::Offset("net_device", "tcx_ingress")),
    may("DEV_TCX_EGRESS", Source::Offset("net_device", "tcx_egress")),
    may("SK_TSFLAGS", Source::Offset("sock", "sk_tsflags")),
    at("SHINFO_TX_FLAGS", "skb_shared_info", "tx_flags"),
    at("SKB_NETWORK_HEADER", "sk_buff", "network_header"),
    may("TCP_SRTT", Source::Offset("tcp_sock", "srtt_us")),
    // struct minmax: three samples, each with a time and a value.
    may("TCP_MIN_RTT", Source::Into("tcp_sock", "rtt_min", 4)),
    may("TCP_RETRANSMITS", Source::Offset("tcp_sock", "total_retrans")),
    may("TCP_TICKS", Source::Offset("tcp_sock", "chrono_stat")),
    may("TCP_TICKS_OF", Source::BitByte("tcp_sock", "chrono_type")),
    may("TCP_TICKS_MASK", Source::BitMask("tcp_sock", "chrono_type")),
    may("TCP_TICKS_SINCE", Source::Offset("tcp_sock", "chrono_start")),
    at("TASK_LEADER", "task_struct", "group_leader"),
    at("SIGNAL_LIVE", "signal_struct", "live"),
    row("SELF", Source::Asked),
    row("ONLY", Source::Asked),
    row("EVERYTHING", Source::Asked),
    row("BY_COMM", Source::Asked),
    row("CGROUP_LEVELS", Source::Asked),
    row("FOLLOW", Source::Asked),
    row("CALL_SITES_WANTED", Source::Asked),
];

/// Modules whose types some members may be in, where they are not built in.
pub const MODULES: &[&str] = &["veth"];

/// All rows.
pub fn fields() -> impl Iterator<Item = &'static Field> {
    MEMBERS.iter().chain(&REGISTERS)
}

/// The values of all rows on this kernel.
#[derive(Debug)]
pub struct Layout {
    values: BTreeMap<&'static str, u32>,
}

impl Layout {
    /// Resolves every row; what the kernel lacks stays [`ABSENT`].
    #[must_use]
    pub fn resolve(types: &KernelTypes) -> Self {
        let values =
            fields().map(|f| (f.global, resolve(types, f.source).unwrap_or(ABSENT))).collect();
        Self { values }
    }

    /// Name and value of each global, for the loader.
    pub fn globals(&self) -> impl Iterator<Item = (&'static str, &u32)> {
        self.values.iter().map(|(name, value)| (*name, value))
    }

    /// Those of the named globals that this kernel does not have and that must be there, in the
    /// words of the kernel ("struct sock, sk_zckey").
    #[must_use]
    pub fn missing(&self, globals: &[&str]) -> Vec<String> {
        fields()
            .filter(|f| globals.contains(&f.global) && !f.optional)
            .filter(|f| self.values.get(f.global).is_none_or(|v| *v == ABSENT))
            .map(|f| describe(f.source))
            .collect()
    }

    /// Has this kernel what a global stands for?
    #[must_use]
    pub fn has(&self, global: &str) -> bool {
        self.values.get(global).is_some_and(|value| *value != ABSENT)
    }

    /// Says what the user asked for.
    pub(super) fn set(&mut self, global: &'static str, value: u32) {
        self.values.insert(global, value);
    }

    /// The same table with one member taken away, as on a kernel that lacks it.
    #[must_use]
    pub fn without(mut self, global: &str) -> Self {
        if let Some(v) = self.values.get_mut(global) {
            *v = ABSENT;
        }
        self
    }
}

fn resolve(types: &KernelTypes, source: Source) -> Option<u32> {
    let byte = |of, member| types.member(of, member).map(|p| p.bits / 8);
    match source {
        Source::Offset(of, member) => byte(of, member),
        Source::First(all) => all.iter().find_map(|(of, member)| byte(of, member)),
        Source::Renamed(now, of, older) => {
            resolve(types, if types.size(of).is_some() { *now } else { *older })
        }
        Source::Where(of, member, with, without) => {
            types.size(of)?;
            Some(if byte(of, member).is_some() { with } else { without })
        }
        Source::Enum(name) => types.enumerators(name).map(|_| 1),
        Source::Registers => {
            let size = u32::try_from(types.size("pt_regs")?).ok()?;
            Some(STACK - size)
        }
        Source::Into(of, member, more) => byte(of, member).map(|b| b + more),
        Source::Over((outer, field), (inner, member)) => {
            Some(byte(outer, field)? + byte(inner, member)?)
        }
        Source::BitByte(of, member) => byte(of, member),
        Source::BitMask(of, member) => types.member(of, member).map(|p| 1 << (p.bits % 8)),
        Source::AfterDevice => byte("net_device", "priv").or_else(|| {
            let size = u32::try_from(types.size("net_device")?).ok()?;
            Some(size.next_multiple_of(32))
        }),
        Source::TrueSize => {
            let aligned = |of| Some(types.size(of)?.next_multiple_of(64));
            u32::try_from(aligned("sk_buff")? + aligned("skb_shared_info")?).ok()
        }
        Source::Fixed(n) => Some(n),
        Source::Nowhere => None,
        Source::Asked => Some(0),
    }
}

fn describe(source: Source) -> String {
    match source {
        Source::Offset(of, member)
        | Source::Where(of, member, ..)
        | Source::Into(of, member, _)
        | Source::BitByte(of, member)
        | Source::BitMask(of, member)
        | Source::Over(_, (of, member)) => format!("struct {of}, member {member}"),
        Source::First([(of, member), ..]) => format!("struct {of}, member {member}"),
        Source::Renamed(now, ..) => describe(*now),
        Source::AfterDevice => "struct net_device".into(),
        Source::Enum(name) => format!("enum {name}"),
        Source::TrueSize => "struct sk_buff and struct skb_shared_info".into(),
        Source::First([])
        | Source::Registers
        | Source::Fixed(_)
        | Source::Nowhere
        | Source::Asked => "the registers of this architecture".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_that_is_missing_is_named_and_never_zero() {
        let types = KernelTypes::open(MODULES).expect("this test needs a kernel with BTF");
        let layout = Layout::resolve(&types);
        assert_eq!(layout.missing(&["SK_ZCKEY"]), Vec::<String>::new());
        let layout = layout.without("SK_ZCKEY");
        assert_eq!(layout.missing(&["SK_ZCKEY", "SK_FLAGS"]), ["struct sock, member sk_zckey"]);
        assert_eq!(layout.values.get("SK_ZCKEY"), Some(&ABSENT));
        assert_eq!(resolve(&types, Source::Offset("sock", "no_such_member")), None);
    }

    #[test]
    fn no_two_rows_have_one_name() {
        let mut names: Vec<_> = fields().map(|f| f.global).collect();
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
