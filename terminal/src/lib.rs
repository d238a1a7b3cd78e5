//! Drives a program in a pseudo-terminal as a person would, and says what is on its screen.
//!
//! [`Terminal`] is the terminal: it starts the program, types, resizes, waits for what it shows, and
//! says in which state the terminal was left. [`picture`] draws its screen as an SVG.

mod keys;
mod parser;
pub mod picture;
mod pty;
#[cfg(test)]
mod tests;

pub use keys::Key;
pub use picture::picture;
pub use vt100::{Color, Screen};

use std::{
    fs::File,
    io::{Read, Write},
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow};
use nix::{
    sys::{
        signal::{Signal, kill},
        termios::{LocalFlags, tcgetattr},
    },
    unistd::Pid,
};

use parser::Parser;

/// Columns and rows.
pub type Size = (u16, u16);

/// A program in a terminal. Dropped, the program is killed.
pub struct Terminal {
    child: Child,
    master: File,
    /// Kept open: without it the terminal would be gone with the program, and its modes unknown.
    slave: OwnedFd,
    seen: Arc<Seen>,
}

/// What the program has written up to now.
struct Seen {
    state: Mutex<State>,
    more: Condvar,
}

struct State {
    parser: Parser,
    /// When the last bytes came.
    at: Instant,
    /// Nothing more will come.
    over: bool,
}

/// In which state a terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Modes {
    /// The alternate screen is shown.
    pub alternate_screen: bool,
    /// The cursor is not shown.
    pub cursor_hidden: bool,
    /// The program is told of the mouse.
    pub mouse: bool,
    /// What is pasted is marked.
    pub bracketed_paste: bool,
    /// Lines are edited by the terminal (ICANON).
    pub canonical: bool,
    /// What is typed is shown (ECHO).
    pub echo: bool,
}

impl Modes {
    /// As a shell wants it.
    pub const SANE: Self = Self {
        alternate_screen: false,
        cursor_hidden: false,
        mouse: false,
        bracketed_paste: false,
        canonical: true,
        echo: true,
    };
}

impl Terminal {
    /// Starts a program in a terminal of its own. Its standard input, output and error are that
    /// terminal, unless the command has others.
    ///
    /// # Errors
    /// When there is no terminal to be had, or the program does not start.
    pub fn spawn(command: Command, size: Size) -> Result<Self> {
        let (child, master, slave) = pty::spawn(command, size)?;
        let seen = Arc::new(Seen {
            state: Mutex::new(State { parser: parser::new(size), at: Instant::now(), over: false }),
            more: Condvar::new(),
        });
        let reader = File::from(master.try_clone().context("the terminal has no second end")?);
        let to = Arc::clone(&seen);
        thread::spawn(move || to.read(reader));
        Ok(Self { child, master: master.into(), slave, seen })
    }

