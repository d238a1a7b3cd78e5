//! A sender's life: open, run, tell.

use std::{
    fs,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    os::unix::fs::MetadataExt,
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use super::{
    super::{LabError, Netns, sockopt},
    Drain, Options, Truth,
    buffer::Payload,
    ledger::Ledger,
    socket::{self, Open},
};

/// A socket that sends by its options. Dropping it closes the socket.
#[derive(Debug)]
pub struct Sender {
    pub(super) options: Options,
    pub(super) open: Open,
    pub(super) payload: Arc<Payload>,
    netns: u64,
    ledger: Mutex<Ledger>,
}

/// Opens a sender in the calling thread's namespace, lets it send, and closes it.
///
/// # Errors
/// Those of [`Sender::open`] and [`Sender::run`]. Failed sends are no errors but part of the
/// truth.
pub fn send(options: Options) -> Result<Truth, LabError> {
    run(&Sender::open(options)?)
}

/// Sends, and tells.
pub(super) fn run(sender: &Sender) -> Result<Truth, LabError> {
    sender.run(&AtomicBool::new(false))?;
    sender.truth()
}

impl Sender {
    /// Opens the socket in the calling thread's namespace, and connects it where it has one
    /// destination.
    ///
    /// # Errors
    /// When the options contradict each other, or the destination can't be reached.
    pub fn open(options: Options) -> Result<Self, LabError> {
        let payload = Payload::of(&options);
        Self::open_with(options, payload)
    }

    /// As [`Sender::open`], with a payload that is large enough.
    pub(super) fn open_with(options: Options, payload: Arc<Payload>) -> Result<Self, LabError> {
        consistent(&options)?;
        let open = socket::open(&options)?;
        Self::with(options, open, payload)
    }

    /// Takes over a socket that another process has opened by the same options.
    ///
    /// # Errors
    /// When the options contradict each other.
    pub fn adopt(options: Options, socket: OwnedFd) -> Result<Self, LabError> {
        consistent(&options)?;
        let open = socket::adopt(&options, socket);
        let payload = Payload::of(&options);
        Self::with(options, open, payload)
    }

    fn with(options: Options, open: Open, payload: Arc<Payload>) -> Result<Self, LabError> {
        let netns = Netns::current()?.inum();
        Ok(Self { options, open, payload, netns, ledger: Mutex::default() })
    }

    /// Sends until every thread has attempted its count, or `stop` is set; then waits for what
    /// was not notified yet, unless the queue is never read. One thread sends on the caller's.
    ///
    /// # Errors
    /// When a thread can't be made, or the error queue can't be read.
    pub fn run(&self, stop: &AtomicBool) -> Result<(), LabError> {
        let finished = AtomicBool::new(false);
        thread::scope(|scope| {
            let reader = (self.options.drain == Drain::BusyReader)
                .then(|| scope.spawn(|| self.read_busily(&finished)));
            let sent = if self.options.threads == 1 {
                self.work(stop)
            } else {
                let threads: Vec<_> =
                    (0..self.options.threads).map(|_| scope.spawn(|| self.work(stop))).collect();
                threads.into_iter().try_for_each(join)
            };
            finished.store(true, Ordering::Release);
            sent.and(reader.map_or(Ok(()), join))
        })?;
        if self.options.drain != Drain::Never {
            let ids = self.ledger().ids();
            self.read_until(ids)?;
            self.ledger().settle_errors();
        }
        Ok(())
    }

    /// What is known so far.
    ///
    /// # Errors
    /// When the socket can't be looked at.
    pub fn truth(&self) -> Result<Truth, LabError> {
        let fd = self.fd();
        let failed = || LabError::system("look at the sender's socket");
        let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
        let inode = fs::metadata(path).map_err(failed())?.ino();
        let cookie = sockopt::cookie(fd).map_err(failed())?;
        let local = socket::local(fd).map_err(failed())?;
        let ledger = self.ledger();
        Ok(Truth {
            pid: host_pid(),
            own_pid: process::id(),
            fd: fd.as_raw_fd(),
            inode,
            cookie,
            netns: self.netns,
            protocol: self.options.protocol,
            local,
            remote: socket::remote(fd),
            so_zerocopy: !self.options.no_so_zerocopy,
            sends: ledger.sends.clone(),
            sends_with_error: ledger.sends_with_error,
            ignored: ledger.ignored.clone(),
            plain: ledger.plain.clone(),
            errors: ledger.errors.clone(),
            notifications: ledger.notifications,
            notified: ledger.notified,
            copied: ledger.copied,
            notified_twice: ledger.notified_twice,
            timestamps: ledger.timestamps,
            first_id: ledger.first_id,
            last_id: ledger.last_id,
            log: ledger.joined_log(),
            notification_log: ledger.notification_log.clone(),
        })
    }

    /// The socket.
    #[must_use]
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.open.fd.as_fd()
    }

    /// The account; after a panic of another thread too, for it is never left half-written.
    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn consistent(options: &Options) -> Result<(), LabError> {
    options.contradiction().map_or(Ok(()), |why| Err(LabError::Options(why)))
}

/// This process's id as `/proc` counts it: in a PID namespace of its own it has another.
#[must_use]
pub fn host_pid() -> u32 {
    let seen = fs::read_link("/proc/self").ok();
    seen.and_then(|path| path.to_str()?.parse().ok()).unwrap_or_else(process::id)
}

fn join(thread: thread::ScopedJoinHandle<'_, Result<(), LabError>>) -> Result<(), LabError> {
    thread.join().unwrap_or_else(|cause| std::panic::resume_unwind(cause))
}
