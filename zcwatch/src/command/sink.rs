//! What a watch feeds: the tracker, and whoever wants each event.

use std::ops::ControlFlow;

use crate::{
    event::Event,
    recording::{End, Header},
    tracker::Tracker,
};

/// Takes what a session sees, in this order: the header, events in rounds, the end.
pub(super) trait Sink {
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
