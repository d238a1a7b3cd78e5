//! What a person may get wrong with trace and with recordings.

use std::{
    fs,
    fs::File,
    process::{Command, Stdio},
};

use anyhow::Result;
use zcwatch_tests::zcwatch::{Zcwatch, command, run};

use super::Scratch;

#[test]
fn arguments_that_make_no_sense() -> Result<()> {
    let own = std::process::id().to_string();
    for (arguments, words) in [
        (&["trace", "-p", &own, "--count", "0"][..], &["0", "1.."][..]),
        (&["trace", "-p", &own, "--min-latency", "slow"], &["write it like 5ms"]),
        (&["trace", "-p", &own, "--format", "json"], &["json", "ndjson"]),
        (
            &["trace", "-p", &own, "--format", "ndjson", "--min-latency", "1ms"],
            &["--min-latency", "jq"],
        ),
        (&["trace", "-p", &own, "--format", "ndjson", "--relative"], &["--relative"]),
        (&["trace", "-p", &own, "--ring-size", "5000"], &["5000 bytes", "power of two"]),
        (&["report", "--from", "f", "-p", &own], &["--from", "--pid"]),
        (&["report", "--from", "f", "-d", "1s"], &["--from", "--duration"]),
        (&["report", "--from", "f", "--save", "g"], &["--from", "--save"]),
        (&["report", "--from", "f", "--ring-size", "4096"], &["--from", "--ring-size"]),
        (&["report", "-p", &own, "--save", "-"], &["--save wants a file", "trace --format ndjson"]),
    ] {
        let ended = run(arguments)?;
        assert_eq!(ended.code(), Some(2), "{arguments:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{arguments:?}");
        for word in words {
            assert!(ended.stderr.contains(word), "{arguments:?}: no {word:?} in {}", ended.stderr);
        }
    }
    let ended = run(["trace", "-p", "99999999"])?;
    assert_eq!(ended.code(), Some(1));
    assert!(ended.stderr.contains("there is no process 99999999"), "{}", ended.stderr);
    Ok(())
}

/// One sentence, exit code 1, no results.
#[track_caller]
fn assert_sentence(ended: &zcwatch_tests::zcwatch::Ended, words: &[&str]) {
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stdout, "");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "no {word:?} in {}", ended.stderr);
    }
}

#[test]
fn files_that_are_no_recordings() -> Result<()> {
    let file = Scratch::new("foreign");
    for (bytes, words) in [
        (&b""[..], &["it is empty", "--save FILE"][..]),
        (b"\x7fELF\0\xff\xfe", &["no recording of zcwatch", "--save FILE"]),
        (b"{\n  \"schema\": \"zcwatch.report/1\"\n}", &["no recording of zcwatch"]),
        (b"{\"schema\":\"zcwatch.events/9\"}\n", &["zcwatch.events/9", "zcwatch.events/1"]),
    ] {
        fs::write(&file.0, bytes)?;
        assert_sentence(&run(["report", "--from", &file.path()])?, words);
    }
    assert_sentence(&run(["report", "--from", "/nowhere/at\x1ball"])?, &["/nowhere/at\\u{1b}all"]);
    assert_sentence(&run(["report", "--from", "/"])?, &["cannot be read", "directory"]);
    Ok(())
}

#[test]
fn standard_input_is_read_and_named() -> Result<()> {
    let file = Scratch::new("stdin");
    let own = std::process::id().to_string();
    let live = run(["report", "-p", &own, "-d", "100ms", "--save", &file.path()])?;
    let report = |from: &fs::File| -> Result<_> {
        let mut command: Command = command(["report", "--from", "-"])?;
        command.stdin(from.try_clone()?).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command.output()?)
    };
    let back = report(&File::open(&file.0)?)?;
    assert_eq!(String::from_utf8(back.stdout)?, live.stdout);
    let empty = report(&File::open("/dev/null")?)?;
    let said = String::from_utf8(empty.stderr)?;
    assert!(said.starts_with("zcwatch: standard input: it is empty"), "{said}");
    Ok(())
}

#[test]
fn files_that_cannot_be_written() -> Result<()> {
    let own = std::process::id().to_string();
    let save = |file: &str| run(["report", "-p", &own, "-d", "60s", "--save", file]);
    let words = ["could not write /nowhere/x", "give --save another file"];
    assert_sentence(&save("/nowhere/x")?, &words);
    assert_sentence(&save("/")?, &["could not write /"]);
    assert_sentence(&save("/dev/full")?, &["could not write /dev/full", "No space left"]);
    Ok(())
}

#[test]
fn a_disk_that_fills_up_ends_the_recording_not_the_watch() -> Result<()> {
    let folder = Scratch::new("full");
    fs::create_dir(&folder.0)?;
    let _mounted = Mounted::new(&folder)?;
    let file = format!("{}/events", folder.path());
    let path = zcwatch::lab::Topology::new(zcwatch::lab::Layout::Loopback)?;
    let sink = path.tcp_sink(zcwatch::lab::Family::V4)?;
    let line = format!("send --to {} --count 500", sink.address());
    let mut sender = zcwatch_tests::scenario::workload(path.client(), &line)?;
    let pid = sender.pid().to_string();
    let arguments = ["report", "-p", &pid, "-d", "60s", "--save", &file, "--format", "json"];
    let mut zcwatch = Zcwatch::start(arguments)?;
    zcwatch.wait_until_watching(&[sender.pid()])?;
    sender.step()?;
    sender.truth()?;
    sender.finish()?;
    let ended = zcwatch.wait()?;
    assert_eq!(ended.code(), Some(1), "{ended:?}");
    assert_eq!(ended.stderr.matches("No space left").count(), 1, "said once: {}", ended.stderr);
    assert!(ended.stderr.contains("the recording ends here, the watch goes on"));
    assert_eq!(ended.report()?.at("/totals/sends/count"), 500);
    let back = run(["report", "--from", &file, "--format", "json"])?;
    assert_eq!(back.code(), Some(0), "{back:?}");
    assert!(back.stderr.contains("is cut off"), "{}", back.stderr);
    Ok(())
}

/// A file system with room for a few pages. Dropped, it is gone.
struct Mounted<'a>(&'a Scratch);

impl<'a> Mounted<'a> {
    fn new(at: &'a Scratch) -> Result<Self> {
        let flags = nix::mount::MsFlags::empty();
        nix::mount::mount(Some("none"), &at.0, Some("tmpfs"), flags, Some("size=64k"))?;
        Ok(Self(at))
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        // A folder that is busy still would be left; the test has failed then.
        let _ = nix::mount::umount(&self.0.0);
        let _ = fs::remove_dir(&self.0.0);
    }
}
