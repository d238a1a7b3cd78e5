//! `zcwatch report`.

use std::time::Duration;

use super::{Exit, Usage, session::Session};
use crate::{cli, host::process, probe::Settings};

/// How long to watch where nothing else ends the watch.
const USUAL: Duration = Duration::from_secs(10);
/// A command is watched to its end; what `-d` takes at most.
const TO_THE_END: Duration = Duration::from_hours(24 * 365);

pub(super) fn run(args: &cli::Report) -> anyhow::Result<Exit> {
    if let Some(both) = args.fail_on.iter().find(|f| args.ignore.contains(f)) {
        let name = both.name();
        let sentence = format!(
            "--ignore {name} leaves out what --fail-on {name} waits for: give one of them only"
        );
        return Err(Usage(sentence).into());
    }
    let target = args.whom.target();
    for pid in &target.pids {
        process::check(*pid)?;
    }
    let usual = if target.command.is_some() { TO_THE_END } else { USUAL };
    let settings = Settings { ring_bytes: args.ring_size, ..Settings::default() };
    let outcome = Session::begin(&target, &settings)?.run(args.duration.unwrap_or(usual))?;
    let given = target.pids.iter().filter_map(|pid| outcome.snapshot.processes.get(pid));
    for p in given.filter(|p| p.ended) {
        eprintln!(
            "zcwatch: {} (pid {}) ended while it was watched",
            process::escape(&p.comm),
            p.pid
        );
    }
    outcome.print(args.output.format)?;
    let failed = outcome.findings.iter().any(|f| args.fail_on.contains(&f.id));
    Ok(match outcome.exit() {
        Exit::Done if failed => Exit::FailOn,
        exit => exit,
    })
}
