//! The payload.

use std::sync::Arc;

use super::Options;

const PAGE: usize = 4096;

/// Bytes that are written once and only read thereafter: the kernel holds their pages until
/// the notification, and several sends may hold them at a time.
#[derive(Debug)]
pub(super) struct Payload {
    bytes: Vec<u8>,
    /// Where the first whole page begins, so that a message always spans as many pages.
    start: usize,
}

impl Payload {
    /// Large enough for every message.
    pub(super) fn of(options: &Options) -> Arc<Self> {
        Arc::new(Self::new(options.sizes.iter().copied().max().unwrap_or(0)))
    }

    fn new(size: usize) -> Self {
        // Written, not zeroed: untouched memory is one shared page of zeroes.
        let bytes: Vec<u8> = (0..size + PAGE).map(|at| at as u8).collect();
        let start = bytes.as_ptr().align_offset(PAGE).min(PAGE);
        Self { bytes, start }
    }

    /// The first `size` bytes.
    pub(super) fn take(&self, size: usize) -> &[u8] {
        &self.bytes[self.start..self.start + size]
    }
}
