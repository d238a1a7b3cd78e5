//! Does the kernel preempt its own code? Then a program may be interrupted for a whole time slice,
//! and is skipped for all others on its CPU meanwhile.

use nix::sys::utsname::uname;

/// The model in use, in parentheses: `none voluntary (full) lazy`.
const MODEL: &str = "/sys/kernel/debug/sched/preempt";

/// So, as far as can be told: where it can't be, it may.
#[must_use]
pub fn may_be() -> bool {
    let model = std::fs::read_to_string(MODEL).ok();
    let version = uname().map(|u| u.version().to_string_lossy().into_owned());
    told(model.as_deref(), &version.unwrap_or_default())
}

/// By the model in use, where it can be read; else by what the kernel was built with, which is in
/// its version: one that can switch (`PREEMPT_DYNAMIC`) may preempt.
fn told(model: Option<&str>, version: &str) -> bool {
    let in_use = model.and_then(|all| all.split_once('(')?.1.split_once(')'));
    match in_use {
        Some((model, _)) => !matches!(model, "none" | "voluntary"),
        None => version.contains("PREEMPT"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_model_in_use_says_more_than_the_build() {
        let dynamic = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-08-01)";
        assert!(!told(Some("none (voluntary) full lazy\n"), dynamic));
        assert!(!told(Some("(none) voluntary full\n"), dynamic));
        assert!(told(Some("full (lazy)\n"), dynamic));
        assert!(told(Some("(full) lazy\n"), dynamic));
    }

    #[test]
    fn what_cannot_be_read_may_be() {
        assert!(told(None, "#1 SMP PREEMPT_DYNAMIC Debian"));
        assert!(told(None, "#1 SMP PREEMPT_RT Debian"));
        assert!(told(Some("nothing to choose"), "#1 SMP PREEMPT Debian"));
        assert!(!told(None, "#1 SMP Debian 5.10.262-1 (2026-07-01)"));
    }
}
