//! Anonymous network namespaces.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::{fs::MetadataExt, process::CommandExt},
    },
    panic,
    path::Path,
    process::Command,
    thread,
};

use nix::sched::{CloneFlags, setns, unshare};

use super::{LabError, link};

const CURRENT: &str = "/proc/thread-self/ns/net";

/// A network namespace held by nothing but a file descriptor: no name under `/run/netns`, no
/// mount. When the last of its descriptors, sockets and processes is gone, the kernel takes
/// it down with all its devices, shortly afterwards.
#[derive(Debug)]
pub struct Netns {
    file: File,
    inum: u64,
}

impl Netns {
    /// Makes a new namespace and brings its loopback up.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, or past `user.max_net_namespaces`.
    pub fn new() -> Result<Self, LabError> {
        let file = on_own_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open(CURRENT)
        })
        .and_then(|file| file)
        .map_err(LabError::system("make a network namespace"))?;
        let netns = Self::from_file(file)?;
        link::set_up(&netns, "lo")?;
        Ok(netns)
    }

    /// The namespace of the calling thread.
    ///
    /// # Errors
    /// Where `/proc` is not mounted.
    pub fn current() -> Result<Self, LabError> {
        Self::open(Path::new(CURRENT))
    }

    /// The namespace that `path` leads to, e.g. `/proc/PID/ns/net`.
    ///
    /// # Errors
    /// Where it can't be opened.
    pub fn open(path: &Path) -> Result<Self, LabError> {
        let file = File::open(path)
            .map_err(LabError::system(format!("open the network namespace {}", path.display())))?;
        Self::from_file(file)
    }

    fn from_file(file: File) -> Result<Self, LabError> {
        let inum = file
            .metadata()
            .map_err(LabError::system("read a network namespace's inode number"))?
            .ino();
        Ok(Self { file, inum })
    }

    /// A second hold on the same namespace.
    ///
    /// # Errors
    /// When the process is out of descriptors.
    pub fn try_clone(&self) -> Result<Self, LabError> {
        let file = self
            .file
            .try_clone()
            .map_err(LabError::system("hold a network namespace a second time"))?;
        Ok(Self { file, inum: self.inum })
    }

    /// The inode number, which names a namespace (`net:[4026531840]`).
    #[must_use]
    pub fn inum(&self) -> u64 {
        self.inum
    }

    /// Executes `f` inside, on a thread of its own. Sockets that it makes belong to the
    /// namespace for good. A panic in `f` goes on in the caller.
    ///
    /// # Errors
    /// When the thread can't be made, or without CAP_SYS_ADMIN.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        on_own_thread(|| {
            setns(&self.file, CloneFlags::CLONE_NEWNET)?;
            Ok(f())
        })
        .and_then(|result: io::Result<T>| result)
        .map_err(LabError::system(format!("enter the network namespace {}", self.inum)))
    }

    /// Makes `command` start its child inside.
    ///
    /// # Errors
    /// When the process is out of descriptors. The child's own failure to enter is an error
    /// of `spawn`.
    pub fn enter<'c>(&self, command: &'c mut Command) -> Result<&'c mut Command, LabError> {
        let held = self.try_clone()?;
        // SAFETY: between fork and exec the closure makes one system call and allocates nothing.
        Ok(unsafe { command.pre_exec(move || Ok(setns(&held.file, CloneFlags::CLONE_NEWNET)?)) })
    }

    /// Writes a sysctl of this namespace; `name` as below `/proc/sys`, e.g.
    /// `net/ipv4/ip_forward`. One that this kernel does not keep per namespace is not there:
    /// `net/core/optmem_max` before 6.9.
    ///
    /// # Errors
    /// When the kernel has no such sysctl, or `/proc/sys` is read-only.
    pub fn set_sysctl(&self, name: &str, value: &str) -> Result<(), LabError> {
        self.run(|| fs::write(Path::new("/proc/sys").join(name), value))?
            .map_err(LabError::system(format!("set the sysctl {name} to {value}")))
    }
}

impl AsFd for Netns {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// A thread keeps its namespace, so a change of namespace must not outlive the thread. It gets
/// no name: what it sends then carries the caller's.
fn on_own_thread<T: Send>(f: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().spawn_scoped(scope, f)?;
        Ok(thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause)))
    })
}
