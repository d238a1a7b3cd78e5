//! The part of JSON Schema (draft 2020-12) that docs/report.schema.json uses. A keyword that is
//! not known here is refused, so that no rule stands in the schema without being checked.

use serde_json::{Map, Value};

pub struct Schema(Value);

/// Keywords that explain and do not rule.
const WORDS: [&str; 6] = ["$schema", "$id", "$defs", "title", "description", "examples"];

impl Schema {
    pub fn read() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");
        let text = std::fs::read_to_string(path).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    pub fn root(&self) -> &Value {
        &self.0
    }

    /// What is wrong with a document, with the place of each mistake.
    pub fn errors(&self, document: &Value) -> Vec<String> {
        let mut errors = Vec::new();
        self.check(&self.0, document, "", &mut errors);
        errors
    }

    /// The schema that a local reference names.
    pub fn resolve(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').unwrap();
        self.0.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
    }

    fn check(&self, schema: &Value, value: &Value, at: &str, errors: &mut Vec<String>) {
        let mut wrong = |what: String| errors.push(format!("{at}: {what}"));
        for (keyword, rule) in schema.as_object().unwrap() {
            match keyword.as_str() {
                "type" if !types(rule).any(|t| is(t, value)) => {
                    wrong(format!("{value} is no {rule}"));
                }
                "const" if value != rule => wrong(format!("{value} is not {rule}")),
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    wrong(format!("{value} is none of {rule}"));
                }
                "minimum" if value.as_i64().is_some_and(|n| n < rule.as_i64().unwrap()) => {
                    wrong(format!("{value} is less than {rule}"));
                }
                "required" => {
                    let keys = rule.as_array().unwrap().iter().map(|k| k.as_str().unwrap());
                    let lacks = |k: &&str| value.as_object().is_some_and(|o| !o.contains_key(*k));
                    keys.filter(lacks).for_each(|k| wrong(format!("lacks {k}")));
                }
                "additionalProperties" => {
                    assert_eq!(rule, &Value::Bool(false));
                    let known = schema["properties"].as_object().unwrap();
                    let more = object(value).keys().filter(|k| !known.contains_key(*k));
                    more.for_each(|k| wrong(format!("has {k} besides")));
                }
                "type" | "const" | "enum" | "minimum" | "properties" | "items" | "$ref" => {}
                word => assert!(WORDS.contains(&word), "the keyword {word} is not checked"),
            }
        }
        if let Some(reference) = schema.get("$ref") {
            self.check(self.resolve(reference.as_str().unwrap()), value, at, errors);
        }
        if let Some(items) = schema.get("items") {
            for (i, item) in value.as_array().into_iter().flatten().enumerate() {
                self.check(items, item, &format!("{at}/{i}"), errors);
            }
        }
        for (key, rule) in schema.get("properties").map(object).into_iter().flatten() {
            if let Some(value) = value.get(key) {
                self.check(rule, value, &format!("{at}/{key}"), errors);
            }
        }
    }

    /// Calls with each object in the schema that has properties, and where it stands.
    pub fn each_object(&self, mut call: impl FnMut(&str, &Value)) {
        let mut left = vec![(String::new(), &self.0)];
        while let Some((at, schema)) = left.pop() {
            if schema.get("properties").is_some() {
                call(&at, schema);
            }
            let inside = ["properties", "$defs"].into_iter().filter_map(|k| schema.get(k));
            left.extend(inside.flat_map(object).map(|(k, s)| (format!("{at}/{k}"), s)));
            left.extend(schema.get("items").map(|s| (format!("{at}/items"), s)));
        }
    }
}

/// The members of an object; nothing has none.
pub fn object(value: &Value) -> &Map<String, Value> {
    static NONE: std::sync::OnceLock<Map<String, Value>> = std::sync::OnceLock::new();
    value.as_object().unwrap_or_else(|| NONE.get_or_init(Map::new))
}

fn types(rule: &Value) -> impl Iterator<Item = &str> {
    let one = rule.as_str();
    one.into_iter().chain(rule.as_array().into_iter().flatten().map(|t| t.as_str().unwrap()))
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => panic!("the type {name} is not checked"),
    }
}

mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_check_finds_each_kind_of_mistake() {
        let schema = Schema(json!({
            "type": "object",
            "properties": {
                "n": {"$ref": "#/$defs/count"},
                "list": {"type": "array", "items": {"enum": ["a", null]}},
            },
            "required": ["n"],
            "additionalProperties": false,
            "$defs": {"count": {"type": ["integer", "null"], "minimum": 0}},
        }));
        assert_eq!(schema.errors(&json!({"n": null, "list": ["a", null]})), Vec::<String>::new());
        for (document, error) in [
            (json!([]), ": [] is no \"object\""),
            (json!({}), ": lacks n"),
            (json!({"n": 1, "m": 1}), ": has m besides"),
            (json!({"n": -1}), "/n: -1 is less than 0"),
            (json!({"n": 1.5}), "/n: 1.5 is no [\"integer\",\"null\"]"),
            (json!({"n": 1, "list": ["a", "b"]}), "/list/1: \"b\" is none of [\"a\",null]"),
        ] {
            assert_eq!(schema.errors(&document), [error]);
        }
    }
}
