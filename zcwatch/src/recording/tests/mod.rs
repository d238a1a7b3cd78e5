//! Is what is read back what was written, and are other files refused with a sentence?

mod documented;
pub mod every;
mod read;
