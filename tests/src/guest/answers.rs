//! The line to the host.

use std::{
    fs::{File, OpenOptions},
    io::Write,
};

use anyhow::{Context, Error, Result};
use nix::sys::termios::{SetArg, cfmakeraw, tcdrain, tcgetattr, tcsetattr};
use zcwatch_tests::protocol::Word;

const ANSWERS: &str = "/dev/ttyS1";

/// The second serial port.
pub struct Answers(File);

impl Answers {
    /// Opens it, as a line that carries bytes as they are.
    ///
    /// # Errors
    /// When the guest has no such port.
    pub fn open() -> Result<Self> {
        let port = OpenOptions::new()
            .read(true)
            .write(true)
            .open(ANSWERS)
            .with_context(|| format!("{ANSWERS} cannot be opened"))?;
        let mut settings = tcgetattr(&port).context(ANSWERS)?;
        cfmakeraw(&mut settings);
        tcsetattr(&port, SetArg::TCSANOW, &settings).context(ANSWERS)?;
        Ok(Self(port))
    }

    /// Says something, and waits until it has left: the guest may die next.
    ///
    /// # Errors
    /// When the port takes nothing.
    pub fn say(&mut self, word: &Word) -> Result<()> {
        let mut line = serde_json::to_vec(word)?;
        line.push(b'\n');
        self.0.write_all(&line).context(ANSWERS)?;
        tcdrain(&self.0).context(ANSWERS)
    }

    /// Says what the guest itself could not do.
    ///
    /// # Errors
    /// When the port takes nothing.
    pub fn trouble(&mut self, error: &Error) -> Result<()> {
        self.say(&Word::Trouble(format!("{error:#}")))
    }
}
