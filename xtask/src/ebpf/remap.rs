//! The folders of this machine, and what they are called in the objects.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::tree::Tree;

/// A folder that paths in the compiler's output begin with.
pub struct Folder {
    path: PathBuf,
    alias: &'static str,
}

/// Every folder that the compiler reads a source from; later ones may lie in earlier ones.
///
/// The aliases are no folders that exist anywhere: LLVM copies the lines of a source file that it
/// finds under such a path into the BTF.
///
/// # Errors
/// When cargo's folder of unpacked crates cannot be listed.
pub fn folders(tree: &Tree, rust_src: &Path) -> Result<Vec<Folder>> {
    let mut folders = vec![
        Folder { path: tree.root().to_owned(), alias: "/@zcwatch" },
        Folder { path: tree.ebpf_target(), alias: "/@target" },
    ];
    folders.extend(registries()?.into_iter().map(|path| Folder { path, alias: "/@cargo" }));
    folders.push(Folder { path: rust_src.to_owned(), alias: "/@rust" });
    // Cargo names some folders as they were given and others by their real path.
    let real = |Folder { path, alias }: &Folder| {
        let real = path.canonicalize().ok().filter(|real| real != path)?;
        Some(Folder { path: real, alias })
    };
    let real: Vec<_> = folders.iter().filter_map(real).collect();
    folders.extend(real);
    Ok(folders)
}

/// Cargo's unpacked crates, one folder for each registry.
fn registries() -> Result<Vec<PathBuf>> {
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cargo")))
        .context("cargo's folder is unknown: set HOME")?;
    let folder = std::path::absolute(home)?.join("registry/src");
    fs::read_dir(&folder)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .with_context(|| format!("{} cannot be listed: is it readable?", folder.display()))
}

/// The compiler's flags that put the aliases in the folders' place.
pub fn rustflags(folders: &[Folder]) -> impl Iterator<Item = String> {
    folders.iter().map(|Folder { path, alias }| {
        // The last one that fits counts.
        format!("--remap-path-prefix={}={alias}", path.display())
    })
}

/// The first of the folders that `object` holds a path in.
pub fn find_in<'a>(folders: &'a [Folder], object: &[u8]) -> Option<&'a Path> {
    folders.iter().map(|folder| folder.path.as_path()).find(|path| {
        let prefix = format!("{}/", path.display());
        object.windows(prefix.len()).any(|window| window == prefix.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(path: &str, alias: &'static str) -> Folder {
        Folder { path: path.into(), alias }
    }

    #[test]
    fn a_path_of_the_machine_is_found() {
        let folders = [folder("/home/me/zc", ""), folder("/home/me/zcwatch", "")];
        let object = b"\x7fELF\0/home/me/zcwatch/zcwatch-ebpf/src/main.rs\0";
        assert_eq!(find_in(&folders, object), Some(Path::new("/home/me/zcwatch")));
        // An alias is not taken for a checkout of the same name.
        let object = b"\x7fELF\0/@zcwatch/zcwatch-ebpf/src/main.rs\0";
        assert_eq!(find_in(&[folder("/zcwatch", "")], object), None);
    }

    #[test]
    fn the_compiler_is_told_of_every_folder_in_order() {
        let folders = [folder("/a b", "/@zcwatch"), folder("/a b/target", "/@target")];
        assert_eq!(
            rustflags(&folders).collect::<Vec<_>>(),
            ["--remap-path-prefix=/a b=/@zcwatch", "--remap-path-prefix=/a b/target=/@target"]
        );
    }
}
