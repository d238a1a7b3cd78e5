//! A suite's InRelease: its signature, and the hash of its index.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};

use super::stanza;

/// Where debian-archive-keyring puts the archive's keys.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// What is signed in an InRelease file.
///
/// # Errors
/// When the signature is of none of Debian's keys. Without gpgv or the keys nothing is verified,
/// and that is said.
pub fn verified(file: &Path) -> Result<String> {
    if !Path::new(KEYRING).exists() {
        return unverified(file, "debian-archive-keyring");
    }
    let mut gpgv = Command::new("gpgv");
    gpgv.args(["--quiet", "--status-fd", "2", "--keyring", KEYRING, "--output", "-"]).arg(file);
    let output = match gpgv.stdin(Stdio::null()).output() {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return unverified(file, "gpgv");
        }
        output => output.context("gpgv cannot be started")?,
    };
    // A suite is signed by several keys, of which some may be too new for the keyring: then gpgv
    // fails, though one signature is good.
    let status = String::from_utf8_lossy(&output.stderr);
    ensure!(
        is_signed(&status),
        "{} is not signed by one of Debian's keys: {}",
        file.display(),
        status.trim()
    );
    String::from_utf8(output.stdout).context("an InRelease file is not UTF-8")
}

/// Whether gpgv's status lines have a good signature, and no bad one.
fn is_signed(status: &str) -> bool {
    let says =
        |word: &str| status.lines().any(|line| line.split(' ').take(2).eq(["[GNUPG:]", word]));
    says("VALIDSIG") && !says("BADSIG")
}

fn unverified(file: &Path, package: &str) -> Result<String> {
    eprintln!(
        "the signature of Debian's index is not verified: for that, apt-get install {package}"
    );
    let text = fs::read_to_string(file).context("an InRelease file cannot be read")?;
    Ok(unwrap(&text).to_owned())
}

/// The message in a clear-signed text.
fn unwrap(text: &str) -> &str {
    let start = text.find("\n\n").map_or(0, |at| at + 2);
    let end = text.find("\n-----BEGIN PGP SIGNATURE-----").unwrap_or(text.len());
    text.get(start..end).unwrap_or_default()
}

/// What an InRelease says of one file of its suite.
#[derive(Debug, PartialEq, Eq)]
pub struct Listed {
    /// In lower-case hexadecimal.
    pub sha256: String,
    /// Whether it is offered by its hash as well, where no newer one can take its place meanwhile.
    pub by_hash: bool,
}

/// Finds a file in a suite's InRelease.
///
/// # Errors
/// When it is not listed.
pub fn find(signed: &str, path: &str) -> Result<Listed> {
    let by_hash = stanza::field(signed, "Acquire-By-Hash") == Some("yes");
    for line in stanza::continued(signed, "SHA256") {
        let mut words = line.split_whitespace();
        if let (Some(sha256), Some(_), Some(file)) = (words.next(), words.next(), words.next())
            && file == path
        {
            ensure!(sha256.len() == 64, "{path} has no SHA-256, but {sha256:?}");
            return Ok(Listed { sha256: sha256.to_owned(), by_hash });
        }
    }
    bail!("the suite's InRelease does not list {path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: &str = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n\
        Acquire-By-Hash: yes\nMD5Sum:\n abc 1 main/Packages.xz\nSHA256:\n \
        1111111111111111111111111111111111111111111111111111111111111111    12 contrib/Packages.xz\n \
        2222222222222222222222222222222222222222222222222222222222222222  3456 main/Packages.xz\n\
        -----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n";

    #[test]
    fn a_file_is_found_by_its_whole_path() {
        let signed = unwrap(SIGNED);
        assert!(signed.starts_with("Origin: Debian\n") && !signed.contains("PGP"), "{signed}");
        let listed = find(signed, "main/Packages.xz").unwrap();
        assert_eq!(listed, Listed { sha256: "2".repeat(64), by_hash: true });
        let without = signed.replace("Acquire-By-Hash: yes\n", "");
        assert!(!find(&without, "contrib/Packages.xz").unwrap().by_hash);
        assert!(find(signed, "Packages.xz").is_err());
        // Only an MD5, or something short in its place.
        assert!(find(signed.split("SHA256").next().unwrap(), "main/Packages.xz").is_err());
        assert!(find(&signed.replace(&"2".repeat(64), "2"), "main/Packages.xz").is_err());
    }

    #[test]
    fn one_good_signature_will_do_but_no_bad_one() {
        let good = "[GNUPG:] NEWSIG\n[GNUPG:] VALIDSIG 4CB5 2025-01-01\n";
        let unknown = "[GNUPG:] ERRSIG 6ED0 1 8 01 2\n[GNUPG:] NO_PUBKEY 6ED0\n";
        assert!(is_signed(good));
        assert!(is_signed(&format!("{unknown}{good}")));
        assert!(!is_signed(unknown));
        assert!(!is_signed(&format!("{good}[GNUPG:] BADSIG 6ED0 Debian\n")));
        assert!(!is_signed("gpgv: VALIDSIG\n"));
    }

    #[test]
    fn what_nobody_signed_is_refused() {
        if !Path::new(KEYRING).exists() {
            return;
        }
        let file = std::env::temp_dir().join(format!("xtask-inrelease-{}", std::process::id()));
        fs::write(&file, SIGNED).unwrap();
        let error = verified(&file).unwrap_err();
        assert!(error.to_string().contains("not signed"), "{error}");
        fs::remove_file(&file).unwrap();
    }
}
