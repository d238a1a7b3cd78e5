//! Written, and read back.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::every::{KINDS, every, header, kind};
use crate::{
    event::Event,
    output::ndjson::Recorder,
    recording::{End, Why},
    source::{Recorded, recorded::RecordedError},
};

fn written(events: &[Event], end: Option<End>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut recorder = Recorder::new(&mut bytes, &header("a"));
    events.iter().for_each(|e| recorder.event(e));
    end.iter().for_each(|e| recorder.end(e));
    recorder.flush().unwrap();
    drop(recorder);
    bytes
}

/// The events, the end, and when that was.
fn read(bytes: &[u8]) -> Result<(Vec<Event>, Option<End>, u64), RecordedError> {
    let mut recorded = Recorded::open(bytes)?;
    let mut events = Vec::new();
    while let Some(event) = recorded.event()? {
        events.push(event);
    }
    Ok((events, recorded.end(), recorded.ended_at()))
}

fn error(bytes: impl AsRef<[u8]>) -> String {
    read(bytes.as_ref()).unwrap_err().to_string()
}

fn end() -> End {
    End { ts: 9_000, why: Why::Interrupted, signal: Some(2) }
}

#[test]
fn every_kind_of_event_is_there() {
    let kinds: BTreeSet<_> = every(1, "a", true).iter().map(|e| kind(&e.what)).collect();
    assert_eq!(kinds, (0..KINDS).collect());
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_written(
        n in prop_oneof![any::<u64>(), Just(u64::MAX), Just(0), Just(1 << 53 | 1)],
        text in any::<String>(),
        known: bool,
    ) {
        let events = every(n, &text, known);
        let (seen, ended, at) = read(&written(&events, Some(end()))).unwrap();
        prop_assert_eq!(seen, events);
        prop_assert_eq!(ended, Some(end()));
        prop_assert_eq!(at, 9_000);
        let mut line = serde_json::to_vec(&header(&text)).unwrap();
        line.push(b'\n');
        let recorded = Recorded::open(&line[..]).unwrap();
        prop_assert_eq!(recorded.header(), &header(&text));
    }

    #[test]
    fn one_that_is_cut_off_anywhere_has_all_whole_lines(cut in 0_usize..1000) {
        let events = every(5, "line\nbreak", true);
        let bytes = written(&events, Some(end()));
        let first = bytes.iter().position(|b| *b == b'\n').unwrap() + 1;
        let cut = first + cut * (bytes.len() - first) / 1000;
        let whole = bytes[first..cut].split(|b| *b == b'\n').count() - 1;
        let (seen, ended, at) = read(&bytes[..cut]).unwrap();
        // Only its line's end may be missing.
        prop_assert!(seen.len() == whole || seen.len() == whole + 1);
        prop_assert_eq!(&seen[..], &events[..seen.len()]);
        if ended.is_none() {
            // Nothing was before the start of the window, and events of `every` are.
            prop_assert_eq!(at, 1_000);
        }
    }
}

#[test]
fn one_that_is_cut_off_ended_with_its_latest_event() {
    let mut events = every(5_000, "a", true);
    // What is described later may have been noticed earlier.
    events.push(Event { ts: 4_000, ..events[0].clone() });
    let (seen, ended, at) = read(&written(&events, None)).unwrap();
    assert_eq!((seen.len(), ended, at), (events.len(), None, 5_000));
}

#[test]
fn each_end_is_kept() {
    for why in [Why::TimeOver, Why::Interrupted, Why::ProcessesEnded, Why::CountReached] {
        let end = End::new(7, why);
        assert_eq!(read(&written(&[], Some(end))).unwrap().1, Some(end));
    }
}

#[test]
fn other_files_are_refused_with_what_to_do() {
    let made_by = "`zcwatch report --save FILE`";
    assert!(error("").starts_with("it is empty") && error("").contains(made_by));
    for text in ["{\n  \"schema\": 1\n}", "\u{7f}ELF\0\0", "{\"a\":1}\n", "hello\n", "\n"] {
        let said = error(text);
        assert!(said.starts_with("it is no recording of zcwatch: line 1 is no header ("), "{said}");
        assert!(said.contains(made_by), "{said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    let said = error("{\"schema\":\"zcwatch.events/1\"}\n");
    assert!(said.contains("line 1 is no header (missing field `version`"), "{said}");
    let said = error("{\"schema\":\"zcwatch.events/2\",\"other\":1}\n");
    assert!(
        said.contains("\"zcwatch.events/2\"") && said.contains("\"zcwatch.events/1\""),
        "{said}"
    );
}

#[test]
fn a_broken_line_is_named() {
    let text = String::from_utf8(written(&every(5, "a", true), Some(end()))).unwrap();
    for (from, to, reason) in [
        ("\"event\":\"closed\"", "\"event\":\"opened\"", "unknown variant `opened`"),
        ("\"ts\":5,\"event\":\"closed\"", "\"event\":\"closed\"", "missing field `ts`"),
        ("{\"ts\":5,\"event\":\"closed\"", "{{\"event\":\"closed\"", "key must be a string"),
        ("{\"ts\":5,\"event\":\"closed\"", "\n{\"ts\":", "expected value"),
    ] {
        let said = error(text.replacen(from, to, 1));
        let line = if to.starts_with('\n') { 10 } else { 9 };
        assert!(said.starts_with(&format!("line {line} is broken ({reason}")), "{said}");
        assert!(said.contains(&format!("head -n {} FILE", line - 1)), "{said}");
    }
    let said = error(format!("{text}{{\"ts\":5}}\n"));
    assert!(said.contains("(it comes after the end of the watch)"), "{said}");
    assert!(read(format!("{text}\n  \n").as_bytes()).is_ok(), "empty lines do no harm");
}

#[test]
fn the_first_error_of_writing_is_told_once() {
    struct Full;
    impl std::io::Write for Full {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::Error::from_raw_os_error(libc::ENOSPC))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut recorder = Recorder::new(Full, &header("a"));
    for event in every(5, "a", true).iter().cycle().take(1000) {
        recorder.event(event);
    }
    assert_eq!(recorder.flush().unwrap_err().raw_os_error(), Some(libc::ENOSPC));
}
