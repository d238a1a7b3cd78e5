//! Rows: a path, what is sent over it, and what becomes of each send. Several are watched at
//! once, since to attach takes longer than to send.

use std::any::Any;

use anyhow::{Context, Result, ensure};
use zcwatch::lab::{Family, Layout, Topology, Tweak, sender::Truth};
use zcwatch_tests::{cpu::OneCpu, expect::Expected, report::Report, scenario::watch_all_with};

/// Sends of each line, where it says nothing else.
pub const COUNT: u64 = 20;

/// What becomes of every send of a line.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// Copied by this cause on this device: `local_delivery@server0`.
    Copied(&'static str),
    /// Copied, and zcwatch can only infer this cause; by the second one where the functions that copy are
    /// watched.
    Inferred(&'static str, &'static str),
    /// Copied, and reported zero-copy.
    Hidden,
    /// [`Fate::Hidden`], but for a few, which are copied by this cause; of this certainty where the
    /// functions that copy are not watched.
    HiddenBut(&'static str, &'static str),
    /// Not copied.
    Untouched,
}

pub use Fate::{Copied, Hidden, HiddenBut, Inferred, Untouched};

/// TCP messages of this size.
pub fn tcp(size: usize) -> String {
    format!("--protocol tcp --sizes {size}")
}

/// Datagrams of this size.
pub fn udp(size: usize) -> String {
    format!("--protocol udp --sizes {size}")
}

struct Line {
    arguments: String,
    fate: Fate,
}

/// A path and what is sent over it.
pub struct Row {
    pub path: Topology,
    name: String,
    unanswered: bool,
    /// Where the packets are first seen.
    device: Option<&'static str>,
    lines: Vec<Line>,
    /// Receivers and listeners.
    with: Vec<Box<dyn Any>>,
}

impl Row {
    pub fn new(layout: Layout, tweaks: &[Tweak]) -> Result<Self> {
        let name = format!("{layout:?} {tweaks:?}");
        let path = Topology::with(layout, tweaks).with_context(|| name.clone())?;
        let (lines, with) = (Vec::new(), Vec::new());
        let device = Some(path.client_device());
        Ok(Self { path, name, unanswered: false, device, lines, with })
    }

    /// Nobody receives: what is sent from now on goes to a port that is closed.
    pub fn unanswered(self) -> Self {
        Self { unanswered: true, ..self }
    }

    /// No packet with the sender's pages is seen on a device.
    pub fn unseen(self) -> Self {
        Self { device: None, ..self }
    }

    /// The first device that sees the packets is this one.
    pub fn first_on(self, device: &'static str) -> Self {
        Self { device: Some(device), ..self }
    }

    /// With something that stays until the row is done.
    pub fn with(mut self, what: &str, thing: impl Any) -> Self {
        self.name = format!("{}, {what}", self.name);
        self.with.push(Box::new(thing));
        self
    }

    /// Sends so, by IPv4 and by IPv6.
    pub fn sends(self, what: &str, fate: Fate) -> Result<Self> {
        self.sends_by(Family::V4, what, fate)?.sends_by(Family::V6, what, fate)
    }

    /// Sends so, by IPv4, by IPv6, and by IPv4 over an IPv6 socket.
    pub fn sends_three_ways(self, what: &str, fate: Fate) -> Result<Self> {
        self.sends(what, fate)?.sends_by(Family::V4, &format!("{what} --v4-mapped"), fate)
    }

    pub fn sends_by(mut self, family: Family, what: &str, fate: Fate) -> Result<Self> {
        let to = if self.unanswered || !self.path.has_receiver() {
            self.path.closed_port(family)
        } else if what.contains("--protocol tcp") {
            let sink = self.path.tcp_sink(family)?;
            let to = sink.address();
            self.with.push(Box::new(sink));
            to
        } else {
            let sink = self.path.udp_sink(family)?;
            let to = sink.address();
            self.with.push(Box::new(sink));
            to
        };
        let mut arguments = format!("send --to {to} {what}");
        if !what.contains("--count") {
            arguments = format!("{arguments} --count {COUNT}");
        }
        self.lines.push(Line { arguments, fate });
        Ok(self)
    }

    fn check(&self, line: &Line, truth: &Truth, report: &Report) -> Result<()> {
        let ids = truth.ids();
        ensure!(ids > 0 && truth.notified == ids, "{ids} ids, {} notified", truth.notified);
        let copied = match line.fate {
            Copied(_) | Inferred(..) => ids,
            Hidden | Untouched => 0,
            HiddenBut(..) => truth.copied,
        };
        ensure!(truth.copied == copied, "the sender was told of {} copies", truth.copied);
        let expected = Expected::of(truth).but("/device", self.device);
        // Where the functions that copy are watched, nothing is inferred.
        let watched = report.hook("copy_place")? == "fentry";
        let inferred = if watched { "measured" } else { "inferred" };
        let (expected, sure) = match line.fate {
            Copied(cause) => (expected.cause(cause, ids), "measured"),
            Inferred(cause, exact) => {
                (expected.cause(if watched { exact } else { cause }, ids), inferred)
            }
            Hidden => (expected.but("/hidden_copies", ids), ""),
            Untouched => (expected, ""),
            HiddenBut(cause, sure) => {
                println!("{copied} of {ids} copied");
                let expected = expected.but("/hidden_copies", ids - copied);
                let sure = if watched { "measured" } else { sure };
                (if copied > 0 { expected.cause(cause, copied) } else { expected }, sure)
            }
        };
        expected.check(report)?;
        for cause in report.socket(truth.cookie)?["causes"].as_array().into_iter().flatten() {
            ensure!(cause["certainty"] == sure, "{cause}, not {sure}");
            let sends = cause["sends"].as_u64().context("no count")?;
            let bytes = if sends == ids { truth.sends.bytes } else { sends * size(truth)? };
            ensure!(cause["bytes"] == bytes, "{cause}, not {bytes} bytes");
        }
        Ok(())
    }
}

/// Of messages of one size.
fn size(truth: &Truth) -> Result<u64> {
    truth.sends.min.filter(|min| Some(*min) == truth.sends.max).context("sizes differ")
}

/// Watches the rows, all at once, and holds what zcwatch says of each line against what became
/// of it. Says all that differs. The rows share one CPU ([`OneCpu`]): they are laid on it.
pub fn check(one: &OneCpu, rows: &[Row]) -> Result<Report> {
    check_with(one, rows, "")
}

/// As [`check`], zcwatch with more arguments, parted by spaces.
pub fn check_with(_: &OneCpu, rows: &[Row], arguments: &str) -> Result<Report> {
    let lines = rows.iter().flat_map(|row| row.lines.iter().map(move |line| (row, line)));
    let workloads: Vec<_> =
        lines.clone().map(|(row, line)| (row.path.client(), line.arguments.clone())).collect();
    let (report, truths) = watch_all_with(&workloads, arguments)?;
    let mut wrong = String::new();
    for (truth, (row, line)) in truths.iter().zip(lines) {
        println!("{}: {} {:?}", row.name, line.arguments, line.fate);
        if let Err(error) = row.check(line, truth, &report) {
            wrong += &format!("\n{}: {} {:?}\n{error}\n", row.name, line.arguments, line.fate);
        }
    }
    ensure!(wrong.is_empty(), "{wrong}");
    let all: u64 = truths.iter().map(Truth::ids).sum();
    ensure!(*report.at("/totals/sends/count") == all, "{all} sends: {}", report.at("/totals"));
    ensure!(report.sockets().len() == truths.len(), "{} rows", report.sockets().len());
    Ok(report)
}
