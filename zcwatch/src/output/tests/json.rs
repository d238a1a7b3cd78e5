//! The document of `report --format json`.

use serde_json::{Value, json};

use super::{
    about::{about, about_without, closed, empty, findings, healthy, io_uring, lossy, sick},
    schema::{Schema, object},
};
use crate::{
    diagnosis::tests::scene::Scene,
    output::json::{About, Report},
    probe::hooks::Question,
    tracker::Snapshot,
};

fn document(about: &About, snapshot: &Snapshot) -> Value {
    let findings = findings(snapshot);
    serde_json::to_value(Report::new(about, snapshot, &findings)).unwrap()
}

fn report(snapshot: &Snapshot) -> Value {
    document(&about(), snapshot)
}

fn all() -> [(&'static str, Snapshot); 6] {
    [
        ("empty", empty()),
        ("healthy", healthy()),
        ("sick", sick()),
        ("lossy", lossy()),
        ("closed", closed()),
        ("io_uring", io_uring()),
    ]
}

/// Totals and rows that count ids.
fn counts(document: &Value) -> Vec<&Value> {
    let rows = document["sockets"].as_array().unwrap().iter().filter(|r| r["api"] == "socket");
    rows.chain([&document["totals"]]).collect()
}

fn n(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))
}

#[test]
fn every_document_keeps_to_the_schema() {
    let schema = Schema::read();
    let blind = about_without(&Question::ALL);
    let limited = About {
        unseen: vec!["a sentence".into()],
        target: crate::target::Target::default(),
        ..about()
    };
    for (name, snapshot) in all() {
        for about in [&about(), &blind, &limited] {
            let document = document(about, &snapshot);
            assert_eq!(schema.errors(&document), Vec::<String>::new(), "{name}: {document:#}");
        }
    }
}

#[test]
fn a_socket_on_which_nothing_happened_has_no_row() {
    let document = report(&Scene::new().snapshot());
    assert_eq!(document["sockets"], json!([]));
}

#[test]
fn the_schema_is_of_the_documents_it_names() {
    let schema = Schema::read();
    assert_eq!(schema.root()["properties"]["schema"]["const"], report(&empty())["schema"]);
    // It would notice a field of a later version.
    let mut later = report(&sick());
    later["sockets"][0]["cgroup"] = json!("/");
    assert_eq!(schema.errors(&later), ["/sockets/0: has cgroup besides"]);
}

#[test]
fn every_row_balances() {
    for (name, snapshot) in all() {
        let document = report(&snapshot);
        for row in counts(&document) {
            let (done, sends) = (&row["completed"], &row["sends"]);
            let before = n(&done["before_attach"]);
            assert_eq!(
                n(&done["count"]),
                n(&done["copied"]) + n(&done["reported_zerocopy"]) + before,
                "{name}"
            );
            assert_eq!(
                n(&sends["count"]),
                n(&done["count"]) - before + n(&row["in_flight"]) + n(&row["closed_in_flight"]),
                "{name}"
            );
            if document["host"]["counters_agree"] == true {
                let causes = row["causes"].as_array().unwrap();
                let caused: u64 = causes.iter().map(|c| n(&c["sends"])).sum();
                assert_eq!(caused, n(&done["copied"]), "{name}");
            }
        }
    }
}

#[test]
fn totals_are_the_sums_of_the_rows_that_count_ids() {
    for (name, snapshot) in all() {
        let document = report(&snapshot);
        let (totals, rows) = counts(&document).split_last().map(|(t, r)| (*t, r.to_vec())).unwrap();
        for path in [
            "/sends/count",
            "/sends/bytes",
            "/failed/enobufs_optmem",
            "/ignored/count",
            "/completed/count",
            "/completed/copied",
            "/in_flight",
            "/unread",
            "/reap_ns/count",
        ] {
            let sum: u64 = rows.iter().map(|r| n(r.pointer(path).unwrap())).sum();
            assert_eq!(n(totals.pointer(path).unwrap()), sum, "{name} {path}");
        }
    }
}

