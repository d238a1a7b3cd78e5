//! What a watcher takes for itself.

use std::fs;

use anyhow::{Context, Result};

/// USER_HZ: what procfs counts CPU time in, on every architecture of zcwatch.
const TICKS_PER_SECOND: f64 = 100.0;

/// CPU time of a process so far, user and system, seconds.
///
/// # Errors
/// When it is gone.
pub fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    parse_stat(&text).with_context(|| format!("{path} is not as proc(5) says: {text:?}"))
}

/// The most memory that it held at a time (VmHWM), KiB.
///
/// # Errors
/// When it is gone.
pub fn peak_kib(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("could not read {path}"))?;
    parse_status(&text).with_context(|| format!("{path} has no VmHWM: the process has ended"))
}

fn parse_stat(text: &str) -> Option<f64> {
    // The name, in parentheses, may hold anything; utime and stime are fields 14 and 15.
    let (_, rest) = text.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11);
    let mut ticks = || fields.next()?.parse::<u32>().ok();
    Some(f64::from(ticks()? + ticks()?) / TICKS_PER_SECOND)
}

fn parse_status(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_read() {
        let stat = "12 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 1 0 99 0";
        assert!((parse_stat(stat).unwrap() - 2.0).abs() < 1e-9);
        assert_eq!(parse_stat("12 (a"), None);
        assert_eq!(parse_status("Name:\ta\nVmHWM:\t   11016 kB\nVmRSS:\t 1 kB\n"), Some(11_016));
        assert_eq!(parse_status("Name:\ta\n"), None);
    }
}
