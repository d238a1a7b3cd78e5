//! Watching for a while: the loop that `report` and `demo` share.

use std::time::{Duration, Instant, SystemTime};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval, sleep_until},
};

use super::{
    Exit,
    cmd::{Held, Running},
    print,
};
use crate::{
    cli::Format,
    diagnosis::{Context, Finding, diagnose},
    host::{caps::Capabilities, cgroup, packet, process},
    output::{
        json::{About, HookRow, Report, unseen},
        style::Style,
        text,
    },
    probe::{Settings, attach::Filter, hooks::Question},
    source::{Live, live::now},
    target::Target,
    tracker::{Snapshot, Tracker},
};

/// How often the ring buffer is emptied. Nothing wakes us: the probes must not pay for that.
const POLL: Duration = Duration::from_millis(20);
/// How often what no probe tells is looked at: it says when a listener came, to so much.
const LOOK: Duration = Duration::from_millis(100);

/// An attached source, what it has told, and since when.
pub(super) struct Session {
    live: Live,
    tracker: Tracker,
    about: About,
    start: u64,
    /// The command that was started to be watched.
    command: Option<Running>,
}

/// What a session found.
pub(super) struct Outcome {
    pub about: About,
    pub snapshot: Snapshot,
    pub findings: Vec<Finding>,
    pub interrupted: Option<u8>,
}

impl Session {
    /// Attaches, and begins to watch. A command that is to be watched runs from now on.
    pub(super) fn begin(target: &Target, settings: &Settings) -> anyhow::Result<Self> {
        process::check_namespace()?;
        let command = Held::of(target)?;
        let pids: Vec<u32> =
            target.pids.iter().copied().chain(command.as_ref().map(Held::pid)).collect();
        let settings = &Settings { filter: filter(target, &pids)?, ..settings.clone() };
        let mut live = Live::open(settings)?;
        let about = About {
            kernel: kernel_release(),
            hooks: HookRow::all(live.probe()),
            target: target.clone(),
            start_unix_ns: unix_now(),
            unseen: unseen(live.probe(), Capabilities::current()),
        };
        let mut tracker = Tracker::default();
        let start = now();
        live.watch(&pids, &mut |e| tracker.apply(&e))?;
        let command = command.map(Held::let_go).transpose()?;
        Ok(Self { live, tracker, about, start, command })
    }

    /// Watches until the time is over, all processes have ended, or a signal comes.
    pub(super) fn run(mut self, duration: Duration) -> anyhow::Result<Outcome> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let interrupted = runtime.block_on(self.watch(duration))?;
        let Self { mut live, mut tracker, about, start, command } = self;
        live.finish(&mut |e| tracker.apply(&e))?;
        let snapshot = tracker.snapshot(start, now(), true);
        if let Some(command) = command {
            command.end(interrupted)?;
        }
        let context = Context {
            own_netns: packet::netns_of(std::process::id()),
            places_unknown: live.probe().answer(Question::CopyPlace).is_none(),
        };
        let findings = diagnose(&snapshot, &context);
        Ok(Outcome { about, snapshot, findings, interrupted })
    }

    async fn watch(&mut self, duration: Duration) -> anyhow::Result<Option<u8>> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        eprintln!("zcwatch: watching (Ctrl-C ends it, and prints what was seen)");
        let mut poll = interval(POLL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looked: Option<Instant> = None;
        let end = sleep_until(tokio::time::Instant::now() + duration);
        tokio::pin!(end);
        let mut more = false;
        loop {
            // The signals and the timer move only when we wait, be it for nothing.
            let pause = async {
                if more {
                    tokio::task::yield_now().await;
                } else {
                    poll.tick().await;
                }
            };
            tokio::select! {
                biased;
                _ = int.recv() => return Ok(Some(2)),
                _ = term.recv() => return Ok(Some(15)),
                () = &mut end => return Ok(None),
                () = pause => {}
            }
            let Self { live, tracker, .. } = self;
            more = live.poll(&mut |e| tracker.apply(&e));
            if self.command_ended()? {
                return Ok(None);
            }
            let Self { live, tracker, .. } = self;
            if looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                live.look_around(&mut |e| tracker.apply(&e));
                if live.all_ended() {
                    return Ok(None);
                }
            }
        }
    }

    /// With a command, its end is the end, whoever else is watched; but what is followed, and has
    /// an end of its own, may live on.
    fn command_ended(&mut self) -> anyhow::Result<bool> {
        let Some(command) = &mut self.command else { return Ok(false) };
        Ok(command.has_ended()? && !(self.about.target.follow && self.live.may_end()))
    }
}

impl Outcome {
    /// Prints the report.
    pub(super) fn print(&self, format: Format) -> anyhow::Result<()> {
        match format {
            Format::Text => print(&text::report(
                &self.about,
                &self.snapshot,
                &self.findings,
                Style::of_stdout(),
            )),
            Format::Json => {
                let report = Report::new(&self.about, &self.snapshot, &self.findings);
                print(&format!("{}\n", serde_json::to_string_pretty(&report)?))
            }
        }
    }

    pub(super) fn exit(&self) -> Exit {
        self.interrupted.map_or(Exit::Done, Exit::Interrupted)
    }
}

/// What the probes must pick themselves, besides these processes.
fn filter(target: &Target, pids: &[u32]) -> anyhow::Result<Filter> {
    let cgroups: Result<_, _> = target.cgroup.iter().map(|c| cgroup::find(c.as_ref())).collect();
    let alone = !target.follow && target.comm.is_empty() && target.cgroup.is_empty();
    let only = match pids {
        [pid] if alone => Some(*pid),
        _ => None,
    };
    Ok(Filter {
        only,
        everything: target.is_everything(),
        comms: target.comm.clone(),
        cgroups: cgroups?,
        // Who watches all has no need to follow any.
        follow: target.follow && !target.is_everything(),
    })
}

/// `uname -r`.
pub(super) fn kernel_release() -> String {
    nix::sys::utsname::uname()
        .map_or_else(|_| "unknown".into(), |u| u.release().to_string_lossy().into_owned())
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
