//! What is typed into a line.

use super::{App, Effect};
use crate::tui::{filter::Filter, prompt};

impl App {
    /// Text that was pasted.
    pub fn paste(&mut self, text: &str) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else { return Vec::new() };
        prompt.paste(text);
        self.typed()
    }

    pub(super) fn typed(&mut self) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else { return Vec::new() };
        if prompt.kind == prompt::Kind::Filter {
            let text = prompt.input.value().to_owned();
            prompt.wrong = Filter::parse(&text).err();
            if prompt.wrong.is_none() {
                self.filter_by(&text);
            }
        }
        Vec::new()
    }

    pub(super) fn entered(&mut self) -> Vec<Effect> {
        let Some(prompt) = &mut self.prompt else { return Vec::new() };
        let text = prompt.input.value().trim().to_owned();
        match prompt.kind {
            prompt::Kind::Filter => match Filter::parse(&text) {
                Ok(_) => {
                    self.filter_text.clone_from(&text);
                    self.prompt = None;
                    self.filter_by(&text);
                }
                Err(why) => prompt.wrong = Some(why),
            },
            prompt::Kind::Take => match text.parse::<u32>() {
                Ok(pid) => {
                    self.prompt = None;
                    return vec![Effect::Take(pid)];
                }
                Err(_) if text.is_empty() => self.prompt = None,
                Err(_) => prompt.wrong = Some("a process id is a number".into()),
            },
        }
        Vec::new()
    }

    pub(super) fn filter_by(&mut self, text: &str) {
        if let Ok(filter) = Filter::parse(text) {
            self.choice.filter = filter;
            self.choose();
        }
    }
}
