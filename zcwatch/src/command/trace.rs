//! `zcwatch trace`: each send as it completes, for a person or as events for a program.

use std::{
    io::{self, BufWriter, StdoutLock, Write, stdout},
    ops::ControlFlow,
    os::fd::AsFd,
    time::Duration,
};

use anyhow::Context as _;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::{Exit, Usage, outcome::exit, session::Session, sink::Sink};
use crate::{
    cli::{self, TraceFormat},
    event::{Event, What},
    host::process,
    output::{
        ndjson::Recorder,
        style::Style,
        trace::{Clock, Line, Options, Teller},
    },
    recording::{End, Header},
};

const HINT: &str = "Ctrl-C ends it";

pub(super) fn run(args: &cli::Trace) -> anyhow::Result<Exit> {
    if args.format == TraceFormat::Ndjson && (args.min_latency.is_some() || args.relative) {
        let why = "--min-latency and --relative are about lines of text: --format ndjson has \
                   every event as it is; choose with jq";
        return Err(Usage(why.into()).into());
    }
    let target = args.whom.target();
    for pid in &target.pids {
        process::check(*pid)?;
    }
    let session = Session::begin(&target, &args.means.settings())?;
    let left = args.count.unwrap_or(u64::MAX);
    let (end, summary) = match args.format {
        TraceFormat::Text => {
            let mut sink = Text { args, teller: None, out: BufWriter::new(stdout().lock()), left };
            let (_, end) = session.watch(args.duration, Some(HINT), &mut sink)?;
            let told = args.count.unwrap_or(u64::MAX) - sink.left;
            let teller = sink.teller.as_ref();
            (end, summary(told, teller.map_or(0, Teller::lost), teller.map_or(0, Teller::left_out)))
        }
        TraceFormat::Ndjson => {
            let mut sink = Events { recorder: None, left, sends: 0, lost: 0 };
            let (_, end) = session.watch(args.duration, Some(HINT), &mut sink)?;
            (end, summary(sink.sends, sink.lost, 0))
        }
    };
    eprintln!("zcwatch: {summary}");
    Ok(exit(end.signal))
}

fn summary(told: u64, lost: u64, left_out: u64) -> String {
    let sends = if told == 1 { "1 send".into() } else { format!("{told} sends") };
    let left_out = match left_out {
        0 => String::new(),
        n => format!(", {n} left out (--min-latency)"),
    };
    let advice = if lost > 0 { "; --ring-size 67108864 holds more" } else { "" };
    format!("{sends} told{left_out}, {lost} events lost{advice}")
}

/// Lines for a person.
struct Text<'a> {
    args: &'a cli::Trace,
    teller: Option<Teller>,
    out: BufWriter<StdoutLock<'static>>,
    /// Sends that are still to be told.
    left: u64,
}

impl Text<'_> {
    fn print(&mut self, lines: &[Line]) -> anyhow::Result<()> {
        for line in lines {
            if self.left == 0 {
                break;
            }
            self.left -= u64::from(line.is_send);
            writeln!(self.out, "{}", line.text).context(WRITING)?;
        }
        self.out.flush().context(WRITING)
    }
}

const WRITING: &str = "could not write to standard output";

impl Sink for Text<'_> {
    fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        let clock = if self.args.relative {
            Clock::Relative
        } else {
            Clock::wall(header.about.start_unix_ns)
        };
        let ns = |d: Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX);
        let min_latency = self.args.min_latency.map(ns);
        let options = Options { style: Style::of_stdout(), clock, min_latency };
        self.teller = Some(Teller::new(options, header));
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        if let Some(teller) = &mut self.teller {
            teller.take(event);
        }
    }

    fn round(&mut self, up_to: Option<u64>) -> anyhow::Result<ControlFlow<()>> {
        let lines = self.teller.as_mut().map(|t| t.lines(up_to)).unwrap_or_default();
        self.print(&lines)?;
        go_on(self.left)
    }

    fn end(&mut self, _end: &End) -> anyhow::Result<()> {
        let lines = self.teller.as_mut().map(Teller::last_lines).unwrap_or_default();
        self.print(&lines)
    }
}

/// Events for a program.
struct Events {
    recorder: Option<Recorder<StdoutLock<'static>>>,
    left: u64,
    sends: u64,
    lost: u64,
}

impl Events {
    fn flush(&mut self) -> anyhow::Result<()> {
        self.recorder.as_mut().map_or(Ok(()), Recorder::flush).context(WRITING)
    }
}

impl Sink for Events {
    fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        self.recorder = Some(Recorder::new(stdout().lock(), header));
        self.flush()
    }

    fn take(&mut self, event: &Event) {
        match &event.what {
            What::Send(_) | What::Failed(_) | What::Ignored(_) => {
                self.sends += 1;
                self.left = self.left.saturating_sub(1);
            }
            What::Losses(losses) => self.lost = losses.events,
            _ => {}
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.event(event);
        }
    }

    fn round(&mut self, _up_to: Option<u64>) -> anyhow::Result<ControlFlow<()>> {
        self.flush()?;
        go_on(self.left)
    }

    fn end(&mut self, end: &End) -> anyhow::Result<()> {
        if let Some(recorder) = &mut self.recorder {
            recorder.end(end);
        }
        self.flush()
    }
}

/// Unless all was told, or nobody reads any more: of that a write would tell, but the next one
/// may be long in coming.
fn go_on(left: u64) -> anyhow::Result<ControlFlow<()>> {
    if left == 0 {
        return Ok(ControlFlow::Break(()));
    }
    let out = stdout();
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    let polled = poll(&mut fds, PollTimeout::ZERO);
    let gone = fds[0].revents().is_some_and(|r| r.contains(PollFlags::POLLERR));
    if polled.is_ok() && gone {
        return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
    }
    Ok(ControlFlow::Continue(()))
}
