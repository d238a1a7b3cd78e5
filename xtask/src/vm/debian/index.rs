//! The kernels in a suite's index of packages.

use std::collections::BTreeMap;

use super::{stanza, version};

/// A package as the index has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Debian's version.
    pub version: String,
    /// Where it lies in the archive.
    pub file: String,
    /// In lower-case hexadecimal.
    pub sha256: String,
}

/// A kernel that a suite offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` says it: `6.12.107+deb13-cloud-amd64`.
    pub release: String,
    /// Debian's version.
    pub version: String,
    /// What the kernel and its modules are in: one package, or from 7.2 on three.
    pub packages: Vec<Package>,
}

impl Kernel {
    /// Whether it is of a series, such as `6.1`.
    pub fn is_of(&self, series: &str) -> bool {
        self.release.strip_prefix(series).is_some_and(|rest| rest.starts_with('.'))
    }
}

/// The highest of several kernels, by Debian's version.
pub fn highest(kernels: impl IntoIterator<Item = Kernel>) -> Option<Kernel> {
    kernels.into_iter().max_by(|a, b| version::compare(&a.version, &b.version))
}

/// The cloud kernels in an index: signed ones, without the packages for debugging.
pub fn kernels(index: &str) -> Vec<Kernel> {
    let mut parts = BTreeMap::<&str, BTreeMap<&str, Package>>::new();
    for paragraph in stanza::paragraphs(index) {
        if let Some((part, release)) = stanza::field(paragraph, "Package").and_then(part)
            && let Some(package) = package(paragraph)
        {
            // The same package may be there in several versions.
            let known = parts.entry(release).or_default().entry(part);
            let known = known.or_insert_with(|| package.clone());
            if version::compare(&known.version, &package.version).is_lt() {
                *known = package;
            }
        }
    }
    parts.into_iter().filter_map(|(release, parts)| kernel(release, parts)).collect()
}

/// Which part of which kernel a package is.
fn part(name: &str) -> Option<(&str, &str)> {
    let (part, release) = name.strip_prefix("linux-")?.split_once('-')?;
    let of_kernel = ["image", "binary", "modules", "base"].contains(&part)
        && release.starts_with(|c: char| c.is_ascii_digit())
        && release.contains('.')
        && release.ends_with("-cloud-amd64");
    // `linux-image-6.1-cloud-amd64` is a name for the newest one.
    (of_kernel && release.split('.').count() > 2).then_some((part, release))
}

fn package(paragraph: &str) -> Option<Package> {
    let value = |name| stanza::field(paragraph, name).map(str::to_owned);
    Some(Package { version: value("Version")?, file: value("Filename")?, sha256: value("SHA256")? })
}

fn kernel(release: &str, mut parts: BTreeMap<&str, Package>) -> Option<Kernel> {
    let packages = match ["binary", "modules", "base"].map(|part| parts.remove(part)) {
        [Some(binary), Some(modules), Some(base)] => vec![binary, modules, base],
        [None, None, None] => vec![parts.remove("image")?],
        // A suite drops the parts of an old kernel one after the other.
        _ => return None,
    };
    let version = packages.first()?.version.clone();
    Some(Kernel { release: release.to_owned(), version, packages })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(packages: &[(&str, &str)]) -> String {
        let paragraph = |(name, version): &(&str, &str)| {
            format!(
                "Package: {name}\nVersion: {version}\nDescription: x\n Package: y\n\
                 Filename: pool/{name}_{version}.deb\nSHA256: {name}#{version}\n"
            )
        };
        packages.iter().map(paragraph).collect::<Vec<_>>().join("\n")
    }

    fn names(kernels: &[Kernel]) -> Vec<&str> {
        kernels.iter().map(|kernel| kernel.release.as_str()).collect()
    }

    #[test]
    fn only_signed_cloud_kernels_are_taken() {
        let found = kernels(&index(&[
            ("linux-image-cloud-amd64", "6.1.140-1"),
            ("linux-image-6.1-cloud-amd64", "6.1.140-1"),
            ("linux-image-6.1.0-50-cloud-amd64-dbg", "6.1.140-1"),
            ("linux-image-6.1.0-50-cloud-amd64-unsigned", "6.1.140-1"),
            ("linux-image-6.1.0-50-cloud-arm64", "6.1.140-1"),
            ("linux-image-6.1.0-50-amd64", "6.1.140-1"),
            ("linux-headers-6.1.0-50-cloud-amd64", "6.1.140-1"),
            ("linux-image-6.1.0-50-cloud-amd64", "6.1.140-1"),
        ]));
        assert_eq!(names(&found), ["6.1.0-50-cloud-amd64"]);
        assert_eq!(found[0].packages.len(), 1);
        assert_eq!(
            found[0].packages[0].file,
            "pool/linux-image-6.1.0-50-cloud-amd64_6.1.140-1.deb"
        );
        assert_eq!(found[0].packages[0].sha256, "linux-image-6.1.0-50-cloud-amd64#6.1.140-1");
    }

    #[test]
    fn a_split_kernel_has_all_its_packages() {
        let found = kernels(&index(&[
            ("linux-image-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            ("linux-modules-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            ("linux-binary-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            ("linux-base-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            ("linux-base", "4.12"),
            ("linux-binary-unsigned-7.2.13+deb14-cloud-amd64", "7.2.13-1"),
            // Their other parts are gone already.
            ("linux-modules-7.2.12+deb14-cloud-amd64", "7.2.12-1"),
            ("linux-image-7.2.11+deb14-cloud-amd64", "7.2.11-1"),
            ("linux-binary-7.2.11+deb14-cloud-amd64", "7.2.11-1"),
        ]));
        assert_eq!(names(&found), ["7.2.13+deb14-cloud-amd64"]);
        let files: Vec<_> = found[0].packages.iter().map(|package| &package.file[..16]).collect();
        assert_eq!(files, ["pool/linux-binar", "pool/linux-modul", "pool/linux-base-"]);
    }

    #[test]
    fn the_highest_version_wins() {
        let all = kernels(&index(&[
            ("linux-image-7.2.9+deb13-cloud-amd64", "7.2.9-1~bpo13+1"),
            ("linux-image-7.2.12+deb13-cloud-amd64", "7.2.12-1~bpo13+1"),
            ("linux-image-7.2.12+deb14-cloud-amd64", "7.2.12-1"),
            ("linux-image-6.1.0-50-cloud-amd64", "6.1.140-1"),
            ("linux-image-6.1.0-50-cloud-amd64", "6.1.141-1"),
        ]));
        assert_eq!(highest(all.clone()).unwrap().release, "7.2.12+deb14-cloud-amd64");
        let old = all.into_iter().filter(|kernel| kernel.is_of("6.1"));
        assert_eq!(highest(old).unwrap().version, "6.1.141-1");
        assert!(highest([]).is_none());
    }

    #[test]
    fn a_series_is_not_the_beginning_of_another() {
        let kernel = |release: &str| Kernel {
            release: release.to_owned(),
            version: String::new(),
            packages: Vec::new(),
        };
        assert!(kernel("6.1.0-50-cloud-amd64").is_of("6.1"));
        assert!(!kernel("6.12.107+deb13-cloud-amd64").is_of("6.1"));
        assert!(!kernel("16.1.0-cloud-amd64").is_of("6.1"));
    }
}
