//! A command that is started to be watched (`-- CMD`): it is held before its first instruction
//! until it is watched, and does not outlive the watch.

use std::{
    ffi::CString,
    fs::File,
    io::{self, PipeWriter, Read, Write},
    os::{
        fd::AsRawFd,
        unix::process::{CommandExt, ExitStatusExt},
    },
    process::{Child, Command, ExitStatus, Stdio},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Gid, Pid, Uid, User, getgrouplist, setgid, setgroups, setuid},
};

use crate::{host::process::escape, target::Target};

/// Ctrl-C reaches the command too: it may end by itself for so long.
const BY_ITSELF: Duration = Duration::from_millis(500);
/// How long a command may take to end at SIGTERM.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why a command could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum CommandError {
    /// `--user` names nobody.
    #[error("there is no user {0}; `getent passwd` lists them")]
    NoUser(String),
    /// The user database cannot be read.
    #[error("the user {0} could not be looked up: {1}")]
    Lookup(String, nix::Error),
    /// It could not be made, or not become the user.
    #[error("{0} could not be started as user {1}: {2}; only root may become another user")]
    Become(String, String, io::Error),
    /// A process could not be made.
    #[error("{0} could not be started: {1}")]
    Spawn(String, io::Error),
    /// Nothing has that name.
    #[error("there is no program {0}; give its path, or check PATH and its first line")]
    NotFound(String),
    /// It must not be run.
    #[error("{0} may not be run: it is no program, or not executable for this user")]
    Denied(String),
}

/// What a command says, and hears.
#[derive(Debug, Default)]
pub(crate) enum Voice {
    /// It shares the terminal with us.
    #[default]
    Shared,
    /// It hears nothing, and what it says goes into this file; `None`: nowhere.
    Mute(Option<File>),
}

impl Voice {
    fn give(self, command: &mut Command) -> io::Result<()> {
        let Self::Mute(file) = self else { return Ok(()) };
        let (out, error) = match file {
            Some(file) => (Stdio::from(file.try_clone()?), Stdio::from(file)),
            None => (Stdio::null(), Stdio::null()),
        };
        // Ctrl-Z and Ctrl-C are for the screen.
        command.stdin(Stdio::null()).stdout(out).stderr(error).process_group(0);
        Ok(())
    }
}

/// A command that waits.
pub(super) struct Held {
    pid: u32,
    name: String,
    /// One byte lets it go; closed without, it ends.
    gate: Option<PipeWriter>,
    /// `spawn` returns when the child has become the command, so it is waited for elsewhere.
    spawner: Option<JoinHandle<io::Result<Child>>>,
}

impl Held {
    /// The target's command, if it has one.
    pub(super) fn of(target: &Target, voice: Voice) -> Result<Option<Self>, CommandError> {
        let Some((program, arguments)) = target.command.as_deref().and_then(<[_]>::split_first)
        else {
            return Ok(None);
        };
        let identity = target.user.as_deref().map(Identity::of).transpose()?;
        let name = escape(program);
        let mut command = Command::new(program);
        command.args(arguments);
        voice.give(&mut command).map_err(|e| CommandError::Spawn(name.clone(), e))?;
        let failed = |e| match &target.user {
            Some(user) => CommandError::Become(name.clone(), escape(user), e),
            None => CommandError::Spawn(name.clone(), e),
        };
        let (pid, gate, spawner) = hold(command, identity).map_err(failed)?;
        Ok(Some(Self { pid, name, gate: Some(gate), spawner: Some(spawner) }))
    }

    /// Its process id, now and later.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets it go.
    pub(super) fn let_go(mut self) -> Result<Running, CommandError> {
        let name = std::mem::take(&mut self.name);
        if let Some(mut gate) = self.gate.take() {
            // Where it is gone already, the spawner knows more.
            let _ = gate.write_all(&[1]);
        }
        match self.spawned() {
            Some(Ok(child)) => Ok(Running { child, name, status: None }),
            Some(Err(e)) if e.kind() == io::ErrorKind::NotFound => {
                Err(CommandError::NotFound(name))
            }
            Some(Err(e)) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(CommandError::Denied(name))
            }
            Some(Err(e)) => Err(CommandError::Spawn(name, e)),
            None => Err(CommandError::Spawn(name, io::ErrorKind::Other.into())),
        }
    }

    fn spawned(&mut self) -> Option<io::Result<Child>> {
        self.spawner.take()?.join().ok()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A closed gate ends it.
        self.gate = None;
        if let Some(Ok(mut child)) = self.spawned() {
            let _ = child.wait();
        }
    }
}

