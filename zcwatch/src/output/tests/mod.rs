//! Do the reports say what the snapshot holds, in the form that was promised?

mod about;
mod document;
mod fold;
mod json;
mod schema;
mod text;
