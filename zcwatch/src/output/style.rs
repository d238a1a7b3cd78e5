//! What the terminal can show: colours, and characters beyond ASCII.

use std::io::IsTerminal;

use crate::diagnosis::Severity;

/// Decided once, from the environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// SGR colours.
    pub colour: bool,
    /// UTF-8.
    pub unicode: bool,
}

impl Style {
    /// For standard output: colours on a terminal that wants them, UTF-8 where the locale says so.
    #[must_use]
    pub fn of_stdout() -> Self {
        let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
        let dumb = std::env::var("TERM").is_ok_and(|t| t == "dumb");
        Self {
            colour: std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb,
            unicode: locale_is_utf8(|name| std::env::var(name).ok()),
        }
    }

    /// A sign for how bad it is: by shape and colour, never by colour alone.
    #[must_use]
    pub fn sign(self, severity: Severity, healthy: bool) -> String {
        let (sign, ascii, colour) = shape(severity, healthy);
        self.paint(if self.unicode { sign } else { ascii }, colour)
    }

    /// Text in the colour of its severity, for words that say by themselves how bad it is.
    #[must_use]
    pub fn tint(self, text: &str, severity: Severity, healthy: bool) -> String {
        self.paint(text, shape(severity, healthy).2)
    }

    /// Bold text.
    #[must_use]
    pub fn bold(self, text: &str) -> String {
        self.paint(text, 1)
    }

    /// Text with its non-ASCII signs replaced where the terminal has none. Names of other
    /// processes may hold anything, so what is left is replaced too.
    #[must_use]
    pub fn plain(self, text: &str) -> String {
        if self.unicode {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '→' => out.push_str("->"),
                '…' => out.push_str("..."),
                '·' => out.push('-'),
                'µ' => out.push('u'),
                c if c.is_ascii() => out.push(c),
                _ => out.push('?'),
            }
        }
        out
    }

    fn paint(self, text: &str, code: u8) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Its sign, the sign in ASCII, and its colour.
fn shape(severity: Severity, healthy: bool) -> (&'static str, &'static str, u8) {
    match (severity, healthy) {
        (_, true) => ("✔", "+", 32),
        (Severity::Problem, _) => ("✖", "X", 31),
        (Severity::Warning, _) => ("▲", "!", 33),
        (Severity::Note, _) => ("·", ".", 36),
    }
}

/// The first of these that is set decides (locale(7)).
fn locale_is_utf8(var: impl Fn(&str) -> Option<String>) -> bool {
    let value =
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|n| var(n).filter(|v| !v.is_empty()));
    value.is_some_and(|v| {
        let v = v.to_ascii_lowercase();
        v.contains("utf-8") || v.contains("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        let with = |vars: &'static [(&str, &str)]| {
            locale_is_utf8(move |n| {
                vars.iter().find(|(k, _)| *k == n).map(|(_, v)| (*v).to_owned())
            })
        };
        assert!(with(&[("LANG", "de_DE.UTF-8")]));
        assert!(!with(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "C")]));
        assert!(with(&[("LANG", "C.utf8"), ("LC_ALL", "")]));
        assert!(!with(&[]));
    }

    #[test]
    fn without_utf8_nothing_else_is_printed() {
        let style = Style::default();
        let text = style.plain("a → b · 3 µs é");
        assert_eq!(text, "a -> b - 3 us ?");
        assert_eq!(style.sign(Severity::Problem, false), "X");
    }
}
