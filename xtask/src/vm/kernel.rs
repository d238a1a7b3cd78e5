//! The kernels that guests boot: Debian's cloud kernels, fetched once and kept in the cache.

use std::{
    collections::HashMap,
    fs,
    io::Write,
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Error, Result, bail, ensure};

use super::debian::{self, Suite, deb};
use crate::cache;

/// A series of kernels, and the suites that offer it.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// `6.1`, or `newest`.
    pub name: &'static str,
    suites: &'static [Suite],
}

const SERIES: [Series; 5] = [
    Series {
        name: "5.10",
        suites: &[Suite::security("bullseye-security"), Suite::main("bullseye")],
    },
    Series {
        name: "6.1",
        suites: &[Suite::security("bookworm-security"), Suite::main("bookworm")],
    },
    Series { name: "6.12", suites: &[Suite::security("trixie-security"), Suite::main("trixie")] },
    Series { name: "7.2", suites: &NEW },
    Series { name: NEWEST, suites: &NEW },
];
const NEW: [Suite; 3] = [Suite::main("trixie-backports"), Suite::main("forky"), Suite::main("sid")];
/// The highest version that Debian offers.
pub const NEWEST: &str = "newest";

/// Those of docs/kernels.md.
pub const OF_PAGE: [&str; 5] = ["5.10", "6.1", "6.12", "7.2", NEWEST];

/// What a change is tested with.
pub const TESTED: [&str; 4] = ["5.10", "6.1", "6.12", NEWEST];

impl FromStr for Series {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let known = || SERIES.map(|series| series.name).join(", ");
        let found = SERIES.into_iter().find(|series| series.name == name);
        found.with_context(|| format!("{name:?} is no kernel for guests: take one of {}", known()))
    }
}

/// A kernel in the cache.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// As it was asked for.
    pub series: Series,
    /// As `uname -r` says it.
    pub release: String,
    folder: PathBuf,
}

impl Kernel {
    /// What QEMU boots.
    pub fn image(&self) -> PathBuf {
        self.folder.join(IMAGE)
    }

    /// What it was built with.
    pub fn config(&self) -> PathBuf {
        self.folder.join(CONFIG)
    }

    /// The folder of its modules.
    pub fn modules(&self) -> PathBuf {
        self.folder.join(MODULES)
    }

