//! Sources of [`crate::event::Event`]s: the running kernel ([`live`]).

pub mod calibrate;
pub mod live;
mod processes;
mod record;
mod surroundings;

pub use live::Live;
