//! Does docs/events.md name everything that a recording has?

use std::collections::BTreeSet;

use serde_json::Value;

use super::every::{every, header};
use crate::recording::{End, Why};

fn page() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/events.md");
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The names of all fields, at any depth.
fn fields(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            for (name, value) in all {
                names.insert(name.clone());
                fields(value, names);
            }
        }
        Value::Array(all) => all.iter().for_each(|v| fields(v, names)),
        _ => {}
    }
}

#[test]
fn every_event_and_every_field_is_on_the_page() {
    let page = page();
    let mut names = BTreeSet::new();
    for event in every(1, "a", true) {
        let line = serde_json::to_value(&event).unwrap();
        let kind = line["event"].as_str().unwrap();
        assert!(page.contains(&format!("\n## `{kind}`")), "no chapter on {kind}");
        fields(&line, &mut names);
    }
    for why in [Why::TimeOver, Why::Interrupted, Why::ProcessesEnded, Why::CountReached] {
        let line = serde_json::to_value(End::new(1, why)).unwrap();
        names.insert(line["why"].as_str().unwrap().to_owned());
        fields(&line, &mut names);
    }
    fields(&serde_json::to_value(header("a")).unwrap(), &mut names);
    let missing: Vec<_> = names.iter().filter(|n| !page.contains(&format!("`{n}`"))).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
}