    /// The program's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Types a text.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.master.write_all(text.as_bytes()).context("the terminal takes no keys")
    }

    /// Presses a key.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn press(&mut self, key: Key) -> Result<()> {
        self.send(&key.bytes())
    }

    /// What is on the screen: its rows, without the spaces at their ends.
    #[must_use]
    pub fn text(&self) -> String {
        parser::text(self.seen.lock().parser.screen())
    }

    /// What is on the screen, with its colours.
    #[must_use]
    pub fn screen(&self) -> Screen {
        self.seen.lock().parser.screen().clone()
    }

    /// Waits until the screen is as wanted, and returns it.
    ///
    /// # Errors
    /// When it is not in this time: with what is on it instead.
    pub fn wait_until(
        &self,
        wanted: impl Fn(&str) -> bool,
        limit: Duration,
        what: &str,
    ) -> Result<String> {
        let end = Instant::now() + limit;
        let mut state = self.seen.lock();
        loop {
            let text = parser::text(state.parser.screen());
            if wanted(&text) {
                return Ok(text);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.over {
                let why = if state.over { "the program ended" } else { "time is over" };
                return Err(anyhow!("{why}, and {what} was not on the screen:\n{text}"));
            }
            state = self.seen.wait(state, left);
        }
    }

    /// Waits until this text is on the screen, and returns all of it.
    ///
    /// # Errors
    /// As [`Self::wait_until`].
    pub fn wait_for(&self, text: &str, limit: Duration) -> Result<String> {
        self.wait_until(|screen| screen.contains(text), limit, &format!("{text:?}"))
    }

    /// Types, and says how long it took until the bytes came after which the screen was as wanted.
    ///
    /// # Errors
    /// When it is not so in this time, or the terminal is gone.
    pub fn latency(
        &mut self,
        keys: &str,
        wanted: impl Fn(&Screen) -> bool,
        limit: Duration,
    ) -> Result<Duration> {
        let start = Instant::now();
        self.send(keys)?;
        let mut state = self.seen.lock();
        loop {
            if wanted(state.parser.screen()) {
                return Ok(state.at.saturating_duration_since(start));
            }
            let left = limit.saturating_sub(start.elapsed());
            if left.is_zero() || state.over {
                let text = parser::text(state.parser.screen());
                return Err(anyhow!("{keys:?} did not lead to what was wanted:\n{text}"));
            }
            state = self.seen.wait(state, left);
        }
    }

    /// Waits until nothing has come for so long.
    pub fn settle(&self, quiet: Duration) {
        loop {
            let state = self.seen.lock();
            let left = quiet.saturating_sub(state.at.elapsed());
            if left.is_zero() || state.over {
                return;
            }
            drop(self.seen.wait(state, left));
        }
    }

    /// How often the program has begun to draw, where it says so (synchronized updates).
    #[must_use]
    pub fn updates(&self) -> u64 {
        self.seen.lock().parser.callbacks().updates
    }

    /// Makes the terminal larger or smaller, which the program is told (SIGWINCH).
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&mut self, size: Size) -> Result<()> {
        self.seen.lock().parser.set_size(parser::at_least(size.1), parser::at_least(size.0));
        pty::resize(&self.master, size)
    }

    /// Sends a signal to the program.
    ///
    /// # Errors
    /// When it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid()).context("a process id is too large")?;
        kill(Pid::from_raw(pid), signal).context("the program takes no signal")
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended in this time: then it is killed.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // What it wrote last is still to be read.
                self.settle(Duration::from_millis(50));
                return Ok(status);
            }
            if Instant::now() >= end {
                let text = self.text();
                let _ = self.child.kill();
                return Err(anyhow!("the program did not end; on its screen was:\n{text}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// In which state the terminal is now.
    ///
    /// # Errors
    /// When its settings cannot be read.
    pub fn modes(&self) -> Result<Modes> {
        let flags = tcgetattr(self.slave.as_fd())?.local_flags;
        let state = self.seen.lock();
        let screen = state.parser.screen();
        Ok(Modes {
            alternate_screen: screen.alternate_screen(),
            cursor_hidden: screen.hide_cursor(),
            mouse: screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None,
            bracketed_paste: screen.bracketed_paste(),
            canonical: flags.contains(LocalFlags::ICANON),
            echo: flags.contains(LocalFlags::ECHO),
        })
    }

    /// What the program has put into the clipboard last (OSC 52).
    #[must_use]
    pub fn clipboard(&self) -> Option<String> {
        self.seen.lock().parser.callbacks().clipboard.clone()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Our own child, by its handle: its id cannot belong to another process yet.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Seen {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, limit: Duration) -> MutexGuard<'a, State> {
        let waited = self.more.wait_timeout(state, limit);
        waited.map_or_else(|e| e.into_inner().0, |(state, _)| state)
    }

    fn read(&self, mut from: File) {
        let mut bytes = [0; 1 << 16];
        loop {
            // It ends with an error when nobody holds the other side any more.
            let read = from.read(&mut bytes).unwrap_or(0);
            let mut state = self.lock();
            state.at = Instant::now();
            if read == 0 {
                state.over = true;
                self.more.notify_all();
                return;
            }
            state.parser.process(&bytes[..read]);
            self.more.notify_all();
        }
    }
}
