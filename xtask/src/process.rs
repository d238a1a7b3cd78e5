//! Starting other programs.

use std::{io::ErrorKind, process::Command};

use anyhow::{Context, Result, bail, ensure};

/// Runs `command` with this process's output and waits for it.
///
/// # Errors
/// When it cannot be started or does not succeed; the message names the program.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| cannot_start(command))?;
    ensure!(status.success(), "`{}` failed ({status}): see its output above", line(command));
    Ok(())
}

/// Runs `command` and returns what it wrote to stdout, or `None` if there is no such program.
///
/// # Errors
/// When it cannot be started for another reason, does not succeed, or writes no text; the message
/// holds its stderr.
pub fn read(command: &mut Command) -> Result<Option<String>> {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| cannot_start(command)),
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed ({}): {}", line(command), output.status, stderr.trim());
    }
    String::from_utf8(output.stdout)
        .map(Some)
        .with_context(|| format!("`{}` did not write UTF-8", line(command)))
}

fn cannot_start(command: &Command) -> String {
    let program = command.get_program().to_string_lossy();
    format!("{program} cannot be started: check that it is installed and on the PATH")
}

/// The program and its arguments, as one would type them.
fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_not_an_error() {
        assert!(read(&mut Command::new("/nonexistent/program")).unwrap().is_none());
    }

    #[test]
    fn a_failure_names_the_command_and_holds_its_stderr() {
        let error =
            read(Command::new("sh").args(["-c", "echo $((6 * 7)) >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("`sh -c") && text.contains(": 42"), "{text}");
        let error = run(Command::new("sh").args(["-c", "exit 3"])).unwrap_err();
        assert!(error.to_string().contains("exit 3"), "{error}");
    }
}
