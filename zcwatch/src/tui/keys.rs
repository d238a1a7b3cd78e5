//! What keys do: one table, which the keyboard, the footer, the help, the configuration and the
//! documentation read.

use std::collections::BTreeMap;

use crokey::{KeyCombination, KeyCombinationFormat};

/// What a key may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is described in BINDINGS")]
pub enum Action {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Open,
    Back,
    Focus,
    Overview,
    Causes,
    Events,
    Help,
    Sort,
    Reverse,
    Filter,
    Group,
    Over,
    Pause,
    Reset,
    Take,
    LetGo,
    Copy,
    Write,
    Mouse,
    Redraw,
    Suspend,
    Quit,
    Interrupt,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Binding {
    /// What is done.
    pub action: Action,
    /// Its name in the configuration.
    pub name: &'static str,
    /// The keys, unless the configuration has others.
    pub keys: &'static [&'static str],
    /// One word for the footer; empty: it is not there.
    pub short: &'static str,
    /// What is done, in words.
    pub what: &'static str,
}

macro_rules! bindings {
    ($($action:ident $name:literal [$($key:literal),*] $short:literal $what:literal;)*) => {
        &[$(Binding {
            action: Action::$action,
            name: $name,
            keys: &[$($key),*],
            short: $short,
            what: $what,
        }),*]
    };
}

/// All of them, in the order of the help.
pub const BINDINGS: &[Binding] = bindings![
    Up "up" ["up", "k"] "" "the row above";
    Down "down" ["down", "j"] "" "the row below";
    PageUp "page-up" ["pageup", "ctrl-u"] "" "a screenful up";
    PageDown "page-down" ["pagedown", "ctrl-d"] "" "a screenful down";
    First "first" ["home"] "" "the first row";
    Last "last" ["end"] "" "the last row";
    Open "open" ["enter"] "open" "what is selected: a socket with its causes, latencies and remedies; a finding; the sockets of a process, a finding or a cause";
    Back "back" ["esc", "backspace"] "back" "the view before, as it was; with a filter: without it";
    Focus "focus" ["tab"] "" "from the sockets to the findings, and back";
    Overview "overview" ["o"] "overview" "all sockets and findings";
    Causes "causes" ["c"] "causes" "all copies by their cause, and who listens";
    Events "events" ["e"] "events" "each send as it completes, live";
    Help "help" ["?", "f1"] "help" "this page";
    Sort "sort" ["s"] "sort" "sort by the next column";
    Reverse "reverse" ["r"] "" "sort the other way round";
    Filter "filter" ["/"] "filter" "show only some: pid: comm: port: dev: cause: proto: finding:, or any text; - before a word leaves out";
    Group "group" ["g"] "group" "one row a process";
    Over "closed" ["x"] "" "hide closed sockets, or show them";
    Pause "pause" ["p", "space"] "pause" "hold the screen; the watch goes on";
    Reset "reset" ["z"] "" "count from zero: a new window begins";
    Take "take" ["t"] "" "watch one more process";
    LetGo "let-go" ["d"] "" "watch the selected process no more; what is counted of its sockets is hidden";
    Copy "copy" ["y"] "copy" "copy the command that helps, the marked one where one is marked, into the terminal's clipboard (OSC 52)";
    Write "write" ["w"] "write" "write the report into files: text and JSON";
    Mouse "mouse" ["m"] "" "let the mouse select, or leave it to the terminal";
    Redraw "redraw" ["ctrl-l"] "" "draw everything anew";
    Suspend "suspend" ["ctrl-z"] "" "back to the shell; fg returns";
    Quit "quit" ["q"] "quit" "end the watch; nothing is left attached";
    Interrupt "interrupt" ["ctrl-c"] "" "end it, with exit code 130";
];

/// Which key does what.
#[derive(Clone, Debug)]
pub struct Keys {
    by_key: BTreeMap<String, Action>,
    by_action: BTreeMap<Action, Vec<KeyCombination>>,
}

impl Default for Keys {
    fn default() -> Self {
        // The table is tested to be without faults.
        Self::with(&BTreeMap::new())
            .unwrap_or_else(|_| Self { by_key: BTreeMap::new(), by_action: BTreeMap::new() })
    }
}

impl Keys {
    /// The table, with other keys for the actions named here.
    ///
    /// # Errors
    /// A sentence where an action or a key is unknown, or a key would do two things.
    pub fn with(changed: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        if let Some(name) = changed.keys().find(|name| BINDINGS.iter().all(|b| b.name != **name)) {
            let names: Vec<_> = BINDINGS.iter().map(|b| b.name).collect();
            return Err(format!("there is no action {name:?}; there are {}", names.join(", ")));
        }
        let mut keys = Self { by_key: BTreeMap::new(), by_action: BTreeMap::new() };
        // What was chosen comes first, and takes its key from what was not.
        let (chosen, usual): (Vec<&Binding>, Vec<&Binding>) =
            BINDINGS.iter().partition(|b| changed.contains_key(b.name));
        for binding in chosen {
            for word in changed.get(binding.name).into_iter().flatten() {
                let key = parse(word)?;
                if let Some(taken) = keys.by_key.get(&id(key)) {
                    let other = name_of(*taken);
                    return Err(format!(
                        "the key {word:?} is given to {other} and {}",
                        binding.name
                    ));
                }
                keys.bind(key, binding.action);
            }
        }
        for binding in usual {
            for word in binding.keys {
                let key = parse(word)?;
                if !keys.by_key.contains_key(&id(key)) {
                    keys.bind(key, binding.action);
                }
            }
        }
        if !keys.by_action.contains_key(&Action::Quit) {
            return Err("no key is left for quit; give it one".into());
        }
        Ok(keys)
    }