    /// Whether it is at least of this version.
    pub fn is_at_least(&self, version: (u32, u32)) -> bool {
        let mut numbers = self.release.split(['.', '-', '+']).map(|part| part.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= version
    }

    #[cfg(test)]
    pub fn for_test(series: &str, release: &str) -> Self {
        let series = series.parse().unwrap();
        Self { series, release: release.to_owned(), folder: PathBuf::new() }
    }
}

const IMAGE: &str = "vmlinuz";
const CONFIG: &str = "config";
const MODULES: &str = "modules";

/// Finds these kernels in the cache, and fetches those that are not there; all anew, to `update`.
///
/// # Errors
/// When one is not there, and cannot be fetched.
pub fn find(wanted: &[Series], update: bool) -> Result<Vec<Kernel>> {
    let cache = cache::folder()
        .context("there is no folder for the kernels: set HOME or XDG_CACHE_HOME")?
        .join("kernels");
    let mut indexes = HashMap::new();
    let mut kernels = Vec::new();
    for series in wanted {
        let cached = if update { None } else { cached(&cache, *series) };
        kernels.push(match cached {
            Some(kernel) => kernel,
            None => fetch(&cache, *series, &mut indexes).with_context(|| {
                let name = series.name;
                if update {
                    return format!("there may be a newer kernel {name}, which was not found out");
                }
                format!(
                    "the kernel {name} is not in {} and could not be fetched: run `cargo xtask vm \
                     --kernel {name}` once with a network that reaches deb.debian.org",
                    cache.display(),
                )
            })?,
        });
    }
    Ok(kernels)
}

/// The file that says which release a series is at.
fn note(cache: &Path, series: Series) -> PathBuf {
    cache.join(format!("{}.release", series.name))
}

fn cached(cache: &Path, series: Series) -> Option<Kernel> {
    let release = fs::read_to_string(note(cache, series)).ok()?.trim().to_owned();
    let folder = cache.join(&release);
    is_whole(&folder).then_some(Kernel { series, release, folder })
}

/// The modules are unpacked before these, or with them.
fn is_whole(folder: &Path) -> bool {
    [IMAGE, CONFIG].iter().all(|file| folder.join(file).is_file())
}

fn fetch(
    cache: &Path,
    series: Series,
    indexes: &mut HashMap<Suite, Vec<debian::Kernel>>,
) -> Result<Kernel> {
    let work = Work::new(cache)?;
    let mut offered = Vec::new();
    for suite in series.suites {
        if !indexes.contains_key(suite) {
            indexes.insert(*suite, debian::kernels(&suite.index(&work.0)?));
        }
        for kernel in indexes.get(suite).into_iter().flatten() {
            if series.name == NEWEST || kernel.is_of(series.name) {
                offered.push((kernel.clone(), *suite));
            }
        }
    }
    let best = debian::highest(offered.iter().map(|(kernel, _)| kernel.clone()));
    let best = best.and_then(|best| offered.into_iter().find(|(kernel, _)| *kernel == best));
    let suites = || series.suites.iter().map(|suite| suite.name).collect::<Vec<_>>().join(", ");
    let (kernel, suite) = best.with_context(|| format!("{} offer no such kernel", suites()))?;

    let folder = cache.join(&kernel.release);
    if !is_whole(&folder) {
        let unpacked = unpack(&kernel, suite, &work.0)?;
        // Of a version that kept less; where it cannot be removed, the next step says so.
        let _ = fs::rename(&folder, work.0.join("old"));
        // Another run may have been quicker.
        fs::rename(&unpacked, &folder)
            .or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    let new = work.0.join("release");
    fs::write(&new, &kernel.release)
        .and_then(|()| fs::rename(&new, note(cache, series)))
        .with_context(|| format!("{} cannot be written", note(cache, series).display()))?;
    Ok(Kernel { series, release: kernel.release, folder })
}

/// Fetches a kernel's packages, and leaves what a guest needs of them in a folder of `work`.
fn unpack(kernel: &debian::Kernel, suite: Suite, work: &Path) -> Result<PathBuf> {
    let folder = work.join("kernel");
    let modules = folder.join(MODULES);
    fs::create_dir_all(&modules)
        .with_context(|| format!("{} cannot be made", modules.display()))?;
    for package in &kernel.packages {
        let file = suite.archive.package(package, work)?;
        let bytes = fs::read(&file).with_context(|| format!("{}", file.display()))?;
        let _ = fs::remove_file(&file);
        deb::files(&bytes, |path, content| {
            let Some(to) = place(path, &folder) else { return Ok(()) };
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes)?;
            fs::File::create(&to)
                .and_then(|mut file| file.write_all(&bytes))
                .with_context(|| format!("{} cannot be written", to.display()))
        })
        .with_context(|| package.file.clone())?;
    }
    ensure!(
        is_whole(&folder) && modules.join(BUILT_IN).is_file(),
        "the packages of {} hold no kernel, or not its configuration, or no list of its modules",
        kernel.release
    );
    Ok(folder)
}

/// The modules that are part of the kernel.
const BUILT_IN: &str = "modules.builtin";

/// Where a file of a package goes; all modules into one folder.
fn place(path: &Path, folder: &Path) -> Option<PathBuf> {
    let name = path.file_name()?.to_str()?;
    let is = |file: &&str| {
        name.strip_prefix(*file).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    if let Some(file) = [IMAGE, CONFIG].into_iter().find(is) {
        return Some(folder.join(file));
    }
    let module = name.ends_with(".ko") || name.ends_with(".ko.xz");
    (module || name == BUILT_IN).then(|| folder.join(MODULES).join(name))
}

/// How the folders begin in which runs work, by their process id.
const NEW_FOLDER: &str = "new.";

/// Removes what runs have left that were interrupted.
fn remove_abandoned(cache: &Path) {
    for entry in fs::read_dir(cache).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(NEW_FOLDER));
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            // What cannot be removed only takes space.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// A folder to work in, which is gone when that is done, however it went.
struct Work(PathBuf);

impl Work {
    fn new(cache: &Path) -> Result<Self> {
        let folder = cache.join(format!("{NEW_FOLDER}{}", std::process::id()));
        remove_abandoned(cache);
        if let Err(error) = fs::create_dir_all(&folder) {
            bail!("{} cannot be made: {error}", folder.display());
        }
        Ok(Self(folder))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What is left over only takes space.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_series_is_known_by_its_name() {
        for name in TESTED.into_iter().chain(OF_PAGE) {
            assert_eq!(name.parse::<Series>().unwrap().name, name);
        }
        let error = "6.6".parse::<Series>().unwrap_err().to_string();
        assert!(error.contains("6.6") && error.contains("5.10, 6.1, 6.12, 7.2, newest"), "{error}");
    }

    #[test]
    fn a_guest_needs_the_kernel_and_its_modules() {
        let place = |path: &str| place(Path::new(path), Path::new("/k"));
        for path in ["boot/vmlinuz-6.1.0-50-cloud-amd64", "usr/lib/modules/7.2.13/vmlinuz"] {
            assert_eq!(place(path), Some("/k/vmlinuz".into()), "{path}");
        }
        for path in ["boot/config-6.1.0-50-cloud-amd64", "usr/lib/modules/7.2.13/config"] {
            assert_eq!(place(path), Some("/k/config".into()), "{path}");
        }
        for file in ["veth.ko", "veth.ko.xz", "modules.builtin"] {
            let path = format!("lib/modules/6.1.0/kernel/drivers/{file}");
            assert_eq!(place(&path), Some(format!("/k/modules/{file}").into()), "{path}");
        }
        for path in ["boot/System.map-6.1", "usr/share/doc/vmlinuz.txt", "modules.builtin.modinfo"]
        {
            assert_eq!(place(path), None, "{path}");
        }
    }

    #[test]
    fn versions_are_numbers() {
        let kernel = Kernel::for_test("6.12", "6.12.107+deb13-cloud-amd64");
        assert!(kernel.is_at_least((6, 12)) && kernel.is_at_least((6, 2)));
        assert!(!kernel.is_at_least((6, 13)) && !kernel.is_at_least((7, 0)));
        assert!(!Kernel::for_test("5.10", "5.10.0-46-cloud-amd64").is_at_least((6, 1)));
    }

    #[test]
    fn what_an_interrupted_run_left_is_removed() {
        let cache = std::env::temp_dir().join(format!("xtask-abandoned-{}", std::process::id()));
        // No process has this id: it is above the highest possible one.
        let (left, kernel) = (cache.join("new.4194305"), cache.join("6.1.0-50-cloud-amd64"));
        let running = cache.join(format!("new.{}", std::process::id()));
        for folder in [&left, &kernel, &running] {
            fs::create_dir_all(folder).unwrap();
        }
        remove_abandoned(&cache);
        assert!(!left.exists() && kernel.exists() && running.exists());
        fs::remove_dir_all(cache).unwrap();
    }

    #[test]
    fn the_cache_holds_whole_kernels_only() {
        let cache = std::env::temp_dir().join(format!("xtask-kernels-{}", std::process::id()));
        let series: Series = "6.1".parse().unwrap();
        let folder = cache.join("6.1.0-50-cloud-amd64");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(IMAGE), "").unwrap();
        fs::write(folder.join(CONFIG), "").unwrap();
        assert!(cached(&cache, series).is_none());
        fs::write(note(&cache, series), "6.1.0-50-cloud-amd64\n").unwrap();
        assert_eq!(cached(&cache, series).unwrap().release, "6.1.0-50-cloud-amd64");
        for file in [IMAGE, CONFIG] {
            fs::rename(folder.join(file), folder.join("gone")).unwrap();
            assert!(cached(&cache, series).is_none());
            fs::rename(folder.join("gone"), folder.join(file)).unwrap();
        }
        fs::remove_dir_all(cache).unwrap();
    }
}
