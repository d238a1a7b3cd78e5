//! The calls that led to copies: of the kernel's addresses, the names that events carry.

use std::collections::BTreeMap;

use zcwatch_common::{self as raw, copier};

use crate::{event::StackFacts, host::symbols::Symbols};

/// Callers kept: what is further out says who sent, not what copied.
const CALLERS: usize = 5;

/// Calls by their number in the kernel's table, and in events. Many of the kernel's are one here:
/// what led to the callers, and the program that looked, are no part of them.
#[derive(Debug, Default)]
pub struct Stacks {
    told: BTreeMap<Vec<String>, u16>,
    numbers: BTreeMap<u32, u16>,
}

impl Stacks {
    /// Takes a record; returns what is new.
    pub fn take(&mut self, stack: &raw::Stack, symbols: &mut Symbols) -> Option<StackFacts> {
        let end = stack.frames.iter().position(|f| *f == 0).unwrap_or(stack.frames.len());
        let names = symbols.names(&stack.frames[..end]);
        let calls = calls(stack.of, names)?;
        let next = u16::try_from(self.told.len() + 1).ok()?;
        if let Some(known) = self.told.get(&calls) {
            self.numbers.insert(stack.index, *known);
            return None;
        }
        self.told.insert(calls.clone(), next);
        self.numbers.insert(stack.index, next);
        Some(StackFacts { index: next, calls })
    }

    /// The number in events of one in the kernel's table, if its record came through.
    pub fn number(&self, index: u32) -> Option<u16> {
        self.numbers.get(&index).copied()
    }
}

/// The function that copied, then its callers. Before it are the program that looked and the
/// trampoline, whose names mean nothing.
fn calls(of: u32, names: Vec<String>) -> Option<Vec<String>> {
    let copier = match of {
        copier::PAGES => "skb_copy_ubufs",
        copier::TAIL => "__pskb_pull_tail",
        _ => return None,
    };
    let at = names.iter().position(|n| n == copier)?;
    let calls: Vec<String> = names.into_iter().skip(at).take(1 + CALLERS).collect();
    (calls.len() > 1).then_some(calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn what_looked_is_no_part_of_the_calls() {
        let names = ["cleanup_module", "ftrace_trampoline", "skb_copy_ubufs", "deliver_skb"];
        assert_eq!(
            calls(copier::PAGES, owned(&names)),
            Some(owned(&["skb_copy_ubufs", "deliver_skb"]))
        );
        assert_eq!(calls(copier::TAIL, owned(&names)), None);
        // Without a caller there is nothing to tell.
        assert_eq!(calls(copier::PAGES, owned(&names[..3])), None);
        let deep = owned(&["__pskb_pull_tail", "a", "b", "c", "d", "e", "f", "g"]);
        assert_eq!(calls(copier::TAIL, deep).map(|c| c.len()), Some(1 + CALLERS));
    }
}
