//! The running kernel's BTF: offsets of struct members, by name.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use btf_rs::{Backend, Btf, BtfType, EnumMember, Type};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Where the kernel shows its own types (5.4 and later, with CONFIG_DEBUG_INFO_BTF).
pub const VMLINUX: &str = "/sys/kernel/btf/vmlinux";

/// Why a type or a member could not be found.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The BTF file cannot be read.
    #[error("the kernel's type information cannot be read from {path}: {source}")]
    Unreadable {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// It is there, and is not BTF.
    #[error("the kernel's type information in {path} cannot be understood: {source}")]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: btf_rs::Error,
    },
}

/// The types of the running kernel, those of one module included where it has its own.
pub struct KernelTypes {
    base: Btf,
    modules: Vec<Btf>,
}

/// A member's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Bits from the start of the outermost struct.
    pub bits: u32,
}

impl KernelTypes {
    /// Reads the kernel's BTF, and of `modules` those that have one.
    ///
    /// # Errors
    /// When there is none, or it cannot be parsed.
    pub fn open(modules: &[&str]) -> Result<Self, BtfError> {
        let base = mapped(Path::new(VMLINUX), |p| Btf::from_file_with_backend(p, Backend::Mmap))?;
        let modules = modules
            .iter()
            .map(|m| Path::new("/sys/kernel/btf").join(m))
            .filter(|p| p.exists())
            .map(|p| mapped(&p, |copy| Btf::from_split_file(copy, &base)))
            .collect::<Result<_, _>>()?;
        Ok(Self { base, modules })
    }

    /// The place of a member, `"a.b.c"`, members of anonymous structs and unions included.
    #[must_use]
    pub fn member(&self, of: &str, path: &str) -> Option<Place> {
        let parts: Vec<&str> = path.split('.').collect();
        self.structs(of).find_map(|(btf, t)| find(btf, t, &parts)).map(|bits| Place { bits })
    }

    /// The size of a struct, bytes.
    #[must_use]
    pub fn size(&self, of: &str) -> Option<usize> {
        self.structs(of).find_map(|(_, t)| match t {
            Type::Struct(s) | Type::Union(s) => Some(s.size()),
            _ => None,
        })
    }

    /// Does the kernel itself have this function?
    #[must_use]
    pub fn has_function(&self, name: &str) -> bool {
        let all = self.base.resolve_types_by_name(name).unwrap_or_default();
        all.iter().any(|t| matches!(t, Type::Func(_)))
    }

    /// The values of an enum, and their names.
    #[must_use]
    pub fn enumerators(&self, name: &str) -> Option<BTreeMap<u32, String>> {
        let all = self.base.resolve_types_by_name(name).ok()?;
        let of = all.iter().find_map(|t| if let Type::Enum(e) = t { Some(e) } else { None })?;
        let named = |m| Some((EnumMember::val(m), self.base.resolve_name(m).ok()?));
        Some(of.members.iter().filter_map(named).collect())
    }

    fn structs<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Btf, Type)> {
        std::iter::once(&self.base).chain(&self.modules).flat_map(move |btf| {
            let types = btf.resolve_types_by_name(name).unwrap_or_default();
            types.into_iter().map(move |t| (btf, t))
        })
    }
}

/// Parses a memfd copy: the fast, mapping backend cannot map sysfs on 6.1 and 6.12 (ENODEV).
fn mapped<F>(path: &Path, parse: F) -> Result<Btf, BtfError>
where
    F: FnOnce(PathBuf) -> btf_rs::Result<Btf>,
{
    let unreadable = |source| BtfError::Unreadable { path: path.to_owned(), source };
    let bytes = std::fs::read(path).map_err(unreadable)?;
    let fd =
        memfd_create(c"zcwatch-btf", MFdFlags::MFD_CLOEXEC).map_err(|e| unreadable(e.into()))?;
    let mut copy = File::from(fd);
    copy.write_all(&bytes).map_err(unreadable)?;
    parse(PathBuf::from(format!("/proc/self/fd/{}", copy.as_raw_fd())))
        .map_err(|source| BtfError::Malformed { path: path.to_owned(), source })
}

fn find(btf: &Btf, t: Type, path: &[&str]) -> Option<u32> {
    let (Type::Struct(s) | Type::Union(s)) = peel(btf, t)? else { return None };
    let (first, rest) = path.split_first()?;
    s.members.iter().find_map(|m| {
        let name = btf.resolve_name(m).unwrap_or_default();
        let inner = || btf.resolve_chained_type(m).ok();
        if name.is_empty() {
            find(btf, inner()?, path).map(|bits| m.bit_offset() + bits)
        } else if name != *first {
            None
        } else if rest.is_empty() {
            Some(m.bit_offset())
        } else {
            find(btf, inner()?, rest).map(|bits| m.bit_offset() + bits)
        }
    })
}

/// Steps over typedefs and qualifiers.
fn peel(btf: &Btf, mut t: Type) -> Option<Type> {
    loop {
        let over: &dyn BtfType = match &t {
            Type::Typedef(x) => x,
            Type::Const(x) => x,
            Type::Volatile(x) => x,
            Type::Restrict(x) => x,
            Type::TypeTag(x) => x,
            _ => return Some(t),
        };
        t = btf.resolve_chained_type(over).ok()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_anonymous_structs_are_found_and_absent_ones_are_not() {
        let types = KernelTypes::open(&[]).expect("this test needs a kernel with BTF");
        assert!(types.member("sock_common", "skc_dport").is_some());
        assert!(types.member("sock", "__sk_common.skc_dport").is_some());
        assert_eq!(types.member("sock", "__sk_common.no_such_member"), None);
        assert_eq!(types.member("no_such_struct", "x"), None);
        assert!(types.size("sk_buff").is_some_and(|n| n > 100));
    }
}
