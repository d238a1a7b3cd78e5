//! A screen as an SVG: runs of cells with one look, each pinned to its columns, so that they line up in
//! whatever font there is.

use svg::{
    Document,
    node::element::{Element, Rectangle, Text},
};
use vt100::{Cell, Color, Screen};

/// Width and height of a cell, and where in it the text stands, px.
const CELL: (f32, f32, f32) = (8.4, 18.0, 13.5);
/// Around the screen, px.
const EDGE: f32 = 12.0;
const FONT: &str = "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace";

/// Foreground and background of a terminal, and its 16 colours.
#[derive(Clone, Copy, Debug)]
pub struct Palette {
    /// Text.
    pub text: &'static str,
    /// Behind it.
    pub background: &'static str,
    /// Black, red, green, yellow, blue, magenta, cyan, white; then the bright ones.
    pub colours: [&'static str; 16],
}

/// On a dark background.
pub const DARK: Palette = Palette {
    text: "#d7dae0",
    background: "#16181d",
    colours: [
        "#3b4048", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#abb2bf",
        "#5c6370", "#ff7b86", "#a9d987", "#f0cf8a", "#7cc0ff", "#d993ee", "#6fd0dc", "#ffffff",
    ],
};

/// How a cell looks.
#[derive(Clone, Debug, PartialEq)]
struct Look {
    text: String,
    behind: Option<String>,
    bold: bool,
    dim: bool,
    italic: bool,
    underline: bool,
}

/// Draws it.
#[must_use]
pub fn picture(screen: &Screen, palette: &Palette) -> String {
    let (rows, columns) = (screen.size().0.get(), screen.size().1.get());
    let (width, height) = (f32::from(columns) * CELL.0, f32::from(rows) * CELL.1);
    let whole = (width + 2.0 * EDGE, height + 2.0 * EDGE);
    let mut document = Document::new()
        .set("viewBox", (0.0, 0.0, whole.0, whole.1))
        .set("width", whole.0)
        .set("height", whole.1)
        .set("font-family", FONT)
        .set("font-size", "14")
        .set("xml:space", "preserve")
        .add(
            Rectangle::new()
                .set("width", "100%")
                .set("height", "100%")
                .set("rx", 8)
                .set("fill", palette.background),
        );
    for row in 0..rows {
        for run in runs(screen, row, columns, palette) {
            for element in run.draw(row) {
                document = document.add(element);
            }
        }
    }
    let mut text = document.to_string();
    text.push('\n');
    text
}

/// Cells of one look, side by side.
struct Run {
    from: u16,
    cells: u16,
    look: Look,
    text: String,
}

fn runs(screen: &Screen, row: u16, columns: u16, palette: &Palette) -> Vec<Run> {
    let mut all: Vec<Run> = Vec::new();
    for column in 0..columns {
        let Some(cell) = screen.cell(row, column) else { continue };
        if cell.is_wide_continuation() {
            if let Some(last) = all.last_mut() {
                last.cells += 1;
            }
            continue;
        }
        let look = Look::of(cell, palette);
        let symbol = if cell.has_contents() { cell.contents() } else { " " };
        match all.last_mut().filter(|run| run.look == look) {
            Some(run) => {
                run.cells += 1;
                run.text.push_str(symbol);
            }
            None => all.push(Run { from: column, cells: 1, look, text: symbol.to_owned() }),
        }
    }
    all
}

impl Run {
    fn draw(&self, row: u16) -> Vec<Element> {
        let x = EDGE + f32::from(self.from) * CELL.0;
        let y = EDGE + f32::from(row) * CELL.1;
        let mut all = Vec::new();
        if let Some(behind) = &self.look.behind {
            let area = Rectangle::new()
                .set("x", round(x))
                .set("y", round(y))
                .set("width", round(f32::from(self.cells) * CELL.0))
                .set("height", CELL.1)
                .set("fill", behind.as_str());
            all.push(area.into());
        }
        for part in parts(&self.text) {
            let at = x + f32::from(part.from) * CELL.0;
            match part.what {
                Part::Block(left, top, right, bottom) => {
                    let area = Rectangle::new()
                        .set("x", round(at + left * CELL.0))
                        .set("y", round(y + top * CELL.1))
                        .set("width", round((f32::from(part.cells) - 1.0 + right - left) * CELL.0))
                        .set("height", round((bottom - top) * CELL.1))
                        .set("fill", self.look.text.as_str());
                    all.push(area.into());
                }
                Part::Word(word) => all.push(self.word(&word, at, y, part.cells).into()),
            }
        }
        all
    }

