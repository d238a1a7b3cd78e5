//! xtask as cargo's compiler wrapper: crates get the same identity on every machine.
//!
//! Cargo tells the compiler apart what it builds by a hash (`-C metadata`), and for a crate that
//! lies at a path (zcwatch-common, core) the path goes into it. The compiler mangles it into the
//! names of the functions that were not inlined, so the same source in another folder comes out as
//! other bytes. The wrapper puts the package's name and version in the place of cargo's hash.

use std::{
    env,
    ffi::{OsStr, OsString},
    os::unix::process::CommandExt,
    process::Command,
};

use anyhow::{Context, Error, Result};

/// Set for the compilers of the eBPF build, where xtask stands before rustc.
const WRAPPED: &str = "ZCWATCH_XTASK_RUSTC";

/// Makes this xtask the wrapper of all compilers that `cargo` starts.
///
/// # Errors
/// When xtask does not know its own path.
pub fn wrap(cargo: &mut Command) -> Result<()> {
    let xtask = env::current_exe().context("xtask's own path is unknown: is /proc mounted?")?;
    cargo.env("RUSTC_WRAPPER", xtask).env(WRAPPED, "1");
    Ok(())
}

/// Whether cargo started this process in the place of a compiler.
pub fn is_wrapper() -> bool {
    env::var_os(WRAPPED).is_some()
}

/// Becomes the compiler that cargo wanted; returns only if that failed.
pub fn exec() -> Error {
    let mut args = env::args_os().skip(1);
    let Some(rustc) = args.next() else {
        return Error::msg(format!("{WRAPPED} is set, and is not for users: unset it"));
    };
    let package = ["CARGO_PKG_NAME", "CARGO_PKG_VERSION"].map(env::var_os);
    let args: Vec<_> = match package {
        [Some(name), Some(version)] => identify(args, &name, &version),
        _ => args.collect(),
    };
    let error = Command::new(&rustc).args(args).exec();
    Error::new(error).context(format!("{} cannot be started", rustc.display()))
}

/// `args` with the package's name and version for metadata, if they compile for the BPF target.
///
/// Crates for the build machine keep cargo's hash: of those, one package may be there twice.
fn identify(args: impl Iterator<Item = OsString>, name: &OsStr, version: &OsStr) -> Vec<OsString> {
    let mut args: Vec<_> = args.collect();
    if args.iter().any(|arg| arg == super::TARGET) {
        let mut metadata = OsString::from("metadata=");
        metadata.push(name);
        metadata.push("@");
        metadata.push(version);
        for arg in &mut args {
            if arg.as_encoded_bytes().starts_with(b"metadata=") {
                arg.clone_from(&metadata);
            }
        }
    }
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identified(line: &str) -> String {
        let args = line.split(' ').map(OsString::from);
        let args = identify(args, OsStr::new("zcwatch-common"), OsStr::new("0.1.0"));
        args.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn a_crate_for_the_target_is_known_by_its_package() {
        assert_eq!(
            identified(
                "lib.rs -C metadata=0123 -C extra-filename=-4567 --target bpfel-unknown-none"
            ),
            "lib.rs -C metadata=zcwatch-common@0.1.0 -C extra-filename=-4567 \
             --target bpfel-unknown-none"
        );
    }

    #[test]
    fn a_crate_for_the_build_machine_keeps_cargos_hash() {
        let line = "lib.rs --crate-type proc-macro -C metadata=0123";
        assert_eq!(identified(line), line);
    }
}
