//! The scenarios that run when none are named. For another one, add a row.

use super::{
    doctor::HOOKS as CHOICES,
    scenario::{LIMIT, On, Parameters, Run, Scenario},
};

const TRACEPOINTS: On = On::From((6, 12), "it lacks io_uring's tracepoint of today");
const TRACEPOINTS_OF_SENDS: On = On::Between(
    (6, 12),
    "it lacks the tracepoint of sends",
    (7, 0),
    "tracepoints alone miss runs of their programs there",
);
const OPTMEM: On =
    On::From((6, 12), "optmem_max is not of a namespace there, and the host's is left alone");
const TYPES_OF_MODULES: On =
    On::From((5, 11), "it has no types of modules, so that a veth's programs are not seen");
const CHOSEN: On =
    On::Between((6, 12), "they are the default there", (7, 0), "they are the default there");

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

/// Guests that forbid to change the running kernel; the kernel's own modules are loaded all the
/// same, being signed.
const INTEGRITY: Parameters = Parameters { name: "integrity", words: "lockdown=integrity" };
/// Guests that forbid to read the running kernel's memory besides.
const CONFIDENTIALITY: Parameters =
    Parameters { name: "confidentiality", words: "lockdown=confidentiality" };

/// What takes longer, emulated: a test's name, and seconds.
const LONGER: &[(&str, u64)] = &[
    ("nothing_of_the_default_hooks", 600),
    ("nothing_of_trampolines", 600),
    ("stress::half_a_million_sends", 3000),
    ("stress::half_a_million_sends_with_room", 3000),
];

/// All of them, those that tell most first.
const ROWS: &[Row] = &[
    Row("guests", "doctor", On::All),
    Row("demos", "doctor", TRACEPOINTS),
    Row("leftovers", "nothing_of_the_default_hooks", On::All),
    Row("leftovers", "nothing_of_trampolines", CHOSEN),
    Row("leftovers", "nothing_of_doctor_or_a_refusal", On::All),
    Row("rows", "devices::loopback_copies_everything_on_delivery", On::All),
    Row("rows", "devices::a_cable_copies_on_delivery", On::All),
    Row("rows", "devices::a_cable_with_xdp_copies_in_secret", TYPES_OF_MODULES),
    Row("rows", "devices::what_is_forwarded_is_copied_where_it_is_delivered", On::All),
    Row("rows", "kernels::what_has_no_receiver_is_copied_on_its_way_or_not_at_all", On::All),
    Row("rows", "features::without_checksums_everything_is_copied", On::All),
    Row(
        "rows",
        "features::without_sg_packets_are_made_linear_and_segments_copied_in_secret",
        On::All,
    ),
    Row("rows", "listeners::on_the_sending_device_they_copy", On::All),
    Row("rows", "tunnels::a_tunnel_copies_at_once_whether_it_is_read_or_not", On::All),
    Row("rows", "options::corked_datagrams_are_copied_at_send", On::All),
    Row("rows", "drops::what_is_dropped_on_its_way_out_is_not_copied", On::All),
    Row("rows", "encrypted::wireguard_copies_datagrams_and_streams_in_secret", On::All),
    Row("rows", "encrypted::wireguard_is_known_by_its_device_too", TRACEPOINTS_OF_SENDS),
    Row("rows", "encrypted::ipsec_copies_datagrams_at_send_and_streams_when_it_sums_them", On::All),
    Row("rows", "encrypted::what_ipsec_copies_is_not_blamed_on_a_program", TRACEPOINTS_OF_SENDS),
    Row("scenarios", "limits::option_memory", OPTMEM),
    Row("scenarios", "limits::the_flag_without_so_zerocopy_is_ignored", On::All),
    Row("scenarios", "targets::of_two_processes_only_the_watched_one_appears", On::All),
    Row("scenarios", "ids::what_is_in_flight_at_the_close_stays_counted", On::All),
    Row("scenarios", "agree::trampolines_and_tracepoints_say_the_same", TRACEPOINTS_OF_SENDS),
    Row("scenarios", "attach::what_was_sent_before_is_counted_apart", On::All),
    Row("screen", "person::reads_the_last_numbers_of_a_process_that_ended", On::All),
    Row("traffic", "findings::device_drop", On::All),
    Row("traffic", "stress::ten_thousand_sends", On::All),
];

/// What runs in guests with these parameters.
const LOCKED: &[(Parameters, &[Row])] = &[
    (
        INTEGRITY,
        &[
            Row("lockdown", "integrity_forbids_nothing_that_is_needed", On::All),
            Row("rows", "devices::loopback_copies_everything_on_delivery", On::All),
            Row("scenarios", "ids::what_is_in_flight_at_the_close_stays_counted", On::All),
        ],
    ),
    (
        CONFIDENTIALITY,
        &[
            Row("lockdown", "confidentiality_is_named_as_the_reason", BY_TRACEPOINTS),
            Row("lockdown", "with_confidentiality_counts_are_exact", BY_TRACEPOINTS),
            Row("lockdown", "confidentiality_leaves_no_trampoline", BY_TRAMPOLINES),
        ],
    ),
];
const BY_TRACEPOINTS: On = On::From((6, 12), "only trampolines see sends there");
const BY_TRAMPOLINES: On = On::Before((6, 12), "tracepoints see sends there");

/// All scenarios.
pub fn scenarios() -> Vec<Scenario> {
    let command = |run, on, modules| Scenario {
        run,
        on,
        modules,
        limit: LIMIT,
        parameters: Parameters::default(),
    };
    let doctor = |hooks| command(Run::Doctor(hooks), On::All, &[]);
    let all = [command(MODULES, On::All, TAKEN), doctor(None)];
    let choices = CHOICES.map(|hooks| doctor(Some(hooks)));
    let integrity = Scenario { parameters: INTEGRITY, on: On::All, ..doctor(None) };
    let locked = LOCKED.iter().flat_map(|(parameters, rows)| {
        rows.iter().map(|row| Scenario { parameters: *parameters, ..test(row) })
    });
    all.into_iter()
        .chain(choices)
        .chain(ROWS.iter().map(test))
        .chain([integrity])
        .chain(locked)
        .collect()
}

fn test(&Row(target, test, on): &Row) -> Scenario {
    Scenario { on, ..Scenario::of_test(target, test) }
}

/// The seconds that a test may take, emulated.
pub fn limit(test: &str) -> u64 {
    LONGER.iter().find(|(name, _)| *name == test).map_or(LIMIT, |(_, limit)| *limit)
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
