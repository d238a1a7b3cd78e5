//! `bench tui`: what the screen costs while nothing happens, and how soon a key is seen on it while
//! much does.

use std::{
    fmt::Write as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;
use zcwatch_terminal::Terminal;

use super::{
    arguments::Tui,
    build,
    cpus::Cpus,
    load::{Load, Work},
    usage,
};
use crate::tree::Tree;

/// A terminal as people have it.
const SIZE: (u16, u16) = (160, 45);
/// Attaching, and the first numbers.
const LIMIT: Duration = Duration::from_secs(60);
/// No key takes so long.
const KEY: Duration = Duration::from_secs(5);

/// Measures, and prints.
///
/// # Errors
/// When not root, when something does not compile, or when a process fails.
pub fn run(tree: &Tree, arguments: &Tui) -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "probes are attached, which only root may: run \
         `sudo -E env \"PATH=$PATH\" cargo xtask bench tui`"
    );
    let programs = build::programs(tree)?;
    let cpus = Cpus::choose(&arguments.cpus)?;
    let window = Duration::from_secs(arguments.seconds.get().into());
    let mut out = format!("The screen of {} by {} cells; {cpus}.\n", SIZE.0, SIZE.1);
    {
        let load = Load::start(&programs.load, Work::Idle, cpus)?;
        let terminal = open(&programs.zcwatch, load.pid())?;
        thread::sleep(Duration::from_secs(3));
        let idle = busy(&terminal, window)?;
        writeln!(out, "idle, ten sends a second watched   {:5.2} % of a core", idle * 100.0)?;
    }
    for (work, name) in [(Work::Idle, "ten sends a second"), (Work::Zerocopy(1400), "a flood")] {
        let mut load = Load::start(&programs.load, work, cpus)?;
        let mut terminal = open(&programs.zcwatch, load.pid())?;
        thread::sleep(Duration::from_secs(3));
        let start = load.sample()?;
        let (cpu, began) = (usage::cpu_seconds(terminal.pid())?, Instant::now());
        let mut times = keys(&mut terminal, arguments.keys.get())?;
        let rate = super::load::Window::between(start, load.sample()?).per_second;
        let cpu = (usage::cpu_seconds(terminal.pid())? - cpu) / began.elapsed().as_secs_f64();
        times.sort_unstable();
        let at = |percent: usize| {
            let time = times.get((times.len() * percent / 100).min(times.len() - 1));
            time.map_or(0.0, |t| t.as_secs_f64() * 1e3)
        };
        writeln!(
            out,
            "key to screen, {name:<20} p50 {:5.1} ms   p99 {:5.1} ms   max {:5.1} ms   \
             ({} keys, {rate:.0} sends/s, zcwatch at {:.0} % of a core)",
            at(50),
            at(99),
            at(100),
            times.len(),
            cpu * 100.0
        )?;
        if let Some(lost) = terminal.text().lines().find(|row| row.contains("events lost")) {
            let lost = lost.split("events lost").nth(1).unwrap_or_default();
            writeln!(out, "    events lost{}", lost.trim_end())?;
        }
    }
    print!("{out}");
    Ok(())
}

fn open(zcwatch: &Path, pid: u32) -> Result<Terminal> {
    let mut command = Command::new(zcwatch);
    command.args(["-p", &pid.to_string()]).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
    let terminal = Terminal::spawn(command, SIZE)?;
    terminal.wait_for("sends/s", LIMIT)?;
    terminal.wait_for("delivered on this host", LIMIT)?;
    Ok(terminal)
}

/// The part of the time that it is on a CPU.
fn busy(terminal: &Terminal, window: Duration) -> Result<f64> {
    let (before, start) = (usage::cpu_seconds(terminal.pid())?, Instant::now());
    thread::sleep(window);
    Ok((usage::cpu_seconds(terminal.pid())? - before) / start.elapsed().as_secs_f64())
}

/// How long after each key its effect is on the screen: sorting, which says by what.
fn keys(terminal: &mut Terminal, n: u32) -> Result<Vec<Duration>> {
    let said = |screen: &zcwatch_terminal::Screen| {
        let row = screen.size().0.get() - 1;
        screen.rows(0, SIZE.0).nth(row.into()).unwrap_or_default()
    };
    let mut times = Vec::new();
    for i in 0..n {
        // Keys of a person come at any moment between two drawings.
        thread::sleep(Duration::from_millis(150 + u64::from(i * 37 % 101)));
        let before = said(&terminal.screen());
        let took = terminal.latency(
            "s",
            |screen| {
                let now = said(screen);
                now != before && now.contains("sorted by")
            },
            KEY,
        );
        times.push(took.context("a key had no effect")?);
    }
    Ok(times)
}
