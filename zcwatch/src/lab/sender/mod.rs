//! A sender of zerocopy messages that keeps its own truth of them.

mod buffer;
mod call;
mod churn;
mod clock;
mod ledger;
mod notification;
mod options;
mod read;
mod run;
mod socket;
mod truth;
mod work;

pub use churn::{Churned, churn};
pub use options::{Api, Coalesce, Drain, ExtensionHeader, Options, Protocol, Timestamps};
pub use run::{Sender, host_pid, send};
pub use truth::{Notified, SendRecord, Tally, Truth};
