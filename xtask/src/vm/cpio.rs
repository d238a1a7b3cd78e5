//! Writing a cpio archive in the format that the kernel unpacks ("newc",
//! Documentation/driver-api/early-userspace/buffer-format.rst).

/// An archive that is being written.
#[derive(Debug, Default)]
pub struct Cpio {
    bytes: Vec<u8>,
    entries: u32,
}

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_755;
const CHARACTER_DEVICE: u32 = 0o020_600;

impl Cpio {
    /// Adds a folder, by its path without a slash at the start; those above it come before.
    pub fn folder(&mut self, path: &str) {
        self.entry(path, FOLDER, (0, 0), &[]);
    }

    /// Adds a file that everybody may read and execute.
    pub fn file(&mut self, path: &str, content: &[u8]) {
        self.entry(path, FILE, (0, 0), content);
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHARACTER_DEVICE, (major, minor), &[]);
    }

    /// The whole archive.
    pub fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        self.bytes
    }

    fn entry(&mut self, path: &str, mode: u32, (major, minor): (u32, u32), content: &[u8]) {
        self.entries += 1;
        let (inode, links, size, name) = (self.entries, 1, content.len(), path.len() + 1);
        // Inode, mode, user, group, links, time, size, device of the file, device that it is,
        // length of the name with its NUL, checksum.
        let header = format!(
            "070701{inode:08X}{mode:08X}{0:08X}{0:08X}{links:08X}{0:08X}{size:08X}{0:08X}{0:08X}\
             {major:08X}{minor:08X}{name:08X}{0:08X}",
            0
        );
        self.bytes.extend(header.bytes());
        self.bytes.extend(path.bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend(content);
        self.pad();
    }

    /// Names and contents end at a multiple of four.
    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_finds_each_entry() {
        let mut cpio = Cpio::default();
        cpio.folder("dev");
        cpio.device("dev/console", 5, 1);
        cpio.file("init", b"ELF!!");
        let bytes = cpio.finish();
        let field = |at: usize, index: usize| {
            let digits = &bytes[at + 6 + 8 * index..at + 14 + 8 * index];
            usize::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
        };
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            assert_eq!(&bytes[at..at + 6], b"070701");
            let (mode, size, name) = (field(at, 1), field(at, 6), field(at, 11));
            let content = (at + 110 + name).next_multiple_of(4);
            let path = std::str::from_utf8(&bytes[at + 110..at + 109 + name]).unwrap();
            assert_eq!(bytes[at + 109 + name], 0);
            let content_bytes = bytes[content..content + size].to_vec();
            found.push((path.to_owned(), mode, field(at, 9), field(at, 10), content_bytes));
            at = (content + size).next_multiple_of(4);
        }
        let entry = |path: &str, mode, major, minor, content: &[u8]| {
            (path.to_owned(), mode, major, minor, content.to_vec())
        };
        assert_eq!(
            found,
            [
                entry("dev", 0o040_755, 0, 0, b""),
                entry("dev/console", 0o020_600, 5, 1, b""),
                entry("init", 0o100_755, 0, 0, b"ELF!!"),
                entry("TRAILER!!!", 0, 0, 0, b""),
            ]
        );
    }
}
