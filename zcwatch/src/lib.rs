//! zcwatch as a library: everything but the few lines of `main`.

pub mod cli;
pub mod command;
pub mod diagnosis;
pub mod event;
pub mod host;
pub mod lab;
pub mod output;
pub mod probe;
pub mod recording;
pub mod source;
pub mod sums;
pub mod target;
pub mod tracker;
pub mod tui;
