//! How sockets are named.

use crate::event::{Endpoint, SocketFacts};

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
