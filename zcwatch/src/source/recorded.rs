//! Events read back: what `trace --format ndjson` and `report --save` wrote.

use std::io::{self, BufRead, Read};

use serde::{Deserialize, de::DeserializeOwned};

use crate::{
    event::Event,
    recording::{End, Header, SCHEMA},
};

/// No line of a recording is nearly so long, bytes.
const LONGEST: u64 = 64 << 20;

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// Nothing is there.
    #[error("it is empty: a recording begins with a header; {MADE_BY}")]
    Empty,
    /// Something else.
    #[error("it is no recording of zcwatch: line 1 is no header ({0}); {MADE_BY}")]
    Foreign(String),
    /// A form that this version does not know.
    #[error(
        "its lines have the form {0:?}, and this zcwatch reads {SCHEMA:?}: read it with the \
         version of zcwatch that wrote it"
    )]
    Schema(String),
    /// A line in the middle.
    #[error(
        "line {line} is broken ({reason}); what is before it can still be read: \
         head -n {} FILE | zcwatch report --from -", .line - 1
    )]
    Broken {
        /// Counted from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// It cannot be read at all.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
}

const MADE_BY: &str =
    "`zcwatch trace --format ndjson` and `zcwatch report --save FILE` write recordings";

/// A recording that is being read.
#[derive(Debug)]
pub struct Recorded<R> {
    from: R,
    /// The line read last, counted from 1.
    number: u64,
    line: Vec<u8>,
    header: Header,
    latest: u64,
    end: Option<End>,
}

impl<R: BufRead> Recorded<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When there is none that this version knows.
    pub fn open(mut from: R) -> Result<Self, RecordedError> {
        let mut line = Vec::new();
        if read_line(&mut from, &mut line)? == 0 {
            return Err(RecordedError::Empty);
        }
        let foreign = |e: serde_json::Error| RecordedError::Foreign(plain(&e));
        let form: Form = serde_json::from_slice(&line).map_err(foreign)?;
        if form.schema != SCHEMA {
            return Err(RecordedError::Schema(form.schema));
        }
        let header: Header = serde_json::from_slice(&line).map_err(foreign)?;
        let latest = header.start_boot_ns;
        Ok(Self { from, number: 1, line, header, latest, end: None })
    }

    /// What it is about.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The next event; `None`: there are no more.
    ///
    /// # Errors
    /// When a line is broken. A last line that was not written to its end is none.
    pub fn event(&mut self) -> Result<Option<Event>, RecordedError> {
        loop {
            if read_line(&mut self.from, &mut self.line)? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if self.line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let line = self.number;
            let broken = |reason: String| Err(RecordedError::Broken { line, reason });
            if self.end.is_some() {
                return broken("it comes after the end of the watch".into());
            }
            match serde_json::from_slice::<Event>(&self.line) {
                Ok(event) => {
                    self.latest = self.latest.max(event.ts);
                    return Ok(Some(event));
                }
                // The end is not among the events; there is one, so it may cost a second look.
                Err(e) => match parse::<End>(&self.line) {
                    Some(end) => self.end = Some(end),
                    None if !self.line.ends_with(b"\n") => return Ok(None),
                    None => return broken(plain(&e)),
                },
            }
        }
    }

    /// How the watch ended; `None`: the recording is cut off.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// When it ended, ns since boot; one that is cut off, with its last event.
    #[must_use]
    pub fn ended_at(&self) -> u64 {
        self.end.map_or(self.latest, |end| end.ts)
    }
}

#[derive(Deserialize)]
struct Form {
    schema: String,
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    serde_json::from_slice(line).ok()
}

fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<usize> {
    line.clear();
    from.by_ref().take(LONGEST).read_until(b'\n', line)
}

/// What is wrong and in which column; the line that it was given is always its first.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(" at line ") {
        Some((what, _)) if error.column() > 0 => format!("{what}, column {}", error.column()),
        Some((what, _)) => what.to_owned(),
        None => text,
    }
}
