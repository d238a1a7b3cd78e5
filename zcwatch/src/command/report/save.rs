//! `report --save FILE`: the events that the report is made of, written while they come.

use std::{
    fs::{File, OpenOptions},
    io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use crate::{
    command::{Usage, outcome, sink::Sink},
    event::Event,
    host::process::escape,
    output::ndjson::Recorder,
    recording::{End, Header},
    tracker::Tracker,
};

/// A file that can be written to. What it held stays until there is something to save: the watch
/// may not come about.
pub(super) struct Destination {
    path: PathBuf,
    file: File,
}

impl Destination {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let better = "--save wants a file, because the report goes to standard output; \
                          `zcwatch trace --format ndjson` writes events there";
            return Err(Usage(better.into()).into());
        }
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(path);
        match opened {
            Ok(file) => Ok(Self { path: path.into(), file }),
            Err(e) => Err(refused(path, &e)),
        }
    }

    fn begin(self, header: &Header) -> anyhow::Result<(PathBuf, Recorder<File>)> {
        let regular = self.file.metadata().is_ok_and(|m| m.is_file());
        let emptied = if regular { self.file.set_len(0) } else { Ok(()) };
        let mut recorder = Recorder::new(self.file, header);
        match emptied.and_then(|()| recorder.flush()) {
            Ok(()) => Ok((self.path, recorder)),
            Err(e) => Err(refused(&self.path, &e)),
        }
    }
}

/// In words of our own: a broken pipe here is no reader of the report that has seen enough.
fn refused(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow::anyhow!("could not write {}: {error}; give --save another file", name(path))
}

fn name(path: &Path) -> String {
    escape(&path.to_string_lossy())
}

/// Feeds the tracker, and the recorder if there is to be one.
pub(super) struct Saving {
    pub tracker: Tracker,
    destination: Option<Destination>,
    recorder: Option<(PathBuf, Recorder<File>)>,
    /// The recording is not whole.
    pub failed: bool,
}

impl Saving {
    pub(super) fn new(destination: Option<Destination>) -> Self {
        Self { tracker: outcome::tracker(), destination, recorder: None, failed: false }
    }

    /// A recording that cannot go on is no reason to throw away the watch.
    fn flush(&mut self) {
        let Some((path, recorder)) = &mut self.recorder else { return };
        if let Err(e) = recorder.flush() {
            eprintln!(
                "zcwatch: could not write {}: {e}; the recording ends here, the watch goes on",
                name(path)
            );
            self.recorder = None;
            self.failed = true;
        }
    }
}

impl Sink for Saving {
    fn begin(&mut self, header: &Header) -> anyhow::Result<()> {
        self.recorder = self.destination.take().map(|d| d.begin(header)).transpose()?;
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        self.tracker.apply(event);
        if let Some((_, recorder)) = &mut self.recorder {
            recorder.event(event);
        }
    }

    fn round(&mut self, _up_to: Option<u64>) -> anyhow::Result<ControlFlow<()>> {
        self.flush();
        Ok(ControlFlow::Continue(()))
    }

    fn end(&mut self, end: &End) -> anyhow::Result<()> {
        if let Some((_, recorder)) = &mut self.recorder {
            recorder.end(end);
        }
        self.flush();
        Ok(())
    }
}
