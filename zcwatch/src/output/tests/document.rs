//! Is the schema complete, and does it know the same names as the tables?

use serde_json::Value;

use super::schema::{Schema, object};
use crate::{
    diagnosis::{CAUSES, FindingId},
    probe::hooks::{HOOKS, Kind, Question},
};

/// The names that a definition lists.
fn listed(schema: &Schema, name: &str) -> Vec<String> {
    let all = schema.resolve(&format!("#/$defs/{name}"))["enum"].as_array().unwrap();
    all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[test]
fn the_schema_lists_what_the_tables_hold() {
    let schema = Schema::read();
    assert_eq!(listed(&schema, "question"), Question::ALL.map(|q| q.key().to_owned()));
    assert_eq!(listed(&schema, "cause"), CAUSES.iter().map(|c| c.key).collect::<Vec<_>>());
    assert_eq!(listed(&schema, "finding_id"), FindingId::ALL.map(|f| f.name().to_owned()));
    let kinds = listed(&schema, "hook_kind");
    for kind in HOOKS.iter().map(|h| h.kind).chain([Kind::Tracepoint, Kind::None]) {
        assert!(kinds.contains(&kind.name().to_owned()), "{kind:?}");
    }
}

#[test]
fn every_field_is_described_and_none_but_the_start_of_a_latency_may_be_missing() {
    let schema = Schema::read();
    schema.each_object(|at, part| {
        assert_eq!(part["additionalProperties"], false, "{at}");
        let mut missing = Vec::new();
        for (name, field) in object(&part["properties"]) {
            let said = field.get("description").and_then(Value::as_str).unwrap_or_default();
            assert!(said.len() > 10, "{at}/{name} is not described");
            if !part["required"].as_array().unwrap().contains(&name.as_str().into()) {
                missing.push(name.as_str());
            }
        }
        let may = if at == "/release" { vec!["from"] } else { vec![] };
        assert_eq!(missing, may, "{at}");
    });
}

#[test]
fn the_page_names_every_field() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");
    let page = std::fs::read_to_string(path).unwrap();
    Schema::read().each_object(|at, part| {
        for name in object(&part["properties"]).keys() {
            assert!(page.contains(&format!("`{name}`")), "{at}/{name} is not in docs/json.md");
        }
    });
}
