//! A thread that can be told to end.

use std::{
    io::{self, PipeReader, PipeWriter},
    thread::{self, JoinHandle},
};

/// A thread that ends when the other end of its pipe is closed; dropping this closes it, and
/// waits.
#[derive(Debug)]
pub(super) struct Worker {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Worker {
    pub(super) fn start(
        work: impl FnOnce(&PipeReader) -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let thread =
            thread::Builder::new().name("sink".to_owned()).spawn(move || work(&stopped))?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // What it returned no longer matters: its sockets are closed.
            let _ = thread.join();
        }
    }
}
