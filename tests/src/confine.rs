//! zcwatch with fewer privileges, or with parts of the host out of its sight.

use std::{
    env, fs, io,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::Result;
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    unistd::{Gid, Uid, setgid, setgroups, setuid},
};

use crate::zcwatch::program;

/// A capability's number in linux/capability.h.
pub const CAP_PERFMON: u32 = 38;
/// As [`CAP_PERFMON`].
pub const CAP_BPF: u32 = 39;

/// The user nobody.
const NOBODY: u32 = 65534;

/// A copy of zcwatch that every user may execute: the tree may be in a folder that others can't
/// enter. Gone when dropped.
#[derive(Debug)]
pub struct ForAll {
    folder: PathBuf,
}

impl ForAll {
    /// Copies it.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn new() -> Result<Self> {
        // Each test has its own: another one's copy may be running.
        static COPIES: AtomicU32 = AtomicU32::new(0);
        let copy = COPIES.fetch_add(1, Ordering::Relaxed);
        let folder = env::temp_dir().join(format!("zcwatch-tests-{}-{copy}", process::id()));
        fs::create_dir_all(&folder)?;
        fs::set_permissions(&folder, PermissionsExt::from_mode(0o755))?;
        let this = Self { folder };
        fs::copy(program("zcwatch", "zcwatch")?, this.path())?;
        fs::set_permissions(this.path(), PermissionsExt::from_mode(0o755))?;
        Ok(this)
    }

    fn path(&self) -> PathBuf {
        self.folder.join("zcwatch")
    }

    /// A command that will start it as the user nobody, with these capabilities only.
    #[must_use]
    pub fn as_nobody(&self, capabilities: &[u32], arguments: &[&str]) -> Command {
        let mut command = Command::new(self.path());
        command.args(arguments).env("NO_COLOR", "1").current_dir("/");
        let capabilities = capabilities.to_vec();
        // SAFETY: between fork and exec the closure makes system calls, and allocates nothing.
        unsafe { command.pre_exec(move || become_nobody(&capabilities)) };
        command
    }
}

impl Drop for ForAll {
    fn drop(&mut self) {
        // What is left behind in a folder for such is no reason to fail.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn become_nobody(capabilities: &[u32]) -> io::Result<()> {
    control(libc::PR_SET_KEEPCAPS, 1, 0)?;
    setgroups(&[])?;
    setgid(Gid::from_raw(NOBODY))?;
    setuid(Uid::from_raw(NOBODY))?;
    // `struct __user_cap_header_struct`, version 3, and two of `struct __user_cap_data_struct`:
    // effective, permitted, inheritable.
    let header = [0x2008_0522_u32, 0];
    let mut data = [[0_u32; 3]; 2];
    for &capability in capabilities {
        data[capability as usize / 32] =
            [0; 3].map(|_: u32| data[capability as usize / 32][0] | 1 << (capability % 32));
    }
    // SAFETY: both live on this frame, in the layouts that the call reads.
    let done = unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), data.as_ptr()) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // What is ambient survives the exec.
    for &capability in capabilities {
        control(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability.into())?;
    }
    Ok(())
}

fn control(option: i32, first: u64, second: u64) -> io::Result<()> {
    // SAFETY: no pointers are passed.
    let done = unsafe { libc::prctl(option, first, second, 0_u64, 0_u64) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Makes `command` start its child in a mount namespace of its own, where these folders are
/// empty; those that are not there are left out.
pub fn cover<'c>(command: &'c mut Command, folders: &[&str]) -> &'c mut Command {
    let folders: Vec<PathBuf> =
        folders.iter().map(PathBuf::from).filter(|folder| folder.is_dir()).collect();
    // SAFETY: between fork and exec the closure makes system calls; paths this short are passed
    // to them without allocating.
    unsafe {
        command.pre_exec(move || {
            own_mounts()?;
            let nothing = None::<&Path>;
            for folder in &folders {
                mount(nothing, folder, Some("tmpfs"), MsFlags::empty(), nothing)?;
            }
            Ok(())
        })
    }
}

/// Makes `command` start its child in a mount namespace of its own, without these mounts.
pub fn unmount(command: &mut Command, mounts: Vec<PathBuf>) -> &mut Command {
    // SAFETY: as in `cover`.
    unsafe {
        command.pre_exec(move || {
            own_mounts()?;
            for path in &mounts {
                umount2(path, MntFlags::MNT_DETACH)?;
            }
            Ok(())
        })
    }
}

fn own_mounts() -> nix::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    let nothing = None::<&Path>;
    // Nothing of it gets back to the host.
    mount(nothing, Path::new("/"), nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing)
}

/// Makes `command` start its child in a new network namespace, whose loopback is down.
pub fn alone(command: &mut Command) -> &mut Command {
    // SAFETY: between fork and exec the closure makes one system call.
    unsafe { command.pre_exec(|| Ok(unshare(CloneFlags::CLONE_NEWNET)?)) }
}

/// Where file systems of this kind are mounted.
///
/// # Errors
/// Where `/proc` is not mounted.
pub fn mounts_of(kind: &str) -> Result<Vec<PathBuf>> {
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let row = |line: &str| {
        let mut words = line.split(' ').skip(1);
        let (path, found) = (words.next()?, words.next()?);
        (found == kind).then(|| PathBuf::from(path))
    };
    // The last one mounted may be above another.
    Ok(mounts.lines().rev().filter_map(row).collect())
}
