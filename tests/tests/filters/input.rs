//! What a person may get wrong.

use anyhow::Result;
use zcwatch_tests::zcwatch::run;

#[test]
fn each_mistake_is_one_sentence() -> Result<()> {
    let long = "a-name-of-sixteen-and-more";
    for (arguments, code, words) in [
        (&["--comm", long][..], 2, &["15 bytes", "'a-name-of-sixte'"][..]),
        (&["--comm", ""], 2, &["/proc/PID/comm"]),
        (&["--user", "nobody"], 2, &["<CMD>"]),
        (&["--ignore", "copied", "--fail-on", "copied"], 2, &["--ignore copied", "one of them"]),
        (&["--ignore", "nonsense"], 2, &["no finding \"nonsense\""]),
        (&["--cgroup", "/no/such/group"], 1, &["no cgroup /no/such/group", "/proc/PID/cgroup"]),
        (&["--cgroup", "/usr"], 1, &["/usr", "not in the cgroup v2 hierarchy"]),
        (&["--", "/no/such/program"], 1, &["no program /no/such/program", "PATH"]),
        (&["--", "/etc/passwd"], 1, &["/etc/passwd may not be run"]),
        (&["--", ""], 1, &["no program"]),
        (&["--user", "no-such-user", "--", "true"], 1, &["no user no-such-user", "getent passwd"]),
        (&["-p", "99999999", "--", "sh", "-c", "echo ran"], 1, &["no process 99999999"]),
    ] {
        let ended = run(["report", "-d", "60s"].iter().chain(arguments))?;
        assert_eq!(ended.code(), Some(code), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{arguments:?}: {:?}", ended.stderr);
        }
    }
    Ok(())
}
