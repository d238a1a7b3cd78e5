//! Does the kernel preempt its own code? Then a program may be interrupted for a whole time slice,
//! and is skipped for all others on its CPU meanwhile.

use std::fs::read_to_string;

use nix::sys::utsname::uname;

/// The model in use, in parentheses: `none voluntary (full) lazy`. A kernel that is locked down
/// shows it to nobody.
const MODEL: &str = "/sys/kernel/debug/sched/preempt";

/// So, as far as can be told: where it can't be, it may.
#[must_use]
pub fn may_be() -> bool {
    let name = uname().ok();
    let word = |word: &std::ffi::OsStr| word.to_string_lossy().into_owned();
    let (release, version) =
        name.map(|name| (word(name.release()), word(name.version()))).unwrap_or_default();
    let configs = [format!("/boot/config-{release}"), format!("/lib/modules/{release}/config")];
    let told = Told {
        model: read_to_string(MODEL).ok(),
        parameters: read_to_string("/proc/cmdline").unwrap_or_default(),
        config: configs.iter().find_map(|file| read_to_string(file).ok()).unwrap_or_default(),
        version,
    };
    told.preempts()
}

/// What a host tells of it.
#[derive(Debug, Default)]
struct Told {
    model: Option<String>,
    parameters: String,
    config: String,
    version: String,
}

impl Told {
    /// By the model in use, where it can be read; else by the one that the kernel was booted with,
    /// or was built to boot with; else by its version: one that can switch (`PREEMPT_DYNAMIC`)
    /// may preempt.
    fn preempts(&self) -> bool {
        let in_use = self.model.as_deref().and_then(|all| all.split_once('(')?.1.split_once(')'));
        let asked =
            || self.parameters.split_whitespace().filter_map(|p| p.strip_prefix("preempt="));
        if let Some(model) = in_use.map(|(model, _)| model).or_else(|| asked().next_back()) {
            return !matches!(model, "none" | "voluntary");
        }
        let built = |option: &str| self.config.lines().any(|line| line == option);
        if built("CONFIG_PREEMPT_NONE=y") || built("CONFIG_PREEMPT_VOLUNTARY=y") {
            return false;
        }
        self.version.contains("PREEMPT")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DYNAMIC: &str = "#1 SMP PREEMPT_DYNAMIC Debian 6.12.107-1 (2026-08-01)";

    fn told(model: &str) -> Told {
        Told { model: Some(model.into()), version: DYNAMIC.into(), ..Told::default() }
    }

    fn locked(parameters: &str, config: &str) -> Told {
        let (parameters, config) = (parameters.to_owned(), config.to_owned());
        Told { model: None, parameters, config, version: DYNAMIC.into() }
    }

    #[test]
    fn the_model_in_use_says_more_than_the_build() {
        assert!(!told("none (voluntary) full lazy\n").preempts());
        assert!(!told("(none) voluntary full\n").preempts());
        assert!(told("full (lazy)\n").preempts());
        let config = "CONFIG_PREEMPT_VOLUNTARY=y\n".to_owned();
        assert!(Told { config, ..told("(full) lazy\n") }.preempts());
    }

    #[test]
    fn a_locked_down_kernel_is_known_by_how_it_was_booted_and_built() {
        let voluntary = "# CONFIG_PREEMPT_NONE is not set\nCONFIG_PREEMPT_VOLUNTARY=y\n";
        assert!(!locked("quiet", voluntary).preempts());
        assert!(locked("quiet preempt=full", voluntary).preempts());
        assert!(locked("quiet", "CONFIG_PREEMPT=y\nCONFIG_PREEMPT_DYNAMIC=y\n").preempts());
        assert!(!locked("preempt=full preempt=none", "CONFIG_PREEMPT=y\n").preempts());
    }

    #[test]
    fn what_cannot_be_read_may_be() {
        assert!(locked("", "").preempts());
        assert!(told("nothing to choose").preempts());
        let plain = "#1 SMP Debian 5.10.262-1 (2026-07-01)".to_owned();
        assert!(!Told { version: plain, ..Told::default() }.preempts());
    }
}
