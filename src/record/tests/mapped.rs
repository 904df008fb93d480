//! Every field that a record carries has a place in the index, of the right type.
//!
//! A field that the mappings do not know may be text, which their dynamic template takes as keyword; a number
//! would be given a type by the first document that carries one.

use std::collections::BTreeSet;

use super::*;
use crate::config::FieldType;

const FAMILIES: [(&str, &str); 2] = [
    (
        "elasticsearch",
        include_str!("../../../mappings/elasticsearch/component-mappings.json"),
    ),
    (
        "opensearch",
        include_str!("../../../mappings/opensearch/component-mappings.json"),
    ),
];

/// The type of a field; `None` when the mappings do not name it.
fn type_of<'m>(mappings: &'m Value, field: &str) -> Option<&'m str> {
    let mut at = mappings;
    for name in field.split('.') {
        at = at.get("properties")?.get(name)?;
    }
    Some(at.get("type").and_then(Value::as_str).unwrap_or("object"))
}

fn fits(kind: Option<&str>, value: &Value) -> bool {
    match (kind, value) {
        // an absent element of a list
        (Some(kind), Value::Null) => kind != "object",
        (Some("keyword") | None, Value::String(_)) => true,
        (Some("long"), Value::Number(number)) => number.as_i64().is_some(),
        (Some("geo_point"), Value::Number(number)) => {
            number.as_f64().is_some_and(|n| n.abs() <= 180.0)
        }
        (Some("ip"), Value::String(text)) => text.parse::<std::net::IpAddr>().is_ok(),
        (Some("date"), Value::String(text)) => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
        _ => false,
    }
}

fn documents() -> impl Iterator<Item = Value> {
    corpus::all()
        .into_iter()
        .flat_map(|case| case.items())
        .filter_map(|(_, item)| Some(take_apart(&item?).unwrap().2))
        .chain([enriched::document("203.0.113.77", Privacy::default())])
}

#[test]
fn every_field_is_mapped_with_its_type() {
    for (family, text) in FAMILIES {
        let component: Value = serde_json::from_str(text).unwrap();
        let mappings = &component["template"]["mappings"];
        let dynamic = &mappings["dynamic_templates"][0]["strings_as_keyword"];
        assert_eq!(dynamic["match_mapping_type"], "string", "{family}");
        assert_eq!(dynamic["mapping"]["type"], "keyword", "{family}");
        let mut met = BTreeSet::new();
        // The configuration may replace the names of a pod.
        for document in documents().chain([framed::document()]) {
            let mut found = vec![];
            leaves("", &document, &mut found);
            for (field, value) in found {
                // a point is an object of two numbers
                let field = field
                    .trim_end_matches(".lat")
                    .trim_end_matches(".lon")
                    .to_owned();
                let kind = type_of(mappings, &field);
                assert!(
                    fits(kind, value),
                    "{family}: {field} is {kind:?}, not {value}"
                );
                met.insert(field);
            }
        }
        // the corpus does not contain these: they need a configuration, or a cluster
        let mut named = vec![];
        name_all("", mappings, &mut named);
        let later = |field: &str| {
            [
                "agent.id",
                "destination.address",
                "event.ingested",
                "host.hostname",
                "source.port",
            ]
            .contains(&field)
        };
        let unmet: Vec<_> = named
            .iter()
            .filter(|field| !later(field) && !met.contains(*field))
            .collect();
        assert!(unmet.is_empty(), "{family}: in no document: {unmet:?}");
    }
}

fn name_all(name: &str, mapping: &Value, named: &mut Vec<String>) {
    match mapping.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            for (key, property) in properties {
                let name = if name.is_empty() {
                    key.clone()
                } else {
                    format!("{name}.{key}")
                };
                name_all(&name, property, named);
            }
        }
        None => named.push(name.to_owned()),
    }
}

/// A configured constant must not collide with a field of the record.
#[test]
fn no_constant_may_collide_with_a_field_of_the_record() {
    for document in documents() {
        let mut found = vec![];
        leaves("", &document, &mut found);
        for (field, _) in found {
            let given = routes::fields(routes::FIELDS)
                .iter()
                .any(|given| given.name == field);
            let given = given || ["labels.env", "service.name"].contains(&field.as_str());
            // fields of enrichment may be constants while it is off; the configuration checks that
            let filled = ["user_agent.", "source.geo.", "source.as."];
            let given = given || filled.iter().any(|prefix| field.starts_with(prefix));
            assert!(given || crate::config::is_own(&field), "{field}");
        }
    }
}

/// A configured field has the type of the index mapping.
#[test]
fn fields_fit_the_types_of_the_mappings() {
    for (family, text) in FAMILIES {
        let component: Value = serde_json::from_str(text).unwrap();
        let mappings = &component["template"]["mappings"];
        let mut named = vec![];
        name_all("", mappings, &mut named);
        let free = named.iter().filter(|field| !crate::config::is_own(field));
        let mut seen = 0;
        for field in free {
            seen += 1;
            let toml = format!("[[logs]]\npaths = [\"/a\"]\nfields = {{ {field:?} = \"$x\" }}\n");
            let loaded = crate::config::tests::text(&toml).load();
            let kind = loaded.map(|loaded| loaded.config.logs[0].fields[0].kind);
            match type_of(mappings, field) {
                Some("keyword") => assert_eq!(kind, Ok(FieldType::Text), "{family} {field}"),
                Some("long") => assert_eq!(kind, Ok(FieldType::Long), "{family} {field}"),
                Some("ip") => assert_eq!(kind, Ok(FieldType::Ip), "{family} {field}"),
                Some("date") => assert_eq!(kind, Ok(FieldType::Date), "{family} {field}"),
                other => assert!(kind.is_err(), "{family} {field} {other:?}"),
            }
        }
        assert!(seen > 10, "{family}");
    }
}
