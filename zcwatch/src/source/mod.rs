//! Sources of [`crate::event::Event`]s: the running kernel ([`live`]).

pub mod calibrate;
pub mod live;
mod record;

pub use live::Live;
