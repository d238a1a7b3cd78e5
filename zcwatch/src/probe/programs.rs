//! The eBPF programs of the committed object: what each attaches to, and which rows of the
//! layout it reads. A test compares the rows with the object's own relocations.

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attach {
    /// A BTF tracepoint, by name.
    Tracepoint(&'static str),
    /// The entry of a function, by trampoline.
    Entry(&'static str),
    /// Its return.
    Exit(&'static str),
    /// A BPF iterator, by name.
    Iterator(&'static str),
    /// The root of the cgroup v2 tree.
    CgroupRoot,
}

/// One program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// Its name in the object.
    pub name: &'static str,
    /// What it attaches to.
    pub attach: Attach,
    /// Rows of the layout that it reads.
    pub reads: &'static [&'static [&'static str]],
    /// On which kernels it is wanted.
    pub kernels: Kernels,
}

/// Kernels, as there are objects for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernels {
    /// All.
    All,
    /// Before 5.12, in whose object alone it is.
    Early,
    /// From 5.12 on.
    Late,
}

/// What entering a socket into the table reads.
const REGISTER: &[&str] = &[
    "CRED_USER",
    "FILE_INODE",
    "INODE_INO",
    "NET_INUM",
    "NET_OPTMEM_MAX",
    "SIGNAL_MEMLOCK",
    "SK_COOKIE",
    "SK_DADDR",
    "SK_DPORT",
    "SK_FAMILY",
    "SK_FLAGS",
    "SK_NET",
    "SK_NUM",
    "SK_OMEM",
    "SK_PROTOCOL",
    "SK_RCV_SADDR",
    "SK_SOCKET",
    "SK_V6_DADDR",
    "SK_V6_RCV_SADDR",
    "SOCKET_FILE",
    "TASK_COMM",
    "TASK_CRED",
    "TASK_SIGNAL",
    "TASK_TGID",
    "TCP_MIN_RTT",
    "TCP_RETRANSMITS",
    "TCP_SRTT",
    "TCP_TICKS",
    "TCP_TICKS_MASK",
    "TCP_TICKS_OF",
    "TCP_TICKS_SINCE",
    "USER_LOCKED_VM",
];
/// What is read of a TCP connection.
const CONNECTION: &[&str] = &[
    "TCP_MIN_RTT",
    "TCP_RETRANSMITS",
    "TCP_SRTT",
    "TCP_TICKS",
    "TCP_TICKS_MASK",
    "TCP_TICKS_OF",
    "TCP_TICKS_SINCE",
];
/// What asking whether the current process is watched reads.
const WATCHED: &[&str] =
    &["BY_COMM", "CGROUP_LEVELS", "EVERYTHING", "ONLY", "SELF", "TASK_COMM", "TASK_LEADER"];
/// What a look at the system call reads.
const CALL: &[&str] = &[
    "NR_IO_URING_ENTER",
    "NR_SENDMMSG",
    "NR_SENDMSG",
    "NR_SENDTO",
    "REGS_ARG0",
    "REGS_ARG2",
    "REGS_ARG3",
    "REGS_CS",
    "REGS_NR",
    "TASK_FLAGS",
];
/// What a look at an error queue reads.
const NOTIFICATION: &[&str] =
    &["SERR_CODE", "SERR_DATA", "SERR_INFO", "SERR_ORIGIN", "SK_COOKIE", "SK_ERROR_QUEUE"];
/// What a first look reads besides.
const BEGIN: &[&str] = &[
    "FDT_FD",
    "FDT_MAX_FDS",
    "FILES_FDT",
    "FILE_PRIVATE",
    "SHINFO_TX_FLAGS",
    "SK_SOCKET",
    "SK_TSFLAGS",
    "SKB_CB",
    "SKB_NETWORK_HEADER",
    "SKB_SK",
    "SOCKET_SK",
    "TASK_FILES",
    "UARG_LEN",
    "UARG_OPS",
];

/// What is read when a send begins.
const CALLED: &[&str] = &["MSG_FLAGS", "MSG_UBUF", "SK_COOKIE"];
/// What is read when it returns.
const RETURNED: &[&str] =
    &["CALL_SITES_WANTED", "CRED_CAPS", "MSG_FLAGS", "MSG_UBUF", "OMALLOC_TRUESIZE", "SK_ZCKEY"];
/// What a uarg itself says.
const UARG: &[&str] =
    &["SKB_CB", "SKB_SK", "SK_COOKIE", "UARG_BITS", "UARG_ID", "UARG_LEN", "UARG_ZEROCOPY_MASK"];
/// And what changes with its last reference.
const REFERENCES: &[&str] = &["UARG_OPS", "UARG_REFS"];
/// And what is read when that may be gone.
const AFTERWARDS: &[&str] =
    &["SKB_CB", "SKB_SK", "UARG_BITS", "UARG_ID", "UARG_LEN", "UARG_ZEROCOPY_MASK"];

/// What describing a device reads.
const DESCRIBED: &[&str] = &[
    "DEV_FEATURES",
    "DEV_FLAGS",
    "DEV_IFINDEX",
    "DEV_LINK_OPS",
    "DEV_MTU",
    "DEV_NAME",
    "DEV_NET",
    "DEV_PRIV",
    "DEV_PTYPE_ALL",
    "LINK_OPS_KIND",
    "NET_INUM",
    "SKB_DEV",
    "VETH_PEER",
    "VETH_XDP_PROG",
];
/// What entering a socket reads that is first seen by a packet.
const ADOPT: &[&str] =
    &["FDT_FD", "FDT_MAX_FDS", "FILES_FDT", "FILE_PRIVATE", "SK_SOCKET", "SOCKET_SK", "TASK_FILES"];
const MADE: &[&[&str]] = &[PACKET_UARG, OURS, DESCRIBED, REGISTER, WATCHED, CALL, ADOPT];
const PULLED: &[&[&str]] =
    &[PACKET_UARG, OURS, DESCRIBED, REGISTER, WATCHED, CALL, ADOPT, &["SKB_DATA_LEN"]];
/// What tells a uarg of MSG_ZEROCOPY from others.
const OURS: &[&str] = &["UARG_OPS"];
/// What is read of the uarg that a packet's pages belong to.
const PACKET_UARG: &[&str] = &[
    "NET_PTYPE_ALL",
    "SHINFO_DESTRUCTOR_ARG",
    "SHINFO_FLAGS",
    "SHINFO_ZEROCOPY",
    "SKB_CB",
    "SKB_END",
    "SKB_HEAD",
    "SKB_SK",
    "SK_COOKIE",
    "UARG_BITS",
    "UARG_ID",
    "UARG_ZEROCOPY_MASK",
];

/// Functions, and what they were called before.
pub const RENAMED: &[(&str, &str)] = &[
    ("msg_zerocopy_realloc", "sock_zerocopy_realloc"),
    ("msg_zerocopy_put_abort", "sock_zerocopy_put_abort"),
    ("__msg_zerocopy_callback", "sock_zerocopy_callback"),
];

/// What the names of a program's copies end with. A program that is running on a CPU is skipped
/// there; its copies are not.
pub const COPIES: [&str; 2] = ["_2", "_3"];

/// How the programs of a set are attached, as far as that matters for choosing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Functions, by trampoline.
    Trampolines,
    /// Tracepoints.
    Tracepoints,
    /// A look at all sockets, once.
    Iterator,
}

/// Programs that answer together: all of them, or none.
#[derive(Clone, Copy, Debug)]
pub struct Set {
    /// How they are attached.
    pub by: By,
    /// The programs.
    pub programs: &'static [&'static str],
    /// It does without these of its own.
    pub spared: &'static [&'static str],
}

