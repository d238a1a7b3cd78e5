//! Bare `zcwatch`: the screen.

use std::{
    fs::{File, OpenOptions},
    io::{IsTerminal, stdin, stdout},
    path::Path,
    sync::mpsc::channel,
    thread,
};

use anyhow::{Context as _, anyhow};

use super::{Exit, Usage, cmd::Voice, outcome::exit, print};
use crate::{
    cli,
    diagnosis::FindingId,
    host::process,
    probe::Settings,
    target::Target,
    tui::{self, config::Config, theme::Looks},
};

pub(super) fn run(args: &cli::Screen) -> anyhow::Result<Exit> {
    if args.print_config {
        print(&tui::config::print())?;
        return Ok(Exit::Done);
    }
    let target = args.whom.target();
    for pid in &target.pids {
        process::check(*pid)?;
    }
    let output = args.output.as_deref().map(create).transpose()?;
    let settings =
        Settings { call_sites: args.user_stacks, growing: true, ..args.means.settings() };
    show(&target, &settings, &args.ignore, &args.looks, Voice::Mute(output), || Ok(()))
}

/// Watches on the screen until it is left; `attached` runs once the probes are there.
pub(super) fn show(
    target: &Target,
    settings: &Settings,
    ignored: &[FindingId],
    looks: &cli::Appearance,
    voice: Voice,
    attached: impl FnOnce() -> anyhow::Result<()> + Send,
) -> anyhow::Result<Exit> {
    if !stdout().is_terminal() || !stdin().is_terminal() {
        let better = "the screen needs a terminal, and standard input or output is none; \
                      without one: `zcwatch report -p PID`, `zcwatch trace -p PID`, `zcwatch demo`";
        return Err(Usage(better.into()).into());
    }
    let config = Config::read(looks.config.as_deref())?;
    let mut of_terminal = Looks::of_terminal(looks.theme.unwrap_or(config.theme));
    of_terminal.unicode &= !config.ascii;
    if let Some(path) = &looks.log {
        log_to(path)?;
    }
    let (news, told) = channel();
    let (wishes, wished) = channel();
    let left = thread::scope(|scope| {
        let watch = move || tui::watch(target, settings, ignored, voice, attached, &news, wished);
        let thread = thread::Builder::new().name("watch".into()).spawn_scoped(scope, watch);
        let thread = thread.context("no thread could be made")?;
        let left = tui::run(&config, of_terminal, told, &wishes);
        // Whatever became of the screen, the watch ends with it.
        drop(wishes);
        if thread.join().is_err() {
            // How, the panic has told.
            return Err(anyhow!("the watch broke off by a fault of zcwatch: please report it"));
        }
        left.context("the terminal could not be used")
    })?;
    for said in &left.said {
        eprintln!("zcwatch: {said}");
    }
    match left.end {
        None => Err(anyhow!("the watch ended without a word; --log FILE tells more")),
        Some(Err(e)) => Err(e),
        Some(Ok(end)) => Ok(exit(left.signal.or(end.signal))),
    }
}

fn create(path: &Path) -> anyhow::Result<File> {
    let name = process::escape(&path.to_string_lossy());
    File::create(path).with_context(|| format!("could not write {name}"))
}

/// What happens to zcwatch itself goes to this file, never to the screen.
fn log_to(path: &Path) -> anyhow::Result<()> {
    let name = process::escape(&path.to_string_lossy());
    let opened = OpenOptions::new().append(true).create(true).open(path);
    let file = opened.with_context(|| format!("could not write {name}"))?;
    env_logger::Builder::new()
        .filter_level(log::LevelFilter::Info)
        .target(env_logger::Target::Pipe(Box::new(file)))
        .write_style(env_logger::WriteStyle::Never)
        .try_init()
        .context("the log could not be begun")
}
