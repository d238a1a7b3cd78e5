//! What a person does.

use anyhow::{Context, Result};
use zcwatch::lab::{Family, Layout, Topology};
use zcwatch_terminal::{Key, Modes};
use zcwatch_tests::{tcpdump::Tcpdump, traces::Traces};

use super::{LIMIT, USUAL, on_loopback, open, sender};

#[test]
fn finds_the_cause_and_what_helps_and_leaves_nothing_behind() -> Result<()> {
    let path = Topology::new(Layout::Veth)?;
    let sink = path.tcp_sink(Family::V4)?;
    let tcpdump = Tcpdump::start(path.client(), "-i client0")?;
    let to = sink.address().to_string();
    let sender = sender(path.client(), &to)?;
    let mut terminal = open(&format!("-p {}", sender.pid()), USUAL)?;
    let who = format!("handed to a packet socket of tcpdump (pid {})", tcpdump.pid());
    let traces = {
        terminal.wait_for(&who, LIMIT)?;
        Traces::of(terminal.pid())?
    };
    let shown = terminal.modes()?;
    assert!(shown.alternate_screen && shown.cursor_hidden && !shown.canonical && !shown.echo);

    terminal.send("/cause:tap")?;
    terminal.wait_for("filter: cause:tap", LIMIT)?;
    terminal.press(Key::Enter)?;
    let port = to.rsplit(':').next().context("no port")?.to_owned();
    terminal.wait_until(
        |text| text.lines().any(|row| row.contains(&port) && row.contains("copied: tap_tx")),
        LIMIT,
        "the row of the socket",
    )?;
    terminal.press(Key::Enter)?;
    let remedy = format!("kill {}", tcpdump.pid());
    let text = terminal.wait_for("release latency", LIMIT)?;
    for part in [who.as_str(), &remedy, "tap_tx", "measured: intact at net_dev_queue on client0"] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    terminal.send("y")?;
    terminal.wait_for(&format!("copied: {remedy}"), LIMIT)?;
    assert_eq!(terminal.clipboard(), Some(remedy.clone()));

    terminal.resize((1, 1))?;
    terminal.settle(std::time::Duration::from_millis(300));
    terminal.resize(USUAL)?;
    terminal.wait_for(&remedy, LIMIT)?;
    terminal.press(Key::Escape)?;
    terminal.wait_for("filter: cause:tap", LIMIT)?;

    terminal.send("c")?;
    terminal
        .wait_for(&format!("packet socket of tcpdump (pid {}) on client0", tcpdump.pid()), LIMIT)?;
    terminal.send("e")?;
    terminal.wait_for("by tap_tx", LIMIT)?;
    terminal.send("?")?;
    terminal.wait_for("one row a process", LIMIT)?;
    terminal.send("?q")?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
    assert_eq!(terminal.modes()?, Modes::SANE);
    traces.wait_until_gone()
}

#[test]
fn reads_the_last_numbers_of_a_process_that_ended() -> Result<()> {
    let path = Topology::new(Layout::Loopback)?;
    let sink = path.tcp_sink(Family::V4)?;
    let sender = sender(path.client(), &sink.address().to_string())?;
    let mut terminal = open(&format!("-p {}", sender.pid()), USUAL)?;
    terminal.wait_for("delivered on this host", LIMIT)?;
    drop(sender);
    let text = terminal.wait_for("ENDED: no process is left", LIMIT)?;
    assert!(text.contains("delivered on this host") && text.contains("ended"), "{text}");
    terminal.send("q")?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
    Ok(())
}

