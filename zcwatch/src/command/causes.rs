//! `zcwatch causes`.

use std::fmt::Write;

use super::{Exit, Usage, print};
use crate::{
    cli,
    diagnosis::{CAUSES, Cause},
    output::style::Style,
};

pub(super) fn run(args: &cli::Causes) -> anyhow::Result<Exit> {
    let style = Style::of_stdout();
    let mut out = String::new();
    match &args.key {
        None => {
            for c in CAUSES {
                let _ = writeln!(out, "{:<22} {}", c.key, c.title);
            }
            out.push_str("\n`zcwatch causes KEY` explains one.\n");
        }
        Some(key) => {
            let cause = CAUSES.iter().find(|c| c.key == key).ok_or_else(|| no_such(key))?;
            let _ = writeln!(out, "{}: {}\n", style.bold(cause.key), cause.title);
            let _ = writeln!(out, "{}\n\n→ {}", wrap(cause.explanation), wrap(cause.advice));
        }
    }
    print(&style.plain(&out))?;
    Ok(Exit::Done)
}

fn no_such(key: &str) -> Usage {
    let keys: Vec<_> = CAUSES.iter().map(|c: &Cause| c.key).collect();
    Usage(format!("there is no cause {key:?}; there are {}", keys.join(", ")))
}

/// Lines of at most 78 characters.
fn wrap(text: &str) -> String {
    let mut out = String::new();
    let mut line = 0;
    for word in text.split_whitespace() {
        let n = word.chars().count();
        if line > 0 && line + 1 + n > 78 {
            out.push('\n');
            line = 0;
        } else if line > 0 {
            out.push(' ');
            line += 1;
        }
        out.push_str(word);
        line += n;
    }
    out
}
