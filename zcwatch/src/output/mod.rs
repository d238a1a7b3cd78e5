//! What a person or a program reads: text, JSON, and the words they share.

pub mod json;
pub mod names;
pub mod ndjson;
pub mod style;
#[cfg(test)]
mod tests;
pub mod text;
pub mod trace;
