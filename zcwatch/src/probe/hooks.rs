//! Which hook answers which question: one table, read by `doctor`, every report's header and
//! the docs. Each question has an ordered list; the first row that really attached answers.

use serde::{Deserialize, Serialize};

/// A question that hooks answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A send and its id.
    Send,
    /// When a send began.
    SendEntry,
    /// MSG_ZEROCOPY without SO_ZEROCOPY.
    FlagIgnored,
    /// A completion with its own copied bit.
    Completion,
    /// Which copy, where.
    CopyPlace,
    /// Copies that the completion does not show.
    HiddenCopy,
    /// Which limit a failed send ran into.
    Limit,
    /// What dropped a send that failed below the socket.
    Drop,
    /// What the application read from the error queue.
    NotificationRead,
    /// Sockets that were there before.
    HeldSockets,
    /// The end of a socket.
    Closed,
    /// Zerocopy requests of io_uring.
    IoUring,
    /// Processes that join and leave the watch.
    Processes,
}

/// What a hook is attached with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Function entry or exit by trampoline.
    Fentry,
    /// Breakpoint, or its return.
    Kprobe,
    /// A tracepoint by its BTF type.
    TpBtf,
    /// A tracepoint through tracefs.
    Tracepoint,
    /// A BPF iterator.
    Iter,
    /// A cgroup hook.
    Cgroup,
    /// Nothing answers.
    None,
}

impl Kind {
    /// The word in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::TpBtf => "tp_btf",
            Self::Tracepoint => "tracepoint",
            Self::Iter => "iter",
            Self::Cgroup => "cgroup",
            Self::None => "none",
        }
    }
}

/// How sure an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Certainty {
    /// Seen happening.
    Measured,
    /// Follows from what was seen, by how the kernel works.
    Inferred,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub struct Hook {
    /// The question.
    pub question: Question,
    /// What it sits on, in the kernel's words.
    pub name: &'static str,
    /// What it is attached with.
    pub kind: Kind,
    /// The programs that must all be running; empty: not written yet.
    pub programs: &'static [&'static str],
    /// How sure its answer is.
    pub certainty: Certainty,
}

const fn hook(
    question: Question,
    kind: Kind,
    name: &'static str,
    programs: &'static [&'static str],
    certainty: Certainty,
) -> Hook {
    Hook { question, name, kind, programs, certainty }
}

use super::programs::{
    EXACT_COMPLETIONS, EXACT_SENDS, HIDDEN_COPIES, LAST_REFERENCES, LIMITS, MADE_COPIES, READS,
};
use Certainty::{Inferred, Measured};
use Kind::{Cgroup, Fentry, Iter, Kprobe, TpBtf};

/// The table. Rows without a program stand where they will be tried.
pub const HOOKS: &[Hook] = &[
    hook(Question::Send, Fentry, "msg_zerocopy_realloc, sendmsg", EXACT_SENDS, Measured),
    hook(Question::Send, Kprobe, "msg_zerocopy_realloc", &[], Measured),
    hook(Question::Send, TpBtf, "sock_send_length", &["send_return"], Measured),
    hook(Question::SendEntry, Fentry, "sendmsg", EXACT_SENDS, Measured),
    hook(
        Question::SendEntry,
        TpBtf,
        "tcp_sendmsg_locked, net_dev_queue",
        &["tcp_entry", "path_queue"],
        Measured,
    ),
    hook(Question::SendEntry, TpBtf, "net_dev_queue", &["path_queue"], Measured),
    hook(Question::FlagIgnored, Fentry, "sendmsg", EXACT_SENDS, Measured),
    hook(Question::FlagIgnored, TpBtf, "sock_send_length", &["send_return"], Measured),
    hook(Question::Completion, Fentry, "__msg_zerocopy_callback", EXACT_COMPLETIONS, Measured),
    hook(
        Question::Completion,
        Fentry,
        "msg_zerocopy_complete, msg_zerocopy_put_abort",
        LAST_REFERENCES,
        Measured,
    ),
    hook(Question::Completion, Kprobe, "msg_zerocopy_complete", &[], Measured),
    hook(
        Question::Completion,
        TpBtf,
        "consume_skb, inet_sk_error_report",
        &["consumed", "notified"],
        Measured,
    ),
    hook(Question::CopyPlace, Fentry, "skb_copy_ubufs, __pskb_pull_tail", MADE_COPIES, Measured),
    hook(Question::CopyPlace, Kprobe, "skb_copy_ubufs, __pskb_pull_tail", &[], Measured),
    hook(
        Question::CopyPlace,
        TpBtf,
        "net_dev_queue, net_dev_start_xmit, netif_receive_skb",
        &["path_queue", "path_xmit", "path_receive"],
        Measured,
    ),
    hook(Question::HiddenCopy, Fentry, "skb_segment, skb_pp_cow_data", HIDDEN_COPIES, Measured),
    hook(Question::HiddenCopy, Kprobe, "skb_segment, skb_pp_cow_data", &[], Measured),
    hook(
        Question::HiddenCopy,
        TpBtf,
        "net_dev_queue, net_dev_start_xmit",
        &["path_queue", "path_xmit"],
        Inferred,
    ),
    hook(Question::Limit, Fentry, "sock_omalloc, mm_account_pinned_pages", LIMITS, Measured),
    hook(Question::Limit, Kprobe, "sock_omalloc, mm_account_pinned_pages", &[], Measured),
    hook(Question::Limit, Fentry, "sendmsg", EXACT_SENDS, Inferred),
    hook(Question::Limit, TpBtf, "sock_send_length", &["send_return"], Inferred),
    hook(Question::Drop, TpBtf, "kfree_skb", &["dropped"], Measured),
    hook(Question::NotificationRead, Fentry, "sock_dequeue_err_skb", READS, Measured),
    hook(Question::NotificationRead, TpBtf, "consume_skb", &["consumed"], Measured),
    hook(Question::HeldSockets, Iter, "task_file", &["held_sockets"], Measured),
    hook(Question::HeldSockets, Iter, "task_file", &["held_sockets_only"], Measured),
    hook(Question::Closed, Cgroup, "sock_release", &["sock_released"], Measured),
    hook(Question::Closed, Fentry, "inet_release", &["inet_released", "socket_freed"], Measured),
    hook(Question::Closed, TpBtf, "tcp_destroy_sock", &["tcp_closed"], Measured),
    hook(Question::IoUring, TpBtf, "io_uring_submit_req", &["ring_submit"], Measured),
    hook(
        Question::Processes,
        TpBtf,
        "sched_process_fork, sched_process_exec, sched_process_exit",
        &["task_forked", "task_executed", "task_exited"],
        Measured,
    ),
];

