//! What dropped sends: of the kernel's numbers and addresses, the names that events carry.

use std::collections::BTreeMap;

use zcwatch_common as raw;

use crate::{event::DropFacts, host::symbols::Symbols};

/// The kernel's word before each reason.
const PREFIX: &str = "SKB_DROP_REASON_";
/// The reason of those who gave none.
const NONE: &str = "NOT_SPECIFIED";

/// Kinds of drops by their number in events.
#[derive(Debug, Default)]
pub struct Drops {
    reasons: BTreeMap<u32, String>,
    /// By what the kernel says: a reason, and an address.
    numbers: BTreeMap<(u32, u64), u16>,
    told: BTreeMap<(Option<String>, Option<String>), u16>,
}

impl Drops {
    /// With the names of the reasons, as this kernel has them.
    pub fn with(reasons: BTreeMap<u32, String>) -> Self {
        Self { reasons, ..Self::default() }
    }

    /// The number in events of what dropped a send; and what is new.
    pub fn of(
        &mut self,
        send: &raw::Send,
        symbols: &mut Symbols,
    ) -> (Option<u16>, Option<DropFacts>) {
        if send.dropped_at == 0 {
            return (None, None);
        }
        let key = (send.drop_reason, send.dropped_at);
        if let Some(known) = self.numbers.get(&key) {
            return (Some(*known), None);
        }
        let reason = self.reasons.get(&send.drop_reason);
        let reason = reason.map(|name| name.strip_prefix(PREFIX).unwrap_or(name).to_owned());
        let reason = reason.filter(|name| name != NONE);
        let function = symbols.names(&[send.dropped_at]).into_iter().next();
        let Ok(next) = u16::try_from(self.told.len() + 1) else { return (None, None) };
        let words = (reason.clone(), function.clone());
        let index = *self.told.entry(words).or_insert(next);
        self.numbers.insert(key, index);
        (Some(index), (index == next).then_some(DropFacts { index, reason, function }))
    }
}
