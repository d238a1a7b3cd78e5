//! Work inside another network namespace.

use std::{fs::File, io, panic, thread};

use nix::sched::{CloneFlags, setns};

/// A way into a network namespace. It keeps the namespace alive, so it is not held for long.
#[derive(Debug)]
pub struct Entrance(File);

impl Entrance {
    /// The namespace of a process or thread, by its folder below /proc.
    ///
    /// # Errors
    /// When there is no such process, or it is not ours to look at.
    pub fn of(pid: u32) -> io::Result<Self> {
        File::open(format!("/proc/{pid}/ns/net")).map(Self)
    }

    /// Executes `f` inside, on a thread of its own: a thread keeps its namespace, so the change
    /// must not outlive it.
    ///
    /// # Errors
    /// Without CAP_SYS_ADMIN, and those of `f`.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let thread =
                thread::Builder::new().name("zcwatch-netns".into()).spawn_scoped(scope, || {
                    setns(&self.0, CloneFlags::CLONE_NEWNET)?;
                    f()
                })?;
            thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause))
        })
    }
}
