//! Sources of [`crate::event::Event`]s: the running kernel ([`live`]), and events read back
//! ([`recorded`]).

pub mod calibrate;
mod call_sites;
mod drops;
pub mod live;
mod processes;
mod record;
pub mod recorded;
mod refresh;
mod stacks;
mod surroundings;

pub use live::Live;
pub use recorded::Recorded;
