//! `pictures`: the README's pictures of the screen, of the real program over a demo's real traffic.

use std::{fs, process::Command, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use nix::unistd::Uid;
use zcwatch_terminal::{Key, Terminal, picture};

use crate::{process, test::cargo, tree::Tree};

/// As wide as a README shows without making it small.
const SIZE: (u16, u16) = (120, 34);
const LIMIT: Duration = Duration::from_secs(60);
/// Until there is a course to be seen.
const COURSE: Duration = Duration::from_secs(20);

/// Makes them anew, in docs/pictures.
///
/// # Errors
/// When not root, or when the screen does not show what is to be on a picture.
pub fn run(tree: &Tree) -> Result<()> {
    ensure!(
        Uid::effective().is_root(),
        "a demo makes network namespaces, which only root may: run \
         `sudo -E env \"PATH=$PATH\" cargo xtask pictures`"
    );
    process::run(cargo(tree).args(["build", "--release", "--locked", "--package", "zcwatch"]))?;
    let folder = tree.root().join("docs/pictures");
    fs::create_dir_all(&folder)?;
    let mut command = Command::new(tree.released("zcwatch"));
    command.args(["demo", "tap", "--tui"]).env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR");
    command.env("HOME", "/nonexistent");
    let mut terminal = Terminal::spawn(command, SIZE)?;
    terminal.wait_for("handed to a packet socket", LIMIT)?;
    thread::sleep(COURSE);
    let save = |terminal: &Terminal, name: &str| {
        terminal.settle(Duration::from_millis(150));
        let file = folder.join(format!("{name}.svg"));
        fs::write(&file, picture(&terminal.screen(), &picture::DARK))
            .with_context(|| format!("could not write {}", file.display()))
    };
    save(&terminal, "overview")?;
    terminal.press(Key::Enter)?;
    terminal.wait_for("release latency", LIMIT)?;
    save(&terminal, "socket")?;
    terminal.send("c")?;
    terminal.wait_for("who listens", LIMIT)?;
    save(&terminal, "causes")?;
    terminal.send("q")?;
    terminal.wait(LIMIT)?;
    println!("Made anew: {}", folder.display());
    Ok(())
}
