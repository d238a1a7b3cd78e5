//! The objects as files: which there are, and how they are replaced and compared.

use std::{fs, io, path::Path};

use anyhow::{Context, Result};

/// The objects' file names: the probes, the same for kernels before 5.12, and the packet programs of
/// the tests' lab.
pub const NAMES: [&str; 3] = ["zcwatch.bpf.o", EARLY, "lab.bpf.o"];

/// The probes for kernels before 5.12, which are compiled apart.
pub const EARLY: &str = "early.bpf.o";

/// Copies `name` from one folder to another in one step, so that an interrupted build leaves the
/// old file whole, and returns its size in bytes.
///
/// # Errors
/// When a file cannot be read or written; the message names it.
pub fn install(from: &Path, to: &Path, name: &str) -> Result<u64> {
    let target = to.join(name);
    // In the target's own folder: a rename does not cross file systems.
    let temporary = to.join(format!(".{name}.new"));
    let size = fs::copy(from.join(name), &temporary)
        .with_context(|| format!("{} cannot be written", temporary.display()))?;
    fs::rename(&temporary, &target)
        .with_context(|| format!("{} cannot be replaced", target.display()))?;
    Ok(size)
}

/// The names of the objects whose bytes differ between the two folders; one that is not in
/// `committed` differs.
///
/// # Errors
/// When a file cannot be read; the message names it.
pub fn different(committed: &Path, rebuilt: &Path) -> Result<Vec<&'static str>> {
    let mut names = Vec::new();
    for name in NAMES {
        let path = rebuilt.join(name);
        let new = fs::read(&path).with_context(|| format!("{} is unreadable", path.display()))?;
        let path = committed.join(name);
        let old = match fs::read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                return Err(error).with_context(|| format!("{} is unreadable", path.display()));
            }
        };
        if old.as_deref() != Some(new.as_slice()) {
            names.push(name);
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// Two folders with the same objects, removed at the end of the test.
    struct Folders {
        base: PathBuf,
        committed: PathBuf,
        rebuilt: PathBuf,
    }

    impl Folders {
        fn new(test: &str) -> Self {
            let base = std::env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()));
            let [committed, rebuilt] = ["committed", "rebuilt"].map(|name| base.join(name));
            for folder in [&committed, &rebuilt] {
                fs::create_dir_all(folder).unwrap();
                for name in NAMES {
                    fs::write(folder.join(name), name).unwrap();
                }
            }
            Self { base, committed, rebuilt }
        }
    }

    impl Drop for Folders {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.base);
        }
    }

    #[test]
    fn only_the_object_that_differs_is_named() {
        let folders = Folders::new("differs");
        let different = || different(&folders.committed, &folders.rebuilt).unwrap();
        assert!(different().is_empty());
        fs::write(folders.rebuilt.join("lab.bpf.o"), "lab.bpf.0").unwrap();
        assert_eq!(different(), ["lab.bpf.o"]);
        fs::remove_file(folders.committed.join("zcwatch.bpf.o")).unwrap();
        assert_eq!(different(), ["zcwatch.bpf.o", "lab.bpf.o"]);
    }

    #[test]
    fn an_object_that_was_not_rebuilt_is_an_error() {
        let folders = Folders::new("missing");
        fs::remove_file(folders.rebuilt.join("lab.bpf.o")).unwrap();
        let text = different(&folders.committed, &folders.rebuilt).unwrap_err().to_string();
        assert!(text.contains("lab.bpf.o"), "{text}");
    }

    #[test]
    fn installing_replaces_the_bytes_and_leaves_nothing_else() {
        let folders = Folders::new("install");
        fs::write(folders.rebuilt.join("lab.bpf.o"), "new").unwrap();
        assert_eq!(install(&folders.rebuilt, &folders.committed, "lab.bpf.o").unwrap(), 3);
        assert_eq!(fs::read(folders.committed.join("lab.bpf.o")).unwrap(), b"new");
        assert_eq!(fs::read_dir(&folders.committed).unwrap().count(), NAMES.len());
    }
}
