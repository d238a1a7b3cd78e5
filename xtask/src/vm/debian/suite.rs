//! The suites that offer kernels, and fetching their indexes and packages.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use lzma_rust2::XzReader;

use super::{Package, release};
use crate::fetch;

/// One of Debian's archives, by its mirrors: the first that has a file is taken. What is no
/// longer supported moves to the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Archive {
    /// The main one.
    Main,
    /// The one of security updates.
    Security,
}

impl Archive {
    fn mirrors(self) -> [&'static str; 2] {
        match self {
            Self::Main => ["http://deb.debian.org/debian", "http://archive.debian.org/debian"],
            Self::Security => [
                "http://deb.debian.org/debian-security",
                "http://archive.debian.org/debian-security",
            ],
        }
    }

    /// Fetches a file to `to` from the first mirror that has it; `wanted` says whether it is the
    /// right one.
    fn get(self, path: &str, to: &Path, wanted: impl Fn(&Path) -> Result<()>) -> Result<()> {
        let mut errors = Vec::new();
        for mirror in self.mirrors() {
            let url = format!("{mirror}/{path}");
            match fetch::download(&url, to).and_then(|()| wanted(to).context(url)) {
                Ok(()) => return Ok(()),
                Err(error) => errors.push(format!("{error:#}")),
            }
        }
        bail!("{}", errors.join("; "))
    }

    /// Fetches a package into `folder`, and verifies it.
    ///
    /// # Errors
    /// When no mirror has it as the index says it is.
    pub fn package(self, package: &Package, folder: &Path) -> Result<PathBuf> {
        let name = package.file.rsplit('/').next().unwrap_or(&package.file);
        let to = folder.join(name);
        println!("fetching {name}");
        self.get(&package.file, &to, |file| verify(file, &package.sha256))?;
        Ok(to)
    }
}

/// A suite of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Suite {
    /// Its name there.
    pub name: &'static str,
    /// Where it is.
    pub archive: Archive,
}

impl Suite {
    /// One of the main archive.
    pub const fn main(name: &'static str) -> Self {
        Self { name, archive: Archive::Main }
    }

    /// One of the archive of security updates.
    pub const fn security(name: &'static str) -> Self {
        Self { name, archive: Archive::Security }
    }

    /// Its index of packages, as text. It is fetched into `folder`, and verified by what the suite
    /// has signed.
    ///
    /// # Errors
    /// When no mirror has it, or it is not what was signed.
    pub fn index(self, folder: &Path) -> Result<String> {
        const INDEX: &str = "main/binary-amd64/Packages.xz";
        println!("reading the index of {}", self.name);
        let dists = format!("dists/{}", self.name);
        let signed = folder.join("InRelease");
        self.archive.get(&format!("{dists}/InRelease"), &signed, |file| {
            release::verified(file).map(drop)
        })?;
        let listed = release::find(&release::verified(&signed)?, INDEX)
            .with_context(|| self.name.to_owned())?;
        let path = match INDEX.rsplit_once('/') {
            Some((section, _)) if listed.by_hash => {
                format!("{dists}/{section}/by-hash/SHA256/{}", listed.sha256)
            }
            _ => format!("{dists}/{INDEX}"),
        };
        let packed = folder.join("Packages.xz");
        self.archive.get(&path, &packed, |file| verify(file, &listed.sha256))?;
        let bytes = fs::read(&packed).with_context(|| format!("{}", packed.display()))?;
        let mut text = String::new();
        XzReader::new(bytes.as_slice(), true)
            .read_to_string(&mut text)
            .with_context(|| format!("the index of {} cannot be unpacked", self.name))?;
        Ok(text)
    }
}

fn verify(file: &Path, sha256: &str) -> Result<()> {
    ensure!(
        fetch::has_sha256(file, sha256)?,
        "its SHA-256 is not {sha256}, as the index has it: try again later, or another network"
    );
    Ok(())
}
