//! Numbers and names in sentences.

use crate::{
    diagnosis::Context,
    host::process::escape,
    output::names::grouped,
    tracker::{Snapshot, evidence::Spot, snapshot::SnifferSeen},
};

/// "1 send", "37 sends".
pub(super) fn count(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// "97 %"; below 1 % with one digit more, so that a few never look like none.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "0 %".into();
    }
    #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
    let p = part as f64 * 100.0 / whole as f64;
    if part == whole || part == 0 || (1.0..99.0).contains(&p) {
        format!("{p:.0} %")
    } else {
        format!("{p:.2} %")
    }
}

/// A size in the unit a person would choose.
pub(super) fn bytes(n: u64) -> String {
    match n {
        0..10_000 => format!("{n} B"),
        #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
        _ => format!("{:.0} KB", n as f64 / 1000.0),
    }
}

/// A time in the unit a person would choose.
pub fn time(ns: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "for reading, not for counting")]
    let t = ns as f64;
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..10_000 => format!("{:.1} µs", t / 1e3),
        10_000..1_000_000 => format!("{:.0} µs", t / 1e3),
        1_000_000..10_000_000 => format!("{:.1} ms", t / 1e6),
        10_000_000..1_000_000_000 => format!("{:.0} ms", t / 1e6),
        _ => format!("{:.1} s", t / 1e9),
    }
}

/// Memory, as limits on it are written: "64 KiB".
pub(super) fn memory(n: u64) -> String {
    match n {
        _ if n >= 1 << 20 && n.is_multiple_of(1 << 20) => format!("{} MiB", grouped(n >> 20)),
        _ if n >= 1 << 10 && n.is_multiple_of(1 << 10) => format!("{} KiB", grouped(n >> 10)),
        _ => format!("{} B", grouped(n)),
    }
}

/// "3.2 s" after the watch began.
pub(super) fn moment(ts: u64, snapshot: &Snapshot) -> String {
    let tenths = ts.saturating_sub(snapshot.start) / 100_000_000;
    format!("{}.{} s", tenths / 10, tenths % 10)
}

/// The device's name, safe to print.
pub(super) fn device(index: Option<u16>, snapshot: &Snapshot) -> String {
    index
        .and_then(|i| snapshot.devices.get(&i))
        .map_or_else(|| "an unknown device".into(), |d| escape(&d.name))
}

/// "net_dev_queue on eth0".
pub(super) fn spot(spot: Spot, snapshot: &Snapshot) -> String {
    format!("{} on {}", spot.stage.tracepoint(), device(Some(spot.device), snapshot))
}

/// "tcpdump (pid 812)".
pub(super) fn process(comm: &str, pid: u32) -> String {
    format!("{} (pid {pid})", escape(comm))
}

/// [`process`], of one that is known by its id.
pub(super) fn process_of(pid: u32, snapshot: &Snapshot) -> String {
    let watched = snapshot.processes.get(&pid).map(|p| &p.comm);
    let sender = || snapshot.first(|s| s.facts.pid == pid).map(|s| &s.facts.comm);
    watched.or_else(sender).map_or_else(|| format!("pid {pid}"), |comm| process(comm, pid))
}

/// [`process`], of a packet socket's holder.
pub(super) fn holder(seen: &SnifferSeen) -> String {
    match (&seen.sniffer.comm, seen.sniffer.pid) {
        (Some(comm), Some(pid)) => process(comm, pid),
        (None, Some(pid)) => format!("pid {pid}"),
        _ => format!("a process not visible to zcwatch (socket inode {})", seen.sniffer.inode),
    }
}

/// Programs that remedies call.
const PROGRAMS: &[&str] =
    &["bpftool", "ethtool", "ip", "kill", "nsenter", "prlimit", "sysctl", "tc", "zcwatch"];

/// The command in a remedy, to be run as it stands; `None`: it is a sentence, or is to be run in a
/// namespace that no command leads to.
#[must_use]
pub fn command_in(remedy: &str) -> Option<&str> {
    let (program, _) = remedy.split_once(' ')?;
    let (command, elsewhere) = match remedy.split_once("   (") {
        Some((command, note)) => (command, note.starts_with("in network namespace")),
        None => (remedy, false),
    };
    (PROGRAMS.contains(&program) && !elsewhere).then_some(command)
}

/// A word in a command: quoted where a shell would read more than a name. Whoever makes a device
/// names it, with any characters but spaces, slashes and colons.
pub(super) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    if word.chars().all(plain) && !word.starts_with('-') {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A command, with what is needed to run it in another network namespace.
pub(super) fn in_netns(
    command: &str,
    netns: u32,
    snapshot: &Snapshot,
    context: &Context,
) -> String {
    if context.own_netns.is_none_or(|own| own == netns) {
        return command.to_owned();
    }
    let inside = snapshot.first(|s| s.facts.netns == netns).map(|s| s.facts.pid);
    match inside {
        Some(pid) => format!("nsenter -t {pid} -n {command}"),
        None => format!("{command}   (in network namespace {netns})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_said_in_the_unit_it_was_set_in() {
        let said = [0, 1023, 1024, 1025, 65_536, 1 << 20, 20 << 30].map(memory);
        assert_eq!(said, ["0 B", "1 023 B", "1 KiB", "1 025 B", "64 KiB", "1 MiB", "20 480 MiB"]);
    }

    #[test]
    fn a_name_in_a_command_is_no_command() {
        assert_eq!(shell("eth0.5@if3"), "eth0.5@if3");
        assert_eq!(shell("$(reboot)"), "'$(reboot)'");
        assert_eq!(shell("a'b"), r"'a'\''b'");
    }

    #[test]
    fn a_command_is_told_from_a_sentence() {
        assert_eq!(command_in("kill 812"), Some("kill 812"));
        let sysctl = "nsenter -t 10 -n sysctl -w net.core.optmem_max=131072";
        assert_eq!(command_in(sysctl), Some(sysctl));
        assert_eq!(command_in("ethtool -K eth1 sg on   (in network namespace 4026)"), None);
        assert_eq!(command_in("or LimitMEMLOCK=1048576 in its unit, for good"), None);
        assert_eq!(command_in("Use plain send for local peers."), None);
    }

    #[test]
    fn a_few_never_look_like_none_nor_many_like_all() {
        assert_eq!(percent(37, 37), "100 %");
        assert_eq!(percent(1, 10_000), "0.01 %");
        assert_eq!(percent(9_999, 10_000), "99.99 %");
        assert_eq!(percent(0, 5), "0 %");
        assert_eq!(percent(1, 2), "50 %");
    }
}
