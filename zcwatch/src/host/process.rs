//! Processes: what a process id given by a user names, and names that are safe to print.

use std::fs;

/// Why a process id cannot be watched.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ProcessError {
    /// Nothing has this id.
    #[error("there is no process {0}; `pgrep -a NAME` lists process ids")]
    NoSuch(u32),
    /// A thread's id.
    #[error("{tid} is a thread of process {pid} ({comm}): watch the process, with -p {pid}")]
    Thread {
        /// What was given.
        tid: u32,
        /// Its process.
        pid: u32,
        /// The process's name, escaped.
        comm: String,
    },
    /// A kernel thread has no descriptors.
    #[error("{0} is a kernel thread: it has no sockets of its own to watch")]
    Kernel(u32),
    /// It has ended, and its parent has not collected it.
    #[error("process {0} has already ended (it is a zombie)")]
    Zombie(u32),
    /// The ids that zcwatch sees are not those that the kernel's hooks see.
    #[error(
        "zcwatch runs in a process id namespace of its own, where an id means another process than \
         to the kernel's hooks; run it in the host's: nsenter -t 1 -p -m zcwatch … (in a container: \
         start it with --pid=host)"
    )]
    Namespace,
}

/// Inode number of the initial process id namespace (`PROC_PID_INIT_INO`, all versions).
const INITIAL_PID_NAMESPACE: &str = "pid:[4026531836]";

/// The name of a process: its first thread's, at most 15 bytes.
#[must_use]
pub fn comm(pid: u32) -> Option<String> {
    let bytes = fs::read(format!("/proc/{pid}/comm")).ok()?;
    Some(String::from_utf8_lossy(bytes.strip_suffix(b"\n").unwrap_or(&bytes)).into_owned())
}

/// Checks a process id that a user gave.
///
/// # Errors
/// When it does not name a process that can be watched.
pub fn check(pid: u32) -> Result<(), ProcessError> {
    let status = i32::try_from(pid)
        .ok()
        .filter(|p| *p > 0)
        .and_then(|p| procfs::process::Process::new(p).ok())
        .and_then(|p| p.status().ok())
        .ok_or(ProcessError::NoSuch(pid))?;
    let tgid = u32::try_from(status.tgid).unwrap_or(pid);
    if tgid != pid {
        let comm = escape(&comm(tgid).unwrap_or_default());
        return Err(ProcessError::Thread { tid: pid, pid: tgid, comm });
    }
    if ended(pid) {
        return Err(ProcessError::Zombie(pid));
    }
    // Only kernel threads have no memory.
    if status.vmsize.is_none() {
        return Err(ProcessError::Kernel(pid));
    }
    check_namespace()
}

/// Are ids here those that the kernel's hooks see?
///
/// # Errors
/// When they are not.
pub fn check_namespace() -> Result<(), ProcessError> {
    let here = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    if here.to_str().is_some_and(|ns| ns != INITIAL_PID_NAMESPACE) {
        return Err(ProcessError::Namespace);
    }
    Ok(())
}

/// Has it ended? A process that cannot be read counts as ended; one whose first thread has ended
/// before others has not.
#[must_use]
pub fn ended(pid: u32) -> bool {
    let stat = i32::try_from(pid)
        .ok()
        .and_then(|p| procfs::process::Process::new(p).ok())
        .and_then(|p| p.stat().ok());
    stat.is_none_or(|s| matches!(s.state, 'Z' | 'X') && s.num_threads <= 1)
}

/// All processes that there are, each with its parent.
#[must_use]
pub fn parents() -> Vec<(u32, u32)> {
    let stats = procfs::process::all_processes().into_iter().flatten().flatten();
    stats
        .filter_map(|p| p.stat().ok())
        .filter_map(|s| Some((u32::try_from(s.pid).ok()?, u32::try_from(s.ppid).ok()?)))
        .collect()
}

/// All processes that have one of these names, now.
#[must_use]
pub fn all_named(names: &[String]) -> Vec<u32> {
    if names.is_empty() {
        return Vec::new();
    }
    let all = parents().into_iter().map(|(pid, _)| pid);
    all.filter(|pid| comm(*pid).is_some_and(|name| names.contains(&name))).collect()
}

/// A name from another process, made safe for a terminal: control characters, and what changes
/// the direction of text, are written as escapes.
#[must_use]
pub fn escape(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        let steers = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || steers {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_steer_a_terminal() {
        assert_eq!(escape("a\x1b[2Jb\u{202e}c\n"), "a\\u{1b}[2Jb\\u{202e}c\\n");
        assert_eq!(escape("grün"), "grün");
    }

    #[test]
    fn a_process_whose_first_thread_has_ended_goes_on() {
        let code = "import ctypes, threading, time\n\
                    threading.Thread(target=time.sleep, args=(30,)).start()\n\
                    ctypes.CDLL(None).pthread_exit(None)";
        let mut child = std::process::Command::new("python3").args(["-c", code]).spawn().unwrap();
        let state = format!("/proc/{}/stat", child.id());
        while !fs::read_to_string(&state).unwrap().contains(") Z ") {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        assert!(!ended(child.id()));
        child.kill().unwrap();
        while !ended(child.id()) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_child_names_its_parent() {
        let mut child = std::process::Command::new("sleep").arg("30").spawn().unwrap();
        assert!(parents().contains(&(child.id(), std::process::id())));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn ids_that_name_no_process_are_told_apart() {
        assert_eq!(check(0), Err(ProcessError::NoSuch(0)));
        assert_eq!(check(u32::MAX), Err(ProcessError::NoSuch(u32::MAX)));
        assert_eq!(check(std::process::id()), Ok(()));
        let tid = std::thread::spawn(|| nix::unistd::gettid().as_raw()).join();
        drop(tid);
        let (tx, rx) = std::sync::mpsc::channel();
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let _ = tx.send(nix::unistd::gettid().as_raw());
            let _ = wait.recv();
        });
        let tid = u32::try_from(rx.recv().unwrap()).unwrap();
        assert!(
            matches!(check(tid), Err(ProcessError::Thread { pid, .. }) if pid == std::process::id())
        );
        drop(done);
        thread.join().unwrap();
    }
}
