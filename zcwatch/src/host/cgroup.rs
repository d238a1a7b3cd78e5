//! Groups of the cgroup v2 hierarchy: what a path given by a user names.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A cgroup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cgroup {
    /// Its folder.
    pub dir: PathBuf,
    /// Its id, which is its folder's inode number.
    pub id: u64,
    /// How deep below the root, which is 0.
    pub level: u32,
}

/// Why a path names no cgroup that can be watched.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum CgroupError {
    /// Nothing is mounted.
    #[error(
        "no cgroup v2 hierarchy is mounted; mount one with: mount -t cgroup2 none /sys/fs/cgroup"
    )]
    NoHierarchy,
    /// It is not there.
    #[error(
        "there is no cgroup {0}; give a path below {1}, as `systemd-cgls` or /proc/PID/cgroup show it"
    )]
    NoSuch(String, String),
    /// It is a folder elsewhere.
    #[error("{0} is not in the cgroup v2 hierarchy, which is mounted at {1}")]
    Elsewhere(String, String),
    /// Deeper than the probes look.
    #[error("{0} is {1} levels deep; zcwatch looks at most 15 deep: name one further up")]
    TooDeep(String, u32),
}

/// Where the whole cgroup v2 hierarchy is mounted.
#[must_use]
pub fn root() -> Option<PathBuf> {
    let mounts = procfs::process::Process::myself().and_then(|p| p.mountinfo()).ok()?;
    mounts.into_iter().find(|m| m.fs_type == "cgroup2" && m.root == "/").map(|m| m.mount_point)
}

/// What `path` names: a folder, or a path from the hierarchy's root as in /proc/PID/cgroup.
///
/// # Errors
/// When it names no cgroup that can be watched.
pub fn find(path: &Path) -> Result<Cgroup, CgroupError> {
    let root = root().ok_or(CgroupError::NoHierarchy)?;
    find_below(&root, path)
}

fn find_below(root: &Path, path: &Path) -> Result<Cgroup, CgroupError> {
    let shown = || path.display().to_string();
    let base = || root.display().to_string();
    let inside = root.join(path.strip_prefix("/").unwrap_or(path));
    let outside = fs::canonicalize(path).ok().filter(|p| p.starts_with(root));
    let dir = match outside {
        Some(dir) => dir,
        None => match fs::canonicalize(&inside) {
            Ok(dir) => dir,
            Err(_) if path.is_dir() => return Err(CgroupError::Elsewhere(shown(), base())),
            Err(_) => return Err(CgroupError::NoSuch(shown(), base())),
        },
    };
    let below = dir.strip_prefix(root).map_err(|_| CgroupError::Elsewhere(shown(), base()))?;
    let level = u32::try_from(below.components().count()).unwrap_or(u32::MAX);
    if level >= zcwatch_common::CGROUP_LEVELS {
        return Err(CgroupError::TooDeep(shown(), level));
    }
    let id = fs::metadata(&dir).map_err(|_| CgroupError::NoSuch(shown(), base()))?.ino();
    Ok(Cgroup { dir, id, level })
}

impl Cgroup {
    /// The processes in it and below it, now.
    #[must_use]
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut left = vec![self.dir.clone()];
        while let Some(dir) = left.pop() {
            let procs = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            found.extend(procs.lines().filter_map(|pid| pid.parse::<u32>().ok()));
            let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
            left.extend(
                entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()),
            );
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_is_named_by_its_folder_or_from_the_root() {
        let root = std::env::temp_dir().join(format!("zcwatch-cgroup-{}", std::process::id()));
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/cgroup.procs"), "12\n").unwrap();
        fs::write(root.join("a/b/cgroup.procs"), "7\n9\n").unwrap();
        let root = fs::canonicalize(root).unwrap();
        let found = find_below(&root, Path::new("/a")).unwrap();
        assert_eq!((found.level, found.dir.clone()), (1, root.join("a")));
        let mut pids = found.processes();
        pids.sort_unstable();
        assert_eq!(pids, [7, 9, 12]);
        assert_eq!(find_below(&root, &root.join("a/b")).map(|c| c.level), Ok(2));
        assert_eq!(find_below(&root, Path::new("/")).map(|c| c.level), Ok(0));
        assert!(matches!(find_below(&root, Path::new("no")), Err(CgroupError::NoSuch(..))));
        assert!(matches!(find_below(&root, Path::new("/usr")), Err(CgroupError::Elsewhere(..))));
        let deep = ["x"; 16].join("/");
        fs::create_dir_all(root.join(&deep)).unwrap();
        assert!(matches!(find_below(&root, Path::new(&deep)), Err(CgroupError::TooDeep(_, 16))));
        fs::remove_dir_all(root).unwrap();
    }
}