    fn bind(&mut self, key: KeyCombination, action: Action) {
        self.by_key.insert(id(key), action);
        self.by_action.entry(action).or_default().push(key);
    }

    /// What a key asks for.
    #[must_use]
    pub fn action(&self, key: KeyCombination) -> Option<Action> {
        self.by_key.get(&id(key)).copied()
    }

    /// The first key of an action, as it is written; empty: it has none.
    #[must_use]
    pub fn first(&self, action: Action) -> String {
        self.by_action
            .get(&action)
            .and_then(|keys| keys.first())
            .map(|k| shown(*k))
            .unwrap_or_default()
    }

    /// All keys of an action, as they are written.
    #[must_use]
    pub fn all(&self, action: Action) -> String {
        let keys = self.by_action.get(&action).map(Vec::as_slice).unwrap_or_default();
        keys.iter().map(|k| shown(*k)).collect::<Vec<_>>().join(" ")
    }
}

fn name_of(action: Action) -> &'static str {
    BINDINGS.iter().find(|b| b.action == action).map_or("", |b| b.name)
}

fn parse(word: &str) -> Result<KeyCombination, String> {
    crokey::parse(word)
        .map_err(|_| format!("there is no key {word:?}; write it like \"q\", \"ctrl-d\" or \"f1\""))
}

/// One name for a key, however the terminal tells of it.
fn id(key: KeyCombination) -> String {
    KeyCombinationFormat::default().to_string(key.normalized())
}

fn shown(key: KeyCombination) -> String {
    let text = KeyCombinationFormat::default().with_lowercase_modifiers().to_string(key);
    match text.as_str() {
        "Up" => "↑".into(),
        "Down" => "↓".into(),
        _ if text.chars().count() == 1 => text.to_lowercase(),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::filter;

    fn page() -> String {
        let mut out = String::from(
            "# Keys of the screen\n\n\
             This page is made from the table in `zcwatch/src/tui/keys.rs`. Other keys are given in\n\
             `$XDG_CONFIG_HOME/zcwatch/config.toml` (`~/.config/zcwatch/config.toml`), by the names\n\
             here; `zcwatch --print-config` prints that file as it is without any change.\n\n\
             | keys | name | does |\n|---|---|---|\n",
        );
        for b in BINDINGS {
            let keys: Vec<_> = b.keys.iter().map(|key| format!("`{key}`")).collect();
            out += &format!("| {} | `{}` | {} |\n", keys.join(" "), b.name, b.what);
        }
        out += "\n## The filter\nWords that a row must have all of; `-` before one leaves out what has it.\n\n\
                | word | means |\n|---|---|\n";
        for (key, what) in filter::KEYS {
            out += &format!("| `{key}` | {what} |\n");
        }
        out += "| any other | a part of the process, the addresses, the device, the verdict or a cause |\n";
        out
    }

    #[test]
    fn the_page_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/keys.md");
        if std::env::var_os("ZCWATCH_WRITE_DOCS").is_some() {
            std::fs::write(path, page()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == page(),
            "docs/keys.md is not the table: ZCWATCH_WRITE_DOCS=1 cargo test -p zcwatch --lib page"
        );
    }

    #[test]
    fn every_action_has_a_key_and_every_key_one_action() {
        let keys = Keys::with(&BTreeMap::new()).unwrap();
        for b in BINDINGS {
            assert!(!b.what.is_empty() && !keys.first(b.action).is_empty(), "{}", b.name);
            for word in b.keys {
                assert_eq!(keys.action(parse(word).unwrap()), Some(b.action), "{word}");
            }
        }
        let all: usize = BINDINGS.iter().map(|b| b.keys.len()).sum();
        assert_eq!(keys.by_key.len(), all);
    }

    #[test]
    fn keys_can_be_changed_and_mistakes_are_named() {
        let with = |name: &str, key: &str| {
            Keys::with(&BTreeMap::from([(name.to_owned(), vec![key.to_owned()])]))
        };
        let keys = with("pause", "q").unwrap_err();
        assert_eq!(keys, "no key is left for quit; give it one");
        let keys = with("pause", "ctrl-p").unwrap();
        assert_eq!(keys.action(parse("ctrl-p").unwrap()), Some(Action::Pause));
        assert_eq!(keys.action(parse("p").unwrap()), None);
        assert!(with("paus", "p").unwrap_err().starts_with("there is no action \"paus\""));
        assert!(with("pause", "hyper-p").unwrap_err().starts_with("there is no key \"hyper-p\""));
        let two = BTreeMap::from([
            ("pause".to_owned(), vec!["a".to_owned()]),
            ("sort".to_owned(), vec!["a".to_owned()]),
        ]);
        assert_eq!(Keys::with(&two).unwrap_err(), "the key \"a\" is given to sort and pause");
    }
}
