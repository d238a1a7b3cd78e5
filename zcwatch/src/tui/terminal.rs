//! The terminal: taken, given back, whatever happens in between.

use std::{
    cell::Cell,
    io::{self, Stdout, Write, stdout},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crossterm::{
    clipboard::CopyToClipboard,
    cursor::Show,
    event::{DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture},
    execute,
    terminal::{
        BeginSynchronizedUpdate, EndSynchronizedUpdate, EnterAlternateScreen, LeaveAlternateScreen,
        disable_raw_mode, enable_raw_mode,
    },
};
use ratatui::{Frame, Terminal, backend::CrosstermBackend};

/// It is ours now: what a panic must give back.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Held by who draws: another thread that panics gives the terminal back before or after.
static DRAWN_ON: Mutex<()> = Mutex::new(());

thread_local! {
    /// This thread has the lock.
    static DRAWING: Cell<bool> = const { Cell::new(false) };
}

fn lock() -> MutexGuard<'static, ()> {
    DRAWN_ON.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The terminal while it is ours. Dropped, it is as it was before.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    mouse: bool,
}

impl Screen {
    /// Takes it.
    ///
    /// # Errors
    /// When it is none, or refuses.
    pub fn take() -> io::Result<Self> {
        enter(false)?;
        let terminal = Terminal::new(CrosstermBackend::new(stdout()))?;
        Ok(Self { terminal, mouse: false })
    }

    /// Draws what has changed since.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let _lock = lock();
        if !is_ours() {
            return Ok(());
        }
        DRAWING.set(true);
        // Terminals that know this show all of it at once.
        let drawn = execute!(stdout(), BeginSynchronizedUpdate)
            .and_then(|()| self.terminal.draw(draw).map(|_| ()))
            .and_then(|()| execute!(stdout(), EndSynchronizedUpdate));
        DRAWING.set(false);
        drawn
    }

    /// Forgets what is on it: the next drawing draws all.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.terminal.clear()
    }

    /// Takes the mouse, or leaves it to the terminal.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn mouse(&mut self, wanted: bool) -> io::Result<()> {
        self.mouse = wanted;
        if wanted {
            execute!(stdout(), EnableMouseCapture)
        } else {
            execute!(stdout(), DisableMouseCapture)
        }
    }

    /// Asks the terminal to put this into the clipboard (OSC 52). It does not tell whether it did.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn copy(&mut self, text: &str) -> io::Result<()> {
        execute!(stdout(), CopyToClipboard::to_clipboard_from(text))
    }

    /// Gives it back while something else is done, and takes it again.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn lend(&mut self, meanwhile: impl FnOnce()) -> io::Result<()> {
        leave();
        meanwhile();
        enter(self.mouse)?;
        self.terminal.clear()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

/// Is it ours now?
pub fn is_ours() -> bool {
    TAKEN.load(Ordering::SeqCst)
}

fn enter(mouse: bool) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    execute!(stdout(), EnterAlternateScreen, EnableBracketedPaste)?;
    if mouse {
        execute!(stdout(), EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives it back, if it is ours. Each step is tried: a terminal that is gone refuses them all.
pub fn leave() {
    // A panic in a drawing has the lock already.
    let _lock = (!DRAWING.get()).then(lock);
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = stdout();
    let _ = execute!(out, DisableMouseCapture);
    let _ = execute!(out, DisableBracketedPaste);
    let _ = execute!(out, EndSynchronizedUpdate, LeaveAlternateScreen, Show);
    let _ = out.flush();
    let _ = disable_raw_mode();
}

/// From now on a panic, in whatever thread, gives the terminal back before it is told.
pub fn give_back_on_panic() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        leave();
        log::error!("{panic}");
        before(panic);
    }));
}
