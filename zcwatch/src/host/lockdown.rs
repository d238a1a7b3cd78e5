//! Is the kernel locked down so far that its programs may not read its memory?

const FILE: &str = "/sys/kernel/security/lockdown";

/// `lockdown=confidentiality`. A kernel without the file has no lockdown.
#[must_use]
pub fn is_confidential() -> bool {
    std::fs::read_to_string(FILE).is_ok_and(|modes| modes.contains("[confidentiality]"))
}

/// Does this complaint of the verifier come from that? 6.1 does not know the helper any more, later
/// ones name it.
#[must_use]
pub fn explains(complaint: &str) -> bool {
    ["cannot use helper", "unknown func"].iter().any(|words| complaint.contains(words))
        && is_confidential()
}
