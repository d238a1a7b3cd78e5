//! The cause table: why a send is copied. Data: a row is a key, what the evidence must be, what
//! it means, and what to do.

mod case;
mod table;
mod tap;

pub use case::Case;
pub use table::CAUSES;

use super::{Context, words};
use crate::{host::process::escape, probe::hooks::Certainty, tracker::evidence::HiddenWay};

/// One row.
pub struct Cause {
    /// The key in JSON and of `zcwatch causes KEY`.
    pub key: &'static str,
    /// The calls that mean it: the function that copied, and who called it, as far as it matters.
    /// `*word*` is any function with that in its name. Of several rows the most exact one counts.
    pub(super) calls: &'static [&'static [&'static str]],
    /// In a few words, after "copied on DEVICE:".
    pub title: &'static str,
    /// What happens in the kernel, in a paragraph.
    pub explanation: &'static str,
    /// What to do in general; with a device and a process it is said by [`Cause::remedies`].
    pub advice: &'static str,
    /// Which evidence means it, where the calls are not known.
    matches: fn(&Case<'_>) -> Option<Certainty>,
    /// What to do here.
    remedies: fn(&Case<'_>, &Context) -> Vec<String>,
    /// Who or what it is here, right after the title.
    whom: fn(&[Case<'_>]) -> Option<String>,
    /// What was seen that says so.
    seen: fn(&Case<'_>) -> String,
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.key)
    }
}

impl Cause {
    pub(super) fn remedies(&self, case: &Case<'_>, context: &Context) -> Vec<String> {
        (self.remedies)(case, context)
    }

    /// The title, with who or what it is in these cases.
    pub(super) fn title_of(&self, cases: &[Case<'_>]) -> String {
        format!("{}{}", self.title, (self.whom)(cases).unwrap_or_default())
    }

    pub(super) fn seen(&self, case: &Case<'_>) -> String {
        let seen = (self.seen)(case);
        match case.calls() {
            Some(calls) => format!("{}; {seen}", calls.join(" < ")),
            None => seen,
        }
    }

    /// How exactly these calls are the row's: by how many names; `None`: not at all.
    fn led_to(&self, calls: &[String]) -> Option<(usize, usize)> {
        self.calls.iter().filter_map(|pattern| exactness(pattern, calls)).max()
    }
}

/// The row that explains a copy; `None` where the completion shows none.
pub(super) fn explain(case: &Case<'_>) -> Option<(&'static Cause, Certainty)> {
    let by_place = || CAUSES.iter().find_map(|cause| Some((cause, (cause.matches)(case)?)));
    if !case.evidence.is_shown() {
        return by_place();
    }
    let Some(calls) = case.calls() else { return by_place() };
    let rows = CAUSES.iter().filter_map(|cause| Some((cause.led_to(calls)?, cause)));
    let Some((_, cause)) = rows.max_by_key(|(exactness, _)| *exactness) else {
        // Calls that no row knows: the places say as much as they do without.
        return by_place().map(|(cause, _)| (cause, Certainty::Inferred));
    };
    // There every packet is copied, whoever gets it.
    if cause.key == "local_rx" && case.forwarded() == Some(false) {
        return by_place();
    }
    Some((cause, Certainty::Measured))
}

/// How many names of the calls a pattern has, and how many of them exactly.
fn exactness(pattern: &[&str], calls: &[String]) -> Option<(usize, usize)> {
    let mut exact = 0;
    for (at, want) in pattern.iter().enumerate() {
        let call = calls.get(at)?;
        match want.strip_prefix('*').and_then(|w| w.strip_suffix('*')) {
            Some(part) if call.contains(part) => {}
            None if call == want => exact += 1,
            _ => return None,
        }
    }
    Some((pattern.len(), exact))
}

/// What a hidden copy on a device of this kind is, in a few words.
#[must_use]
pub fn hidden_words(how: HiddenWay, device: &str, kind: &str) -> (String, String) {
    let device = escape(device);
    match how {
        HiddenWay::GsoWithoutSg if kind == "wireguard" => (
            format!("segmented in software on {device}, before WireGuard encrypts"),
            "skb_segment copies each segment's payload, and tells nobody".into(),
        ),
        HiddenWay::GsoWithoutSg => (
            format!("segmented in software on {device}, which has no scatter-gather"),
            "skb_segment copies each segment's payload, and tells nobody".into(),
        ),
        HiddenWay::GenericXdp => (
            format!("received by {device}, which has a generic XDP program"),
            "the payload is copied before the program runs (skb_pp_cow_data), and nobody is told"
                .into(),
        ),
        HiddenWay::VethPeerXdp => (
            format!("handed by {device} to a veth that runs native XDP"),
            "veth copies the payload before the program runs (skb_pp_cow_data), and tells nobody"
                .into(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cause_has_its_page() {
        for cause in CAUSES {
            let page = format!("{}/../docs/causes/{}.md", env!("CARGO_MANIFEST_DIR"), cause.key);
            let text = std::fs::read_to_string(&page).unwrap_or_default();
            let title = format!("# {}: {}\n", cause.key, cause.title);
            assert!(text.starts_with(&title), "{page} does not begin with {title:?}");
        }
    }
}
