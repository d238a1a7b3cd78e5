//! What a person may get wrong.

use std::{
    fs,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_tests::{
    scenario::workload,
    zcwatch::{Zcwatch, run},
};

use super::assert_refused;

fn report(pid: &dyn ToString) -> Result<zcwatch_tests::zcwatch::Ended> {
    run(["report", "-p", &pid.to_string(), "-d", "60s"])
}

#[test]
fn a_process_that_does_not_exist() -> Result<()> {
    for pid in [0, 99_999_999, u32::MAX] {
        let words = ["there is no process", &pid.to_string(), "pgrep"];
        assert_refused(&report(&pid)?, 1, &words);
    }
    Ok(())
}

#[test]
fn a_threads_id() -> Result<()> {
    let (say, said) = mpsc::channel();
    let (done, wait) = mpsc::channel::<()>();
    let thread = thread::spawn(move || {
        let _ = say.send(nix::unistd::gettid());
        let _ = wait.recv();
    });
    let tid = said.recv()?.to_string();
    let pid = std::process::id().to_string();
    assert_refused(&report(&tid)?, 1, &[&tid, "is a thread of process", &format!("-p {pid}")]);
    drop(done);
    assert!(thread.join().is_ok());
    Ok(())
}

/// A process that has ended, and that nobody has waited for yet.
struct Zombie(Child);

impl Zombie {
    fn new() -> Result<Self> {
        let this = Self(Command::new("/bin/true").stdout(Stdio::null()).spawn()?);
        let start = Instant::now();
        while !fs::read_to_string(format!("/proc/{}/stat", this.0.id()))?.contains(") Z ") {
            ensure!(start.elapsed() < Duration::from_secs(10), "it does not end");
            thread::sleep(Duration::from_millis(1));
        }
        Ok(this)
    }
}

impl Drop for Zombie {
    fn drop(&mut self) {
        let _ = self.0.wait();
    }
}

#[test]
fn a_zombie() -> Result<()> {
    let zombie = Zombie::new()?;
    let pid = zombie.0.id().to_string();
    assert_refused(&report(&pid)?, 1, &[&pid, "already ended", "zombie"]);
    Ok(())
}

#[test]
fn a_kernel_thread() -> Result<()> {
    // In a process id namespace of its own, 2 is something else, or nothing.
    assert_eq!(fs::read_to_string("/proc/2/comm")?, "kthreadd\n", "run the tests on the host");
    assert_refused(&report(&2)?, 1, &["2 is a kernel thread"]);
    Ok(())
}

#[test]
fn one_bad_process_among_good_ones() -> Result<()> {
    let own = std::process::id().to_string();
    let ended = run(["report", "-p", &own, "-p", "99999999"])?;
    assert_refused(&ended, 1, &["there is no process 99999999"]);
    Ok(())
}

#[test]
fn the_command_line() -> Result<()> {
    let own = std::process::id().to_string();
    for (arguments, words) in [
        (&["report", "-p", &own, "-d", "0"][..], &["give at least 1ms"][..]),
        (&["report", "-p", &own, "-d", "0s"], &["give at least 1ms"]),
        (&["report", "-p", &own, "-d", "soon"], &["write it like 10s"]),
        (&["report", "-p", &own, "-d", "99y"], &["more than a year"]),
        (&["report", "-p", "x"], &["invalid value 'x'"]),
        (&["report", "-p", &own, "--fail-on", "slow"], &["no finding \"slow\"", "hidden-copy"]),
        (&["report", "-p", &own, "--ring-size", "5000"], &["5000 bytes", "power of two"]),
        (&["report", "-p", &own, "--ring-size", "0"], &["0 bytes", "power of two"]),
        (&["report", "-p", &own, "--ring-size", "2048"], &["2048 bytes", "from 4096"]),
        (&["report", "-p", &own, "--format", "xml"], &["xml", "json"]),
        (&["demo", "holodeck"], &["no demo \"holodeck\"", "loopback", "veth-xdp"]),
        (&["causes", "gremlins"], &["gremlins"]),
        (&["dance"], &["dance"]),
        (&[], &["zcwatch report -p PID", "zcwatch demo"]),
    ] {
        let ended = run(arguments)?;
        assert_eq!(ended.code(), Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        for word in words {
            assert!(
                ended.stderr.contains(word),
                "{arguments:?}: no {word:?} in {:?}",
                ended.stderr
            );
        }
    }
    Ok(())
}

#[test]
fn fail_on() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let line = format!("send --to {} --count 20", sink.address());
    for (fail_on, code) in [
        ("--fail-on copied", 3),
        ("--fail-on misled --fail-on copied", 3),
        ("--fail-on healthy", 0),
        ("--fail-on misled", 0),
    ] {
        let mut sender = workload(path.client(), &line)?;
        let mut zcwatch = Zcwatch::watch_with(&[sender.pid()], fail_on)?;
        sender.step()?;
        sender.truth()?;
        sender.finish()?;
        let ended = zcwatch.wait()?;
        assert_eq!(ended.code(), Some(code), "{fail_on}: {ended:?}");
        assert!(
            ended.report()?.findings().contains("copied/local_delivery"),
            "printed all the same"
        );
    }
    Ok(())
}
