//! Kuery, as much of it as the saved objects use: `field: word`, `field >= 400`, `and`. Anything else fails.
//!
//! Each part becomes what Kibana's `toElasticsearchQuery` makes of it, for fields that are no text.

use serde_json::{Value, json};

pub fn query(text: &str) -> Value {
    if text.is_empty() {
        return json!({"match_all": {}});
    }
    let mut parts: Vec<Value> = text.split(" and ").map(part).collect();
    if parts.len() == 1 {
        return parts.remove(0);
    }
    json!({"bool": {"filter": parts}})
}

fn part(text: &str) -> Value {
    let words: Vec<&str> = text.split(' ').collect();
    let should = |inner: Value| json!({"bool": {"should": [inner], "minimum_should_match": 1}});
    match words[..] {
        [field, value] if field.ends_with(':') => {
            let field = name(&field[..field.len() - 1]);
            assert!(value.chars().all(|c| c.is_ascii_alphanumeric()), "{text}");
            should(json!({"match": {field: value}}))
        }
        [field, operator, number] => {
            let operator = match operator {
                ">=" => "gte",
                "<" => "lt",
                _ => panic!("{text:?}: which operator?"),
            };
            let number: u64 = number.parse().unwrap();
            should(json!({"range": {name(field): {operator: number}}}))
        }
        _ => panic!("{text:?} is not understood"),
    }
}

/// Every name in a query, to be looked for in the mappings.
pub fn fields(text: &str) -> Vec<String> {
    let parts = text.split(" and ").filter(|part| !part.is_empty());
    parts
        .map(|part| part.split([' ', ':']).next().unwrap().to_owned())
        .collect()
}

fn name(field: &str) -> &str {
    assert!(
        field
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "@._".contains(c)),
        "{field}"
    );
    field
}
