//! `zcwatch demo`: real zerocopy traffic, made by a process of its own in anonymous network
//! namespaces, and watched like any other process.
//!
//! The namespaces live in the child's descriptors, and the child dies with us, even by SIGKILL:
//! nothing is left to clean up.

mod child;
mod scenario;

use anyhow::Context as _;

use super::{
    Exit, Usage,
    outcome::{Outcome, exit},
    print,
    session::{HINT, Session},
};
use crate::{
    cli::{self, Format},
    host::caps::{Capabilities, Capability},
    output::style::Style,
    probe::{ProbeError, Settings},
    target::Target,
    tracker::Tracker,
};
use child::Child;
pub(super) use child::{sniffer, traffic};
use scenario::{SCENARIOS, Scenario};

pub(super) fn run(args: &cli::Demo) -> anyhow::Result<Exit> {
    if args.list {
        return list();
    }
    let scenario = Scenario::named(&args.scenario).map_err(Usage)?;
    privileged(scenario)?;
    let child = Child::start(scenario).context("the demo's traffic could not be made")?;
    let session = Session::begin(&Target::of(&[child.pid()]), &Settings::default())?;
    child.go()?;
    let mut tracker = Tracker::default();
    let (header, end) = session.watch(Some(args.duration), HINT, &mut tracker)?;
    let outcome = Outcome::of(header, &mut tracker, end.ts, &[]);
    drop(child);
    if args.output.format == Format::Text {
        let style = Style::of_stdout();
        print(&style.plain(&format!("demo {}: {}\n\n", scenario.name, scenario.shows)))?;
    }
    outcome.print(args.output.format)?;
    Ok(exit(end.signal))
}

fn list() -> anyhow::Result<Exit> {
    let style = Style::of_stdout();
    for s in SCENARIOS {
        print(&style.plain(&format!("{:<10} {}\n", s.name, s.shows)))?;
    }
    Ok(Exit::Done)
}

fn privileged(scenario: &Scenario) -> Result<(), ProbeError> {
    let mut wanted =
        vec![Capability::SysAdmin, Capability::NetAdmin, Capability::Bpf, Capability::Perfmon];
    if scenario.sniffer {
        wanted.push(Capability::NetRaw);
    }
    let caps = Capabilities::current().missing(&wanted);
    if caps.is_empty() { Ok(()) } else { Err(ProbeError::Demo(caps)) }
}
