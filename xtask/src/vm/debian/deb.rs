//! Reading a package: an ar archive, with the files in a compressed tar archive.

use std::{io::Read, path::Path};

use anyhow::{Context, Result, bail, ensure};
use lzma_rust2::XzReader;

/// Calls `take` with the path (`usr/lib/...`) and the content of each regular file of a package.
///
/// # Errors
/// When it is no package, or packed by something else than xz, or `take` fails.
pub fn files(deb: &[u8], mut take: impl FnMut(&Path, &mut dyn Read) -> Result<()>) -> Result<()> {
    let (name, packed) = member(deb, "data.tar")?;
    let tar: Box<dyn Read> = match name {
        "data.tar.xz" => Box::new(XzReader::new(packed, true)),
        "data.tar" => Box::new(packed),
        other => bail!("the package has its files in {other}, which is not known here"),
    };
    for entry in tar::Archive::new(tar).entries().context("its files cannot be read")? {
        let mut entry = entry.context("its files cannot be read")?;
        if entry.header().entry_type().is_file() {
            let path = entry.path().context("a file's name cannot be read")?.into_owned();
            take(path.strip_prefix(".").unwrap_or(&path), &mut entry)?;
        }
    }
    Ok(())
}

/// The member of an ar archive whose name begins so.
fn member<'a>(mut ar: &'a [u8], start: &str) -> Result<(&'a str, &'a [u8])> {
    ar = ar.strip_prefix(b"!<arch>\n").context("it is no package: it does not begin as one")?;
    while !ar.is_empty() {
        let (header, rest) = ar.split_at_checked(60).context("the package is cut off")?;
        let header = std::str::from_utf8(header).context("the package is damaged")?;
        ensure!(header.ends_with("`\n"), "the package is damaged");
        let field = |from, to| header.get(from..to).map(str::trim_end).unwrap_or_default();
        let size = field(48, 58).parse().context("the package is damaged")?;
        let (content, rest) = rest.split_at_checked(size).context("the package is cut off")?;
        let name = field(0, 16).trim_end_matches('/');
        if name.starts_with(start) {
            return Ok((name, content));
        }
        // A member begins at an even place.
        ar = if size % 2 == 1 { rest.get(1..).unwrap_or_default() } else { rest };
    }
    bail!("the package has no {start}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut ar = b"!<arch>\n".to_vec();
        for (name, content) in members {
            let size = content.len();
            ar.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 0).bytes());
            ar.extend(*content);
            if size % 2 == 1 {
                ar.push(b'\n');
            }
        }
        ar
    }

    fn tar() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in [("./boot/vmlinuz", "kernel"), ("./lib/a.ko", "a")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn read(deb: &[u8]) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        files(deb, |path, content| {
            let mut text = String::new();
            content.read_to_string(&mut text)?;
            all.push((path.display().to_string(), text));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn the_files_are_those_of_the_data() {
        let tar = tar();
        // The first member's size is odd.
        let deb = ar(&[("debian-binary", b"2.0"), ("control.tar.xz", b"?"), ("data.tar", &tar)]);
        let expected = [("boot/vmlinuz", "kernel"), ("lib/a.ko", "a")];
        assert_eq!(read(&deb).unwrap(), expected.map(|(p, c)| (p.to_owned(), c.to_owned())));
    }

    #[test]
    fn what_is_damaged_is_an_error() {
        let tar = tar();
        let deb = ar(&[("debian-binary", b"2.0\n"), ("data.tar", &tar)]);
        for (damaged, word) in [
            (deb[1..].to_vec(), "no package"),
            (deb[..deb.len() - 600].to_vec(), "cut off"),
            (deb[..100].to_vec(), "cut off"),
            (ar(&[("debian-binary", b"2.0\n")]), "no data.tar"),
            (ar(&[("data.tar.zst", b"2.0\n")]), "data.tar.zst"),
            (ar(&[("data.tar.xz", b"2.0\n")]), "cannot be read"),
        ] {
            let error = format!("{:#}", read(&damaged).unwrap_err());
            assert!(error.contains(word), "{word}: {error}");
        }
    }
}
