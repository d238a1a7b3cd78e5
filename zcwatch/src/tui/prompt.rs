//! What is typed into a line: a filter, or a process.

use crokey::KeyCombination;
use crossterm::event::{KeyCode, KeyModifiers};
use tui_input::{Input, InputRequest};

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Which rows are shown.
    Filter,
    /// A process to be watched too.
    Take,
}

/// A line that is being typed.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// What it is for.
    pub kind: Kind,
    /// The text.
    pub input: Input,
    /// What is wrong with it.
    pub wrong: Option<String>,
}

/// What a key did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// More may come.
    Typing,
    /// This is it.
    Done,
    /// It is not wanted any more.
    Left,
}

impl Prompt {
    /// For a filter that is so now.
    #[must_use]
    pub fn filter(text: &str) -> Self {
        Self { kind: Kind::Filter, input: Input::new(text.to_owned()), wrong: None }
    }

    /// For a process.
    #[must_use]
    pub fn take() -> Self {
        Self { kind: Kind::Take, input: Input::default(), wrong: None }
    }

    /// What stands before the text.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self.kind {
            Kind::Filter => "filter: ",
            Kind::Take => "watch process (pid): ",
        }
    }

    /// Takes a key.
    pub fn key(&mut self, key: KeyCombination) -> Step {
        let crokey::OneToThree::One(code) = key.codes else { return Step::Typing };
        let ctrl = key.modifiers.contains(KeyModifiers::CONTROL);
        let request = match code {
            KeyCode::Enter => return Step::Done,
            KeyCode::Esc => return Step::Left,
            KeyCode::Char('c') if ctrl => return Step::Left,
            KeyCode::Char('u') if ctrl => InputRequest::DeleteFromStart,
            KeyCode::Char('w') if ctrl => InputRequest::DeletePrevWord,
            KeyCode::Char('a') if ctrl => InputRequest::GoToStart,
            KeyCode::Char('e') if ctrl => InputRequest::GoToEnd,
            KeyCode::Char('k') if ctrl => InputRequest::DeleteTillEnd,
            KeyCode::Char(_) if ctrl => return Step::Typing,
            KeyCode::Char(c) if key.modifiers.contains(KeyModifiers::SHIFT) => {
                InputRequest::InsertChar(c.to_ascii_uppercase())
            }
            KeyCode::Char(c) => InputRequest::InsertChar(c),
            KeyCode::Backspace => InputRequest::DeletePrevChar,
            KeyCode::Delete => InputRequest::DeleteNextChar,
            KeyCode::Left => InputRequest::GoToPrevChar,
            KeyCode::Right => InputRequest::GoToNextChar,
            KeyCode::Home => InputRequest::GoToStart,
            KeyCode::End => InputRequest::GoToEnd,
            _ => return Step::Typing,
        };
        self.input.handle(request);
        Step::Typing
    }

    /// Takes text that was pasted.
    pub fn paste(&mut self, text: &str) {
        for c in text.chars().filter(|c| !c.is_control()) {
            self.input.handle(InputRequest::InsertChar(c));
        }
    }
}
