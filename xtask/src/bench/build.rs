//! Building what is measured.

use std::path::PathBuf;

use anyhow::Result;

use crate::{process, test::cargo, tree::Tree};

/// The programs, as users get them: built for release.
#[derive(Debug)]
pub struct Programs {
    pub zcwatch: PathBuf,
    pub load: PathBuf,
}

/// Builds them.
///
/// # Errors
/// When something does not compile.
pub fn programs(tree: &Tree) -> Result<Programs> {
    let what = ["--package", "zcwatch", "--package", "zcwatch-tests"];
    let bins = ["--bin", "zcwatch", "--bin", "load"];
    process::run(cargo(tree).args(["build", "--release", "--locked"]).args(what).args(bins))?;
    Ok(Programs { zcwatch: tree.released("zcwatch"), load: tree.released("load") })
}
