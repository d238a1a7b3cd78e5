//! Real programs in a real pseudo-terminal.

use std::os::unix::process::ExitStatusExt;

use super::*;

const LIMIT: Duration = Duration::from_secs(20);

fn sh(script: &str, size: Size) -> Terminal {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Terminal::spawn(command, size).unwrap()
}

#[test]
fn what_is_typed_comes_back_and_ctrl_d_ends_it() {
    let mut terminal = Terminal::spawn(Command::new("cat"), (40, 5)).unwrap();
    terminal.send("hello\r").unwrap();
    terminal.wait_until(|text| text.matches("hello").count() == 2, LIMIT, "hello, twice").unwrap();
    terminal.press(Key::Ctrl('d')).unwrap();
    assert!(terminal.wait(LIMIT).unwrap().success());
}

#[test]
fn keys_that_are_signals_and_signals_reach_the_program() {
    // Not a shell that starts something: dash loses the signal that comes between vfork and exec.
    let mut terminal = Terminal::spawn(Command::new("cat"), (40, 5)).unwrap();
    terminal.send("ready\r").unwrap();
    terminal.wait_until(|text| text.matches("ready").count() == 2, LIMIT, "ready, twice").unwrap();
    terminal.press(Key::Ctrl('c')).unwrap();
    assert_eq!(terminal.wait(LIMIT).unwrap().signal(), Some(Signal::SIGINT as i32));
    let mut terminal = sh("trap 'echo gone; exit 7' TERM; echo ready; read x", (40, 5));
    terminal.wait_for("ready", LIMIT).unwrap();
    terminal.signal(Signal::SIGTERM).unwrap();
    terminal.send("\r").unwrap();
    assert_eq!(terminal.wait(LIMIT).unwrap().code(), Some(7));
    assert!(terminal.text().contains("gone"));
}

#[test]
fn a_program_is_told_the_size_down_to_one_cell() {
    let mut terminal =
        sh("trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done", (91, 7));
    terminal.wait_for("7 91", LIMIT).unwrap();
    terminal.resize((1, 1)).unwrap();
    terminal.settle(Duration::from_millis(200));
    terminal.resize((60, 9)).unwrap();
    terminal.wait_for("9 60", LIMIT).unwrap();
}

#[test]
fn the_state_it_is_left_in_is_known() {
    let mut terminal = sh(
        "printf '\\033[?1049h\\033[?25l\\033[?1000h\\033[?2004h'; stty -echo -icanon; echo on; read x; \
         printf '\\033[?1000l\\033[?2004l\\033[?25h\\033[?1049l'; stty sane; echo off",
        (40, 5),
    );
    assert_eq!(terminal.modes().unwrap(), Modes::SANE);
    terminal.wait_for("on", LIMIT).unwrap();
    let taken = terminal.modes().unwrap();
    let all = [taken.alternate_screen, taken.cursor_hidden, taken.mouse, taken.bracketed_paste];
    assert_eq!((all, taken.canonical, taken.echo), ([true; 4], false, false));
    terminal.send("\n").unwrap();
    terminal.wait_for("off", LIMIT).unwrap();
    assert_eq!(terminal.modes().unwrap(), Modes::SANE);
}

#[test]
fn what_goes_to_the_clipboard_is_seen() {
    let terminal = sh("printf '\\033]52;c;a2lsbCA4MTI=\\a'; echo done; sleep 100", (40, 5));
    terminal.wait_for("done", LIMIT).unwrap();
    assert_eq!(terminal.clipboard().as_deref(), Some("kill 812"));
}

#[test]
fn a_flood_ends_with_its_last_line_and_what_never_comes_is_said() {
    let mut terminal =
        sh("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; read x", (40, 5));
    terminal.wait_for("line 19999", LIMIT).unwrap();
    let error = terminal.wait_for("line 20000", Duration::from_millis(50)).unwrap_err().to_string();
    assert!(error.contains("time is over") && error.contains("line 19999"), "{error}");
    let echoed = |screen: &Screen| screen.contents().contains("typed");
    assert!(terminal.latency("typed", echoed, LIMIT).unwrap() < LIMIT);
}

#[test]
fn a_picture_has_the_words_in_their_colours() {
    let terminal = sh(
        "printf 'plain \\033[31mred\\033[0m \\033[1;38;5;208m<&>\\033[0m \\033[7minv\\033[0m'; read x",
        (30, 3),
    );
    terminal.wait_for("inv", LIMIT).unwrap();
    let svg = picture(&terminal.screen(), &picture::DARK);
    for part in
        [">\nred\n<", "#e06c75", "&lt;&amp;&gt;", "#ff8700", "font-weight=\"bold\"", ">\ninv\n<"]
    {
        assert!(svg.contains(part) || svg.contains(&part.replace('\n', "")), "{part}: {svg}");
    }
    // Reversed: the text's colour behind it.
    assert!(svg.contains("fill=\"#d7dae0\" height=\"18\""), "{svg}");
    assert_eq!(svg, picture(&terminal.screen(), &picture::DARK));
}
