//! However the screen ends, the terminal is as it was, and nothing stays attached.

use anyhow::Result;
use nix::sys::signal::Signal;
use zcwatch_terminal::{Key, Modes, Terminal};
use zcwatch_tests::traces::Traces;

use super::{LIMIT, USUAL, command, on_loopback};

#[derive(Clone, Copy, Debug)]
enum End {
    Key(Key),
    Signal(Signal),
    /// A panic in this thread, at this key.
    Panic(&'static str, Key),
}

const ENDS: [(End, i32); 7] = [
    (End::Key(Key::Char('q')), 0),
    (End::Key(Key::Ctrl('c')), 130),
    (End::Signal(Signal::SIGTERM), 143),
    (End::Signal(Signal::SIGHUP), 129),
    (End::Signal(Signal::SIGQUIT), 131),
    (End::Panic("screen", Key::Ctrl('l')), 101),
    (End::Panic("watch", Key::Char('z')), 1),
];

#[test]
fn the_terminal_is_given_back() -> Result<()> {
    on_loopback(|sender| {
        for (end, code) in ENDS {
            println!("{end:?}");
            let mut command = command(&format!("-p {}", sender.pid()))?;
            if let End::Panic(place, _) = end {
                command.env("ZCWATCH_PANIC", place);
            }
            let mut terminal = Terminal::spawn(command, USUAL)?;
            terminal.wait_for("delivered on this host", LIMIT)?;
            let traces = Traces::of(terminal.pid())?;
            // The mouse is given back too.
            terminal.send("m")?;
            terminal.wait_for("the mouse selects here", LIMIT)?;
            match end {
                End::Key(key) | End::Panic(_, key) => terminal.press(key)?,
                End::Signal(signal) => terminal.signal(signal)?,
            }
            assert_eq!(terminal.wait(LIMIT)?.code(), Some(code), "{end:?}");
            assert_eq!(terminal.modes()?, Modes::SANE, "{end:?}");
            let text = terminal.text();
            match end {
                End::Panic(place, _) => {
                    let told = format!("provoked in the {place}'s thread");
                    assert!(text.contains(&told), "{text}");
                }
                _ => assert_eq!(text, ""),
            }
            traces.wait_until_gone()?;
        }
        Ok(())
    })
}
