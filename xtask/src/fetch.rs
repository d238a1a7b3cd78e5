//! Downloading files and verifying them.

use std::{
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};

/// Downloads `url` into the file `to`.
///
/// # Errors
/// When curl is missing, or cannot get it; curl's own message is on stderr.
pub fn download(url: &str, to: &Path) -> Result<()> {
    let mut curl = Command::new("curl");
    curl.args(["--fail", "--silent", "--show-error", "--location", "--retry", "3"]);
    // A mirror that is not reached, or stops in the middle, must not hold everything up.
    curl.args(["--connect-timeout", "20", "--speed-limit", "1000", "--speed-time", "60"]);
    let status = curl.arg("--output").arg(to).arg(url).status();
    let status = status.context("curl cannot be started: check that it is installed")?;
    ensure!(status.success(), "{url} cannot be fetched");
    Ok(())
}

/// Whether a file has this SHA-256, in lower-case hexadecimal.
///
/// # Errors
/// When sha256sum is missing.
pub fn has_sha256(file: &Path, sha256: &str) -> Result<bool> {
    let mut child = Command::new("sha256sum")
        .args(["--check", "--status"])
        .stdin(Stdio::piped())
        .spawn()
        .context("sha256sum cannot be started")?;
    if let Some(mut list) = child.stdin.take() {
        writeln!(list, "{sha256}  {}", file.display()).context("sha256sum reads no list")?;
    }
    Ok(child.wait().context("sha256sum is lost")?.success())
}

#[cfg(test)]
mod tests {
    use std::{env, fs};

    use super::*;

    #[test]
    fn a_changed_file_is_noticed() {
        let file = env::temp_dir().join(format!("xtask-sha256-{}", std::process::id()));
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        fs::write(&file, "abc").unwrap();
        assert!(has_sha256(&file, abc).unwrap());
        fs::write(&file, "abd").unwrap();
        assert!(!has_sha256(&file, abc).unwrap());
        fs::remove_file(&file).unwrap();
    }
}
