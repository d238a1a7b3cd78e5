//! What runs: the table's scenarios, or those that were named.

use anyhow::{Context, Result, ensure};

use super::{
    programs::{self, Built},
    scenario::{Run, Scenario},
    table,
};
use crate::tree::Tree;

/// The scenarios by these words (all of the table by none), and the programs that they need.
///
/// # Errors
/// When something does not compile, a word names nothing, or the table a test that is not there.
pub fn select(tree: &Tree, words: &[String]) -> Result<(Vec<Scenario>, Built)> {
    let table = table::scenarios();
    let by_table = by_words(&table, words);
    let needed: Vec<&str> = match &by_table {
        Some(scenarios) => targets(scenarios),
        // It may be any test.
        None => TARGETS.to_vec(),
    };
    let built = programs::build(tree, &needed)?;
    let mut tests = Vec::new();
    for name in needed {
        let program = built.tests.get(name).with_context(|| format!("{name} was not built"))?;
        tests.extend(programs::tests_of(program)?.into_iter().map(|test| (name, test)));
    }
    let scenarios = match by_table {
        Some(scenarios) => scenarios,
        None => with_tests(&table, &tests, words)?,
    };
    for scenario in &scenarios {
        if let Run::Test(target, test) = &scenario.run {
            ensure!(
                tests.iter().any(|(of, name)| of == target && name == test),
                "the table of scenarios has the test {}, which is not there: correct it",
                scenario.name()
            );
        }
    }
    Ok((scenarios, built))
}

/// The test targets whose tests may be named; those that need programs that guests do not have
/// are among them, and fail there.
const TARGETS: [&str; 12] = [
    "guests",
    "lockdown",
    "leftovers",
    "demos",
    "rows",
    "scenarios",
    "traffic",
    "filters",
    "trace",
    "bad_days",
    "layout",
    "screen",
];

/// The scenarios of the table that are named; `None` where a word names none of them.
fn by_words(table: &[Scenario], words: &[String]) -> Option<Vec<Scenario>> {
    let named = |scenario: &&Scenario| {
        words.is_empty() || words.iter().any(|word| names(word, &scenario.name()))
    };
    let all_known =
        words.iter().all(|word| table.iter().any(|scenario| names(word, &scenario.name())));
    all_known.then(|| table.iter().filter(named).cloned().collect())
}

/// Whether a word is the name, the beginning of it up to `::`, or the end of it from `::` on.
fn names(word: &str, name: &str) -> bool {
    let word = word.trim_end_matches("::");
    let parted = |rest: Option<&str>, part: fn(&str) -> bool| rest.is_some_and(part);
    word == name
        || parted(name.strip_prefix(word), |rest| rest.starts_with("::"))
        || parted(name.strip_suffix(word), |rest| rest.ends_with("::"))
}

/// The tests that are named, as the table has them where it does.
fn with_tests(
    table: &[Scenario],
    tests: &[(&'static str, String)],
    words: &[String],
) -> Result<Vec<Scenario>> {
    let plain = tests.iter().map(|(target, test)| Scenario::of_test(target, test));
    let known = |scenario: &Scenario| table.iter().any(|known| known.name() == scenario.name());
    let all: Vec<_> =
        table.iter().cloned().chain(plain.filter(|scenario| !known(scenario))).collect();
    for word in words {
        ensure!(
            all.iter().any(|scenario| names(word, &scenario.name())),
            "{word:?} names no scenario and no test: `cargo xtask vm --list` has the scenarios"
        );
    }
    let named = |scenario: &Scenario| words.iter().any(|word| names(word, &scenario.name()));
    Ok(all.into_iter().filter(named).collect())
}

/// The test targets of these scenarios.
fn targets(scenarios: &[Scenario]) -> Vec<&'static str> {
    let mut all: Vec<_> = scenarios
        .iter()
        .filter_map(|scenario| match scenario.run {
            Run::Test(target, _) => Some(target),
            Run::Command { .. } | Run::Doctor(_) => None,
        })
        // With none, cargo would build all else again, without what only tests depend on.
        .chain(["guests"])
        .collect();
    all.sort_unstable();
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::super::scenario::On;
    use super::*;

    fn table() -> Vec<Scenario> {
        let first = Scenario { limit: 5, ..Scenario::of_test("rows", "devices::a") };
        let second =
            Scenario { on: On::Before((6, 0), ""), ..Scenario::of_test("demos", "doctor") };
        vec![first, second]
    }

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    fn listed(scenarios: &[Scenario]) -> Vec<String> {
        scenarios.iter().map(Scenario::name).collect()
    }

    #[test]
    fn a_word_is_a_name_or_either_end_of_it() {
        for word in ["rows::devices::a", "rows", "rows::", "rows::devices", "devices::a", "a"] {
            assert!(names(word, "rows::devices::a"), "{word}");
        }
        for word in ["row", "s::a", "devices", "rows::dev", "rows::devices::a::b", ""] {
            assert!(!names(word, "rows::devices::a"), "{word}");
        }
    }

    #[test]
    fn without_words_all_of_the_table_runs() {
        let all = by_words(&table(), &[]).unwrap();
        assert_eq!(listed(&all), ["rows::devices::a", "demos::doctor"]);
        assert_eq!(targets(&all), ["demos", "guests", "rows"]);
        assert_eq!(listed(&by_words(&table(), &words(&["doctor"])).unwrap()), ["demos::doctor"]);
        assert!(by_words(&table(), &words(&["doctor", "devices::b"])).is_none());
    }

    #[test]
    fn a_test_need_not_be_in_the_table() {
        let tests = [("rows", "devices::a"), ("rows", "devices::b"), ("demos", "doctor")]
            .map(|(target, test)| (target, test.to_owned()));
        let found = with_tests(&table(), &tests, &words(&["rows::devices"])).unwrap();
        assert_eq!(listed(&found), ["rows::devices::a", "rows::devices::b"]);
        // As the table has it.
        assert_eq!(found[0].limit, 5);
        let error = with_tests(&table(), &tests, &words(&["rows", "c"])).unwrap_err();
        assert!(error.to_string().contains("\"c\" names no scenario"), "{error}");
    }
}
