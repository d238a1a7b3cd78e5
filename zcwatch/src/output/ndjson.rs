//! Events as they come, one JSON object a line: schema `zcwatch.events/1`, described in
//! docs/events.md. Nothing is left out, so that a report can be made of it later.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use crate::{
    event::Event,
    recording::{End, Header},
};

/// Bytes gathered before they are written between two [`Recorder::flush`]es.
const BUFFER: usize = 1 << 16;

/// Writes a recording.
#[derive(Debug)]
pub struct Recorder<W: Write> {
    out: BufWriter<W>,
    /// Events come where an error cannot be returned: it waits here for the next flush.
    failed: Option<io::Error>,
}

impl<W: Write> Recorder<W> {
    /// Begins with the header.
    pub fn new(to: W, header: &Header) -> Self {
        let mut this = Self { out: BufWriter::with_capacity(BUFFER, to), failed: None };
        this.line(header);
        this
    }

    /// Takes one event.
    pub fn event(&mut self, event: &Event) {
        self.line(event);
    }

    /// Takes the last line.
    pub fn end(&mut self, end: &End) {
        self.line(end);
    }

    /// Writes what was gathered.
    ///
    /// # Errors
    /// The first one since the beginning; nothing is written after it.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    fn line(&mut self, line: &impl Serialize) {
        if self.failed.is_some() {
            return;
        }
        let written = serde_json::to_writer(&mut self.out, line).map_err(io::Error::from);
        self.failed = written.and_then(|()| self.out.write_all(b"\n")).err();
    }
}
