//! The screen: what a person sees while a process is watched.
//!
//! Two threads. One watches ([`watch`]): it feeds the tracker, and says every second what is known
//! ([`moment::Moment`]). The other has the terminal: it holds the state ([`app::App`]), which keys
//! and moments change, and draws it ([`view`]). So a key is never slower for what is watched.
//!
//! State and drawing are pure: they are tested with recordings, without a terminal.

pub mod app;
pub mod causes;
pub mod config;
pub mod filter;
pub mod history;
pub mod keys;
pub mod moment;
pub mod prompt;
pub mod rows;
mod run;
mod signals;
mod terminal;
#[cfg(test)]
mod tests;
pub mod theme;
pub mod verdict;
pub mod view;
mod watch;
mod write;

/// Panics, where a test asks for it (`ZCWATCH_PANIC`); never in a release.
fn provoke(place: &str) {
    let asked = || std::env::var("ZCWATCH_PANIC").is_ok_and(|asked| asked == place);
    assert!(!cfg!(debug_assertions) || !asked(), "provoked in the {place}'s thread");
}

pub(crate) use run::run;
pub(crate) use watch::watch;
