//! `zcwatch report`: watches, or reads a recording, then says what is wrong.

mod save;

use std::{
    fs::File,
    io::{BufRead, BufReader, stdin},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;

use super::{
    Exit, Usage,
    outcome::{Outcome, exit, tracker},
    session::{HINT, Session},
};
use crate::{cli, host::process, probe::Settings, source::Recorded};
use save::{Destination, Saving};

/// How long to watch where nothing else ends the watch.
const USUAL: Duration = Duration::from_secs(10);

pub(super) fn run(args: &cli::Report) -> anyhow::Result<Exit> {
    if let Some(both) = args.fail_on.iter().find(|f| args.ignore.contains(f)) {
        let name = both.name();
        let sentence = format!(
            "--ignore {name} leaves out what --fail-on {name} waits for: give one of them only"
        );
        return Err(Usage(sentence).into());
    }
    match &args.from {
        Some(file) => read_back(args, file),
        None => watch(args),
    }
}

fn watch(args: &cli::Report) -> anyhow::Result<Exit> {
    let target = args.whom.target();
    for pid in &target.pids {
        process::check(*pid)?;
    }
    let destination = args.save.as_deref().map(Destination::open).transpose()?;
    let settings = Settings { call_sites: args.user_stacks, ..args.means.settings() };
    let session = Session::begin(&target, &settings)?;
    let mut sink = Saving::new(destination);
    // A command is watched to its end.
    let usual = target.command.is_none().then_some(USUAL);
    let (header, end) = session.watch(args.duration.or(usual), Some(HINT), &mut sink)?;
    let outcome = Outcome::of(header, &mut sink.tracker, end.ts, &args.ignore);
    let shown = show(args, &outcome)?;
    if sink.failed {
        // It was said when it happened.
        return Ok(Exit::Failed);
    }
    Ok(match exit(end.signal) {
        Exit::Done => shown,
        exit => exit,
    })
}

fn read_back(args: &cli::Report, file: &Path) -> anyhow::Result<Exit> {
    let (name, from): (String, Box<dyn BufRead>) = if file == Path::new("-") {
        ("standard input".into(), Box::new(stdin().lock()))
    } else {
        let name = process::escape(&file.to_string_lossy());
        let opened = File::open(file).with_context(|| format!("could not open {name}"))?;
        (name, Box::new(BufReader::with_capacity(1 << 16, opened)))
    };
    let mut tracker = tracker();
    let mut recorded = Recorded::open(from).with_context(|| name.clone())?;
    while let Some(event) = recorded.event().with_context(|| name.clone())? {
        tracker.apply(&event);
    }
    if recorded.end().is_none() {
        eprintln!(
            "zcwatch: {name} is cut off: it has no last line; what it has is reported, as if the \
             watch had ended with its last event"
        );
    }
    let header = recorded.header().clone();
    let then = i64::try_from(header.about.start_unix_ns / 1_000_000_000).unwrap_or_default();
    if let Ok(then) = jiff::Timestamp::from_second(then) {
        let then = then.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S");
        eprintln!(
            "zcwatch: {name} was recorded at {then}: process ids and commands are of that time"
        );
    }
    show(args, &Outcome::of(header, &mut tracker, recorded.ended_at(), &args.ignore))
}

fn show(args: &cli::Report, outcome: &Outcome) -> anyhow::Result<Exit> {
    outcome.tell_ended();
    outcome.print(args.output.format)?;
    let failed = outcome.findings.iter().any(|f| args.fail_on.contains(&f.id));
    Ok(if failed { Exit::FailOn } else { Exit::Done })
}