/// Starts the command on a thread, as far as its gate.
fn hold(
    mut command: Command,
    identity: Option<Identity>,
) -> io::Result<(u32, PipeWriter, JoinHandle<io::Result<Child>>)> {
    let (mut told, tell) = io::pipe()?;
    let (wait, gate) = io::pipe()?;
    let ours = gate.as_raw_fd();
    let held = move || {
        if let Some(identity) = &identity {
            identity.take()?;
        }
        // SAFETY: plain system calls, on descriptors that this process has and on memory that
        // lives as long as each call.
        unsafe {
            // With its own end open it would never see that zcwatch is gone.
            libc::close(ours);
            let pid = libc::getpid().to_ne_bytes();
            libc::write(tell.as_raw_fd(), pid.as_ptr().cast(), pid.len());
            let mut word = 0_u8;
            loop {
                match libc::read(wait.as_raw_fd(), (&raw mut word).cast(), 1) {
                    1 => return Ok(()),
                    -1 if *libc::__errno_location() == libc::EINTR => {}
                    _ => libc::_exit(1),
                }
            }
        }
    };
    // SAFETY: between fork and exec the closure makes system calls only, and allocates nothing.
    unsafe {
        command.pre_exec(held);
    }
    let spawner = thread::Builder::new().name("zcwatch".into()).spawn(move || command.spawn())?;
    let mut pid = [0; 4];
    match told.read_exact(&mut pid) {
        Ok(()) => Ok((u32::from_ne_bytes(pid), gate, spawner)),
        // It has ended before: the spawner knows why.
        Err(e) => match spawner.join() {
            Ok(Err(why)) => Err(why),
            _ => Err(e),
        },
    }
}

/// Another user: its ids and groups, looked up before there is a child.
struct Identity {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

impl Identity {
    fn of(name: &str) -> Result<Self, CommandError> {
        let failed = |e| CommandError::Lookup(escape(name), e);
        let nobody = || CommandError::NoUser(escape(name));
        let user = User::from_name(name).map_err(failed)?.ok_or_else(nobody)?;
        let c_name = CString::new(name).map_err(|_| nobody())?;
        let groups = getgrouplist(&c_name, user.gid).map_err(failed)?;
        Ok(Self { uid: user.uid, gid: user.gid, groups })
    }

    fn take(&self) -> io::Result<()> {
        setgroups(&self.groups)?;
        setgid(self.gid)?;
        Ok(setuid(self.uid)?)
    }
}

/// A command that runs, watched.
pub(super) struct Running {
    child: Child,
    name: String,
    status: Option<ExitStatus>,
}

impl Running {
    /// Has it ended?
    pub(super) fn has_ended(&mut self) -> io::Result<bool> {
        if self.status.is_none() {
            self.status = self.child.try_wait()?;
        }
        Ok(self.status.is_some())
    }

    /// The watch is over: ends it where it has not ended by itself, and says how it did.
    pub(super) fn end(
        mut self,
        interrupted: Option<u8>,
        say: &mut impl FnMut(&str),
    ) -> io::Result<()> {
        let patience = if interrupted == Some(2) { BY_ITSELF } else { Duration::ZERO };
        if self.ends_within(patience)? {
            if let Some(how) = self.how() {
                say(&how);
            }
            return Ok(());
        }
        self.terminate();
        let (name, pid) = (&self.name, self.child.id());
        say(&format!("{name} (pid {pid}) was still running, and was sent SIGTERM"));
        if !self.ends_within(PATIENCE)? {
            let (name, pid) = (&self.name, self.child.id());
            say(&format!("{name} did not end at that; `kill -KILL {pid}` ends it"));
        }
        Ok(())
    }

    fn ends_within(&mut self, patience: Duration) -> io::Result<bool> {
        let start = Instant::now();
        while !self.has_ended()? {
            if start.elapsed() >= patience {
                return Ok(false);
            }
            thread::sleep(Duration::from_millis(2));
        }
        Ok(true)
    }

    fn terminate(&self) {
        // Our own child, not waited for yet: the id is still its own.
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM);
    }

    /// How it ended, unless that was well.
    fn how(&self) -> Option<String> {
        let status = self.status?;
        let (name, pid) = (&self.name, self.child.id());
        if let Some(signal) = status.signal() {
            let signal = Signal::try_from(signal)
                .map_or_else(|_| format!("signal {signal}"), |s| s.to_string());
            return Some(format!("{name} (pid {pid}) was ended by {signal}"));
        }
        let code = status.code().filter(|code| *code != 0)?;
        Some(format!("{name} (pid {pid}) ended with exit code {code}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On an error's way out.
        if matches!(self.has_ended(), Ok(false)) {
            self.terminate();
        }
    }
}
