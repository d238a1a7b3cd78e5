//! The scenarios that run when none are named. For another one, add a row.

use super::scenario::{LIMIT, On, Run, Scenario};

/// On 5.10 the programs do not load: its instructions lack the atomic ones that they use.
const HOOKS: On = On::From((6, 1), NO_HOOKS);
const NO_HOOKS: &str = "zcwatch's programs do not load there, and it says so (`refused`)";
const TRACEPOINTS: On = On::From((6, 12), "it lacks io_uring's tracepoint of today");
const OPTMEM: On =
    On::From((6, 12), "optmem_max is not of a namespace there, and the host's is left alone");
/// Where tasks are preempted in the kernel, a program that is interrupted so is skipped for all
/// others on that CPU (docs/kernel-notes.md): one in ten of these tests fails there by a send or a
/// notification that zcwatch did not see. So they wait for that to be mended. `--everywhere` has
/// them run there too.
const STEADY: On = On::Between((6, 1), NO_HOOKS, (7, 0), "zcwatch misses runs of its programs");

/// Such a kernel is refused by a sentence.
const REFUSED: Run = Run::Command {
    name: "refused",
    words: &["/bin/zcwatch", "report", "-p", "1", "-d", "1s"],
    code: 4,
    says: "zcwatch: ",
};

/// The modules that tests may load at a moment of their own are such as this kernel takes.
const MODULES: Run = Run::Command {
    name: "modules",
    words: &["/bin/zcwatch", "--version"],
    code: 0,
    says: "zcwatch ",
};
const TAKEN: &[&str] = &["wireguard", "tls", "esp4", "esp6", "xfrm_user", "vsock_loopback"];

/// A test of the tests crate: its target, its name there, and where it holds.
struct Row(&'static str, &'static str, On);

/// All of them, those that tell most first.
const ROWS: &[Row] = &[
    Row("guests", "doctor", On::All),
    Row("demos", "doctor", TRACEPOINTS),
    Row("rows", "devices::loopback_copies_everything_on_delivery", STEADY),
    Row("rows", "devices::a_cable_copies_on_delivery_and_with_xdp_in_secret", STEADY),
    Row("rows", "features::without_checksums_everything_is_copied", STEADY),
    Row("rows", "tunnels::a_tunnel_copies_at_once_whether_it_is_read_or_not", STEADY),
    Row("rows", "options::corked_datagrams_are_copied_at_send", STEADY),
    Row("rows", "drops::what_is_dropped_on_its_way_out_is_not_copied", STEADY),
    Row("scenarios", "limits::option_memory", OPTMEM),
    Row("scenarios", "limits::the_flag_without_so_zerocopy_is_ignored", HOOKS),
    Row("scenarios", "targets::of_two_processes_only_the_watched_one_appears", HOOKS),
    Row("scenarios", "ids::what_is_in_flight_at_the_close_stays_counted", HOOKS),
    Row("scenarios", "attach::what_was_sent_before_is_counted_apart", HOOKS),
];

/// All scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let test = |&Row(target, test, on): &Row| Scenario { on, ..Scenario::of_test(target, test) };
    let all = [
        Scenario { run: MODULES, on: On::All, modules: TAKEN, limit: LIMIT },
        Scenario {
            run: REFUSED,
            on: On::Before((6, 1), "it has the hooks"),
            modules: &[],
            limit: LIMIT,
        },
    ];
    all.into_iter().chain(ROWS.iter().map(test)).collect()
}

#[cfg(test)]
mod tests {
    use super::{super::modules::LATER, *};

    #[test]
    fn every_scenario_has_a_name_of_its_own_and_modules_that_are_carried() {
        let all = scenarios();
        let mut names: Vec<_> = all.iter().map(Scenario::name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        for name in all.iter().flat_map(|scenario| scenario.modules) {
            assert!(LATER.contains(name), "{name}");
        }
    }
}
