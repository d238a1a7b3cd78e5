//! Many sockets, each for a moment.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{
    Options, Sender, Tally, Truth,
    buffer::Payload,
    run::{host_pid, run},
};
use crate::lab::LabError;

/// What many sockets did, one after the other, all in all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Churned {
    /// The process, as `/proc` counts it.
    pub pid: u32,
    /// How many there were.
    pub sockets: u64,
    /// Messages that took an id and were accepted.
    pub sends: Tally,
    /// Messages that took an id though their call failed.
    pub sends_with_error: u64,
    /// Messages without MSG_ZEROCOPY.
    pub plain: Tally,
    /// Failed calls by the name of their error.
    pub errors: BTreeMap<String, u64>,
    /// Ids in the notifications that were read before the sockets were closed.
    pub notified: u64,
    /// Of those, the ids whose notification said copied.
    pub copied: u64,
}

/// Opens a socket, sends by it and closes it, so many times over. They send one, two and three
/// messages in turn, whatever the options' count.
///
/// # Errors
/// Those of [`send`](super::send).
pub fn churn(options: &Options, sockets: u64) -> Result<Churned, LabError> {
    let mut all = Churned { pid: host_pid(), ..Churned::default() };
    // Made once: that takes longer than all the rest of a socket's life.
    let payload = Payload::of(options);
    for turn in 0..sockets {
        let options = Options { count: 1 + turn % 3, ..options.clone() };
        all.add(&run(&Sender::open_with(options, Arc::clone(&payload))?)?);
    }
    Ok(all)
}

impl Churned {
    fn add(&mut self, one: &Truth) {
        self.sockets += 1;
        self.sends.merge(&one.sends);
        self.sends_with_error += one.sends_with_error;
        self.plain.merge(&one.plain);
        for (error, count) in &one.errors {
            *self.errors.entry(error.clone()).or_default() += count;
        }
        self.notified += one.notified;
        self.copied += one.copied;
    }
}
