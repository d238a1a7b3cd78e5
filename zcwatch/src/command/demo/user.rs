//! What a sender may: less than root, or more than its neighbours.

use anyhow::Context;

/// The user nobody.
const NOBODY: libc::uid_t = 65_534;

/// Other load on the host would make sends late, and a finding of that: the demos' few thousand
/// sends a second go first.
pub(super) fn hurry() {
    const NICE: libc::c_int = -10;
    // SAFETY: the arguments are integers. Without CAP_SYS_NICE it fails, and all stays as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
}

/// Lets this process lock so many bytes, and makes the calling thread another user's: the limit
/// spares CAP_IPC_LOCK, and what a user has locked counts for all their processes.
pub(super) fn lock_at_most(bytes: u64) -> anyhow::Result<()> {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: bytes };
    // SAFETY: the pointer is to one live structure, which is only read.
    if unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const limit) } < 0 {
        return Err(std::io::Error::last_os_error()).context("could not set RLIMIT_MEMLOCK");
    }
    // The system call, not the C library's function: that one takes all threads along.
    // SAFETY: the arguments are integers.
    let done = unsafe { libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) };
    if done < 0 {
        return Err(std::io::Error::last_os_error()).context("could not become the user nobody");
    }
    Ok(())
}
