//! The lab's paths do what is known of them, and leave nothing behind. Needs root.

mod ids;
mod leftovers;
mod limits;
mod options;
mod paths;
mod rows;
mod surroundings;
mod workload;

use anyhow::Result;
use zcwatch::lab::{
    Netns,
    sender::{self, Options, Truth},
};

/// What the notifications of a path's sends say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Said {
    Copied,
    NotCopied,
}

use Said::{Copied, NotCopied};

/// Sends from inside a namespace.
fn send(netns: &Netns, options: Options) -> Result<Truth> {
    Ok(netns.run(|| sender::send(options))??)
}

/// Every attempt took an id, every id was notified once, and all said the same.
#[track_caller]
fn assert_all(said: Said, attempts: u64, truth: &Truth) {
    assert_eq!(truth.sends.count, attempts, "sends of {truth:?}");
    assert_eq!(truth.notified, attempts, "notified ids of {truth:?}");
    assert_eq!(truth.notified_twice, 0, "ids notified twice of {truth:?}");
    let copied = if said == Copied { attempts } else { 0 };
    assert_eq!(truth.copied, copied, "copied ids of {truth:?}");
}
