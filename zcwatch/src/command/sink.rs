//! What a watch feeds: the tracker, and whoever wants each event.

use std::ops::ControlFlow;

use crate::{
    event::Event,
    recording::{End, Header},
    tracker::Tracker,
};

/// What a sink may ask of the source while it watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Watch this process too.
    Take(u32),
    /// Watch it no more.
    LetGo(u32),
    /// Tell all counters as they are now: a new window begins.
    Count,
}

/// Takes what a session sees, in this order: the header, events in rounds, the end.
pub(crate) trait Sink {
    /// The watch begins.
    fn begin(&mut self, _header: &Header) -> anyhow::Result<()> {
        Ok(())
    }

    /// Something happened. It cannot fail here; [`Sink::round`] tells.
    fn take(&mut self, event: &Event);

    /// All that happened up to this time (ns since boot) has been taken; `None`: more is waiting.
    /// With `Break` the sink has enough.
    fn round(&mut self, _up_to: Option<u64>) -> anyhow::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }

    /// Counters are wanted while the watch goes on, too.
    fn wants_counters(&self) -> bool {
        false
    }

    /// What the source is to do; asked every round.
    fn orders(&mut self) -> Vec<Order> {
        Vec::new()
    }

    /// An order was carried out, or why it was not, as a sentence.
    fn answered(&mut self, _order: Order, _result: Result<(), String>) {}

    /// Tells a person something about the watch.
    fn say(&mut self, sentence: &str) {
        eprintln!("zcwatch: {sentence}");
    }

    /// Nothing more will come.
    fn end(&mut self, _end: &End) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Sink for Tracker {
    fn take(&mut self, event: &Event) {
        self.apply(event);
    }
}
