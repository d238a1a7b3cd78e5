//! `zcwatch doctor`: what can be answered here, and what would help.

use std::fmt::Write;

use serde::Serialize;

use super::{Exit, print, session::kernel_release};
use crate::{
    cli::{self, Format},
    diagnosis::Severity,
    host::{
        caps::{Capabilities, Capability},
        lockdown,
    },
    output::style::Style,
    probe::{
        Probe, ProbeError, Settings,
        error::Refusal,
        hooks::{Certainty, Question},
    },
    source::Live,
};

#[derive(Serialize)]
struct Diagnosis {
    schema: &'static str,
    kernel: String,
    arch: &'static str,
    usable: bool,
    error: Option<String>,
    questions: Vec<Answer>,
    capabilities: Vec<Held>,
    reader_calibrated: bool,
}

#[derive(Serialize)]
struct Answer {
    question: &'static str,
    asks: &'static str,
    hook: Option<String>,
    kind: &'static str,
    certainty: Option<Certainty>,
    without_it: &'static str,
    refused: Vec<Refused>,
}

#[derive(Serialize)]
struct Refused {
    hook: &'static str,
    reason: String,
    help: Option<String>,
}

#[derive(Serialize)]
struct Held {
    name: &'static str,
    held: bool,
    gives: &'static str,
}

pub(super) fn run(args: &cli::Doctor) -> anyhow::Result<Exit> {
    let live = Live::open(&Settings::default());
    let calibrated = live.is_ok();
    let probe = match live {
        Ok(live) => Ok(live.into_probe()),
        Err(ProbeError::Loopback(_)) => Probe::attach(&Settings::default()),
        Err(e) => Err(e),
    };
    let diagnosis = examine(&probe, calibrated);
    match args.output.format {
        Format::Json => print(&format!("{}\n", serde_json::to_string_pretty(&diagnosis)?))?,
        Format::Text => {
            let style = Style::of_stdout();
            print(&style.plain(&text(&diagnosis, style)))?;
        }
    }
    match probe {
        Ok(_) => Ok(Exit::Done),
        Err(e) => Err(e.into()),
    }
}

fn examine(probe: &Result<Probe, ProbeError>, reader_calibrated: bool) -> Diagnosis {
    let answer = |q: Question| {
        let found = probe.as_ref().ok().and_then(|p| Some((p, p.answer(q)?)));
        let name = found.map(|(probe, hook)| probe.name(hook));
        let found = found.map(|(_, hook)| hook);
        Answer {
            question: q.key(),
            asks: q.asks(),
            hook: name,
            kind: found.map_or("none", |h| h.kind.name()),
            certainty: found.map(|h| h.certainty),
            without_it: q.without(),
            refused: probe.as_ref().map_or_else(
                |_| Vec::new(),
                |p| p.refusals(q).into_iter().map(|(hook, why)| refused(hook, why)).collect(),
            ),
        }
    };
    let caps = Capabilities::current();
    let held = |cap: Capability, gives| Held { name: cap.name(), held: caps.has(cap), gives };
    Diagnosis {
        schema: "zcwatch.doctor/1",
        kernel: kernel_release(),
        arch: std::env::consts::ARCH,
        usable: probe.is_ok(),
        error: probe.as_ref().err().map(ToString::to_string),
        questions: Question::ALL.into_iter().map(answer).collect(),
        capabilities: vec![
            held(Capability::Bpf, "maps and programs: needed"),
            held(Capability::Perfmon, "tracing programs: needed"),
            held(Capability::NetAdmin, "the close of UDP sockets; demo"),
            held(Capability::SysPtrace, "names of other users' packet sockets"),
            held(Capability::SysAdmin, "network namespaces of demo; stands for the first two"),
        ],
        reader_calibrated,
    }
}

fn refused(hook: &'static str, why: &Refusal) -> Refused {
    let help = match (why, hook) {
        (Refusal::NotPermitted, "cgroup/sock_release") => Some("needs CAP_NET_ADMIN".into()),
        (Refusal::NotPermitted, _) if tracing_allowed() => {
            Some("the kernel forbids it, whatever the capabilities".into())
        }
        (Refusal::NotPermitted, _) => Some("needs CAP_BPF and CAP_PERFMON".into()),
        (Refusal::Absent, "sock_send_length" | "tcp_sendmsg_locked") => {
            Some("a newer kernel has it".into())
        }
        (Refusal::Host(_), _) => {
            Some("mount a cgroup v2 hierarchy: mount -t cgroup2 none DIR".into())
        }
        (Refusal::Refused(why), _) if lockdown::explains(why) => {
            Some("kernel lockdown is set to confidentiality, which forbids it".into())
        }
        _ => None,
    };
    Refused { hook, reason: why.to_string(), help }
}

fn tracing_allowed() -> bool {
    Capabilities::current().missing(&[Capability::Bpf, Capability::Perfmon]).is_empty()
}

fn text(d: &Diagnosis, style: Style) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}: Linux {}, {}\n", style.bold("zcwatch doctor"), d.kernel, d.arch);
    for a in &d.questions {
        let (severity, ok) =
            if a.hook.is_some() { (Severity::Note, true) } else { (Severity::Warning, false) };
        let _ = writeln!(out, "{} {}", style.sign(severity, ok), a.asks);
        match (&a.hook, a.certainty) {
            (Some(hook), Some(certainty)) => {
                let sure = match certainty {
                    Certainty::Measured => "measured",
                    Certainty::Inferred => "inferred",
                };
                let _ = writeln!(out, "    {sure}, by {} {hook}", a.kind);
            }
            _ => {
                let _ = writeln!(out, "    not answered: {}", a.without_it);
            }
        }
        for r in &a.refused {
            let help = r.help.as_ref().map_or_else(String::new, |h| format!(" → {h}"));
            let _ = writeln!(out, "    {}: {}{help}", r.hook, r.reason);
        }
    }
    let _ = writeln!(out, "\n{}", style.bold("capabilities"));
    for c in &d.capabilities {
        let (severity, ok) =
            if c.held { (Severity::Note, true) } else { (Severity::Warning, false) };
        let _ = writeln!(out, "{} {:<15} {}", style.sign(severity, ok), c.name, c.gives);
    }
    if d.usable && !d.reader_calibrated {
        let _ = writeln!(
            out,
            "\nLoopback is down in this network namespace, so merged completions cannot be told \
             from reads.\n→ ip link set lo up"
        );
    }
    out.push('\n');
    out
}
