//! Drawing: one function a pane.
//!
//! ```text
//! ┌ header: whom, kernel, hooks, time, rates; what was lost ┐
//! │ the view: overview, socket, finding, causes, events     │
//! │                                                         │
//! └ footer: keys, or what is typed, or what was said        ┘
//! ```

mod causes;
mod events;
mod finding;
mod findings;
mod footer;
mod header;
mod help;
mod overview;
mod socket;
mod sparks;
mod table;
mod text;

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
};

use super::{
    app::{App, Clicked, View},
    theme::Looks,
};

/// What was drawn where, for the mouse and for pages.
#[derive(Clone, Debug, Default)]
pub struct Drawn {
    /// The rows of the table: where, how many lines each, and which is the first.
    pub table: Option<(Rect, u16, usize)>,
    /// Each line of the findings, and which finding it is of.
    pub findings: Vec<(Rect, usize)>,
    /// Rows a page.
    pub page: usize,
}

impl Drawn {
    /// What is at this place.
    #[must_use]
    pub fn at(&self, column: u16, row: u16) -> Option<Clicked> {
        let inside = |area: &Rect| area.contains((column, row).into());
        if let Some((_, finding)) = self.findings.iter().find(|(area, _)| inside(area)) {
            return Some(Clicked::Finding(*finding));
        }
        let (area, height, first) = self.table.filter(|(area, ..)| inside(area))?;
        let below = usize::from((row - area.y) / height.max(1));
        Some(Clicked::Row(first + below))
    }
}

/// Draws all of it.
pub fn draw(app: &App, looks: Looks, frame: &mut Frame<'_>) -> Drawn {
    let area = frame.area();
    let mut drawn = Drawn { page: usize::from(area.height).saturating_sub(4), ..Drawn::default() };
    let footer_height = u16::from(area.height > 3);
    let header_height = if area.height > 3 { header::height(app, area.width) } else { 0 };
    let [top, body, bottom] = Layout::vertical([
        Constraint::Length(header_height),
        Constraint::Min(0),
        Constraint::Length(footer_height),
    ])
    .areas(area);
    header::draw(app, looks, frame, top);
    if let Some(scrolled) = app.help {
        help::draw(app, looks, frame, body, scrolled);
    } else if app.scene.is_none() {
        text::paragraph(frame, body, "attaching …", looks.dim());
    } else {
        match app.view {
            View::Overview => overview::draw(app, looks, frame, body, &mut drawn),
            View::Socket(id) => socket::draw(app, id, looks, frame, body),
            View::Finding(known) => finding::draw(app, known, looks, frame, body),
            View::Causes => causes::draw(app, looks, frame, body),
            View::Events => events::draw(app, looks, frame, body),
        }
    }
    footer::draw(app, looks, frame, bottom);
    looks.fit(frame.buffer_mut());
    drawn
}
