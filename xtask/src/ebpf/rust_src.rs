//! Finding the source of `core`, which has no prebuilt library for the BPF target.
//!
//! rustup's component comes first. Debian's package of the same release serves machines that reach
//! a Debian mirror but not rustup's server. Its `core` is upstream's: for 1.95.0 the files that are
//! compiled on Linux have the MD5s in the `libcore.rmeta` that comes with rustc.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

use super::toolchain::Toolchain;
use crate::{cache, fetch, process};

const POOL: &str = "http://deb.debian.org/debian/pool/main/r/rustc";

/// A release of the compiler, Debian's package of its source, and that file's SHA-256.
struct Package {
    release: &'static str,
    file: &'static str,
    sha256: &'static str,
}

/// The packages that were tried.
const PACKAGES: [Package; 1] = [Package {
    release: "1.95.0",
    file: "rust-src_1.95.0+dfsg1-2~bpo13+1_all.deb",
    sha256: "7b76db5b880a77f9e52975d2baa6209d2f76d2c9c2789515c3088cb960e2c83b",
}];

/// The `library` folder of the compiler's own source: rustup's, a cached one, or one fetched now.
///
/// # Errors
/// When there is none to be had, with what to install.
pub fn find(toolchain: &Toolchain) -> Result<PathBuf> {
    const INSTALL: &str = "run `rustup component add rust-src`";
    let component = toolchain.rust_src();
    if is_library(&component) {
        return Ok(component);
    }
    let release = toolchain.versions().release();
    let cache = cache::folder()
        .with_context(|| format!("the source of core is not installed: {INSTALL}"))?;
    let cached = cache.join(format!("rust-src-{release}"));
    let library = cached.join("library");
    if is_library(&library) {
        return Ok(library);
    }
    let package = package_for(release).with_context(|| {
        format!("the source of core for rustc {release} is not installed: {INSTALL}")
    })?;
    install(package, &cached).with_context(|| {
        format!("the source of core is not installed ({INSTALL}) and could not be fetched")
    })?;
    Ok(library)
}

fn is_library(folder: &Path) -> bool {
    folder.join("Cargo.lock").is_file() && folder.join("core/src/lib.rs").is_file()
}

fn package_for(release: &str) -> Option<&'static Package> {
    PACKAGES.iter().find(|package| package.release == release)
}

/// Downloads `package`, verifies it, and leaves the compiler's `library` folder in `cached`.
///
/// All work is done in a folder beside it that is renamed at the end, so that `cached` is never
/// half there.
fn install(package: &Package, cached: &Path) -> Result<()> {
    let work = cached.with_added_extension(format!("{}.new", std::process::id()));
    fs::create_dir_all(&work).with_context(|| format!("{} cannot be created", work.display()))?;
    let fetched = fetch_into(package, &work).and_then(|source| {
        fs::rename(&source, cached)
            // Another build may have been quicker.
            .or_else(|error| if cached.is_dir() { Ok(()) } else { Err(error) })
            .with_context(|| format!("{} cannot be created", cached.display()))
    });
    // What is left over only takes space.
    let _ = fs::remove_dir_all(&work);
    fetched
}

fn fetch_into(package: &Package, work: &Path) -> Result<PathBuf> {
    let url = format!("{POOL}/{}", package.file);
    let deb = work.join("rust-src.deb");
    eprintln!("fetching the source of core: {url}");
    fetch::download(&url, &deb)?;
    ensure!(
        fetch::has_sha256(&deb, package.sha256)?,
        "{url} is not the file that was tried: its SHA-256 is not {}",
        package.sha256
    );

    let mut unpacked = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(&deb)
        .stdout(Stdio::piped())
        .spawn()
        .context("dpkg-deb cannot be started")?;
    let top = format!("usr/src/rustc-{}", package.release);
    let archive = unpacked.stdout.take().context("dpkg-deb has no output")?;
    // The library is a fifth of the package.
    let library = format!("./{top}/library");
    process::run(Command::new("tar").arg("-xC").arg(work).arg(&library).stdin(archive))?;
    ensure!(unpacked.wait()?.success(), "dpkg-deb cannot unpack {}", package.file);

    let source = work.join(top);
    ensure!(is_library(&source.join("library")), "{} holds no {library}", package.file);
    Ok(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_taken_for_its_own_release_only() {
        for package in &PACKAGES {
            assert_eq!(package_for(package.release).unwrap().sha256, package.sha256);
            assert!(package.file.starts_with(&format!("rust-src_{}+", package.release)));
            assert!(package.file.ends_with("_all.deb"));
            assert_eq!(package.sha256.len(), 64);
        }
        for release in ["1.95", "1.95.1", "1.95.0-nightly", ""] {
            assert!(package_for(release).is_none(), "{release}");
        }
    }
}
