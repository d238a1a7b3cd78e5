//! The compiler and the linker of the eBPF build, and the environment they run in.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::versions::{self, Versions};
use crate::process;

/// The Rust toolchain that cargo chose here, and the bpf-linker on the PATH.
pub struct Toolchain {
    versions: Versions,
    sysroot: PathBuf,
    host: String,
}

impl Toolchain {
    /// Asks `rustc` and `bpf-linker` on the PATH.
    ///
    /// # Errors
    /// When one of them is missing, with the command that installs it.
    pub fn find() -> Result<Self> {
        let rustc = |args: &[&str]| {
            let mut command = Command::new("rustc");
            process::read(clean_env(&mut command).args(args))?
                .context("rustc is not on the PATH: install Rust with rustup (https://rustup.rs)")
        };
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim_end());
        let host = rustc(&["--print", "host-tuple"])?.trim_end().to_owned();
        let version = rustc(&["--version"])?;

        let mut linker = Command::new("bpf-linker");
        with_llvm(clean_env(&mut linker), &sysroot);
        let linker = process::read(linker.arg("--version"))?.with_context(|| {
            let install = versions::install_bpf_linker(versions::BPF_LINKER);
            format!("bpf-linker is not on the PATH: run `{install}`")
        })?;
        Ok(Self { versions: Versions::parse(&version, &linker)?, sysroot, host })
    }

    /// What decides over the objects' bytes.
    pub fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Where the rustup component `rust-src` puts the standard library's source.
    pub fn rust_src(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    /// A cargo of this toolchain in an environment that cannot change what it makes.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        with_llvm(clean_env(&mut command), &self.sysroot);
        command
    }

    /// The `objcopy` that comes with every rustc: the same everywhere for one compiler, which a
    /// distribution's binutils or LLVM is not.
    pub fn objcopy(&self) -> Command {
        let path = Path::new("lib/rustlib").join(&self.host).join("bin/rust-objcopy");
        let mut command = Command::new(self.sysroot.join(path));
        with_llvm(clean_env(&mut command), &self.sysroot);
        command
    }
}

/// bpf-linker takes the first libLLVM it meets in the LD_LIBRARY_PATH and then beside the PATH's
/// folders, so a distribution's would come before rustc's if this did not name it.
fn with_llvm<'a>(command: &'a mut Command, sysroot: &Path) -> &'a mut Command {
    command.env("LD_LIBRARY_PATH", sysroot.join("lib"))
}

/// Takes every variable away that does not say where things are.
///
/// The ones that `cargo run` sets for xtask, and the ones by which a user changes builds
/// (`RUSTFLAGS`, `CARGO_PROFILE_*`, `RUSTC_WRAPPER` …), would end in other bytes.
fn clean_env(command: &mut Command) -> &mut Command {
    let kept = env::vars_os().filter(|(name, _)| name.to_str().is_some_and(is_kept));
    command.env_clear().envs(kept)
}

fn is_kept(name: &str) -> bool {
    const NAMES: [&str; 9] = [
        "CARGO_HOME",
        "HOME",
        "LANG",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TERM",
        "TMPDIR",
        "USER",
    ];
    const PREFIXES: [&str; 4] = ["CARGO_HTTP_", "CARGO_NET_", "CARGO_TERM_", "RUSTUP_"];
    NAMES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || name.to_ascii_lowercase().ends_with("_proxy")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_names_places_but_changes_no_build() {
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_TOOLCHAIN", "https_proxy", "NO_PROXY"] {
            assert!(is_kept(name), "{name}");
        }
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_BUILD_RUSTFLAGS",
            "CARGO_PROFILE_RELEASE_DEBUG",
            "CARGO_MANIFEST_DIR",
            "CARGO_TARGET_DIR",
            "CARGO_INCREMENTAL",
            "RUSTC",
            "RUSTC_WRAPPER",
            "LD_LIBRARY_PATH",
            "CARGO",
        ] {
            assert!(!is_kept(name), "{name}");
        }
    }
}
