//! The emulator behind the terminal.

use std::num::NonZeroU16;

use base64::{Engine, engine::general_purpose::STANDARD};
use vt100::{Callbacks, Screen};

use crate::Size;

/// It, with what does not go to the screen.
pub type Parser = vt100::Parser<Beside>;

/// What does not go to the screen.
#[derive(Debug, Default)]
pub struct Beside {
    /// The last text for the clipboard.
    pub clipboard: Option<String>,
    /// How often the program began to draw (synchronized updates, mode 2026).
    pub updates: u64,
}

impl Callbacks for Beside {
    fn copy_to_clipboard(&mut self, _: &mut Screen, _kind: &[u8], data: &[u8]) {
        let text = STANDARD.decode(data).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        self.clipboard = text.or(self.clipboard.take());
    }

    fn unhandled_csi(
        &mut self,
        _: &mut Screen,
        intermediate: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        end: char,
    ) {
        self.updates += u64::from((intermediate, parameters, end) == (Some(b'?'), &[&[2026]], 'h'));
    }
}

/// A fresh one.
pub fn new((columns, rows): Size) -> Parser {
    vt100::Parser::new_with_callbacks(at_least(rows), at_least(columns), 0, Beside::default())
}

/// A terminal has one cell at least.
pub fn at_least(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap_or(NonZeroU16::MIN)
}

/// Rows without the spaces at their ends.
pub fn text(screen: &Screen) -> String {
    let columns = screen.size().1.get();
    let rows: Vec<String> = screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect();
    rows.join("\n").trim_end().to_owned()
}
