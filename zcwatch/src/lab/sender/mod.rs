//! A sender of zerocopy messages that keeps its own truth of them.

mod buffer;
mod call;
mod clock;
mod ledger;
mod notification;
mod options;
mod read;
mod run;
mod socket;
mod truth;
mod work;

pub use options::{Api, Coalesce, Drain, ExtensionHeader, Options, Protocol, Timestamps};
pub use run::{Sender, send};
pub use truth::{Notified, SendRecord, Tally, Truth};
