//! `zcwatch report`.

use super::{Exit, session::Session};
use crate::{cli, host::process, probe::Settings, target::Target};

pub(super) fn run(args: &cli::Report) -> anyhow::Result<Exit> {
    let mut pids = args.pids.clone();
    pids.sort_unstable();
    pids.dedup();
    for pid in &pids {
        process::check(*pid)?;
    }
    let settings = Settings { ring_bytes: args.ring_size, ..Settings::default() };
    let outcome = Session::begin(&Target::of(&pids), &settings)?.run(args.duration)?;
    for p in outcome.snapshot.processes.values().filter(|p| p.ended) {
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
