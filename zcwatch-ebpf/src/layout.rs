//! Offsets of the kernel's struct members, in bytes, filled in by userspace from the running
//! kernel's BTF before loading. Frozen, so the verifier sees constants: a branch on an absent
//! member is pruned, and a program that reads one is not loaded at all.

use aya_ebpf::Global;
use zcwatch_common::ABSENT;

macro_rules! globals {
    ($($name:ident),* $(,)?) => {
        $(
            #[unsafe(no_mangle)]
            pub static $name: Global<u32> = Global::new(ABSENT);
        )*
    };
}

globals! {
    SK_FAMILY, SK_COOKIE, SK_FLAGS, SK_NET, SK_DADDR, SK_RCV_SADDR, SK_DPORT, SK_NUM,
    SK_V6_DADDR, SK_V6_RCV_SADDR, SK_PROTOCOL, SK_ZCKEY, SK_OMEM, SK_ERROR_QUEUE, SK_SOCKET,
    SOCKET_FILE, SOCKET_SK, FILE_INODE, FILE_PRIVATE, INODE_INO, NET_INUM, NET_OPTMEM_MAX,
    SKB_SK, SKB_LEN, SKB_DATA_LEN, SKB_HEAD, SKB_END, SKB_CB, SKB_DEV, SKB_NEXT, SKB_LIST_PREV,
    SKB_LIST_NEXT, SHINFO_FLAGS, SHINFO_NR_FRAGS, SHINFO_GSO_SIZE, SHINFO_DESTRUCTOR_ARG,
    SERR_ORIGIN, SERR_CODE, SERR_INFO, SERR_DATA,
    UARG_ID, UARG_LEN, UARG_OPS, UARG_REFS, UARG_BITS, UARG_ZEROCOPY_MASK,
    DEV_FEATURES, DEV_NET, DEV_IFINDEX, DEV_NAME, DEV_MTU, DEV_FLAGS, DEV_LINK_OPS, DEV_PRIV,
    LINK_OPS_KIND, VETH_PEER, VETH_XDP_PROG,
    MSG_FLAGS, MSG_UBUF,
    TASK_TGID, TASK_COMM, TASK_FLAGS, TASK_CRED, TASK_SIGNAL, TASK_FILES, CRED_USER, CRED_CAPS, USER_LOCKED_VM,
    SIGNAL_MEMLOCK, FILES_FDT, FDT_FD, FDT_MAX_FDS,
    REGS_NR, REGS_ARG0, REGS_ARG2, REGS_ARG3, REGS_CS,
    KIOCB_OPCODE, KIOCB_FD,
    NET_PTYPE_ALL, DEV_PTYPE_ALL, DEV_TCX_INGRESS, DEV_TCX_EGRESS, SK_TSFLAGS, SHINFO_TX_FLAGS,
    SKB_NETWORK_HEADER, TCP_SRTT, TCP_MIN_RTT, TCP_RETRANSMITS,
    TCP_TICKS, TCP_TICKS_OF, TCP_TICKS_MASK, TCP_TICKS_SINCE, TASK_LEADER, SIGNAL_LIVE,
    TASK_STACK, REGS_IN_STACK, INODE_MODE, SHINFO_ZEROCOPY, SK_STATE,
    // Not offsets: what the architecture and this kernel's struct sizes fix.
    NR_SENDTO, NR_SENDMSG, NR_SENDMMSG, NR_IO_URING_ENTER, OMALLOC_TRUESIZE,
    DROP_REASONS,
    // What the user asked to watch (filter.rs).
    SELF, ONLY, EVERYTHING, BY_COMM, CGROUP_LEVELS, FOLLOW, CALL_SITES_WANTED,
}
