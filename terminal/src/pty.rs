//! The pseudo-terminal itself.

use std::{
    fs::File,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use nix::{
    libc,
    pty::{Winsize, openpty},
    sys::signal::{
        SigHandler,
        Signal::{SIGHUP, SIGINT, SIGPIPE, SIGQUIT, SIGTSTP},
        signal,
    },
    unistd::setsid,
};

use crate::Size;

nix::ioctl_write_ptr_bad!(set_size, libc::TIOCSWINSZ, Winsize);
nix::ioctl_write_int_bad!(take_terminal, libc::TIOCSCTTY);

fn of((columns, rows): Size) -> Winsize {
    Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }
}

/// Starts a program in a session of its own, whose terminal this is. Returns it with both ends.
pub fn spawn(mut command: Command, size: Size) -> Result<(Child, OwnedFd, OwnedFd)> {
    let pty = openpty(&of(size), None).context("there is no pseudo-terminal to be had")?;
    for end in [&pty.master, &pty.slave] {
        nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
    }
    let ours = || Ok::<_, std::io::Error>(Stdio::from(pty.slave.try_clone()?));
    if command.get_envs().all(|(name, _)| name != "TERM") {
        command.env("TERM", "xterm-256color");
    }
    command.stdin(ours()?).stdout(ours()?).stderr(ours()?);
    let slave = pty.slave.as_raw_fd();
    // SAFETY: between fork and exec the closure makes system calls only, on a descriptor that is
    // open until exec, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            setsid()?;
            take_terminal(slave, 0)?;
            // As after a login: whoever started us may have them ignored, which is inherited.
            for one in [SIGINT, SIGQUIT, SIGTSTP, SIGHUP, SIGPIPE] {
                signal(one, SigHandler::SigDfl)?;
            }
            Ok(())
        });
    }
    let name = command.get_program().to_string_lossy().into_owned();
    let child = command.spawn().with_context(|| format!("could not start {name}"))?;
    Ok((child, pty.master, pty.slave))
}

/// Tells the terminal its size, and the terminal its program.
pub fn resize(master: &File, size: Size) -> Result<()> {
    let size = of(size);
    // SAFETY: the size lives as long as the call.
    unsafe { set_size(master.as_raw_fd(), &raw const size) }.context("it cannot be resized")?;
    Ok(())
}
