//! The kernel modules that a guest carries (`cargo xtask vm`).

use std::{ffi::CString, fs, fs::File, io, os::fd::AsRawFd, path::Path};

use anyhow::{Context, Result, bail};

use crate::protocol::{MODULE_FOLDER, MODULES, Module, Modules};

/// As [`load`], where this kernel has such a module and the guest carries it: it may be part of the
/// kernel, or be named otherwise there.
///
/// # Errors
/// Outside of guests, or when the kernel refuses it.
pub fn load_if_any(name: &str) -> Result<()> {
    if carried()?.contains_key(name) { load(name) } else { Ok(()) }
}

/// Loads a module, and what it needs before it. One that is loaded already, or part of the kernel,
/// is left as it is.
///
/// # Errors
/// Outside of guests, when this kernel has no such module, or when the kernel refuses it.
pub fn load(name: &str) -> Result<()> {
    match carried()?.get(name) {
        Some(Module::BuiltIn) => Ok(()),
        Some(Module::After(needed)) => {
            needed.iter().map(String::as_str).chain([name]).try_for_each(insert)
        }
        None => bail!("this kernel has no module {name}, or the guest does not carry it"),
    }
}

fn carried() -> Result<Modules> {
    let text = fs::read_to_string(MODULES).with_context(|| {
        format!("there is no {MODULES}: only the guests of `cargo xtask vm` carry modules")
    })?;
    serde_json::from_str(&text).context(MODULES)
}

/// Gives the file of one module to the kernel.
fn insert(name: &str) -> Result<()> {
    let path = Path::new(MODULE_FOLDER).join(format!("{name}.ko"));
    let file = File::open(&path).with_context(|| format!("{} is missing", path.display()))?;
    let parameters = CString::default();
    // SAFETY: finit_module reads a descriptor that is open, and a string that ends in NUL.
    let done = unsafe {
        libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), 0_i32)
    };
    if done == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EEXIST) => Ok(()),
        _ => Err(error).with_context(|| format!("the kernel does not load the module {name}")),
    }
}
