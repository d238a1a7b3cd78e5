//! What a guest boots with: its init, the programs, the modules and the plan.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use super::{
    cpio::Cpio,
    kernel::Kernel,
    module::Carried,
    programs::Built,
    protocol::{MODULE_FOLDER, MODULES, PLAN, Plan},
    scenario::{PROGRAMS, Run, Scenario, TESTS},
};

/// The folders to mount on, and those of the programs.
const FOLDERS: [&str; 9] =
    ["/boot", "/dev", "/proc", "/sys", "/tmp", "/run", PROGRAMS, TESTS, MODULE_FOLDER];

/// Puts an initramfs together, with the test programs that these scenarios need.
///
/// # Errors
/// When a program is gone.
pub fn pack(
    kernel: &Kernel,
    built: &Built,
    carried: &Carried,
    plan: &Plan,
    scenarios: &[Scenario],
) -> Result<Vec<u8>> {
    let mut cpio = Cpio::default();
    for folder in FOLDERS {
        cpio.folder(relative(folder));
    }
    // The kernel opens it for init.
    cpio.device("dev/console", 5, 1);
    cpio.file(&format!("boot/config-{}", kernel.release), &read(&kernel.config())?);
    for (name, file) in &built.programs {
        let path = if name == "guest" { "init".into() } else { format!("{PROGRAMS}/{name}") };
        cpio.file(relative(&path), &read(file)?);
    }
    for (name, file) in &built.tests {
        let needed = |scenario: &Scenario| matches!(&scenario.run, Run::Test(t, _) if t == name);
        if scenarios.iter().any(needed) {
            cpio.file(relative(&format!("{TESTS}/{name}")), &read(file)?);
        }
    }
    for (name, file) in &carried.files {
        cpio.file(relative(&format!("{MODULE_FOLDER}/{name}.ko")), file);
    }
    cpio.file(relative(MODULES), &serde_json::to_vec(&carried.modules)?);
    cpio.file(relative(PLAN), &serde_json::to_vec(plan)?);
    Ok(cpio.finish())
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

fn read(file: &Path) -> Result<Vec<u8>> {
    fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
}
