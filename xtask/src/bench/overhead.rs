//! `bench overhead`: what watching costs those who are watched, and those who are not.

use std::{collections::BTreeMap, fs, path::absolute, time::Duration};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;
use nix::unistd::Uid;

use super::{
    arguments::Overhead,
    build,
    cpus::Cpus,
    machine::Machine,
    pairs::{self, Plan},
    print, probes,
    result::Results,
    row::Row,
    tool::Tool,
};
use crate::tree::Tree;

/// Measures, and prints.
///
/// # Errors
/// When not root, when something does not compile, or when a process fails.
pub fn run(tree: &Tree, arguments: &Overhead) -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "probes are attached, which only root may: run \
         `sudo -E env \"PATH=$PATH\" cargo xtask bench overhead`"
    );
    // Now, not after the measuring: the file must be writable.
    let json = arguments.json.as_deref().map(absolute).transpose()?;
    if let Some(file) = &json {
        fs::write(file, "").with_context(|| format!("could not write {}", file.display()))?;
    }
    let plan = Plan {
        programs: build::programs(tree)?,
        cpus: Cpus::choose(&arguments.cpus)?,
        pairs: arguments.pairs.get(),
        window: Duration::from_secs(arguments.seconds.get().into()),
    };
    let rows = if arguments.only.is_empty() { Row::value_variants() } else { &arguments.only };
    let wanted = if arguments.tools.is_empty() { &Tool::ALL[..] } else { &arguments.tools };
    let missing: Vec<_> = wanted.iter().filter_map(|tool| tool.missing()).collect();
    let tools: Vec<_> = wanted.iter().copied().filter(|tool| tool.missing().is_none()).collect();

    let mut results = Results {
        schema: "zcwatch.bench.overhead/1",
        machine: Machine::here(),
        cpus: plan.cpus,
        pairs: plan.pairs,
        seconds: arguments.seconds.get(),
        versions: versions(&tools, &plan),
        rows: Vec::new(),
        probes: Vec::new(),
        missing,
    };
    announce(rows, &tools, &plan);
    for row in rows {
        let tools: Vec<_> = tools.iter().copied().filter(|tool| row.feels(*tool)).collect();
        results.rows.extend(pairs::measure(*row, &tools, &plan)?);
    }
    if tools.contains(&Tool::Zcwatch) {
        for row in rows {
            results.probes.push(probes::measure(*row, &plan)?);
        }
    }
    print!("{}", print::report(&results));
    if let Some(file) = &json {
        let text = serde_json::to_string_pretty(&results)?;
        fs::write(file, text + "\n")
            .with_context(|| format!("could not write {}", file.display()))?;
    }
    Ok(())
}

fn versions(tools: &[Tool], plan: &Plan) -> BTreeMap<&'static str, String> {
    let version = |tool: &Tool| Some((tool.name(), tool.version(&plan.programs)?));
    tools.iter().filter_map(version).collect()
}

/// Says how long it will take.
fn announce(rows: &[Row], tools: &[Tool], plan: &Plan) {
    /// Attaching, settling and detaching.
    const BETWEEN: f64 = 1.5;
    let each = |row: &Row| tools.iter().filter(|tool| row.feels(**tool)).count() as f64;
    let pairs = rows.iter().map(each).sum::<f64>() * f64::from(plan.pairs);
    let minutes = pairs * (2.0 * plan.window.as_secs_f64() + BETWEEN) / 60.0;
    eprintln!("This takes about {minutes:.0} min, and is best left alone meanwhile.");
}
