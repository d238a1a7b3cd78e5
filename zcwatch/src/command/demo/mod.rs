//! `zcwatch demo`: real zerocopy traffic, made by a process of its own in anonymous network
//! namespaces, and watched like any other process.
//!
//! The namespaces live in the child's descriptors, and the child dies with us, even by SIGKILL:
//! nothing is left to clean up.

mod all;
mod child;
mod scenario;
mod stop;
mod table;
mod traffic;
mod user;

use std::time::Duration;

use anyhow::Context as _;

use super::{
    Exit, Usage,
    cmd::Voice,
    outcome::{Outcome, exit},
    print,
    screen::show,
    session::{HINT, Session},
};
use crate::{
    cli::{self, Format},
    output::style::Style,
    probe::{ProbeError, Settings},
    target::Target,
    tracker::Tracker,
};
use child::Child;
use scenario::Scenario;
pub(super) use traffic::{sniffer, traffic};

/// How long one is watched, unless it needs more.
const TIME: Duration = Duration::from_secs(3);

pub(super) fn run(args: &cli::Demo) -> anyhow::Result<Exit> {
    if args.list {
        print(&Style::of_stdout().plain(&scenario::list()))?;
        return Ok(Exit::Done);
    }
    if args.all {
        return all::run(args);
    }
    let name = args.scenario.as_deref().unwrap_or(table::FIRST);
    let scenario = Scenario::named(name).map_err(Usage)?;
    privileged(scenario)?;
    let child = Child::traffic(scenario).context("the demo's traffic could not be made")?;
    if args.tui {
        let target = Target::of(&[child.pid()]);
        let go = || child.go();
        return show(
            &target,
            &Settings { growing: true, ..Settings::default() },
            &[],
            &args.looks,
            Voice::Shared,
            go,
        );
    }
    let time = args.duration.unwrap_or(TIME.max(scenario.time));
    let (outcome, signal) = watch(child, time, Some(HINT))?;
    if args.output.format == Format::Text {
        let style = Style::of_stdout();
        print(&style.plain(&format!("demo {}: {}\n\n", scenario.name, scenario.shows)))?;
    }
    outcome.print(args.output.format)?;
    Ok(exit(signal))
}

/// Watches the traffic for so long, or until a signal comes, and ends it.
fn watch(
    child: Child,
    duration: Duration,
    hint: Option<&str>,
) -> anyhow::Result<(Outcome, Option<u8>)> {
    let session = Session::begin(&Target::of(&[child.pid()]), &Settings::default())?;
    child.go()?;
    let mut tracker = Tracker::default();
    let (header, end) = session.watch(Some(duration), hint, &mut tracker)?;
    drop(child);
    Ok((Outcome::of(header, &mut tracker, end.ts, &[]), end.signal))
}

fn privileged(scenario: &Scenario) -> Result<(), ProbeError> {
    let missing = scenario.missing();
    if missing.is_empty() { Ok(()) } else { Err(ProbeError::Demo(missing)) }
}
