//! Does the tracker count what the kernel did? A model of the kernel's notification queue makes
//! events and knows the truth; the tracker sees the events only.

mod call;
mod examples;
mod kernel;
mod properties;
mod script;
mod truth;