#[test]
fn begins_a_new_window_lets_a_process_go_and_takes_it_again() -> Result<()> {
    on_loopback(|sender| {
        let mut terminal = open(&format!("-p {}", sender.pid()), USUAL)?;
        terminal.wait_for("00:00:03", LIMIT)?;
        terminal.send("z")?;
        terminal.wait_for("a new window begins", LIMIT)?;
        terminal.wait_until(
            |text| text.contains("00:00:00") || text.contains("00:00:01"),
            LIMIT,
            "a clock at its beginning",
        )?;
        terminal.send("d")?;
        terminal.wait_for("is not watched any more", LIMIT)?;
        terminal.wait_for("no socket has sent", LIMIT)?;
        terminal.send(&format!("t{}\r", sender.pid()))?;
        terminal.wait_for("is watched from now on", LIMIT)?;
        terminal.wait_for("delivered on this host", LIMIT)?;
        terminal.send("t999999999\r")?;
        terminal.wait_for("there is no process 999999999", LIMIT)?;
        terminal.send("q")?;
        assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
        Ok(())
    })
}

#[test]
fn sees_it_drawn_when_something_changed_and_no_more_than_ten_times_a_second() -> Result<()> {
    on_loopback(|sender| {
        let mut terminal = open(&format!("-p {}", sender.pid()), USUAL)?;
        terminal.wait_for("delivered on this host", LIMIT)?;
        for view in ["o", "e", "c"] {
            terminal.send(view)?;
            let (before, start) = (terminal.updates(), std::time::Instant::now());
            std::thread::sleep(std::time::Duration::from_secs(2));
            let (drawn, took) = (terminal.updates() - before, start.elapsed().as_secs_f64());
            // One for the key, which is not to wait for the others.
            assert!(drawn >= 2 && drawn as f64 <= took * 10.0 + 2.0, "{view}: {drawn} in {took} s");
        }
        terminal.send("qq")?;
        terminal.wait(LIMIT)?;
        Ok(())
    })
}

#[test]
fn goes_to_the_shell_and_comes_back() -> Result<()> {
    on_loopback(|sender| {
        let mut terminal = open(&format!("-p {}", sender.pid()), USUAL)?;
        terminal.wait_for("delivered on this host", LIMIT)?;
        let stopped = |pid: u32| {
            std::fs::read_to_string(format!("/proc/{pid}/stat"))
                .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|s| s.starts_with(" T")))
        };
        for by_key in [true, false] {
            if by_key {
                terminal.press(Key::Ctrl('z'))?;
            } else {
                terminal.signal(nix::sys::signal::Signal::SIGTSTP)?;
            }
            let start = std::time::Instant::now();
            while !stopped(terminal.pid()) {
                assert!(start.elapsed() < LIMIT, "it does not stop");
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            terminal.settle(std::time::Duration::from_millis(100));
            assert_eq!(terminal.modes()?, Modes::SANE);
            terminal.signal(nix::sys::signal::Signal::SIGCONT)?;
            terminal.wait_for("delivered on this host", LIMIT)?;
            assert!(terminal.modes()?.alternate_screen);
        }
        terminal.send("q")?;
        assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
        Ok(())
    })
}

#[test]
fn starts_a_command_whose_words_do_not_come_on_the_screen() -> Result<()> {
    let file = std::env::temp_dir().join(format!("zcwatch-said-{}", std::process::id()));
    let arguments = format!("--output {} -- sh", file.display());
    let mut command = super::command(&arguments)?;
    command.args(["-c", "echo loud-$((40+2)); sleep 100"]);
    let mut terminal = zcwatch_terminal::Terminal::spawn(command, USUAL)?;
    terminal.wait_for("no MSG_ZEROCOPY send was seen", LIMIT)?;
    assert!(!terminal.text().contains("loud-42"), "{}", terminal.text());
    terminal.send("q")?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
    let left = terminal.text();
    assert!(left.contains("was still running, and was sent SIGTERM"), "{left}");
    let said = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    assert_eq!(said, "loud-42\n");
    let mut command = super::command("-- sh")?;
    command.args(["-c", "exit 3"]);
    let mut terminal = zcwatch_terminal::Terminal::spawn(command, USUAL)?;
    let text = terminal.wait_for("ended with exit code 3", LIMIT)?;
    assert!(text.contains("ENDED"), "{text}");
    terminal.send("q")?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
    // Who was not looking reads it afterwards.
    let left = terminal.text();
    assert!(left.contains("ended with exit code 3"), "{left}");
    Ok(())
}
