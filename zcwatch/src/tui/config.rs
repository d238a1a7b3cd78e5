//! `~/.config/zcwatch/config.toml`: colours and keys.

use std::{
    collections::BTreeMap,
    fmt::Write,
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{
    keys::{BINDINGS, Keys},
    theme::Theme,
};
use crate::host::process::escape;

/// What the file says.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Colours.
    pub theme: Theme,
    /// ASCII only, whatever the locale says.
    pub ascii: bool,
    /// Which key does what.
    pub keys: Keys,
    /// Why the usual file was not read.
    pub unread: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct File {
    theme: Theme,
    ascii: bool,
    keys: BTreeMap<String, Vec<String>>,
}

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("could not read {0}: {1}")]
    Read(String, io::Error),
    /// It says something that means nothing.
    #[error("{0}: {1}; `zcwatch --print-config` shows what it may have")]
    Parse(String, String),
}

impl Config {
    /// Reads this file, or else the usual one, if there is one.
    ///
    /// # Errors
    /// When it cannot be understood, or this one not be read; a usual one that may not be read is
    /// left aside, and [`Config::unread`] says so.
    pub fn read(given: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = given.map(Path::to_path_buf).or_else(usual) else {
            return Ok(Self::default());
        };
        let name = escape(&path.to_string_lossy());
        match fs::read_to_string(&path) {
            Ok(text) => Self::parse(&text).map_err(|why| ConfigError::Parse(name, why)),
            Err(e) if given.is_none() && e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            // Another user's, under sudo: no reason to see nothing.
            Err(e) if given.is_none() => {
                let why = ConfigError::Read(name, e).to_string();
                Ok(Self { unread: Some(why), ..Self::default() })
            }
            Err(e) => Err(ConfigError::Read(name, e)),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|e| {
            let line = e.span().map(|at| text[..at.start.min(text.len())].lines().count().max(1));
            let why = e.message().replace('\n', " ");
            line.map_or_else(|| why.clone(), |line| format!("line {line}: {why}"))
        })?;
        let keys = Keys::with(&file.keys)?;
        Ok(Self { theme: file.theme, ascii: file.ascii, keys, unread: None })
    }
}

/// Where it is looked for.
fn usual() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let folder = set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))?;
    Some(folder.join("zcwatch/config.toml"))
}

/// The file as it would be without any change.
#[must_use]
pub fn print() -> String {
    let mut out = String::from(
        "# zcwatch reads this from $XDG_CONFIG_HOME/zcwatch/config.toml\n\
         # (~/.config/zcwatch/config.toml). All of it may be left out.\n\n\
         # dark, light, or colour-blind (blue and orange)\n\
         theme = \"dark\"\n\
         # true: no characters beyond ASCII, whatever the locale says\n\
         ascii = false\n\n\
         # Keys are written like \"q\", \"ctrl-d\", \"f1\", \"pageup\"; [] takes them away.\n\
         [keys]\n",
    );
    for b in BINDINGS {
        let keys: Vec<_> = b.keys.iter().map(|k| format!("{k:?}")).collect();
        let _ = writeln!(out, "# {}\n{} = [{}]", b.what, b.name, keys.join(", "));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_can_be_read_and_changes_nothing() {
        let config = Config::parse(&print()).unwrap();
        assert_eq!((config.theme, config.ascii), (Theme::Dark, false));
        for b in BINDINGS {
            assert_eq!(config.keys.all(b.action), Keys::default().all(b.action));
        }
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let wrong = |text: &str| Config::parse(text).unwrap_err();
        assert!(wrong("ascii = false\ntheme = \"pink\"\n").starts_with("line 2: unknown variant"));
        assert!(wrong("colour = 1\n").contains("unknown field `colour`"));
        assert!(wrong("[keys]\nquit = []\n").contains("no key is left for quit"));
        assert!(wrong("theme").starts_with("line 1: "));
    }
}
