//! Which tools made an object, and whether the tools at hand can make it again.

use std::{fmt, str::FromStr};

use anyhow::{Context, Error, Result, bail, ensure};

/// The bpf-linker that the objects are built with.
pub const BPF_LINKER: &str = "0.10.4";

/// The versions that decide over an object's bytes; as text it is the BUILT-WITH file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// What `rustc --version` says, without the leading `rustc`: release, commit and date.
    pub rustc: String,
    /// What `bpf-linker --version` says, without the leading `bpf-linker`.
    pub bpf_linker: String,
}

impl Versions {
    /// Takes the two programs' own words.
    ///
    /// # Errors
    /// When a text does not start with its program's name.
    pub fn parse(rustc: &str, bpf_linker: &str) -> Result<Self> {
        Ok(Self { rustc: after("rustc", rustc)?, bpf_linker: after("bpf-linker", bpf_linker)? })
    }

    /// The compiler's release, such as `1.95.0`. Core's source is always of the same release.
    pub fn release(&self) -> &str {
        self.rustc.split(' ').next().unwrap_or_default()
    }

    /// Whether objects built with these versions may be committed.
    ///
    /// # Errors
    /// With a compiler that not everybody can install, or an untried linker.
    pub fn fit_to_build(&self) -> Result<()> {
        ensure!(
            !self.release().contains('-'),
            "the committed objects are built with a stable compiler, and this is rustc {}: run \
             `cargo +stable xtask ebpf build`",
            self.rustc
        );
        ensure!(
            self.bpf_linker == BPF_LINKER,
            "the objects are built with bpf-linker {BPF_LINKER}, and this is {}: run `{}`",
            self.bpf_linker,
            install_bpf_linker(BPF_LINKER)
        );
        Ok(())
    }

    /// Whether these versions make the same bytes as the `needed` ones.
    ///
    /// # Errors
    /// When they do not, with the version that is needed and how to get it.
    pub fn fit_to_check(&self, needed: &Self) -> Result<()> {
        ensure!(
            self.rustc == needed.rustc,
            "the objects were built with rustc {}, and this is {}, which makes other bytes: run \
             `rustup toolchain install {release}`, then `cargo +{release} xtask ebpf check`",
            needed.rustc,
            self.rustc,
            release = needed.release()
        );
        ensure!(
            self.bpf_linker == needed.bpf_linker,
            "the objects were built with bpf-linker {}, and this is {}, which may make other \
             bytes: run `{}`",
            needed.bpf_linker,
            self.bpf_linker,
            install_bpf_linker(&needed.bpf_linker)
        );
        Ok(())
    }
}

/// The command that installs this version of bpf-linker.
pub fn install_bpf_linker(version: &str) -> String {
    format!("cargo install bpf-linker --version {version} --locked")
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rustc {}", self.rustc)?;
        writeln!(f, "bpf-linker {}", self.bpf_linker)?;
        writeln!(f, "rust-src {}", self.release())
    }
}

impl FromStr for Versions {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let (Some(rustc), Some(bpf_linker)) = (lines.next(), lines.next()) else {
            bail!("it names no rustc and bpf-linker");
        };
        Self::parse(rustc, bpf_linker)
    }
}

fn after(program: &str, line: &str) -> Result<String> {
    line.trim()
        .strip_prefix(program)
        .and_then(|rest| rest.strip_prefix(' '))
        .map(str::to_owned)
        .with_context(|| format!("`{}` is not a version of {program}", line.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stable() -> Versions {
        Versions::parse("rustc 1.95.0 (59807616e 2026-04-14)\n", "bpf-linker 0.10.4\n").unwrap()
    }

    #[test]
    fn built_with_reads_back() {
        let text = stable().to_string();
        assert_eq!(
            text,
            "rustc 1.95.0 (59807616e 2026-04-14)\nbpf-linker 0.10.4\nrust-src 1.95.0\n"
        );
        assert_eq!(text.parse::<Versions>().unwrap(), stable());
    }

    #[test]
    fn ci_installs_the_linker_that_builds() {
        let ci = include_str!("../../../.ci/run");
        assert!(ci.contains(&format!("\nreadonly bpf_linker={BPF_LINKER} ")));
    }

    #[test]
    fn other_programs_are_not_taken_for_these() {
        for (rustc, linker) in [
            ("clang 1.95.0", "bpf-linker 0.10.4"),
            ("rustc 1.95.0", "ld 2.40"),
            ("rustc", "bpf-linker 0.10.4"),
            ("rustc-wrapper 1.95.0", "bpf-linker 0.10.4"),
        ] {
            assert!(Versions::parse(rustc, linker).is_err(), "{rustc} / {linker}");
        }
        assert!("".parse::<Versions>().is_err());
        assert!("rustc 1.95.0\n".parse::<Versions>().is_err());
    }

    #[test]
    fn only_a_stable_compiler_and_the_chosen_linker_build() {
        stable().fit_to_build().unwrap();
        let nightly = Versions { rustc: "1.97.0-nightly (abc 2026-05-19)".into(), ..stable() };
        let text = nightly.fit_to_build().unwrap_err().to_string();
        assert!(text.contains("cargo +stable xtask ebpf build"), "{text}");
        let linker = Versions { bpf_linker: "0.9.13".into(), ..stable() };
        let text = linker.fit_to_build().unwrap_err().to_string();
        assert!(text.contains("cargo install bpf-linker --version 0.10.4 --locked"), "{text}");
    }

    #[test]
    fn a_check_needs_the_very_versions_that_built() {
        stable().fit_to_check(&stable()).unwrap();
        // Same release, other commit: a distribution's own build.
        let other = Versions { rustc: "1.95.0 (000000000 2026-04-14)".into(), ..stable() };
        let text = other.fit_to_check(&stable()).unwrap_err().to_string();
        assert!(text.contains("rustup toolchain install 1.95.0"), "{text}");
        // What built decides, not what would be built with today.
        let old = Versions { bpf_linker: "0.10.3".into(), ..stable() };
        let text = stable().fit_to_check(&old).unwrap_err().to_string();
        assert!(text.contains("--version 0.10.3"), "{text}");
    }
}
