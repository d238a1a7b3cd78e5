//! How sockets are named, and what is counted of them.

use crate::{
    event::{Endpoint, SocketFacts},
    tracker::snapshot::Counts,
};

/// "tcp 10.0.0.4:41822 → 10.0.0.9:4444", "udp *:9000".
#[must_use]
pub fn route(facts: &SocketFacts) -> String {
    let protocol = facts.protocol.name();
    match &facts.remote {
        Some(remote) => format!("{protocol} {} → {}", endpoint(&facts.local), endpoint(remote)),
        None => format!("{protocol} {}", endpoint(&facts.local)),
    }
}

/// "10.0.0.4:80", "[::1]:80", "*:80".
#[must_use]
pub fn endpoint(e: &Endpoint) -> String {
    if e.addr.is_unspecified() {
        return format!("*:{}", e.port);
    }
    std::net::SocketAddr::new(e.addr, e.port).to_string()
}

/// "740 000".
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, d) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(d);
    }
    out
}

/// "3 in flight": those that there are.
pub fn counted<const N: usize>(
    counts: [(u64, &'static str); N],
) -> impl Iterator<Item = String> + use<N> {
    counts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{} {what}", grouped(n)))
}

/// What is not so for most sends: those that there are.
pub fn rare(c: &Counts, unread_before: u64) -> impl Iterator<Item = String> + use<> {
    counted([
        (c.closed_in_flight, "in flight when closed"),
        (c.with_error, "with an error"),
        (c.failed_optmem, "refused by optmem_max"),
        (c.failed_memlock, "refused by RLIMIT_MEMLOCK"),
        (c.failed_other, "failed"),
        (c.ignored, "with the flag ignored"),
        (c.misled, "misled"),
        (unread_before, "unread from before the watch"),
        (c.before_attach, "sent before the watch and completed in it"),
        (c.before_return, "completed before their start was seen"),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        for (n, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(n), text);
        }
    }
}
