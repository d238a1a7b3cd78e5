//! The committed eBPF objects: made here, loaded by zcwatch, compared in CI.
//!
//! They are committed so that zcwatch itself builds on plain stable Rust without LLVM. That is
//! only worth something if anyone can make the same bytes again, so the build is reproducible and
//! `check` proves it.

mod compile;
mod objects;
mod remap;
mod rust_src;
pub mod rustc;
mod toolchain;
mod versions;

use std::fs;

use anyhow::{Context, Result, bail};

use crate::{
    ebpf::{compile::Reuse, toolchain::Toolchain, versions::Versions},
    tree::Tree,
};

/// The probes' target, little-endian as every machine that zcwatch runs on.
const TARGET: &str = "bpfel-unknown-none";
/// What built the committed objects, beside them.
const BUILT_WITH: &str = "BUILT-WITH";

/// Compiles the probes and replaces the committed objects and their BUILT-WITH.
///
/// # Errors
/// When a tool or core's source is missing, or the probes do not compile.
pub fn build(tree: &Tree) -> Result<()> {
    let toolchain = Toolchain::find()?;
    toolchain.versions().fit_to_build()?;
    let rust_src = rust_src::find(&toolchain)?;
    let rebuilt = compile::compile(tree, &toolchain, &rust_src, Reuse::Dependencies)?;

    let committed = tree.objects();
    fs::create_dir_all(&committed)
        .with_context(|| format!("{} cannot be created", committed.display()))?;
    for name in objects::NAMES {
        let size = objects::install(&rebuilt, &committed, name)?;
        println!("{name}: {size} bytes");
    }
    fs::write(rebuilt.join(BUILT_WITH), toolchain.versions().to_string())
        .with_context(|| format!("{BUILT_WITH} cannot be written to {}", rebuilt.display()))?;
    objects::install(&rebuilt, &committed, BUILT_WITH)?;
    Ok(())
}

/// Compiles the probes again and compares them with the committed objects.
///
/// # Errors
/// When they differ, or cannot be compared because this machine has other tools than those that
/// built them: other compilers make other bytes, and that says nothing about the source.
pub fn check(tree: &Tree) -> Result<()> {
    let committed = tree.objects();
    let note = committed.join(BUILT_WITH);
    let needed: Versions = fs::read_to_string(&note)
        .with_context(|| {
            format!("{} cannot be read: run `cargo xtask ebpf build`", note.display())
        })?
        .parse()
        .with_context(|| format!("{}: run `cargo xtask ebpf build`", note.display()))?;
    let toolchain = Toolchain::find()?;
    toolchain.versions().fit_to_check(&needed)?;

    let rust_src = rust_src::find(&toolchain)?;
    let rebuilt = compile::compile(tree, &toolchain, &rust_src, Reuse::Nothing)?;
    let different = objects::different(&committed, &rebuilt)?;
    if !different.is_empty() {
        bail!(
            "the source does not compile to the committed {}: run `cargo xtask ebpf build` and \
             commit the result",
            different.join(" and ")
        );
    }
    println!("the source compiles to the committed {}", objects::NAMES.join(" and "));
    Ok(())
}
