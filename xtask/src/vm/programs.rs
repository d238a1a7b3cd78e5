//! The programs that run in guests: static ones, since a guest has no libraries.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{process, test::cargo, tree::Tree};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// The programs that are always there.
pub const PROGRAMS: [&str; 3] = ["zcwatch", "workload", "guest"];

/// What was built: files by name.
#[derive(Debug, Default)]
pub struct Built {
    /// Programs, as [`PROGRAMS`] names them.
    pub programs: BTreeMap<String, PathBuf>,
    /// Test programs, by the name of the test target.
    pub tests: BTreeMap<String, PathBuf>,
}

/// Builds the programs, and these test targets.
///
/// # Errors
/// When something does not compile, with the compiler's messages.
pub fn build(tree: &Tree, tests: &[&str]) -> Result<Built> {
    let mut command = cargo(tree);
    command
        .args(["build", "--locked", "--profile", "guest", "--target", TARGET])
        // A folder of its own: other flags than the workspace's would have it all built again.
        .arg("--target-dir")
        .arg(tree.guest_target())
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--package", "zcwatch", "--package", "zcwatch-tests"])
        .args(PROGRAMS.iter().flat_map(|name| ["--bin", name]))
        .args(tests.iter().flat_map(|name| ["--test", name]))
        // Only what is built for the target is static: build scripts run here.
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(Stdio::inherit());
    let output = command.output().context("cargo cannot be started")?;
    ensure!(output.status.success(), "the programs for guests do not compile: see above");
    let built = parse(&String::from_utf8_lossy(&output.stdout));
    for name in PROGRAMS {
        ensure!(built.programs.contains_key(name), "cargo did not say where it built {name}");
    }
    for name in tests {
        ensure!(built.tests.contains_key(*name), "cargo did not say where it built {name}");
    }
    Ok(built)
}

/// Reads the messages of cargo.
fn parse(messages: &str) -> Built {
    let mut built = Built::default();
    for line in messages.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(name), Some(file)) =
            (message["target"]["name"].as_str(), message["executable"].as_str())
        else {
            continue;
        };
        let kind = &message["target"]["kind"][0];
        if kind == "test" {
            built.tests.insert(name.to_owned(), file.into());
        } else if kind == "bin" && message["profile"]["test"] == false {
            built.programs.insert(name.to_owned(), file.into());
        }
    }
    built
}

/// The tests that a test program has; being static, it runs here too.
///
/// # Errors
/// When it cannot be started.
pub fn tests_of(program: &PathBuf) -> Result<Vec<String>> {
    let list = process::read(Command::new(program).args(["--list", "--format", "terse"]))?
        .with_context(|| format!("{} is gone", program.display()))?;
    Ok(list.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_tests_are_told_apart() {
        let artifact = |kind: &str, name: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},
                "profile":{{"test":{test}}},"executable":{executable}}}"#
            )
            .replace('\n', "")
        };
        let messages = [
            artifact("lib", "libc", false, "null"),
            artifact("bin", "guest", false, "\"/t/guest\""),
            artifact("bin", "guest", true, "\"/t/deps/guest-1\""),
            artifact("test", "rows", true, "\"/t/deps/rows-1\""),
            "not JSON".to_owned(),
            r#"{"reason":"build-finished","success":true}"#.to_owned(),
        ];
        let built = parse(&messages.join("\n"));
        let pair =
            |name: &str, file: &str| BTreeMap::from([(name.to_owned(), PathBuf::from(file))]);
        assert_eq!(built.programs, pair("guest", "/t/guest"));
        assert_eq!(built.tests, pair("rows", "/t/deps/rows-1"));
    }
}
