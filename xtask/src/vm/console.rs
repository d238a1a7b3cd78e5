//! Why a guest died, by its console.

/// A cause of death.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Death {
    /// The emulator's fault: it does not always see the kernel patch its own code ("static
    /// branches"), and runs into the breakpoint that is there meanwhile. Guests that have loaded
    /// no eBPF at all have died so.
    Emulator(String),
    /// The kernel's own: what it said first.
    Kernel(String),
}

/// How the kernel begins to tell of the emulator's fault.
const EMULATOR: [&str; 2] = ["Oops: int3", "int3: 0000"];
/// How the kernel begins to tell of anything else.
const KERNEL: [&str; 6] = [
    "Oops:",
    "BUG:",
    "kernel BUG at",
    "general protection fault",
    "Kernel panic",
    "Unable to mount",
];

/// The first thing in a console that tells of a death.
pub fn death(console: &str) -> Option<Death> {
    console.lines().find_map(|line| {
        let has = |words: &[&str]| words.iter().any(|word| line.contains(word));
        let said = || after_time(line).to_owned();
        if has(&EMULATOR) {
            Some(Death::Emulator(said()))
        } else {
            has(&KERNEL).then(|| Death::Kernel(said()))
        }
    })
}

/// A line of the kernel's log without the time that it begins with.
fn after_time(line: &str) -> &str {
    let line = line.trim();
    line.strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(time, _)| time.trim().parse::<f64>().is_ok())
        .map_or(line, |(_, rest)| rest.trim())
}

/// The end of a console, for people.
pub fn end(console: &str) -> String {
    let lines: Vec<_> = console.lines().map(str::trim_end).collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_emulators_fault_is_told_from_the_kernels() {
        let panic = "[    9.1] Kernel panic - not syncing: Fatal exception in interrupt\r\n";
        for oops in ["Oops: int3: 0000 [#1] PREEMPT SMP NOPTI", "int3: 0000 [#1] SMP PTI"] {
            let console = format!("booting\r\n[    9.012345] {oops}\r\n{panic}");
            assert_eq!(death(&console), Some(Death::Emulator(oops.to_owned())));
        }
        for said in [
            "BUG: kernel NULL pointer dereference, address: 0000000000000000",
            "Oops: 0000 [#1] PREEMPT SMP NOPTI",
            "general protection fault, probably for non-canonical address 0xdead: 0000 [#1]",
        ] {
            let console = format!("[    9.012345] {said}\r\n[ 9.1] Oops: int3: 0000\r\n{panic}");
            assert_eq!(death(&console), Some(Death::Kernel(said.to_owned())));
        }
        let panicked = death(panic).unwrap();
        assert_eq!(
            panicked,
            Death::Kernel("Kernel panic - not syncing: Fatal exception in interrupt".to_owned())
        );
        assert_eq!(death("[    0.1] Booting\n[    9.0] reboot: Power down\n"), None);
    }

    #[test]
    fn only_the_end_of_a_long_console_is_shown() {
        let console: String = (0..100).map(|line| format!("{line}\r\n")).collect();
        assert!(end(&console).starts_with("40\n") && end(&console).ends_with("\n99"));
        assert_eq!(end("one\r\n"), "one");
        assert_eq!(end(""), "");
    }
}
