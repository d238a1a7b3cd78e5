//! Compiling the probes so that every machine gets the same bytes.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Error, Result, bail};

use super::{
    TARGET, objects,
    remap::{self, Folder},
    rustc,
    toolchain::Toolchain,
};
use crate::{process, tree::Tree};

/// Atomic operations that return a value, and those on 32 bits, are of the third version of the
/// instruction set (Linux 5.12); the target's default is the first.
const FLAGS: [&str; 2] = ["-Clink-arg=--btf", "-Ctarget-cpu=v3"];

/// What of the last build may be used again.
#[derive(Clone, Copy)]
pub enum Reuse {
    /// All but the probes themselves: seconds instead of half a minute.
    Dependencies,
    /// Nothing: for a result to rely on, whatever happened in the build folder.
    Nothing,
}

/// Compiles and strips the objects, and returns the folder that holds them.
///
/// # Errors
/// When the probes do not compile, or an object names a folder of this machine.
pub fn compile(
    tree: &Tree,
    toolchain: &Toolchain,
    rust_src: &Path,
    reuse: Reuse,
) -> Result<PathBuf> {
    let cargo = |args: &[&str]| {
        let mut cargo = toolchain.cargo();
        cargo.current_dir(tree.ebpf()).args(args);
        rustc::wrap(&mut cargo)?;
        Ok::<_, Error>(cargo)
    };
    // The folder of the unpacked registry has to be there to be remapped.
    process::run(&mut cargo(&["fetch", "--quiet", "--locked"])?)?;
    let folders = remap::folders(tree, rust_src)?;

    let target = tree.ebpf_target();
    let in_target = |command: &mut Command| {
        process::run(command.args(["--release", "--target", TARGET, "--target-dir"]).arg(&target))
    };
    match reuse {
        // Cargo does not know which linker made what it finds from last time.
        Reuse::Dependencies => {
            in_target(&mut cargo(&["clean", "--quiet", "--package", "zcwatch-ebpf"])?)?;
        }
        Reuse::Nothing => remove(&target.join(TARGET))?,
    }
    let flags: Vec<_> =
        FLAGS.map(str::to_owned).into_iter().chain(remap::rustflags(&folders)).collect();
    let build = |what: &[&str]| {
        in_target(
            cargo(&["build", "--locked", "-Zbuild-std=core"])?
                .args(what)
                .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
                // The target is of tier 3: its core has to be built, and that is not stable.
                .env("RUSTC_BOOTSTRAP", "1")
                // Where cargo looks for the standard library's source, so that one outside of the
                // toolchain's own folder serves too.
                .env("__CARGO_TESTS_ONLY_SRC_ROOT", rust_src),
        )
    };
    let built = target.join(TARGET).join("release");
    // Both kinds of probes are one binary to cargo: the early ones are put aside first.
    build(&["--bin", "zcwatch", "--features", "early"])?;
    let early = built.join("early");
    fs::rename(built.join("zcwatch"), &early)
        .with_context(|| format!("{} cannot be written", early.display()))?;
    build(&["--bins"])?;

    let stripped = target.join("objects");
    fs::create_dir_all(&stripped)
        .with_context(|| format!("{} cannot be created", stripped.display()))?;
    for name in objects::NAMES {
        let linked = built.join(name.trim_end_matches(".bpf.o"));
        strip(toolchain, &linked, &stripped.join(name), &folders)?;
    }
    Ok(stripped)
}

/// Takes the DWARF away, which is most of the size and of no use to the kernel; BTF stays.
fn strip(toolchain: &Toolchain, linked: &Path, object: &Path, folders: &[Folder]) -> Result<()> {
    process::run(toolchain.objcopy().arg("--strip-debug").arg(linked).arg(object))?;
    let bytes = fs::read(object).with_context(|| format!("{} is unreadable", object.display()))?;
    if let Some(folder) = remap::find_in(folders, &bytes) {
        bail!(
            "{} holds a path in {}, so it would differ on another machine: remap it in xtask",
            object.display(),
            folder.display()
        );
    }
    Ok(())
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be removed", folder.display()))
        }
        _ => Ok(()),
    }
}
