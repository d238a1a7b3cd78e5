//! Debian's archive: which kernels it offers, and getting them.
//!
//! A suite's InRelease is signed, and holds the hash of its index; the index holds the name and the
//! hash of each package. So a file name is never written down here.

pub mod deb;
mod index;
mod release;
mod stanza;
mod suite;
mod version;

pub use index::{Kernel, Package, highest, kernels};
pub use suite::Suite;
