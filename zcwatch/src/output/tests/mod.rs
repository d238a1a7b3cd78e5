//! Do the reports say what the snapshot holds, in the form that was promised?

mod about;
mod absurd;
mod document;
mod fold;
mod json;
mod schema;
mod text;
