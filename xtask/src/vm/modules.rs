//! The kernel modules that guests carry.

/// Loaded at boot: the devices and queues of the lab.
pub const AT_BOOT: [&str; 19] = [
    "af_packet",
    "veth",
    "tun",
    "dummy",
    "bridge",
    "macvlan",
    "vxlan",
    "ifb",
    "sch_netem",
    "sch_ingress",
    "sch_tbf",
    "sch_fq",
    "cls_bpf",
    "cls_u32",
    "act_mirred",
    "act_gact",
    "sch_prio",
    "ip_gre",
    "ipip",
];

/// Loaded by the scenarios that name them, or by a test at some moment of its own.
pub const LATER: [&str; 19] = [
    "wireguard",
    "tls",
    "esp4",
    "esp6",
    "esp4_offload",
    "esp6_offload",
    "xfrm_user",
    "xfrm_interface",
    "authenc",
    "gcm",
    "ccm",
    "cbc",
    "hmac",
    "seqiv",
    "echainiv",
    "vsock",
    "vsock_loopback",
    "ip6_gre",
    "sit",
];
