//! Bad input and bad days: each ends in one sentence and the right exit code, with what was seen
//! printed and nothing left behind. Needs root.

mod input;
mod leftovers;
mod names;
mod privileges;
mod surroundings;
mod too_small;

use zcwatch_tests::zcwatch::Ended;

/// It ended with this code, printed no results, and said one sentence with all these words.
#[track_caller]
fn assert_refused(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code(), Some(code), "{ended:?}");
    assert_eq!(ended.stdout, "", "results of a refusal");
    assert_sentence(&ended.stderr, words);
}

/// One line, signed, with all these words.
#[track_caller]
fn assert_sentence(stderr: &str, words: &[&str]) {
    assert!(stderr.starts_with("zcwatch: "), "{stderr:?}");
    assert_eq!(stderr.lines().count(), 1, "{stderr:?}");
    for word in words {
        assert!(stderr.contains(word), "{word:?} is not in {stderr:?}");
    }
}