    fn word(&self, word: &str, x: f32, y: f32, cells: u16) -> Text {
        let mut text = Text::new(word)
            .set("x", round(x))
            .set("y", round(y + CELL.2))
            .set("textLength", round(f32::from(cells) * CELL.0))
            .set("lengthAdjust", "spacingAndGlyphs")
            .set("fill", self.look.text.as_str());
        for (is, name, value) in [
            (self.look.bold, "font-weight", "bold"),
            (self.look.dim, "opacity", "0.6"),
            (self.look.italic, "font-style", "italic"),
            (self.look.underline, "text-decoration", "underline"),
        ] {
            if is {
                text = text.set(name, value);
            }
        }
        text
    }
}

/// What is drawn of a run, from this cell on.
struct Piece {
    from: u16,
    cells: u16,
    what: Part,
}

enum Part {
    /// A part of each cell is filled: left, top, right, bottom.
    Block(f32, f32, f32, f32),
    /// A word.
    Word(String),
}

/// Words, and blocks, which are drawn as such: fonts leave gaps between them.
fn parts(text: &str) -> Vec<Piece> {
    let mut all: Vec<Piece> = Vec::new();
    for (from, c) in (0_u16..).zip(text.chars()) {
        if c == ' ' {
            continue;
        }
        let block = block(c);
        let last = all.last_mut().filter(|p| p.from + p.cells == from);
        match (last, block) {
            (Some(Piece { cells, what: Part::Word(word), .. }), None) => {
                *cells += 1;
                word.push(c);
            }
            // Only what fills its cell from edge to edge goes on.
            (Some(Piece { cells, what: Part::Block(0.0, top, 1.0, bottom), .. }), Some(b))
                if (0.0, *top, 1.0, *bottom) == b =>
            {
                *cells += 1;
            }
            (_, Some((left, top, right, bottom))) => {
                all.push(Piece { from, cells: 1, what: Part::Block(left, top, right, bottom) });
            }
            (_, None) => all.push(Piece { from, cells: 1, what: Part::Word(c.into()) }),
        }
    }
    all
}

/// Which part of its cell a character fills.
fn block(c: char) -> Option<(f32, f32, f32, f32)> {
    let eighths =
        |from: char| f32::from(u16::try_from(u32::from(c) - u32::from(from)).unwrap_or(0));
    match c {
        '█' => Some((0.0, 0.0, 1.0, 1.0)),
        // From the bottom up, one eighth more each.
        '▁'..='▇' => Some((0.0, 1.0 - (eighths('▁') + 1.0) / 8.0, 1.0, 1.0)),
        // From the left, one eighth less each.
        '▉'..='▏' => Some((0.0, 0.0, (7.0 - eighths('▉')) / 8.0, 1.0)),
        '─' => Some((0.0, 0.47, 1.0, 0.53)),
        _ => None,
    }
}

fn round(n: f32) -> f32 {
    (n * 10.0).round() / 10.0
}

impl Look {
    fn of(cell: &Cell, palette: &Palette) -> Self {
        let mut text = colour(cell.fgcolor(), palette);
        let mut behind = colour(cell.bgcolor(), palette);
        if cell.inverse() {
            let (was_text, was_behind) = (text, behind);
            text = Some(was_behind.unwrap_or_else(|| palette.background.into()));
            behind = Some(was_text.unwrap_or_else(|| palette.text.into()));
        }
        Self {
            text: text.unwrap_or_else(|| palette.text.into()),
            behind,
            bold: cell.bold(),
            dim: cell.dim(),
            italic: cell.italic(),
            underline: cell.underline(),
        }
    }
}

/// As the xterm's 256 are; `None`: the terminal's own.
fn colour(colour: Color, palette: &Palette) -> Option<String> {
    let hex = |r: u8, g: u8, b: u8| format!("#{r:02x}{g:02x}{b:02x}");
    match colour {
        Color::Default => None,
        Color::Rgb(r, g, b) => Some(hex(r, g, b)),
        Color::Idx(i @ 0..16) => Some(palette.colours[usize::from(i)].into()),
        Color::Idx(i @ 16..232) => {
            let step = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            Some(hex(step(i / 36), step(i / 6 % 6), step(i % 6)))
        }
        Color::Idx(i) => {
            let grey = 8 + 10 * (i - 232);
            Some(hex(grey, grey, grey))
        }
    }
}