#[test]
fn a_socket_is_told_with_all_that_is_known_of_it() {
    let document = report(&sick());
    assert_eq!(
        document["sockets"][0],
        json!({
            "id": "1",
            "inode": 5001,
            "fds": [3],
            "pid": 10,
            "pids": [10],
            "comm": "sender",
            "api": "socket",
            "family": "ipv4",
            "protocol": "tcp",
            "rtt_ns": null,
            "plain": {"count": 0, "bytes": 0, "since_zerocopy": 0},
            "local": "10.0.0.4:41822",
            "remote": "10.0.0.9:4444",
            "netns": 4_026_531_840_u32,
            "device": "eth0",
            "so_zerocopy": true,
            "call_sites": [],
            "limits": {
                "optmem_used": 900,
                "optmem_max": 131_072,
                "memlock_used": 0,
                "memlock_limit": null,
            },
            "sends": {
                "count": 2001, "bytes": 40_020_000, "min": 20_000, "p50": 20_000, "max": 20_000,
                "with_error": 0,
            },
            "failed": {"enobufs_optmem": 3, "enobufs_memlock": 0, "other": 0},
            "ignored": {"count": 0, "bytes": 0, "sampled": false},
            "completed": {
                "count": 2004, "copied": 737, "reported_zerocopy": 1263, "before_attach": 4,
                "before_return": 0,
            },
            "hidden_copies": 0,
            "misled": 0,
            "in_flight": 1,
            "closed_in_flight": 0,
            "unread": 0,
            "spent_ns": null,
            "release_ns": {
                "from": "entry", "count": 2000, "min": 20_000, "p50": 20_000, "p90": 20_000,
                "p99": 20_000, "max": 20_000,
            },
            "reap_ns": {
                "count": 2000, "min": 30_000, "p50": 30_000, "p90": 30_000, "p99": 30_000,
                "max": 30_000,
            },
            "causes": [{
                "key": "tap_tx",
                "sends": 737,
                "bytes": 14_740_000,
                "device": "eth0",
                "certainty": "measured",
                "first_boot_ns": 1_063_170_000,
                "last_boot_ns": 1_099_970_000,
                "stack": [],
            }],
        })
    );
    let names: Vec<_> =
        document["findings"].as_array().unwrap().iter().map(|f| f["id"].clone()).collect();
    assert_eq!(
        names,
        ["copied", "hidden-copy", "enobufs-optmem", "unread-notifications", "small-sends"]
    );
}

#[test]
fn the_host_and_the_window_are_told() {
    let document = report(&lossy());
    let host = &document["host"];
    assert_eq!(
        (&host["kernel"], &host["arch"]),
        (&json!("6.18.1"), &json!(std::env::consts::ARCH))
    );
    assert_eq!((&host["events_lost"], &host["counters_agree"]), (&json!(747_000), &json!(false)));
    let losses = json!({
        "events": 747_000, "sockets": 1, "processes": 0, "paths": 7, "unpaired": 5, "skipped": 2
    });
    assert_eq!(host["losses"], losses);
    assert_eq!(
        document["window"],
        json!({
            "start_unix_ns": 1_800_000_000_000_000_000_u64,
            "start_boot_ns": 1_000_000_000,
            "duration_ns": 100_000_000,
        })
    );
    let target = json!({
        "pids": [10], "comm": [], "cgroup": [], "follow": false, "command": null, "user": null
    });
    assert_eq!(document["target"], target);
}

#[test]
fn what_was_not_asked_is_null_and_not_nought() {
    let document = document(&about_without(&Question::ALL), &healthy());
    let totals = &document["totals"];
    for path in
        ["/ignored/count", "/ignored/bytes", "/hidden_copies", "/misled", "/unread", "/causes"]
    {
        assert_eq!(totals.pointer(path), Some(&Value::Null), "{path}");
    }
    // Nothing happened: a histogram of nothing is not one of zeros.
    let document = report(&empty());
    let nothing = json!({
        "from": null, "count": 0, "min": null, "p50": null, "p90": null, "p99": null, "max": null
    });
    assert_eq!(document["totals"]["release_ns"], nothing);
    assert_eq!(document["totals"]["sends"]["p50"], Value::Null);
    assert_eq!(report(&closed())["sockets"][0]["limits"]["optmem_used"], Value::Null);
}

#[test]
fn what_only_events_tell_is_null_where_they_do_not_tell_all() {
    let row = &report(&lossy())["sockets"][0];
    assert_eq!(row["sends"]["count"], 250_000);
    assert_eq!(row["completed"]["copied"], 250_000);
    for path in ["/sends/min", "/sends/p50", "/sends/max", "/hidden_copies", "/misled"] {
        assert_eq!(row.pointer(path), Some(&Value::Null), "{path}");
    }
    // Sends overlapped: which bytes were whose is not known.
    assert_eq!(row["causes"][0]["bytes"], Value::Null);
}

#[test]
fn a_request_of_io_uring_takes_no_id_and_enters_no_sum() {
    let document = report(&io_uring());
    let row = &document["sockets"][1];
    assert_eq!((&row["api"], &row["id"]), (&json!("io_uring"), &Value::Null));
    assert_eq!((&row["comm"], &row["fds"]), (&json!("ringer"), &json!([5])));
    assert_eq!(row["sends"]["count"], 4000);
    for path in ["/completed/count", "/in_flight", "/unread", "/causes", "/ignored/count"] {
        assert_eq!(row.pointer(path), Some(&Value::Null), "{path}");
    }
    assert_eq!(document["totals"]["sends"]["count"], 0);
    assert_eq!(document["totals"]["ignored"], json!({"count": 7, "bytes": 7000, "sampled": false}));
}

#[test]
fn names_of_others_are_given_as_they_are() {
    let row = &report(&closed())["sockets"][0];
    assert_eq!(row["comm"], "a\x1b[2Jb");
    assert!(!row.to_string().chars().any(char::is_control), "JSON has its own escapes");
    assert!(object(row).len() > 20);
}
