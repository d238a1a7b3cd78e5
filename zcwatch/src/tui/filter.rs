//! The filter box: which rows are shown.

use super::rows::Row;

/// Words that a row must have; `-` before one: must not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    terms: Vec<(bool, Term)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Pid(u32),
    Comm(String),
    Port(u16),
    Device(String),
    Cause(String),
    Protocol(String),
    Finding(String),
    Text(String),
}

/// What may stand before a colon, and what it compares.
pub const KEYS: &[(&str, &str)] = &[
    ("pid:", "process id"),
    ("comm:", "a part of the process's name"),
    ("port:", "local or remote port"),
    ("dev:", "device"),
    ("cause:", "the beginning of a cause's key"),
    ("proto:", "tcp or udp"),
    ("finding:", "the beginning of a finding's id"),
];

impl Filter {
    /// Reads what was typed.
    ///
    /// # Errors
    /// A sentence where that means nothing.
    pub fn parse(text: &str) -> Result<Self, String> {
        let terms: Result<_, String> = text.split_whitespace().map(term).collect();
        Ok(Self { terms: terms? })
    }

    /// Does it let everything through?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Is this row to be shown?
    #[must_use]
    pub fn takes(&self, row: &Row) -> bool {
        self.terms.iter().all(|(wanted, term)| term.is_of(row) == *wanted)
    }

    /// Is a line of text to be shown, that is about this row? What asks for a cause is looked for
    /// in the text.
    #[must_use]
    pub fn takes_line(&self, text: &str, row: Option<&Row>) -> bool {
        self.terms.iter().all(|(wanted, term)| {
            let found = match term {
                Term::Text(t) | Term::Cause(t) => lower(text).contains(t.as_str()),
                Term::Pid(pid) if row.is_none() => words(text).any(|w| w == pid.to_string()),
                Term::Comm(t) if row.is_none() => lower(text).contains(t.as_str()),
                term => row.is_some_and(|row| term.is_of(row)),
            };
            found == *wanted
        })
    }
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty())
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

fn term(word: &str) -> Result<(bool, Term), String> {
    let (wanted, word) = match word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
        Some(rest) => (false, rest),
        None => (true, word),
    };
    let text = |key: &str| {
        word.strip_prefix(key)
            .filter(|value| !value.is_empty() && KEYS.iter().any(|(known, _)| *known == key))
            .map(lower)
    };
    let number = |key: &str| word.strip_prefix(key).filter(|value| !value.is_empty());
    let no = |what: &str| format!("{word}: {what}");
    let term = if let Some(pid) = number("pid:") {
        Term::Pid(pid.parse().map_err(|_| no("a process id is a number"))?)
    } else if let Some(port) = number("port:") {
        Term::Port(port.parse().map_err(|_| no("a port is a number up to 65535"))?)
    } else if let Some(comm) = text("comm:") {
        Term::Comm(comm)
    } else if let Some(device) = text("dev:") {
        Term::Device(device)
    } else if let Some(cause) = text("cause:") {
        Term::Cause(cause)
    } else if let Some(protocol) = text("proto:") {
        Term::Protocol(protocol)
    } else if let Some(finding) = text("finding:") {
        Term::Finding(finding)
    } else if KEYS.iter().any(|(key, _)| *key == word) {
        // Still being typed.
        return Ok((true, Term::Text(String::new())));
    } else if let Some(key) = unknown_key(word) {
        let known: Vec<_> = KEYS.iter().map(|(key, _)| *key).collect();
        return Err(format!("{key}: there is {}", known.join(" ")));
    } else {
        Term::Text(lower(word))
    };
    Ok((wanted, term))
}

/// A word that stands before a colon as a key would, and is none. Addresses have colons too.
fn unknown_key(word: &str) -> Option<&str> {
    let (key, _) = word.split_once(':')?;
    let of_address = |c: char| c.is_ascii_hexdigit();
    (!key.is_empty() && key.chars().all(char::is_alphabetic) && !key.chars().all(of_address))
        .then_some(key)
}

impl Term {
    fn is_of(&self, row: &Row) -> bool {
        match self {
            Self::Pid(pid) => row.pids.contains(pid),
            Self::Comm(part) => lower(&row.comm).contains(part.as_str()),
            Self::Port(port) => row.ports.contains(port),
            Self::Device(name) => lower(&row.device) == *name,
            Self::Cause(key) => row.causes.iter().any(|c| c.starts_with(key.as_str())),
            Self::Protocol(name) => row.protocol == name.as_str(),
            Self::Finding(id) => row.findings.iter().any(|f| f.name().starts_with(id.as_str())),
            Self::Text(part) => {
                let all = [&row.comm, &row.route, &row.device, &row.verdict];
                part.is_empty()
                    || all.iter().any(|text| lower(text).contains(part.as_str()))
                    || row.protocol.contains(part.as_str())
                    || row.causes.iter().any(|c| c.contains(part.as_str()))
            }
        }
    }
}
