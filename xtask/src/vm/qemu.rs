//! Booting a guest.

use std::{
    fs::{self, File},
    io::{ErrorKind, Read},
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::protocol::Word;

const QEMU: &str = "qemu-system-x86_64";
/// Nothing but a task takes longer, emulated on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Whether QEMU is there.
///
/// # Errors
/// When it is not, with how to get it.
pub fn installed() -> Result<()> {
    match Command::new(QEMU).arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => bail!(
            "guests need {QEMU}, which is not installed: run `apt-get install \
             --no-install-recommends qemu-system-x86`"
        ),
        Err(error) => Err(error).with_context(|| format!("{QEMU} cannot be started")),
    }
}

/// How the emulator runs the guest's two CPUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// Each on a thread of its own: at the same time.
    Multi,
    /// By turns on one thread: slower, but one CPU never sees the other in the middle of a patch
    /// of the kernel's code.
    Single,
}

/// What a guest boots with.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The kernel.
    pub image: PathBuf,
    /// Its initramfs, a file.
    pub initramfs: &'a Path,
    /// Where its console goes.
    pub console: &'a Path,
    /// Where its answers go.
    pub answers: &'a Path,
    /// How it is emulated.
    pub threads: Threads,
    /// What its command line has besides what all have.
    pub parameters: &'static str,
}

/// How a guest's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It powered off, or died.
    ByItself,
    /// It said nothing for too long, and was ended.
    Silent,
    /// QEMU itself was killed by this signal.
    Crashed(i32),
}

/// Boots a guest, and hands what it says to `hear`, until it ends. After each word the guest has
/// as long for the next one as `hear` returns, besides what everything takes.
///
/// # Errors
/// When QEMU cannot be started, or `hear` fails.
pub fn boot(boot: &Boot<'_>, mut hear: impl FnMut(Word) -> Result<Duration>) -> Result<Ended> {
    File::create(boot.answers)
        .with_context(|| format!("{} cannot be made", boot.answers.display()))?;
    let mut qemu = Running(command(boot).spawn().with_context(|| format!("{QEMU} cannot start"))?);
    let mut answers = Answers::open(boot.answers)?;
    let mut until = Instant::now() + PATIENCE;
    loop {
        let ended = qemu.0.try_wait().context("QEMU is lost")?;
        for word in answers.heard()? {
            until = Instant::now() + PATIENCE + hear(word)?;
        }
        if let Some(signal) = ended.and_then(|status| status.signal()) {
            return Ok(Ended::Crashed(signal));
        }
        match ended {
            // Started with what this machine does not have, say: its message is on the console.
            Some(status) if !status.success() => {
                let console = fs::read_to_string(boot.console).unwrap_or_default();
                bail!("{QEMU} failed ({status}): see its message above, and {console}");
            }
            Some(_) => return Ok(Ended::ByItself),
            None if Instant::now() > until => return Ok(Ended::Silent),
            None => thread::sleep(Duration::from_millis(50)),
        }
    }
}

fn command(boot: &Boot<'_>) -> Command {
    let threads = match boot.threads {
        Threads::Multi => "tcg,thread=multi",
        Threads::Single => "tcg,thread=single",
    };
    let mut command = Command::new(QEMU);
    // With cmpxchg16b emulated, kernels panic now and then.
    command.args(["-accel", threads, "-cpu", "max,-cx16", "-smp", "2", "-m", "1G"]);
    command.args(["-no-reboot", "-nodefaults", "-display", "none"]);
    // An oops ends the guest at once: what comes after it would tell nothing.
    let common = "console=ttyS0 panic=-1 oops=panic quiet";
    command.arg("-append").arg(format!("{common} {}", boot.parameters).trim_end());
    command.arg("-kernel").arg(&boot.image).arg("-initrd").arg(boot.initramfs);
    for port in [boot.console, boot.answers] {
        command.arg("-serial").arg(format!("file:{}", port.display()));
    }
    command.stdin(Stdio::null());
    command
}

/// QEMU. Dropped, it is killed.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself; either way nothing is left to do about an error.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a guest says, a line each, as it comes.
struct Answers {
    file: File,
    rest: Vec<u8>,
}

impl Answers {
    fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("{} is gone", path.display()))?;
        Ok(Self { file, rest: Vec::new() })
    }

    /// The words that are complete, and were not there before. A line that is none is left out:
    /// the kernel tries the ports when it boots.
    fn heard(&mut self) -> Result<Vec<Word>> {
        self.file.read_to_end(&mut self.rest).context("a guest's answers cannot be read")?;
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(Vec::new());
        };
        let whole: Vec<u8> = self.rest.drain(..=end).collect();
        let lines = whole.split(|byte| *byte == b'\n');
        Ok(lines.filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_word_is_heard_when_its_line_is_whole() {
        let path = std::env::temp_dir().join(format!("xtask-answers-{}", std::process::id()));
        let mut port = File::create(&path).unwrap();
        let mut answers = Answers::open(&path).unwrap();
        port.write_all(b"\0\xff\r\n{\"booted\":\"6.1\"}\r\n{\"began\":").unwrap();
        assert_eq!(answers.heard().unwrap(), [Word::Booted("6.1".to_owned())]);
        assert_eq!(answers.heard().unwrap(), []);
        port.write_all(b"\"a\"}\n\"done\"\n").unwrap();
        assert_eq!(answers.heard().unwrap(), [Word::Began("a".to_owned()), Word::Done]);
        fs::remove_file(path).unwrap();
    }
}
