//! `zcwatch demo --all`: every scenario, and whether zcwatch says of it what it should.

use std::{collections::BTreeSet, time::Duration};

use anyhow::anyhow;
use serde::Serialize;

use super::{child::Child, privileged, scenario::Scenario, stop, table, watch};
use crate::{
    cli::{self, Format},
    command::{Exit, Usage, print, sentence},
    diagnosis::{Finding, Severity},
    output::style::Style,
};

/// Other load on the host can make a send late, or a probe be skipped: then a watch says more, or
/// less, than it should, and is repeated.
const TRIES: u32 = 3;

pub(super) fn run(args: &cli::Demo) -> anyhow::Result<Exit> {
    // What none can do without.
    privileged(Scenario::named(table::FIRST).map_err(Usage)?)?;
    stop::listen()?;
    let text = args.output.format == Format::Text;
    let style = Style::of_stdout();
    if text {
        print(&style.bold(&format!("  {:<20} {:<26} {}\n", "demo", "expected", "said")))?;
    }
    let mut rows = Vec::new();
    for scenario in table::all() {
        let row = match stop::came() {
            None => Row::of(scenario, time(scenario, args.duration))?,
            Some(_) => None,
        };
        let Some(row) = row else { break };
        if text {
            print(&style.plain(&row.line(style)))?;
        }
        rows.push(row);
    }
    if text {
        print(&style.plain(&summary(&rows)))?;
    } else {
        print(&format!("{}\n", serde_json::to_string_pretty(&rows)?))?;
    }
    match (stop::came(), wrong(&rows)) {
        (Some(signal), _) => Ok(Exit::Interrupted(signal)),
        (None, wrong) if wrong.is_empty() => Ok(Exit::Done),
        (None, wrong) => Err(anyhow!(
            "zcwatch did not say what it should of {}; see the whole report by: zcwatch demo {}",
            wrong.join(", "),
            wrong[0]
        )),
    }
}

/// A time that was asked for does not make a scenario wrong that needs more.
fn time(scenario: &Scenario, asked: Option<Duration>) -> Duration {
    match asked {
        Some(asked) if scenario.time == table::BRIEFLY => asked,
        Some(asked) => asked.max(scenario.time),
        None => scenario.time,
    }
}

/// What is said of a scenario: which findings hold, and which causes they name.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
struct Said {
    causes: BTreeSet<String>,
    findings: BTreeSet<String>,
    #[serde(skip)]
    both: BTreeSet<String>,
}

impl Said {
    fn new<'a>(all: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> Self {
        let mut said = Self::default();
        for (finding, cause) in all {
            said.findings.insert(finding.to_owned());
            said.causes.extend(cause.map(str::to_owned));
            said.both.insert(cause.map_or(finding.to_owned(), |c| format!("{finding}/{c}")));
        }
        said
    }

    fn expected(scenario: &Scenario) -> Self {
        Self::new(scenario.expected.iter().map(|name| match name.split_once('/') {
            Some((finding, cause)) => (finding, Some(cause)),
            None => (*name, None),
        }))
    }

    fn by(findings: &[Finding]) -> Self {
        Self::new(findings.iter().map(|f| (f.id.name(), f.cause)))
    }

    fn words(&self) -> String {
        match self.both.is_empty() {
            true => "nothing".into(),
            false => self.both.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        }
    }
}

/// One scenario's outcome.
#[derive(Debug, Serialize)]
struct Row {
    scenario: &'static str,
    shows: &'static str,
    expected: Said,
    /// `None`: it cannot be made here.
    said: Option<Said>,
    as_expected: Option<bool>,
    /// How often it was watched.
    tries: u32,
    cannot_be_made_here: Option<String>,
}

impl Row {
    /// Runs it; `None`: a signal came.
    fn of(scenario: &'static Scenario, duration: Duration) -> anyhow::Result<Option<Self>> {
        let mut row = Self {
            scenario: scenario.name,
            shows: scenario.shows,
            expected: Said::expected(scenario),
            said: None,
            as_expected: None,
            tries: 0,
            cannot_be_made_here: None,
        };
        while row.as_expected != Some(true) && row.tries < TRIES {
            let child = match made(scenario) {
                Ok(child) => child,
                Err(why) => {
                    row.cannot_be_made_here = Some(why);
                    break;
                }
            };
            let (outcome, signal) = watch(child, duration, None)?;
            if signal.is_some() {
                return Ok(None);
            }
            let said = Said::by(&outcome.findings);
            row.tries += 1;
            row.as_expected = Some(said == row.expected);
            row.said = Some(said);
        }
        Ok(Some(row))
    }

    fn line(&self, style: Style) -> String {
        let (sign, said) = match (&self.said, &self.cannot_be_made_here) {
            (_, Some(why)) => {
                (style.sign(Severity::Note, false), format!("cannot be made here: {why}"))
            }
            (Some(said), None) if self.as_expected == Some(true) => {
                (style.sign(Severity::Note, true), said.words())
            }
            (said, None) => (
                style.sign(Severity::Problem, false),
                said.as_ref().map_or_else(String::new, Said::words),
            ),
        };
        let again = match self.tries {
            0 | 1 => String::new(),
            n => format!(" (watched {n} times)"),
        };
        format!("{sign} {:<20} {:<26} {said}{again}\n", self.scenario, self.expected.words())
    }
}

/// Its traffic, or why there can be none.
fn made(scenario: &Scenario) -> Result<Child, String> {
    let missing = scenario.missing();
    if !missing.is_empty() {
        let names: Vec<_> = missing.iter().map(|c| c.name()).collect();
        return Err(format!("{} missing; run as root", names.join(", ")));
    }
    Child::traffic(scenario).map_err(|why| sentence(&why))
}

fn wrong(rows: &[Row]) -> Vec<&'static str> {
    rows.iter().filter(|r| r.as_expected == Some(false)).map(|r| r.scenario).collect()
}

fn summary(rows: &[Row]) -> String {
    let right = rows.iter().filter(|r| r.as_expected == Some(true)).count();
    let unmade = rows.iter().filter(|r| r.cannot_be_made_here.is_some()).count();
    let made = rows.len() - unmade;
    let mut line = format!("\n{right} of {made} as expected");
    if unmade > 0 {
        line += &format!(", {unmade} cannot be made here");
    }
    let left = table::all().count() - rows.len();
    if left > 0 {
        line += &format!(", {left} not run");
    }
    line + "\n"
}
