//! Pairs of windows: without a watcher and with one, each right after the other, so that what
//! else the machine does meets both.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{
    build::Programs,
    cpus::Cpus,
    load::{Load, Window, Work},
    result::{Compared, Pair, Watcher},
    row::Row,
    tool::Tool,
    usage,
};

/// How long caches and queues get to settle after a watcher came or went.
const SETTLE: Duration = Duration::from_millis(300);

/// How to measure.
#[derive(Debug)]
pub struct Plan {
    pub programs: Programs,
    pub cpus: Cpus,
    pub pairs: u32,
    pub window: Duration,
}

/// The processes of a row: the one that is measured, and the one that is watched where that is
/// another.
#[derive(Debug)]
pub struct Stage {
    pub load: Load,
    idle: Option<Load>,
}

impl Stage {
    /// Starts them, and lets them warm up.
    ///
    /// # Errors
    /// When they can't work.
    pub fn set(row: Row, plan: &Plan) -> Result<Self> {
        let start = |work| Load::start(&plan.programs.load, work, plan.cpus);
        let mut load = start(row.work())?;
        let idle = if row.is_watched() { None } else { Some(start(Work::Idle)?) };
        load.window(SETTLE)?;
        Ok(Self { load, idle })
    }

    /// Whom to watch.
    pub fn target(&self) -> u32 {
        self.idle.as_ref().unwrap_or(&self.load).pid()
    }
}

/// Measures a row by each tool. One process and one connection serve all windows; which window
/// of a pair comes first, and which tool, alternates.
///
/// # Errors
/// When a process fails.
pub fn measure(row: Row, tools: &[Tool], plan: &Plan) -> Result<Vec<Compared>> {
    let mut stage = Stage::set(row, plan)?;
    let mut found: Vec<Vec<Pair>> = vec![Vec::new(); tools.len()];
    for round in 0..plan.pairs {
        for turn in 0..tools.len() {
            let at = (turn + round as usize) % tools.len();
            let unwatched_first = round.is_multiple_of(2);
            let pair = pair(&mut stage, tools[at], unwatched_first, plan)
                .with_context(|| format!("{}, watched by {}", row.name(), tools[at].name()))?;
            eprintln!(
                "{:>3}/{}  {:<13}  {:<8}  {:.3}",
                round + 1,
                plan.pairs,
                row.name(),
                tools[at].name(),
                pair.ratio
            );
            found[at].push(pair);
        }
    }
    Ok(tools
        .iter()
        .zip(found)
        .filter_map(|(tool, pairs)| Compared::of(row, *tool, pairs))
        .collect())
}

fn pair(stage: &mut Stage, tool: Tool, unwatched_first: bool, plan: &Plan) -> Result<Pair> {
    let (unwatched, (watched, watcher));
    if unwatched_first {
        unwatched = stage.load.window(plan.window)?;
        (watched, watcher) = watch(stage, tool, plan)?;
        thread::sleep(SETTLE);
    } else {
        (watched, watcher) = watch(stage, tool, plan)?;
        thread::sleep(SETTLE);
        unwatched = stage.load.window(plan.window)?;
    }
    let ratio = watched.per_second / unwatched.per_second;
    let cpu_ratio = watched.per_cpu_second / unwatched.per_cpu_second;
    Ok(Pair { unwatched_first, unwatched, watched, ratio, cpu_ratio, watcher })
}

/// One window with the tool; attaching and detaching are outside of it.
fn watch(stage: &mut Stage, tool: Tool, plan: &Plan) -> Result<(Window, Watcher)> {
    let child = tool.watch(&plan.programs, stage.target(), plan.cpus.watcher)?;
    thread::sleep(SETTLE);
    let (before, start) = (usage::cpu_seconds(child.pid())?, Instant::now());
    let window = stage.load.window(plan.window)?;
    let (after, took) = (usage::cpu_seconds(child.pid())?, start.elapsed());
    let peak_kib = usage::peak_kib(child.pid())?;
    let events_lost = tool.events_lost(&child.interrupt()?)?;
    let cpu = (after - before) / took.as_secs_f64();
    Ok((window, Watcher { cpu, peak_kib, events_lost }))
}
