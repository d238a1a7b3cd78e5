//! What a watch found, live or read back, and how it is printed.

use super::{Exit, print};
use crate::{
    cli::Format,
    diagnosis::{Context, Finding, FindingId, diagnose, judge},
    host::process,
    output::{
        json::{About, Report},
        style::Style,
        text,
    },
    recording::Header,
    tracker::{Snapshot, Tracker, ended::ROWS},
};

/// What takes the events of a report.
pub(super) fn tracker() -> Tracker {
    Tracker::keeping(ROWS, judge)
}

/// What was found.
pub(super) struct Outcome {
    pub about: About,
    pub snapshot: Snapshot,
    pub findings: Vec<Finding>,
}

impl Outcome {
    /// Asks the tracker for all, at the end of the watch (ns since boot), and the diagnosis what
    /// is wrong.
    pub(super) fn of(
        header: Header,
        tracker: &mut Tracker,
        end: u64,
        ignored: &[FindingId],
    ) -> Self {
        let snapshot = tracker.snapshot(header.start_boot_ns, end, true);
        let context = Context { ignored: ignored.to_vec(), ..header.context };
        let findings = diagnose(&snapshot, &context);
        Self { about: header.about, snapshot, findings }
    }

    /// Prints the report.
    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Text => print(&text::report(
                &self.about,
                &self.snapshot,
                &self.findings,
                Style::of_stdout(),
            )),
            Format::Json => {
                let report = Report::new(&self.about, &self.snapshot, &self.findings);
                print(&format!("{}\n", serde_json::to_string_pretty(&report)?))
            }
        }
    }

    /// Says on standard error which of the processes that were given have ended.
    pub(super) fn tell_ended(&self) {
        let given = &self.about.target.pids;
        let all = given.iter().filter_map(|pid| self.snapshot.processes.get(pid));
        for p in all.filter(|p| p.ended) {
            let name = process::escape(&p.comm);
            eprintln!("zcwatch: {name} (pid {}) ended while it was watched", p.pid);
        }
    }
}

/// How a watch that ended for this signal ends the program.
pub(super) fn exit(signal: Option<u8>) -> Exit {
    signal.map_or(Exit::Done, Exit::Interrupted)
}
