//! Room for maps and programs on kernels before 5.11, which count them as locked memory.

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// RLIMIT_MEMLOCK is raised while this lives: what is counted stays counted, and a program that is
/// started later has the limit that it would have had.
pub struct Raised {
    soft: rlim_t,
    hard: rlim_t,
}

impl Raised {
    /// Raises it as far as may be; `None`: not at all, and then the kernel says what it thinks of the
    /// maps.
    pub fn new() -> Option<Self> {
        let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).ok()?;
        let most = libc::RLIM_INFINITY;
        setrlimit(Resource::RLIMIT_MEMLOCK, most, most)
            .or_else(|_| setrlimit(Resource::RLIMIT_MEMLOCK, hard, hard))
            .ok()?;
        Some(Self { soft, hard })
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        // It was the limit before, so it is one that may be set.
        let _ = setrlimit(Resource::RLIMIT_MEMLOCK, self.soft, self.hard);
    }
}