/// Sets of which one is enough: those of one way in the order in which they are tried.
pub type Choice = &'static [Set];

/// Sends, completions with their reads, and the sockets that were there before.
pub const CHOICES: &[Choice] = &[
    &[
        Set { by: By::Trampolines, programs: EXACT_SENDS, spared: &[] },
        // 6.12 has no `tcp_sendmsg_locked`: latency then counts from the return.
        Set {
            by: By::Tracepoints,
            programs: &["send_return", "tcp_entry"],
            spared: &["tcp_entry"],
        },
    ],
    &[
        Set { by: By::Trampolines, programs: EXACT_COMPLETIONS, spared: &[] },
        Set { by: By::Trampolines, programs: LAST_REFERENCES, spared: &[] },
        Set { by: By::Tracepoints, programs: &["consumed", "notified"], spared: &[] },
    ],
    &[
        Set { by: By::Iterator, programs: &["held_sockets"], spared: &[] },
        Set { by: By::Iterator, programs: &["held_sockets_only"], spared: &[] },
    ],
];

/// A send from its call to its return.
pub const EXACT_SENDS: &[&str] = &[
    "tcp_called",
    "tcp_called_2",
    "tcp_called_3",
    "tcp_returned",
    "tcp_returned_2",
    "tcp_returned_3",
    "udp_called",
    "udp_called_2",
    "udp_called_3",
    "udp_returned",
    "udp_returned_2",
    "udp_returned_3",
    "udp6_called",
    "udp6_called_2",
    "udp6_called_3",
    "udp6_returned",
    "udp6_returned_2",
    "udp6_returned_3",
    "id_taken",
    "id_taken_2",
    "id_taken_3",
    "id_put_back",
    "id_put_back_2",
    "id_put_back_3",
];

