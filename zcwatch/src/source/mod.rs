//! Sources of [`crate::event::Event`]s: the running kernel ([`live`]).

pub mod calibrate;
pub mod live;
mod record;
mod surroundings;

pub use live::Live;
