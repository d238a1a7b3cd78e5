//! The state of the screen, and what keys and moments do to it. No terminal and no clock in here.

mod act;
mod looking;
mod moves;
mod typing;

use std::{collections::VecDeque, sync::Arc};

use crokey::KeyCombination;

use super::{
    config::Config,
    history::History,
    keys::Keys,
    moment::Moment,
    prompt::{self, Prompt},
    rows::{Choice, Chosen, Key, Row, rows},
};
use crate::{diagnosis::Known, event::SocketId, output::trace::Line};

/// Lines of events that are kept.
const LINES: usize = 10_000;

/// What is on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// All sockets, and what is wrong.
    Overview,
    /// One socket.
    Socket(SocketId),
    /// One finding.
    Finding(Known),
    /// All copies by cause.
    Causes,
    /// A live tail.
    Events,
}

/// Which list of the overview keys move in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// The table.
    Sockets,
    /// The findings.
    Findings,
}

/// What the state cannot do itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// End the watch.
    Quit {
        /// By Ctrl-C.
        interrupted: bool,
    },
    /// Give the terminal back to the shell.
    Suspend,
    /// Draw all anew.
    Redraw,
    /// Put this into the clipboard.
    Copy(String),
    /// Take the mouse, or leave it.
    Mouse(bool),
    /// Write the report of what is shown.
    Write,
    /// Begin a new window.
    Reset,
    /// Watch this process.
    Take(u32),
    /// Watch it no more.
    LetGo(u32),
    /// Tell each send, or stop telling.
    Tell(bool),
}

/// How the screen was before a filter was chosen by opening something.
#[derive(Clone, Debug)]
struct CameFrom {
    view: View,
    focus: Focus,
    filter_text: String,
    grouped: bool,
    selected: Option<Key>,
    /// The filter that was chosen.
    to: String,
}

/// What is known, and its course.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The moment.
    pub moment: Arc<Moment>,
    /// What came before.
    pub history: History,
}

/// See the module.
#[derive(Debug)]
pub struct App {
    /// Which key does what.
    pub keys: Keys,
    /// What is shown; `None`: nothing is known yet.
    pub scene: Option<Scene>,
    /// The newest, while the screen is held.
    newest: Option<Scene>,
    /// The screen is held.
    pub paused: bool,
    /// What is on the screen.
    pub view: View,
    /// The help lies over it, scrolled so far.
    pub help: Option<usize>,
    /// Which list keys move in.
    pub focus: Focus,
    /// Which rows, in which order.
    pub choice: Choice,
    /// What was typed to choose them.
    pub filter_text: String,
    /// Where the filter was chosen by opening something, and how it was there.
    came_from: Option<CameFrom>,
    /// The rows chosen.
    pub rows: Vec<Row>,
    /// So many sockets more, were the closed ones not hidden.
    pub hidden: u64,
    /// The selected row.
    pub selected: Option<Key>,
    /// The selected finding; `None`: the worst.
    pub finding: Option<Known>,
    /// The selected cause.
    pub cause: usize,
    /// The selected remedy, or copy, of a view of one thing.
    pub item: usize,
    /// Something is being typed.
    pub prompt: Option<Prompt>,
    /// A sentence for a while.
    pub said: Option<String>,
    /// Lines of events, the newest last.
    pub lines: VecDeque<Line>,
    /// Those that came while the screen is held.
    held_back: VecDeque<Line>,
    /// A view of one thing begins so many lines below its top.
    pub scroll: usize,
    /// The tail stands so many lines before its end; 0: it runs.
    pub scrolled: usize,
    /// The mouse selects.
    pub mouse: bool,
    /// Rows that a page has, as last drawn.
    pub page: usize,
}

impl App {
    /// Begins.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            keys: config.keys.clone(),
            scene: None,
            newest: None,
            paused: false,
            view: View::Overview,
            help: None,
            focus: Focus::Sockets,
            choice: Choice::default(),
            filter_text: String::new(),
            came_from: None,
            rows: Vec::new(),
            hidden: 0,
            selected: None,
            finding: None,
            cause: 0,
            item: 0,
            prompt: None,
            said: None,
            lines: VecDeque::new(),
            held_back: VecDeque::new(),
            scroll: 0,
            scrolled: 0,
            mouse: false,
            page: 10,
        }
    }

    /// Takes what is known now.
    pub fn show(&mut self, moment: Arc<Moment>) {
        let known = self.newest.take().or_else(|| self.scene.clone());
        let mut history = known.map(|scene| scene.history).unwrap_or_default();
        history.add(&moment.snapshot, moment.leap);
        let scene = Scene { moment, history };
        if self.paused && self.scene.is_some() {
            self.newest = Some(scene);
            return;
        }
        self.see_scene(scene);
    }

    /// Shows this. What is selected stays so, wherever it is now.
    fn see_scene(&mut self, scene: Scene) {
        let selected = self.remedies().into_iter().nth(self.item);
        self.scene = Some(scene);
        self.choose();
        if let Some(place) = selected.and_then(|s| self.remedies().iter().position(|r| *r == s)) {
            self.item = place;
        }
    }

    /// Takes lines of events.
    pub fn tell(&mut self, lines: Vec<Line>) {
        if self.paused {
            self.held_back.extend(lines);
            shorten(&mut self.held_back);
            return;
        }
        let before = if self.scrolled > 0 { self.told().len() } else { 0 };
        self.lines.extend(lines);
        if self.scrolled > 0 {
            // What is being read stays where it is.
            let told = self.told().len();
            self.scrolled = (self.scrolled + told - before).min(told);
        }
        shorten(&mut self.lines);
    }

    /// Chooses the rows anew.
    fn choose(&mut self) {
        let Some(scene) = &self.scene else { return };
        let Chosen { rows, hidden } = rows(&scene.moment, &scene.history, &self.choice);
        (self.rows, self.hidden) = (rows, hidden);
        let there = |key: &Key| self.rows.iter().any(|row| row.key == *key);
        if !self.selected.as_ref().is_some_and(there) {
            self.selected = self.rows.first().map(|row| row.key);
        }
    }

    /// What a key does.
    pub fn key(&mut self, key: KeyCombination) -> Vec<Effect> {
        self.said = None;
        if let Some(prompt) = &mut self.prompt {
            return match prompt.key(key) {
                prompt::Step::Typing => self.typed(),
                prompt::Step::Done => self.entered(),
                prompt::Step::Left => {
                    self.prompt = None;
                    self.filter_by(&self.filter_text.clone());
                    Vec::new()
                }
            };
        }
        match self.keys.action(key) {
            Some(action) => self.act(action),
            None => Vec::new(),
        }
    }
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clicked {
    /// A click on this row of the table.
    Row(usize),
    /// A click on this finding.
    Finding(usize),
    /// The wheel, so many rows.
    Wheel(isize),
}

/// Forgets the oldest where there are too many.
fn shorten(lines: &mut VecDeque<Line>) {
    let over = lines.len().saturating_sub(LINES);
    lines.drain(..over);
}

impl Default for App {
    fn default() -> Self {
        Self::new(&Config::default())
    }
}