/// Completions and what is read of them.
pub const EXACT_COMPLETIONS: &[&str] =
    &["completed", "completed_2", "completed_3", "dequeued", "dequeued_2", "dequeued_3"];

/// Reads, which come with either set of completions.
pub const READS: &[&str] = &["dequeued", "dequeued_2", "dequeued_3"];

/// The same where the kernel has no function of its own for a completion.
pub const LAST_REFERENCES: &[&str] = &[
    "uarg_held",
    "uarg_held_2",
    "uarg_held_3",
    "uarg_shorter",
    "uarg_shorter_2",
    "uarg_shorter_3",
    "part_over",
    "part_over_2",
    "part_over_3",
    "part_gone",
    "part_gone_2",
    "part_gone_3",
    "abort_gone",
    "abort_gone_2",
    "abort_gone_3",
    "dequeued",
    "dequeued_2",
    "dequeued_3",
    "left_over",
];

/// Copies where they are made.
pub const MADE_COPIES: &[&str] =
    &["pages_copied", "pages_copied_2", "tail_pulled", "tail_pulled_2"];

/// Copies of which the completion says nothing.
pub const HIDDEN_COPIES: &[&str] =
    &["segmented", "segmented_2", "copied_for_xdp", "copied_for_xdp_2"];

/// What refuses a send.
pub const LIMITS: &[&str] = &["optmem_asked", "optmem_asked_2", "memlock_asked", "memlock_asked_2"];

/// Sets that need trampolines, and stand beside what tracepoints tell: each whole, or not at all.
pub const BESIDE: &[Set] = &[
    Set { by: By::Trampolines, programs: LIMITS, spared: &[] },
    Set { by: By::Trampolines, programs: MADE_COPIES, spared: &[] },
    Set { by: By::Trampolines, programs: HIDDEN_COPIES, spared: &[] },
];

/// A kernel without IPv6, or before 6.6, has nothing for these to run on.
pub const OPTIONAL: &[&str] = &[
    "udp6_called",
    "udp6_called_2",
    "udp6_called_3",
    "udp6_returned",
    "udp6_returned_2",
    "udp6_returned_3",
    "copied_for_xdp",
    "copied_for_xdp_2",
];

