//! Screens as text, of recordings that `trace --format ndjson` wrote of real traffic.
//!
//! What changes on purpose is taken over by `INSTA_UPDATE=always cargo test -p zcwatch --lib tui`.

mod screens;
mod state;

use std::ops::ControlFlow;

use crokey::KeyCombination;
use ratatui::{Terminal, backend::TestBackend, buffer::Buffer};

use super::{
    app::{App, Effect},
    moment::Feed,
    theme::{Colours, Looks, Theme},
    view,
};
use crate::{
    event::Event,
    output::{
        style::Style,
        trace::{Clock, Options, Teller},
    },
    source::Recorded,
};

/// Copied by tcpdump after a while, small sends, an ignored flag, notifications that nobody reads.
const SICK: &str = include_str!("recordings/sick.ndjson");
/// Nothing is copied.
const WELL: &str = include_str!("recordings/well.ndjson");

const PLAIN: Looks = Looks { theme: Theme::Dark, colours: Colours::None, unicode: true };

/// A screen that has seen a recording up to so many seconds of it; `None`: to its end.
fn seen(recording: &str, seconds: Option<u64>) -> App {
    let mut app = App::default();
    let mut recorded = Recorded::open(recording.as_bytes()).unwrap();
    let mut events: Vec<Event> = Vec::new();
    while let Some(event) = recorded.event().unwrap() {
        events.push(event);
    }
    let mut feed = Feed::new(recorded.header(), &[]);
    if seconds == Some(0) {
        app.show(std::sync::Arc::new(feed.moment(recorded.header().start_boot_ns)));
        return app;
    }
    let mut left = seconds;
    feed.replay(events, recorded.end().unwrap(), |moment| {
        app.show(std::sync::Arc::new(moment));
        match &mut left {
            Some(1) => ControlFlow::Break(()),
            Some(left) => {
                *left -= 1;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Continue(()),
        }
    });
    app
}

/// The same, with a tail of the events.
fn seen_with_events(recording: &str, seconds: u64) -> App {
    let mut app = seen(recording, Some(seconds));
    let mut recorded = Recorded::open(recording.as_bytes()).unwrap();
    let header = recorded.header().clone();
    let style = Style { colour: false, unicode: true };
    let clock = Clock::wall(header.about.start_unix_ns);
    let mut teller = Teller::new(Options { style, clock, min_latency: None }, &header);
    let until = header.start_boot_ns + seconds * 1_000_000_000;
    while let Some(event) = recorded.event().unwrap().filter(|e| e.ts < until) {
        teller.take(&event);
    }
    app.tell(teller.lines(Some(until)));
    app
}

/// Presses keys.
fn press(app: &mut App, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|key| app.key(key_of(key))).collect()
}

fn key_of(word: &str) -> KeyCombination {
    crokey::parse(word).unwrap()
}

/// Types text.
fn type_text(app: &mut App, text: &str) {
    for c in text.chars() {
        let word = if c == ' ' { "space".to_owned() } else { c.to_string() };
        app.key(key_of(&word));
    }
}

fn drawn(app: &App, looks: Looks, (width, height): (u16, u16)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| drop(view::draw(app, looks, frame))).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as lines, without their trailing spaces.
fn text_of(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let mut text = String::new();
    for row in buffer.content.chunks(width.max(1)) {
        let line: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn screen(app: &App, size: (u16, u16)) -> String {
    text_of(&drawn(app, PLAIN, size))
}
