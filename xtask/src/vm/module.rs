//! Kernel modules: what each needs before it, from its own `.modinfo`.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use lzma_rust2::XzReader;
use object::{Object, ObjectSection};

use super::protocol;

/// The modules of a kernel.
#[derive(Debug, Default)]
pub struct Modules {
    files: BTreeMap<String, PathBuf>,
    built_in: Vec<String>,
}

/// What a guest carries.
#[derive(Debug, Default)]
pub struct Carried {
    /// What it has to know about them.
    pub modules: protocol::Modules,
    /// Their files, unpacked.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Those that this kernel does not have.
    pub absent: Vec<String>,
}

impl Modules {
    /// The modules in this folder, and those that `modules.builtin` there names.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn in_folder(folder: &Path) -> Result<Self> {
        let mut this = Self::default();
        let cannot = || format!("{} cannot be read", folder.display());
        for entry in fs::read_dir(folder).with_context(cannot)? {
            let path = entry.with_context(cannot)?.path();
            if let Some(name) = name(&path) {
                this.files.insert(name, path);
            }
        }
        let text = fs::read_to_string(folder.join("modules.builtin")).with_context(cannot)?;
        this.built_in = text.lines().filter_map(|line| name(Path::new(line))).collect();
        Ok(this)
    }

    /// Takes these modules and all that they need; what the kernel does not have is left out.
    ///
    /// # Errors
    /// When a file is damaged, or a module needs one that is not there.
    pub fn carry(&self, names: &[&str]) -> Result<Carried> {
        let mut carried = Carried::default();
        for name in names {
            if self.built_in.iter().any(|built_in| built_in == name) {
                carried.modules.insert((*name).to_owned(), protocol::Module::BuiltIn);
            } else if self.files.contains_key(*name) {
                self.add(name, &mut Vec::new(), &mut carried)?;
            } else {
                carried.absent.push((*name).to_owned());
            }
        }
        Ok(carried)
    }

    /// Adds a module after those that it needs, and returns what to load, itself the last.
    fn add(
        &self,
        name: &str,
        above: &mut Vec<String>,
        carried: &mut Carried,
    ) -> Result<Vec<String>> {
        let order =
            |needed: &[String]| needed.iter().cloned().chain([name.to_owned()]).collect::<Vec<_>>();
        if let Some(protocol::Module::After(needed)) = carried.modules.get(name) {
            return Ok(order(needed));
        }
        if above.iter().any(|other| other == name) {
            bail!("the modules {} need each other", above.join(" and "));
        }
        let Some(path) = self.files.get(name) else { bail!("there is no module {name}") };
        let file = unpacked(path)?;
        let needs = Needs::of(&file).with_context(|| format!("the module {name}"))?;
        above.push(name.to_owned());
        let mut needed = Vec::<String>::new();
        for (other, hard) in needs.before() {
            // What is wished for may be absent, or part of the kernel.
            if hard || self.files.contains_key(other) {
                let them = self
                    .add(other, above, carried)
                    .with_context(|| format!("the module {name} needs {other}"))?;
                needed.extend(
                    them.into_iter().filter(|one| !needed.contains(one)).collect::<Vec<_>>(),
                );
            }
        }
        above.pop();
        let all = order(&needed);
        carried.files.insert(name.to_owned(), file);
        carried.modules.insert(name.to_owned(), protocol::Module::After(needed));
        Ok(all)
    }
}

/// The name that the kernel has for a module's file; `None` where it is none.
fn name(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    let (name, packing) = file.split_once(".ko")?;
    ["", ".xz"].contains(&packing).then(|| name.replace('-', "_"))
}

fn unpacked(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(bytes);
    }
    let mut unpacked = Vec::new();
    XzReader::new(bytes.as_slice(), true)
        .read_to_end(&mut unpacked)
        .with_context(|| format!("{} cannot be unpacked", path.display()))?;
    Ok(unpacked)
}

/// What a module says it needs.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    /// Without these it is not loaded.
    depends: Vec<String>,
    /// These are loaded before it, if there are any.
    softly: Vec<String>,
}

impl Needs {
    /// Reads them from a module's file.
    fn of(file: &[u8]) -> Result<Self> {
        let file = object::File::parse(file).context("it is no ELF file")?;
        let section = file.section_by_name(".modinfo").context("it has no .modinfo")?;
        Ok(Self::from_modinfo(section.data().context("its .modinfo is damaged")?))
    }

    /// `key=value`, each with a NUL after it.
    fn from_modinfo(modinfo: &[u8]) -> Self {
        let mut this = Self::default();
        for entry in modinfo.split(|byte| *byte == 0) {
            let entry = String::from_utf8_lossy(entry);
            let names = |list: &str, separator| {
                list.split(separator)
                    .filter(|name| !name.is_empty())
                    .map(|name| name.replace('-', "_"))
                    .collect::<Vec<_>>()
            };
            match entry.split_once('=') {
                Some(("depends", list)) => this.depends.extend(names(list, ',')),
                Some(("softdep", list)) => {
                    let before = list.split("post:").next().unwrap_or_default();
                    let before = before.trim().strip_prefix("pre:").unwrap_or_default();
                    this.softly.extend(names(before, ' '));
                }
                _ => {}
            }
        }
        this
    }

