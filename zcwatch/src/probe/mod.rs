//! What this kernel offers: where its structs keep what the probes read ([`layout`]), which
//! programs there are ([`programs`]), which question each answers ([`hooks`]), and which of them
//! really attach ([`attach`]).

pub mod attach;
pub mod btf;
pub mod error;
pub mod hooks;
pub mod layout;
pub mod maps;
mod memlock;
#[cfg(test)]
mod object_test;
pub mod programs;

pub use attach::{Probe, Settings};
pub use error::ProbeError;
