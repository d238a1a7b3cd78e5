//! What each of zcwatch's programs costs, by the kernel's run statistics. They cost something
//! themselves, so this is a run of its own.

use std::{collections::BTreeMap, process::Command, thread};

use anyhow::Result;
use serde::Deserialize;

use super::{
    child::{Child, Stream},
    load::{Window, answer},
    pairs::{Plan, Stage},
    result::{Probe, Probed},
    row::Row,
    tool::Tool,
};

/// A program's statistics, as `load programs` tells them.
#[derive(Clone, Debug, Deserialize)]
struct Run {
    name: String,
    run_cnt: u64,
    run_time_ns: u64,
    recursion_misses: u64,
}

/// Measures the programs while zcwatch watches.
///
/// # Errors
/// When a process fails, or the kernel keeps no statistics.
pub fn measure(row: Row, plan: &Plan) -> Result<Probed> {
    let mut stage = Stage::set(row, plan)?;
    let zcwatch = Tool::Zcwatch.watch(&plan.programs, stage.target(), plan.cpus.watcher)?;
    let mut command = Command::new(&plan.programs.load);
    command.args(["programs", "--of", &zcwatch.pid().to_string()]);
    // While it lives, statistics are on.
    let mut reader =
        Child::start("the reader of run statistics", &mut command, plan.cpus.receiver)?;
    reader.hear(Stream::Stdout, "pid")?;

    let mut read = || -> Result<Vec<Run>> {
        reader.prompt()?;
        answer(&reader)
    };
    let before = read()?;
    let start = stage.load.sample()?;
    thread::sleep(plan.window);
    let end = stage.load.sample()?;
    let after = read()?;
    Ok(Probed::of(row, &Window::between(start, end), programs(&before, &after)))
}

/// What ran between two readings.
fn programs(before: &[Run], after: &[Run]) -> Vec<Probe> {
    let before: BTreeMap<_, _> = before.iter().map(|run| (run.name.as_str(), run)).collect();
    let mut programs: Vec<_> = after
        .iter()
        .map(|run| {
            let earlier = before.get(run.name.as_str());
            let since = |now: u64, then: fn(&Run) -> u64| {
                now.saturating_sub(earlier.map_or(0, |run| then(run)))
            };
            Probe {
                name: run.name.clone(),
                runs: since(run.run_cnt, |run| run.run_cnt),
                ns: since(run.run_time_ns, |run| run.run_time_ns),
                skipped: since(run.recursion_misses, |run| run.recursion_misses),
            }
        })
        .collect();
    programs.sort_by_key(|program| std::cmp::Reverse(program.ns));
    programs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ran_is_a_difference_the_dearest_first() {
        let run = |name: &str, run_cnt, run_time_ns| Run {
            name: name.to_owned(),
            run_cnt,
            run_time_ns,
            recursion_misses: 1,
        };
        let before = [run("consumed", 10, 100), run("notified", 5, 50)];
        let after = [run("consumed", 20, 300), run("notified", 15, 950), run("late", 1, 7)];
        let found: Vec<_> = programs(&before, &after)
            .into_iter()
            .map(|p| (p.name, p.runs, p.ns, p.skipped))
            .collect();
        let expected = [("notified", 10, 900, 0), ("consumed", 10, 200, 0), ("late", 1, 7, 1)];
        assert_eq!(found, expected.map(|(name, n, ns, s)| (name.to_owned(), n, ns, s)));
    }
}