    /// All that comes before the module, and whether it must.
    fn before(&self) -> impl Iterator<Item = (&str, bool)> {
        let softly = self.softly.iter().map(|name| (name.as_str(), false));
        self.depends.iter().map(|name| (name.as_str(), true)).chain(softly)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modinfo_says_what_is_needed() {
        let modinfo = b"license=GPL\0depends=udp_tunnel,ip6-udp-tunnel\0\
                        softdep=pre: crypto-a crypto_b post: later\0softdep=post: never\0\
                        name=depends\0\0depends_not=x\0";
        let needs = Needs::from_modinfo(modinfo);
        assert_eq!(needs.depends, ["udp_tunnel", "ip6_udp_tunnel"]);
        assert_eq!(needs.softly, ["crypto_a", "crypto_b"]);
        assert_eq!(Needs::from_modinfo(b"depends=\0"), Needs::default());
        assert!(Needs::of(b"no ELF").is_err());
    }

    #[test]
    fn a_file_is_known_by_the_kernels_name() {
        for (file, expected) in [
            ("kernel/net/act-mirred.ko", Some("act_mirred")),
            ("a/veth.ko.xz", Some("veth")),
            ("veth.ko.debug", None),
            ("modules.builtin", None),
            ("vmlinuz", None),
        ] {
            assert_eq!(name(Path::new(file)).as_deref(), expected, "{file}");
        }
    }

    /// A module's file: ELF, with nothing but a `.modinfo`.
    fn module(modinfo: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        elf.extend([1, 0, 62, 0, 1, 0, 0, 0]); // ET_REL, x86-64
        let sections = 64 + modinfo.len() + names.len();
        elf.extend([0; 16]);
        elf.extend((sections as u64).to_le_bytes());
        elf.extend([0, 0, 0, 0, 64, 0, 0, 0, 0, 0, 64, 0, 3, 0, 2, 0]);
        elf.extend(modinfo.bytes());
        elf.extend(names);
        elf.extend([0; 64]);
        for (name, kind, from, size) in
            [(1_u32, 1_u32, 64, modinfo.len()), (10, 3, 64 + modinfo.len(), names.len())]
        {
            elf.extend(name.to_le_bytes());
            elf.extend(kind.to_le_bytes());
            elf.extend([0; 16]);
            elf.extend((from as u64).to_le_bytes());
            elf.extend((size as u64).to_le_bytes());
            elf.extend([0; 24]);
        }
        elf
    }

    fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("xtask-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("modules.builtin"), "kernel/net/packet/af_packet.ko\n").unwrap();
        for (file, modinfo) in files {
            fs::write(folder.join(file), module(modinfo)).unwrap();
        }
        folder
    }

    #[test]
    fn what_is_needed_is_loaded_before() {
        let folder = folder(
            "modules",
            &[
                ("wireguard.ko", "depends=udp_tunnel,curve\0softdep=pre: fast none\0"),
                ("udp_tunnel.ko", "depends=\0"),
                ("curve.ko", "depends=generic,udp_tunnel\0"),
                ("generic.ko", "depends=\0"),
                ("fast.ko", "depends=generic\0"),
                ("other.ko", "depends=\0"),
            ],
        );
        let modules = Modules::in_folder(&folder).unwrap();
        let carried = modules.carry(&["wireguard", "af_packet", "tls", "curve"]).unwrap();
        let after = |names: &[&str]| {
            protocol::Module::After(names.iter().map(|&name| name.to_owned()).collect())
        };
        let expected = ["udp_tunnel", "generic", "curve", "fast"];
        assert_eq!(carried.modules["wireguard"], after(&expected));
        assert_eq!(carried.modules["curve"], after(&["generic", "udp_tunnel"]));
        assert_eq!(carried.modules["af_packet"], protocol::Module::BuiltIn);
        assert_eq!(carried.absent, ["tls"]);
        assert!(carried.files.contains_key("fast") && !carried.files.contains_key("other"));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn what_cannot_be_loaded_is_an_error() {
        let folder = folder(
            "bad-modules",
            &[("a.ko", "depends=b\0"), ("b.ko", "depends=a\0"), ("c.ko", "depends=gone\0")],
        );
        let modules = Modules::in_folder(&folder).unwrap();
        let error = format!("{:#}", modules.carry(&["a"]).unwrap_err());
        assert!(error.contains("a and b need each other"), "{error}");
        let error = format!("{:#}", modules.carry(&["c"]).unwrap_err());
        assert!(error.contains("c needs gone"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}
