//! The thread that watches: it feeds the tracker, and says what is known.

use std::{
    ops::ControlFlow,
    sync::mpsc::{Receiver, Sender},
    time::{Duration, Instant},
};

use super::moment::{Feed, Moment};
use crate::{
    command::{
        cmd::Voice,
        session::Session,
        sink::{Order, Sink},
    },
    diagnosis::FindingId,
    event::Event,
    output::{
        style::Style,
        trace::{Clock, Line, Options, Teller},
    },
    probe::Settings,
    recording::{End, Header},
    source::live::now,
    target::Target,
};

/// How often it is said what is known, where that does not cost much.
const EACH: Duration = Duration::from_secs(1);
/// The first numbers come sooner.
const FIRST: Duration = Duration::from_millis(300);
/// Saying it may take this part of the time.
const COST: u32 = 20;
/// Lines told at once: nobody reads more.
const LINES: usize = 2_000;

/// What the watch tells the screen.
#[derive(Debug)]
pub enum News {
    /// It is attached.
    Begun,
    /// What is known now.
    Moment(Box<Moment>),
    /// Sends, as they complete.
    Lines(Vec<Line>),
    /// An answer to an order, for a person.
    Said(String),
    /// How the command ended.
    Command(String),
    /// It is over.
    Over(Result<End, anyhow::Error>),
}

/// What the screen asks of the watch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Begin a new window.
    Reset,
    /// Watch this process too.
    Take(u32),
    /// Watch it no more.
    LetGo(u32),
    /// Tell each send, or stop.
    Tell(bool),
    /// End.
    Stop,
}

/// Watches until told to stop, or until there is nothing to watch. `attached` runs once the
/// probes are there.
pub fn watch(
    target: &Target,
    settings: &Settings,
    ignored: &[FindingId],
    voice: Voice,
    attached: impl FnOnce() -> anyhow::Result<()>,
    news: &Sender<News>,
    wishes: Receiver<Wish>,
) {
    let watched = || {
        let session = Session::begin_with(target, settings, voice)?;
        attached()?;
        log::info!("attached");
        // Nobody listens any more only when the screen is gone; the next round then ends it.
        let _ = news.send(News::Begun);
        let mut watcher = Watcher::new(ignored, news.clone(), wishes);
        let (_, end) = session.watch(None, None, &mut watcher)?;
        Ok(end)
    };
    let over = watched();
    log::info!("detached");
    let _ = news.send(News::Over(over));
}

struct Watcher {
    ignored: Vec<FindingId>,
    feed: Option<Feed>,
    teller: Option<Teller>,
    news: Sender<News>,
    wishes: Receiver<Wish>,
    orders: Vec<Order>,
    /// When it is to be said what is known.
    due: Instant,
    /// When it was said last: the clock on the screen moves on.
    said: Instant,
}

impl Watcher {
    fn new(ignored: &[FindingId], news: Sender<News>, wishes: Receiver<Wish>) -> Self {
        let now = Instant::now();
        Self {
            ignored: ignored.to_vec(),
            feed: None,
            teller: None,
            news,
            wishes,
            orders: Vec::new(),
            due: now,
            said: now,
        }
    }

    /// `Break`: nobody wants any more of it.
    fn tell(&self, news: News) -> ControlFlow<()> {
        match self.news.send(news) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }

    fn obey(&mut self) -> ControlFlow<()> {
        loop {
            let wish = match self.wishes.try_recv() {
                Ok(wish) => wish,
                Err(std::sync::mpsc::TryRecvError::Empty) => return ControlFlow::Continue(()),
                Err(std::sync::mpsc::TryRecvError::Disconnected) => return ControlFlow::Break(()),
            };
            match wish {
                Wish::Stop => return ControlFlow::Break(()),
                Wish::Take(pid) => self.orders.push(Order::Take(pid)),
                Wish::LetGo(pid) => self.orders.push(Order::LetGo(pid)),
                Wish::Reset => {
                    super::provoke("watch");
                    self.orders.push(Order::Count);
                }
                Wish::Tell(true) => self.teller = self.feed.as_ref().map(teller),
                Wish::Tell(false) => self.teller = None,
            }
        }
    }

    fn lines(&mut self, up_to: Option<u64>) -> ControlFlow<()> {
        let Some(teller) = &mut self.teller else { return ControlFlow::Continue(()) };
        let mut lines = teller.lines(up_to);
        if lines.is_empty() {
            return ControlFlow::Continue(());
        }
        let over = lines.len().saturating_sub(LINES);
        lines.drain(..over);
        self.tell(News::Lines(lines))
    }

    fn moment(&mut self) -> ControlFlow<()> {
        let start = Instant::now();
        let idle = start.duration_since(self.said) < EACH;
        let due = start >= self.due;
        let Some(feed) = self.feed.as_mut().filter(|feed| due && (feed.is_fresh() || !idle)) else {
            return ControlFlow::Continue(());
        };
        let first = feed.is_first();
        let moment = Box::new(feed.moment(now()));
        let cost = start.elapsed() * COST;
        self.said = start;
        self.due = start + cost.max(if first { FIRST } else { EACH });
        self.tell(News::Moment(moment))
    }
}

/// One that tells from now on, and knows what is there already.
fn teller(feed: &Feed) -> Teller {
    let header = feed.header();
    let style = Style { colour: false, unicode: true };
    let clock = Clock::wall(header.about.start_unix_ns);
    let mut teller = Teller::new(Options { style, clock, min_latency: None }, header);
    for event in feed.retell(now()) {
        teller.take(&event);
    }
    // What was there before is no news.
    let _ = teller.lines(None);
    teller
}

impl Sink for Watcher {
    fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        self.feed = Some(Feed::new(header, &self.ignored));
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        if let Some(feed) = &mut self.feed {
            feed.take(event);
        }
        if let Some(teller) = &mut self.teller {
            teller.take(event);
        }
    }

    fn round(&mut self, up_to: Option<u64>) -> anyhow::Result<ControlFlow<()>> {
        let mut all = || {
            self.obey()?;
            self.lines(up_to)?;
            self.moment()
        };
        Ok(all())
    }

    fn end(&mut self, end: &End) -> anyhow::Result<()> {
        if let Some(feed) = &mut self.feed {
            feed.end(end);
            let moment = Box::new(feed.moment(end.ts));
            let _ = self.news.send(News::Moment(moment));
        }
        if let Some(teller) = &mut self.teller {
            let _ = self.news.send(News::Lines(teller.last_lines()));
        }
        Ok(())
    }

    fn say(&mut self, sentence: &str) {
        log::info!("{sentence}");
        let _ = self.news.send(News::Command(sentence.to_owned()));
    }

    fn wants_counters(&self) -> bool {
        true
    }

    fn orders(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.orders)
    }

    fn answered(&mut self, order: Order, result: Result<(), String>) {
        let done = result.is_ok();
        let said = match (order, result) {
            (_, Err(why)) => why,
            (Order::Take(pid), Ok(())) => format!("process {pid} is watched from now on"),
            (Order::LetGo(pid), Ok(())) => format!("process {pid} is not watched any more"),
            (Order::Count, Ok(())) => "a new window begins: all counts are from now".into(),
        };
        log::info!("{said}");
        if let (Some(feed), true) = (&mut self.feed, done) {
            match order {
                Order::Take(pid) => feed.take_back(pid),
                Order::LetGo(pid) => feed.let_go(pid),
                Order::Count => feed.reset(now()),
            }
        }
        let _ = self.news.send(News::Said(said));
        self.due = Instant::now();
        if order == Order::Count {
            // A window of no length says nothing.
            self.due += FIRST;
        }
    }
}
