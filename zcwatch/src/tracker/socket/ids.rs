//! Ids of one socket, as ranges and as halves that wait for each other.

use crate::{
    event::Way,
    tracker::evidence::{Message, Sight},
};

/// Positions on the line, and what their completion said.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ids {
    pub lo: u64,
    pub hi: u64,
    pub copied: bool,
    pub way: Way,
    /// What the way says by the devices as they were when this was told.
    pub sight: Option<Sight>,
}

impl Ids {
    pub(super) fn len(&self) -> u64 {
        self.hi - self.lo + 1
    }
}

#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub hi: u64,
    pub copied: bool,
    pub ts: Option<u64>,
}

#[derive(Clone, Debug)]
pub(super) struct Head {
    pub ids: Ids,
    pub ts: u64,
    pub concluded: bool,
}

/// The beginning of a notification, as concluded from its read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    pub hi: u64,
    pub copied: bool,
}

/// What is known of an id until both its send and its completion are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Half {
    Sent { start: Option<u64>, returned: u64, message: Message },
    Done { ts: Option<u64>, first: Option<u64>, copied: bool, way: Way, sight: Option<Sight> },
}
