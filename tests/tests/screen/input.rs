//! What is given wrongly, and terminals that cannot show all.

use std::{fs, process::Stdio};

use anyhow::Result;
use zcwatch_terminal::{Modes, Terminal};

use super::{LIMIT, USUAL, command, on_loopback, open};

/// What it says, and its exit code, without a terminal.
fn piped(arguments: &str) -> Result<(String, Option<i32>)> {
    let mut command = command(arguments)?;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = command.spawn()?.wait_with_output()?;
    Ok((String::from_utf8_lossy(&output.stderr).into_owned(), output.status.code()))
}

#[test]
fn without_a_terminal_it_says_what_prints() -> Result<()> {
    let (said, code) = piped("-p 1")?;
    assert!(
        said.contains("the screen needs a terminal") && said.contains("zcwatch report"),
        "{said}"
    );
    assert_eq!(code, Some(2));
    let (said, code) = piped("-p 1 report")?;
    assert!(said.contains("the command comes first") && said.contains("zcwatch report"), "{said}");
    assert_eq!(code, Some(2));
    Ok(())
}

#[test]
fn what_cannot_be_watched_is_said_on_the_ordinary_screen() -> Result<()> {
    let mut terminal = open("-p 999999999", USUAL)?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(1));
    assert!(terminal.text().contains("there is no process 999999999"), "{}", terminal.text());
    assert_eq!(terminal.modes()?, Modes::SANE);
    let mut terminal = open("--ring-size 5 -p 1", USUAL)?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(2));
    assert_eq!(terminal.modes()?, Modes::SANE);
    Ok(())
}

#[test]
fn a_configuration_that_means_nothing_is_named() -> Result<()> {
    let file = std::env::temp_dir().join(format!("zcwatch-config-{}.toml", std::process::id()));
    fs::write(&file, "theme = \"dark\"\n[keys]\npause = [\"hyper-x\"]\n")?;
    let mut terminal = open(&format!("-p 1 --config {}", file.display()), USUAL)?;
    assert_eq!(terminal.wait(LIMIT)?.code(), Some(1));
    assert!(terminal.text().contains("there is no key \"hyper-x\""), "{}", terminal.text());
    fs::write(&file, "[keys]\nquit = [\"f10\"]\n")?;
    on_loopback(|sender| {
        let mut terminal =
            open(&format!("-p {} --config {}", sender.pid(), file.display()), USUAL)?;
        terminal.wait_for("F10 quit", LIMIT)?;
        terminal.send("q")?;
        terminal.settle(std::time::Duration::from_millis(200));
        terminal.send("\x1b[21~")?;
        assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
        Ok(())
    })?;
    Ok(fs::remove_file(&file)?)
}

#[test]
fn the_configuration_that_is_printed_is_taken() -> Result<()> {
    let mut command = command("--print-config")?;
    let output = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?.wait_with_output()?;
    let file = std::env::temp_dir().join(format!("zcwatch-printed-{}.toml", std::process::id()));
    fs::write(&file, &output.stdout)?;
    on_loopback(|sender| {
        let mut terminal =
            open(&format!("-p {} --config {}", sender.pid(), file.display()), USUAL)?;
        terminal.wait_for("q quit", LIMIT)?;
        terminal.send("q")?;
        assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
        Ok(())
    })?;
    Ok(fs::remove_file(&file)?)
}

#[test]
fn terminals_without_colours_or_utf8_show_the_same_in_their_own_way() -> Result<()> {
    on_loopback(|sender| {
        let mut command = command(&format!("-p {}", sender.pid()))?;
        command.env("NO_COLOR", "1").env("LC_ALL", "C");
        let mut terminal = Terminal::spawn(command, USUAL)?;
        let text = terminal.wait_for("delivered on this host", LIMIT)?;
        assert!(text.is_ascii() && text.contains("X problem"), "{text}");
        let screen = terminal.screen();
        let cells = (0..USUAL.1).flat_map(|row| (0..USUAL.0).map(move |column| (row, column)));
        let colour = zcwatch_terminal::Color::Default;
        for cell in cells.filter_map(|(row, column)| screen.cell(row, column)) {
            assert!(cell.fgcolor() == colour && cell.bgcolor() == colour);
        }
        terminal.send("q")?;
        assert_eq!(terminal.wait(LIMIT)?.code(), Some(0));
        Ok(())
    })
}
