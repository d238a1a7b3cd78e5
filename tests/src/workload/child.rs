//! A child of the workload, and a socket for it.

use std::{
    io::{IoSlice, IoSliceMut},
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    process,
};

use anyhow::{Context, ensure};
use nix::{
    cmsg_space,
    sys::{
        prctl,
        signal::Signal,
        socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
        wait::{WaitStatus, waitpid},
    },
    unistd::{ForkResult, fork},
};

/// Forks. The child does its part and ends, and ends when the parent does; the parent does its
/// own, and waits.
pub fn run(
    child: impl FnOnce() -> anyhow::Result<()>,
    parent: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    // SAFETY: this process has made no thread, so no lock is held that nobody would release.
    match unsafe { fork() }.context("could not fork")? {
        ForkResult::Child => {
            let done =
                prctl::set_pdeathsig(Signal::SIGKILL).map_err(Into::into).and_then(|()| child());
            if let Err(error) = &done {
                eprintln!("workload's child: {error:#}");
            }
            process::exit(done.is_err().into());
        }
        ForkResult::Parent { child } => {
            parent()?;
            let end = waitpid(child, None)?;
            ensure!(matches!(end, WaitStatus::Exited(_, 0)), "workload's child: {end:?}");
            Ok(())
        }
    }
}

/// Passes a descriptor (SCM_RIGHTS).
pub fn pass(to: &UnixStream, socket: BorrowedFd<'_>) -> anyhow::Result<()> {
    let fds = [socket.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(&[0])], &rights, MsgFlags::empty(), None)
        .context("could not pass the socket")?;
    Ok(())
}

/// Waits for a descriptor that is passed.
pub fn receive(from: &UnixStream) -> anyhow::Result<OwnedFd> {
    let (mut byte, mut control) = ([0], cmsg_space!([i32; 1]));
    let mut slices = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message = recvmsg::<()>(from.as_raw_fd(), &mut slices, Some(&mut control), flags)?;
    let passed = message.cmsgs()?.find_map(|control| match control {
        ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
        _ => None,
    });
    let fd = passed.context("no socket was passed")?;
    // SAFETY: the kernel has just given us this descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
