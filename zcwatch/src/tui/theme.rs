//! Colours and characters.

use ratatui::{
    buffer::Buffer,
    style::{Color, Modifier, Style},
};
use serde::{Deserialize, Serialize};

use crate::diagnosis::Severity;

/// Which colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Theme {
    /// For a dark background
    #[default]
    Dark,
    /// For a light background
    Light,
    /// Blue and orange instead of green and red, for either background
    ColourBlind,
}

/// What a terminal can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Looks {
    /// Which colours.
    pub theme: Theme,
    /// How many there are.
    pub colours: Colours,
    /// Characters beyond ASCII.
    pub unicode: bool,
}

/// How many colours there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// NO_COLOR, or a terminal without any.
    None,
    /// The 16 that a user's own palette decides.
    Sixteen,
    /// The 256 of xterm.
    Many,
}

impl Looks {
    /// Of this process's terminal.
    #[must_use]
    pub fn of_terminal(theme: Theme) -> Self {
        let style = crate::output::style::Style::of_stdout();
        let var = |name| std::env::var(name).unwrap_or_default();
        let many = var("TERM").contains("256color") || !var("COLORTERM").is_empty();
        let colours = match (style.colour, many) {
            (false, _) => Colours::None,
            (true, true) => Colours::Many,
            (true, false) => Colours::Sixteen,
        };
        Self { theme, colours, unicode: style.unicode }
    }

    /// Of what is bad, by how bad; `None`: what is good.
    #[must_use]
    pub fn severity(self, severity: Option<Severity>) -> Style {
        let many = self.colours == Colours::Many;
        let (bad, uneasy, note, good) = match self.theme {
            Theme::Dark => (Color::LightRed, Color::Yellow, Color::Cyan, Color::Green),
            Theme::Light => (Color::Red, Color::Magenta, Color::Blue, Color::Green),
            // Orange and blue differ for every kind of sight; on 16 colours yellow is nearest.
            Theme::ColourBlind if many => {
                (Color::Indexed(208), Color::Indexed(178), Color::Indexed(110), Color::Indexed(33))
            }
            Theme::ColourBlind => {
                (Color::LightYellow, Color::Yellow, Color::Cyan, Color::LightBlue)
            }
        };
        Style::new().fg(match severity {
            Some(Severity::Problem) => bad,
            Some(Severity::Warning) => uneasy,
            Some(Severity::Note) => note,
            None => good,
        })
    }

    /// What matters less.
    #[must_use]
    pub fn dim(self) -> Style {
        match self.theme {
            Theme::Light => Style::new().fg(Color::DarkGray),
            _ if self.colours == Colours::Many => Style::new().fg(Color::Indexed(245)),
            _ => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// Headings.
    #[must_use]
    pub fn title(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Keys in the footer, and what can be chosen.
    #[must_use]
    pub fn key(self) -> Style {
        self.severity(Some(Severity::Note)).add_modifier(Modifier::BOLD)
    }

    /// The row that is selected.
    #[must_use]
    pub fn selected(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Signs and colours, as far as this terminal has them: the last step of each drawing.
    pub fn fit(self, buffer: &mut Buffer) {
        for cell in &mut buffer.content {
            if self.colours == Colours::None {
                cell.fg = Color::Reset;
                cell.bg = Color::Reset;
            }
            if !self.unicode && !cell.symbol().is_ascii() {
                let plain = cell.symbol().chars().next().map_or(" ", ascii);
                cell.set_symbol(plain);
            }
        }
    }
}

/// The sign of a severity; of nothing wrong without one.
#[must_use]
pub fn sign(severity: Option<Severity>) -> &'static str {
    match severity {
        Some(Severity::Problem) => "✖",
        Some(Severity::Warning) => "▲",
        Some(Severity::Note) => "·",
        None => "✔",
    }
}

/// One character of ASCII for one beyond it, as wide.
fn ascii(c: char) -> &'static str {
    match c {
        '✖' => "X",
        '▲' => "!",
        '·' => ".",
        '▸' | '→' => ">",
        '▹' => "-",
        '✔' => "+",
        '↑' => "^",
        '↓' => "v",
        '←' => "<",
        '─' | '━' | '╌' | '–' => "-",
        '│' | '┃' | '╎' => "|",
        '⋮' => ":",
        '…' => "~",
        'µ' => "u",
        '×' => "x",
        '≤' => "<",
        // Bars and sparklines: how full a cell is.
        '█' | '▇' => "#",
        '▆' | '▅' | '▉' | '▊' | '▋' => "=",
        '▄' | '▃' | '▌' | '▍' => "-",
        '▂' | '▎' => ":",
        '▁' | '▏' => ".",
        '░' => ".",
        ' ' => " ",
        _ => "?",
    }
}
