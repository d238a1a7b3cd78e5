//! Where things lie in this checkout.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// A checkout of the repository and its build folder.
pub struct Tree {
    root: PathBuf,
    target: PathBuf,
}

impl Tree {
    /// The checkout that `cargo xtask` was started in.
    ///
    /// Read at run time: a path compiled in would still name the old folder after a checkout was
    /// moved or copied together with its `target`.
    ///
    /// # Errors
    /// When xtask was started without cargo.
    pub fn from_env() -> Result<Self> {
        let manifest_dir = env::var_os("CARGO_MANIFEST_DIR")
            .context("CARGO_MANIFEST_DIR is not set: start this as `cargo xtask`")?;
        let root = Path::new(&manifest_dir)
            .parent()
            .context("CARGO_MANIFEST_DIR has no parent: start this as `cargo xtask`")?
            .to_owned();
        // A relative CARGO_TARGET_DIR is relative to the folder cargo was started in, which xtask
        // shares.
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(dir) if !dir.is_empty() => {
                std::path::absolute(dir).context("the current folder is gone: change to another")?
            }
            _ => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// The workspace's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the probes, which are a workspace of their own.
    pub fn ebpf(&self) -> PathBuf {
        self.root.join("zcwatch-ebpf")
    }

    /// The folder of the committed objects.
    pub fn objects(&self) -> PathBuf {
        self.ebpf().join("obj")
    }

    /// A program that was built for release.
    pub fn released(&self, program: &str) -> PathBuf {
        self.target.join("release").join(program)
    }

    /// The probes' own build folder: shared with the workspace's, the two would take turns holding
    /// its lock.
    pub fn ebpf_target(&self) -> PathBuf {
        self.target.join("ebpf")
    }

    /// The build folder of what runs in guests.
    pub fn guest_target(&self) -> PathBuf {
        self.target.join("guest")
    }

    /// The folder of the guests themselves: their initramfs and their logs.
    pub fn guests(&self) -> PathBuf {
        self.target.join("guests")
    }
}
