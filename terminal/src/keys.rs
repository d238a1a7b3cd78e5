//! Keys as xterm sends them.

use std::borrow::Cow;

/// A key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Enter.
    Enter,
    /// Escape.
    Escape,
    /// Tab.
    Tab,
    /// Arrow up.
    Up,
    /// Arrow down.
    Down,
    /// A page down.
    PageDown,
    /// Control and a letter.
    Ctrl(char),
    /// A character.
    Char(char),
}

impl Key {
    /// What is sent.
    #[must_use]
    pub fn bytes(self) -> Cow<'static, str> {
        match self {
            Self::Enter => "\r".into(),
            Self::Escape => "\x1b".into(),
            Self::Tab => "\t".into(),
            Self::Up => "\x1b[A".into(),
            Self::Down => "\x1b[B".into(),
            Self::PageDown => "\x1b[6~".into(),
            Self::Ctrl(c) => char::from(u8::try_from(c).unwrap_or(b' ') & 0x1f).to_string().into(),
            Self::Char(c) => c.to_string().into(),
        }
    }
}
