//! The three ways of reading the error queue.

use std::{
    hint,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use super::{
    super::{LabError, poll},
    Sender,
    notification::{self, Entry},
};

/// Another thread may read what this one polls for, so a wait is never longer.
const WAIT: Duration = Duration::from_millis(5);

impl Sender {
    /// Takes all that is on the error queue now.
    pub(super) fn read_queue(&self) -> Result<(), LabError> {
        let failed = LabError::system("read the sender's error queue");
        match self.try_read_queue() {
            Ok(()) => Ok(()),
            Err(errno) => Err(failed(errno)),
        }
    }

    fn try_read_queue(&self) -> nix::Result<()> {
        while let Some(entry) = notification::read(self.fd())? {
            match entry {
                Entry::Notified(notified) => self.ledger().notify(notified, self.options.log),
                Entry::Timestamp => self.ledger().timestamps += 1,
                Entry::Other => {}
            }
        }
        Ok(())
    }

    /// Reads until so many ids have been notified in all, at most for the options' patience.
    pub(super) fn read_until(&self, ids: u64) -> Result<(), LabError> {
        let deadline = Instant::now() + self.options.patience;
        loop {
            self.read_queue()?;
            if self.ledger().notified >= ids || Instant::now() > deadline {
                return Ok(());
            }
            poll::error_queue(self.fd(), WAIT)
                .map_err(LabError::system("wait for the sender's error queue"))?;
        }
    }

    /// Spins on the queue until the senders have finished.
    pub(super) fn read_busily(&self, finished: &AtomicBool) -> Result<(), LabError> {
        while !finished.load(Ordering::Acquire) {
            self.read_queue()?;
            hint::spin_loop();
        }
        Ok(())
    }
}
