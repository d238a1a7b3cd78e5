//! What is fetched once and kept: a folder in the user's cache.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
};

/// zcwatch's folder in the user's cache; `None` where no variable says where that is.
pub fn folder() -> Option<PathBuf> {
    folder_by(env::var_os("XDG_CACHE_HOME"), env::var_os("HOME"))
}

/// As the XDG base directory specification has it: an empty or relative variable counts as none.
fn folder_by(xdg_cache_home: Option<OsString>, home: Option<OsString>) -> Option<PathBuf> {
    let base = xdg_cache_home
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| home.map(|home| Path::new(&home).join(".cache")))?;
    Some(base.join("zcwatch"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_xdg_says() {
        let folder = |xdg: Option<&str>, home: Option<&str>| {
            folder_by(xdg.map(Into::into), home.map(Into::into))
        };
        assert_eq!(folder(Some("/x"), Some("/h")), Some("/x/zcwatch".into()));
        for none in [None, Some(""), Some("relative")] {
            assert_eq!(folder(none, Some("/h")), Some("/h/.cache/zcwatch".into()));
        }
        assert_eq!(folder(None, None), None);
    }
}
