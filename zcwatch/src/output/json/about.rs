//! What a report is about, besides what was seen.

use serde::{Deserialize, Serialize};

use crate::{
    host::caps::{Capabilities, Capability},
    probe::{
        Probe,
        hooks::{Kind, Question},
    },
    target::Target,
};

/// What the report is about, besides the snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Kernel release.
    pub kernel: String,
    /// The architecture that the zcwatch which watched was built for.
    pub arch: String,
    /// Which hook answers each question.
    pub hooks: Vec<HookRow>,
    /// What was to be watched.
    pub target: Target,
    /// Start of the window, ns since 1970.
    pub start_unix_ns: u64,
    /// What cannot be known or named here, in sentences.
    pub unseen: Vec<String>,
}

/// One question and what answers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HookRow {
    /// [`Question::key`].
    pub question: String,
    /// The kernel function or tracepoint; `null`: nothing answers.
    pub hook: Option<String>,
    /// What it is attached with.
    pub kind: String,
    /// What is missing without it.
    pub without_it: String,
}

impl HookRow {
    /// All questions, as this probe answers them.
    #[must_use]
    pub fn all(probe: &Probe) -> Vec<Self> {
        Question::ALL
            .into_iter()
            .map(|q| {
                let hook = probe.answer(q);
                Self {
                    question: q.key().into(),
                    hook: hook.map(|h| probe.name(h)),
                    kind: hook.map_or("none", |h| h.kind.name()).into(),
                    without_it: q.without().into(),
                }
            })
            .collect()
    }
}

/// What cannot be known or named with these hooks and privileges.
#[must_use]
pub fn unseen(probe: &Probe, caps: Capabilities) -> Vec<String> {
    let mut all: Vec<String> = Question::ALL
        .into_iter()
        .filter(|q| probe.answer(*q).is_none())
        .map(|q| q.without().to_owned())
        .collect();
    if probe.answer(Question::Closed).is_some_and(|h| h.kind != Kind::Cgroup) {
        all.push(format!("{} (needs CAP_NET_ADMIN)", Question::Closed.without()));
    }
    if probe.answer(Question::HiddenCopy).is_some() && !probe.copies_for_xdp_are_seen() {
        all.push(
            "copies that a veth makes for its XDP program are not seen (the kernel does not tell \
             veth's types)"
                .into(),
        );
    }
    if probe.is_locked_down() {
        all.push(
            "some of this only because the kernel is locked down (lockdown=confidentiality; \
             integrity would not forbid it)"
                .into(),
        );
    }
    if !caps.missing(&[Capability::SysPtrace]).is_empty() {
        all.push(
            "the holders of packet sockets of other users are not named (needs CAP_SYS_PTRACE)"
                .into(),
        );
    }
    all
}

impl About {
    /// Does any hook answer this?
    #[must_use]
    pub fn answers(&self, question: Question) -> bool {
        self.hooks.iter().any(|h| h.question == question.key() && h.hook.is_some())
    }

    /// The kinds of hooks in use, each once.
    #[must_use]
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<_> =
            self.hooks.iter().filter(|h| h.hook.is_some()).map(|h| h.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}
