//! Watching for a while: the loop that `report`, `trace` and `demo` share.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant, SystemTime},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{sleep, sleep_until},
};

use super::{
    cmd::{Held, Running, Voice},
    sink::{Order, Sink},
};
use crate::{
    diagnosis::Context,
    event::Event,
    host::{caps::Capabilities, cgroup, packet, process},
    output::json::{About, HookRow, unseen},
    probe::{Settings, attach::Filter, hooks::Question},
    recording::{End, Header, Why},
    source::{Live, live::now},
    target::Target,
};

/// How often the ring buffer is emptied. Nothing wakes us: the probes must not pay for that.
const POLL: Duration = Duration::from_millis(20);
/// Where it was empty, it is looked at again after this: nobody waits for what did not happen.
const REST: Duration = Duration::from_millis(50);
/// How often what no probe tells is looked at: it says when a listener came, to so much.
const LOOK: Duration = Duration::from_millis(100);
/// So often is it tried to overtake a flood of events.
const CATCH_UP: u32 = 20;
/// How a watch that prints at its end is ended.
pub(super) const HINT: &str = "Ctrl-C ends it, and prints what was seen";

/// An attached source, what it has told while it began, and since when.
pub(crate) struct Session {
    live: Live,
    early: Vec<Event>,
    about: About,
    start: u64,
    /// The command that was started to be watched.
    command: Option<Running>,
}

impl Session {
    /// Attaches, and begins to watch. A command that is to be watched runs from now on.
    pub(super) fn begin(target: &Target, settings: &Settings) -> anyhow::Result<Self> {
        Self::begin_with(target, settings, Voice::Shared)
    }

    /// [`Self::begin`], with a command that says what it says elsewhere.
    pub(crate) fn begin_with(
        target: &Target,
        settings: &Settings,
        voice: Voice,
    ) -> anyhow::Result<Self> {
        process::check_namespace()?;
        let command = Held::of(target, voice)?;
        let pids: Vec<u32> =
            target.pids.iter().copied().chain(command.as_ref().map(Held::pid)).collect();
        let filter = filter(target, &pids, settings.growing)?;
        let settings = &Settings { filter, ..settings.clone() };
        let mut live = Live::open(settings)?;
        let about = About {
            kernel: kernel_release(),
            arch: std::env::consts::ARCH.into(),
            hooks: HookRow::all(live.probe()),
            target: target.clone(),
            start_unix_ns: unix_now(),
            unseen: unseen(live.probe(), Capabilities::current()),
        };
        let mut early = Vec::new();
        let start = now();
        live.watch(&pids, &mut |e| early.push(e))?;
        // Who ends at once takes with it what its namespaces show.
        live.look_around(&mut |e| early.push(e));
        let command = command.map(Held::let_go).transpose()?;
        Ok(Self { live, early, about, start, command })
    }

    /// Watches until the time is over, all processes have ended, the sink has enough, or a
    /// signal comes; `hint` says to a person how to end it, where it is not to be silent. Returns
    /// what a recording of it begins and ends with.
    pub(crate) fn watch(
        mut self,
        duration: Option<Duration>,
        hint: Option<&str>,
        sink: &mut impl Sink,
    ) -> anyhow::Result<(Header, End)> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let context = Context {
            own_netns: packet::netns_of(std::process::id()),
            places_unknown: self.live.probe().answer(Question::CopyPlace).is_none(),
            limits_seen: self.live.probe().limits_are_seen(),
            ignored: Vec::new(),
        };
        let header = Header::new(self.about.clone(), self.start, context);
        sink.begin(&header)?;
        std::mem::take(&mut self.early).iter().for_each(|e| sink.take(e));
        let (why, signal) = runtime.block_on(self.rounds(duration, hint, sink))?;
        self.live.finish(&mut |e| sink.take(&e))?;
        if let Some(command) = self.command.take() {
            command.end(signal, &mut |sentence| sink.say(sentence))?;
        }
        let end = End { ts: now(), why, signal };
        sink.end(&end)?;
        Ok((header, end))
    }

    async fn rounds(
        &mut self,
        duration: Option<Duration>,
        hint: Option<&str>,
        sink: &mut impl Sink,
    ) -> anyhow::Result<(Why, Option<u8>)> {
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        if let Some(hint) = hint {
            eprintln!("zcwatch: watching ({hint})");
        }
        let mut looked: Option<Instant> = None;
        let end = async {
            match duration {
                Some(duration) => sleep_until(tokio::time::Instant::now() + duration).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(end);
        let (mut more, mut empty) = (false, true);
        loop {
            // The signals and the timer move only when we wait, be it for nothing.
            let pause = async {
                if more {
                    tokio::task::yield_now().await;
                } else {
                    sleep(if empty { REST } else { POLL }).await;
                }
            };
            tokio::select! {
                biased;
                _ = int.recv() => return Ok((Why::Interrupted, Some(2))),
                _ = term.recv() => return Ok((Why::Interrupted, Some(15))),
                () = &mut end => return Ok((Why::TimeOver, None)),
                () = pause => {}
            }
            // What was seen after this may have happened before something that was not.
            let asked = now();
            empty = true;
            more = self.live.poll(&mut |e| {
                empty = false;
                sink.take(&e);
            });
            if self.command_ended()? {
                return Ok((Why::ProcessesEnded, None));
            }
            if looked.is_none_or(|at| at.elapsed() >= LOOK) {
                looked = Some(Instant::now());
                self.live.look_around(&mut |e| sink.take(&e));
                if sink.wants_counters() {
                    self.live.refresh(&mut |e| sink.take(&e))?;
                }
                if self.live.all_ended() {
                    return Ok((Why::ProcessesEnded, None));
                }
            }
            for order in sink.orders() {
                let done = self.obey(order, sink);
                sink.answered(order, done);
            }
            if sink.round((!more).then_some(asked))? == ControlFlow::Break(()) {
                return Ok((Why::CountReached, None));
            }
        }
    }

    /// Watches one process more, or less.
    fn obey(&mut self, order: Order, sink: &mut impl Sink) -> Result<(), String> {
        let everything = self.about.target.is_everything();
        match order {
            Order::Take(_) if everything => Err("all processes are watched already".into()),
            Order::LetGo(_) if everything => {
                Err("all processes are watched; the filter hides one: -pid:PID".into())
            }
            Order::Take(pid) if self.live.has_listed(pid) => {
                Err(format!("process {pid} is watched already"))
            }
            Order::Take(pid) => {
                process::check(pid).map_err(|e| e.to_string())?;
                self.live.take(pid, &mut |e| sink.take(&e)).map_err(|e| e.to_string())
            }
            Order::LetGo(pid) => self.live.let_go(pid),
            Order::Count => {
                self.live.tell_interim(&mut |e| sink.take(&e));
                // What has happened by now is of the window that ends.
                let mut rounds = 0..CATCH_UP;
                while rounds.next().is_some() && self.live.poll(&mut |e| sink.take(&e)) {}
                Ok(())
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

/// What the probes must pick themselves, besides these processes.
fn filter(target: &Target, pids: &[u32], growing: bool) -> anyhow::Result<Filter> {
    let cgroups: Result<_, _> = target.cgroup.iter().map(|c| cgroup::find(c.as_ref())).collect();
    let alone = !target.follow && target.comm.is_empty() && target.cgroup.is_empty();
    let only = match pids {
        [pid] if alone && !growing => Some(*pid),
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