impl Question {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 13] = [
        Self::Send,
        Self::SendEntry,
        Self::FlagIgnored,
        Self::Completion,
        Self::CopyPlace,
        Self::HiddenCopy,
        Self::Limit,
        Self::Drop,
        Self::NotificationRead,
        Self::HeldSockets,
        Self::Closed,
        Self::IoUring,
        Self::Processes,
    ];

    /// The key in JSON.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Send => "send",
            Self::SendEntry => "send_entry",
            Self::FlagIgnored => "flag_ignored",
            Self::Completion => "completion",
            Self::CopyPlace => "copy_place",
            Self::HiddenCopy => "hidden_copy",
            Self::Limit => "limit",
            Self::Drop => "drop",
            Self::NotificationRead => "notification_read",
            Self::HeldSockets => "held_sockets",
            Self::Closed => "closed",
            Self::IoUring => "io_uring",
            Self::Processes => "processes",
        }
    }

    /// The question, as a person asks it.
    #[must_use]
    pub fn asks(self) -> &'static str {
        match self {
            Self::Send => "which sends were made, with which id?",
            Self::SendEntry => "when did a send begin?",
            Self::FlagIgnored => "was MSG_ZEROCOPY passed without SO_ZEROCOPY?",
            Self::Completion => "when did a send complete, and was it copied?",
            Self::CopyPlace => "where was it copied?",
            Self::HiddenCopy => "was it copied although reported zero-copy?",
            Self::Limit => "which limit did a refused send run into?",
            Self::Drop => "what dropped a send that failed and kept its id?",
            Self::NotificationRead => "does the application read its notifications?",
            Self::HeldSockets => "which sockets were there before?",
            Self::Closed => "when was a socket closed?",
            Self::IoUring => "does io_uring send with zerocopy?",
            Self::Processes => "which processes join and leave the watch?",
        }
    }

    /// What is missing where nothing answers.
    #[must_use]
    pub fn without(self) -> &'static str {
        match self {
            Self::Send => "nothing can be said: no send is seen",
            Self::SendEntry => "release latency counts from the return of the send",
            Self::FlagIgnored => "sends whose flag the kernel ignored are not seen",
            Self::Completion => "copied sends and release latency are not known",
            Self::CopyPlace => "the cause of a copy stays unknown",
            Self::HiddenCopy => "copies that the kernel reports as zero-copy are not seen",
            Self::Limit => "ENOBUFS is not split by limit",
            Self::Drop => "of a send that was dropped on its way out only the error is known",
            Self::NotificationRead => "unread notifications are not known",
            Self::HeldSockets => "sockets that were open before are seen at their next send only",
            Self::Closed => "a closed UDP socket is shown as idle",
            Self::IoUring => "zerocopy requests of io_uring are not seen",
            Self::Processes => {
                "processes that a watched one makes are not followed, and the id of one that ended \
                 may be watched on as another's"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::programs::PROGRAMS;

    /// docs/hooks.md, from the table.
    fn page() -> String {
        let mut out = String::from(
            "# Hooks\n\nMade from the table in zcwatch/src/probe/hooks.rs. For each question the \
             first row whose programs run answers; `zcwatch doctor` says which one does on a host. Of \
             the rows for sends and completions the functions are tried first where the kernel may \
             preempt its own code, and the tracepoints elsewhere; `--hooks` decides it otherwise. A row without programs is not written yet.\n",
        );
        for q in Question::ALL {
            out += &format!(
                "\n## {}\n`{}`. Without an answer: {}.\n\n",
                q.asks(),
                q.key(),
                q.without()
            );
            out += "| hook | kind | answer | programs |\n|---|---|---|---|\n";
            for h in HOOKS.iter().filter(|h| h.question == q) {
                let sure = if h.certainty == Measured { "measured" } else { "inferred" };
                let programs =
                    if h.programs.is_empty() { "–".into() } else { h.programs.join(", ") };
                out += &format!("| {} | {} | {sure} | {programs} |\n", h.name, h.kind.name());
            }
        }
        out
    }

    #[test]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/hooks.md");
        if std::env::var_os("ZCWATCH_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/hooks.md is not the table: ZCWATCH_WRITE_DOCS=1 cargo test -p zcwatch --lib page"
        );
    }

    #[test]
    fn every_question_has_rows_and_every_program_serves_one() {
        for q in Question::ALL {
            assert!(HOOKS.iter().any(|h| h.question == q), "{q:?} has no hook");
        }
        for p in PROGRAMS {
            assert!(
                HOOKS.iter().any(|h| h.programs.contains(&p.name)),
                "{} serves nothing",
                p.name
            );
        }
        for h in HOOKS {
            for p in h.programs {
                assert!(PROGRAMS.iter().any(|x| x.name == *p), "no program {p}");
            }
        }
    }
}
