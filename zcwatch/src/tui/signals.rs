//! Signals that are about the terminal; SIGINT and SIGTERM end the watch, which tells the screen.

use std::sync::mpsc::Sender;

use tokio::signal::unix::{SignalKind, signal};

/// What came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody wants us to stop for a while (SIGTSTP).
    Stop,
    /// The terminal is gone (SIGHUP).
    Gone,
    /// SIGQUIT.
    Quit,
}

/// Hands them on, as long as somebody takes them.
pub fn listen<T: From<Signal>>(to: &Sender<T>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else {
        // They then do what they do by themselves: end us, or stop us.
        return;
    };
    runtime.block_on(async {
        let stop = signal(SignalKind::from_raw(libc::SIGTSTP));
        let gone = signal(SignalKind::hangup());
        let quit = signal(SignalKind::quit());
        let (Ok(mut stop), Ok(mut gone), Ok(mut quit)) = (stop, gone, quit) else { return };
        loop {
            let came = tokio::select! {
                _ = stop.recv() => Signal::Stop,
                _ = gone.recv() => Signal::Gone,
                _ = quit.recv() => Signal::Quit,
            };
            if to.send(T::from(came)).is_err() {
                return;
            }
        }
    });
}

/// Stops this process, as Ctrl-Z would; returns when it is continued.
pub fn stop() {
    // SIGTSTP is ours by now, and SIGSTOP cannot be.
    let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP);
}