const fn entry(
    name: &'static str,
    function: &'static str,
    reads: &'static [&'static [&'static str]],
) -> Program {
    Program { name, attach: Attach::Entry(function), reads, kernels: Kernels::All }
}
const fn exit(
    name: &'static str,
    function: &'static str,
    reads: &'static [&'static [&'static str]],
) -> Program {
    Program { name, attach: Attach::Exit(function), reads, kernels: Kernels::All }
}

/// All programs, in the order of attaching: first those without which nothing can be watched.
pub const PROGRAMS: &[Program] = &[
    entry("tcp_called", "tcp_sendmsg_locked", &[WATCHED, CALLED]),
    exit("tcp_returned", "tcp_sendmsg_locked", &[REGISTER, CALL, RETURNED]),
    entry("tcp_called_2", "tcp_sendmsg_locked", &[WATCHED, CALLED]),
    entry("tcp_called_3", "tcp_sendmsg_locked", &[WATCHED, CALLED]),
    exit("tcp_returned_2", "tcp_sendmsg_locked", &[REGISTER, CALL, RETURNED]),
    exit("tcp_returned_3", "tcp_sendmsg_locked", &[REGISTER, CALL, RETURNED]),
    entry("udp_called", "udp_sendmsg", &[WATCHED, CALLED]),
    exit("udp_returned", "udp_sendmsg", &[REGISTER, CALL, RETURNED]),
    entry("udp_called_2", "udp_sendmsg", &[WATCHED, CALLED]),
    entry("udp_called_3", "udp_sendmsg", &[WATCHED, CALLED]),
    exit("udp_returned_2", "udp_sendmsg", &[REGISTER, CALL, RETURNED]),
    exit("udp_returned_3", "udp_sendmsg", &[REGISTER, CALL, RETURNED]),
    entry("udp6_called", "udpv6_sendmsg", &[WATCHED, CALLED]),
    exit("udp6_returned", "udpv6_sendmsg", &[REGISTER, CALL, RETURNED]),
    entry("udp6_called_2", "udpv6_sendmsg", &[WATCHED, CALLED]),
    entry("udp6_called_3", "udpv6_sendmsg", &[WATCHED, CALLED]),
    exit("udp6_returned_2", "udpv6_sendmsg", &[REGISTER, CALL, RETURNED]),
    exit("udp6_returned_3", "udpv6_sendmsg", &[REGISTER, CALL, RETURNED]),
    exit("id_taken", "msg_zerocopy_realloc", &[REGISTER, &["UARG_ID", "UARG_LEN"]]),
    entry("id_put_back", "msg_zerocopy_put_abort", &[]),
    entry("completed", "__msg_zerocopy_callback", &[UARG]),
    exit(
        "dequeued",
        "sock_dequeue_err_skb",
        &[&["SERR_CODE", "SERR_DATA", "SERR_INFO", "SERR_ORIGIN", "SK_COOKIE"]],
    ),
    exit("id_taken_2", "msg_zerocopy_realloc", &[REGISTER, &["UARG_ID", "UARG_LEN"]]),
    exit("id_taken_3", "msg_zerocopy_realloc", &[REGISTER, &["UARG_ID", "UARG_LEN"]]),
    entry("id_put_back_2", "msg_zerocopy_put_abort", &[]),
    entry("id_put_back_3", "msg_zerocopy_put_abort", &[]),
    entry("completed_2", "__msg_zerocopy_callback", &[UARG]),
    entry("completed_3", "__msg_zerocopy_callback", &[UARG]),
    exit(
        "dequeued_2",
        "sock_dequeue_err_skb",
        &[&["SERR_CODE", "SERR_DATA", "SERR_INFO", "SERR_ORIGIN", "SK_COOKIE"]],
    ),
    exit(
        "dequeued_3",
        "sock_dequeue_err_skb",
        &[&["SERR_CODE", "SERR_DATA", "SERR_INFO", "SERR_ORIGIN", "SK_COOKIE"]],
    ),
    entry("pages_copied", "skb_copy_ubufs", MADE),
    entry("pages_copied_2", "skb_copy_ubufs", MADE),
    entry("tail_pulled", "__pskb_pull_tail", PULLED),
    entry("tail_pulled_2", "__pskb_pull_tail", PULLED),
    entry("segmented", "skb_segment", &[PACKET_UARG, OURS, DESCRIBED]),
    entry("segmented_2", "skb_segment", &[PACKET_UARG, OURS, DESCRIBED]),
    entry("copied_for_xdp", "skb_pp_cow_data", &[PACKET_UARG, OURS]),
    entry("copied_for_xdp_2", "skb_pp_cow_data", &[PACKET_UARG, OURS]),
    exit("optmem_asked", "sock_omalloc", &[]),
    exit("optmem_asked_2", "sock_omalloc", &[]),
    exit("memlock_asked", "mm_account_pinned_pages", &[]),
    exit("memlock_asked_2", "mm_account_pinned_pages", &[]),
    exit("uarg_held", "msg_zerocopy_realloc", &[UARG, REFERENCES]),
    exit("uarg_held_2", "msg_zerocopy_realloc", &[UARG, REFERENCES]),
    exit("uarg_held_3", "msg_zerocopy_realloc", &[UARG, REFERENCES]),
    entry("uarg_shorter", "msg_zerocopy_put_abort", &[UARG, REFERENCES]),
    entry("uarg_shorter_2", "msg_zerocopy_put_abort", &[UARG, REFERENCES]),
    entry("uarg_shorter_3", "msg_zerocopy_put_abort", &[UARG, REFERENCES]),
    entry("part_over", "msg_zerocopy_complete", &[UARG, REFERENCES]),
    entry("part_over_2", "msg_zerocopy_complete", &[UARG, REFERENCES]),
    entry("part_over_3", "msg_zerocopy_complete", &[UARG, REFERENCES]),
    exit("part_gone", "msg_zerocopy_complete", &[REFERENCES, AFTERWARDS]),
    exit("part_gone_2", "msg_zerocopy_complete", &[REFERENCES, AFTERWARDS]),
    exit("part_gone_3", "msg_zerocopy_complete", &[REFERENCES, AFTERWARDS]),
    exit("abort_gone", "msg_zerocopy_put_abort", &[REFERENCES, AFTERWARDS]),
    exit("abort_gone_2", "msg_zerocopy_put_abort", &[REFERENCES, AFTERWARDS]),
    exit("abort_gone_3", "msg_zerocopy_put_abort", &[REFERENCES, AFTERWARDS]),
    Program {
        name: "left_over",
        attach: Attach::Iterator("task"),
        reads: &[REFERENCES, AFTERWARDS],
        kernels: Kernels::All,
    },
    Program {
        name: "consumed",
        attach: Attach::Tracepoint("consume_skb"),
        reads: &[NOTIFICATION, &["SKB_LEN", "SKB_LIST_PREV", "SKB_SK"]],
        kernels: Kernels::All,
    },
    Program {
        name: "notified",
        attach: Attach::Tracepoint("inet_sk_error_report"),
        reads: &[NOTIFICATION, &["SKB_LIST_PREV"]],
        kernels: Kernels::All,
    },
    Program {
        name: "send_return",
        attach: Attach::Tracepoint("sock_send_length"),
        reads: &[
            REGISTER,
            WATCHED,
            CALL,
            &["CALL_SITES_WANTED", "CRED_CAPS", "OMALLOC_TRUESIZE", "SK_ZCKEY"],
        ],
        kernels: Kernels::All,
    },
    Program {
        name: "tcp_closed",
        attach: Attach::Tracepoint("tcp_destroy_sock"),
        reads: &[CONNECTION, &["SK_COOKIE", "SK_ZCKEY"]],
        kernels: Kernels::All,
    },
    // An early kernel's programs know a socket by its address, which this one is not told.
    Program {
        name: "sock_released",
        attach: Attach::CgroupRoot,
        reads: &[],
        kernels: Kernels::Late,
    },
    Program {
        name: "inet_released",
        attach: Attach::Entry("inet_release"),
        reads: &[&["SOCKET_SK"]],
        kernels: Kernels::Early,
    },
    Program {
        name: "socket_freed",
        attach: Attach::Entry("inet_sock_destruct"),
        reads: &[],
        kernels: Kernels::Early,
    },
    Program {
        name: "path_receive",
        attach: Attach::Tracepoint("netif_receive_skb"),
        reads: &[DESCRIBED, PACKET_UARG, &["DEV_TCX_INGRESS", "SKB_DATA_LEN"]],
        kernels: Kernels::All,
    },
    Program {
        name: "path_xmit",
        attach: Attach::Tracepoint("net_dev_start_xmit"),
        reads: &[DESCRIBED, PACKET_UARG, &["SHINFO_NR_FRAGS", "SKB_DATA_LEN", "SK_FLAGS"]],
        kernels: Kernels::All,
    },
    Program {
        name: "path_queue",
        attach: Attach::Tracepoint("net_dev_queue"),
        reads: &[
            DESCRIBED,
            PACKET_UARG,
            &["SKB_DATA_LEN"],
            BEGIN,
            REGISTER,
            WATCHED,
            CALL,
            &["DEV_TCX_EGRESS", "SHINFO_GSO_SIZE", "SKB_LEN"],
        ],
        kernels: Kernels::All,
    },
    Program {
        name: "dropped",
        attach: Attach::Tracepoint("kfree_skb"),
        reads: &[
            WATCHED,
            &["DROP_REASONS", "SKB_SK", "SK_COOKIE", "SK_FLAGS", "SK_STATE", "SK_ZCKEY"],
        ],
        kernels: Kernels::All,
    },
    Program {
        name: "tcp_entry",
        attach: Attach::Tracepoint("tcp_sendmsg_locked"),
        reads: &[REGISTER, WATCHED, &["MSG_FLAGS", "MSG_UBUF", "SK_ZCKEY"]],
        kernels: Kernels::All,
    },
    Program {
        name: "ring_submit",
        attach: Attach::Tracepoint("io_uring_submit_req"),
        reads: &[WATCHED, &["KIOCB_FD", "KIOCB_OPCODE"]],
        kernels: Kernels::All,
    },
    Program {
        name: "task_forked",
        attach: Attach::Tracepoint("sched_process_fork"),
        reads: &[WATCHED, &["FOLLOW", "TASK_TGID"]],
        kernels: Kernels::All,
    },
    Program {
        name: "task_executed",
        attach: Attach::Tracepoint("sched_process_exec"),
        reads: &[&["TASK_COMM", "TASK_LEADER"]],
        kernels: Kernels::All,
    },
    Program {
        name: "task_exited",
        attach: Attach::Tracepoint("sched_process_exit"),
        reads: &[&["SIGNAL_LIVE", "TASK_COMM", "TASK_LEADER", "TASK_SIGNAL"]],
        kernels: Kernels::All,
    },
    Program {
        name: "held_sockets",
        attach: Attach::Iterator("task_file"),
        reads: &[
            REGISTER,
            NOTIFICATION,
            &["BY_COMM", "EVERYTHING", "SELF", "TASK_LEADER"],
            &["SKB_LIST_NEXT", "SKB_NEXT", "SK_ZCKEY", "SOCKET_SK"],
        ],
        kernels: Kernels::All,
    },
    Program {
        name: "held_sockets_only",
        attach: Attach::Iterator("task_file"),
        reads: &[
            REGISTER,
            &["BY_COMM", "EVERYTHING", "SELF", "TASK_LEADER"],
            &["SK_ZCKEY", "SOCKET_SK"],
        ],
        kernels: Kernels::All,
    },
];

impl Program {
    /// The rows of the layout it reads, each once.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static str> {
        let mut all: Vec<_> = self.reads.iter().copied().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Its section in the object.
    #[must_use]
    pub fn section(&self) -> String {
        match self.attach {
            Attach::Tracepoint(name) => format!("tp_btf/{name}"),
            Attach::Entry(name) => format!("fentry/{name}"),
            Attach::Exit(name) => format!("fexit/{name}"),
            Attach::Iterator(name) => format!("iter/{name}"),
            Attach::CgroupRoot => "cgroup/sock_release".into(),
        }
    }
}
