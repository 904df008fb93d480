//! Counts of random documents against a counter that looks at each document.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{DocumentKey, Schema, SegmentBuilder, time};

const START: i64 = 1_790_000_000_000;

fn schema() -> Arc<Schema> {
    let mappings = include_str!("../../../mappings/elasticsearch/component-mappings.json");
    Arc::new(Schema::parse(mappings).unwrap())
}

fn part(name: &str, documents: &[Value]) -> Part {
    let mut builder = SegmentBuilder::new(schema());
    for (number, document) in (0..).zip(documents) {
        let key = DocumentKey {
            second: 0,
            stream: 7,
            offset: number,
        };
        builder.add(key, document.to_string().as_bytes()).unwrap();
    }
    Part {
        name: name.to_owned(),
        segment: Segment::from_bytes(builder.finish().unwrap()).unwrap(),
    }
}

/// Few values, so that groups are equal in size; and all kinds of absence.
fn document() -> impl Strategy<Value = Value> {
    let maybe = |values: &'static [&'static str]| {
        proptest::option::weighted(0.8, proptest::sample::select(values))
    };
    (
        0_i64..100_000,
        maybe(&["/a", "/b", "/a/{id}", "-", "ü"]),
        maybe(&["10.0.0.1", "10.1.0.1", "2001:db8::1", "::1", "h4sh3d"]),
        proptest::option::weighted(0.9, 199_i64..504),
        proptest::option::weighted(0.7, 0_i64..3_000_000_000),
        proptest::option::weighted(0.7, 0_i64..1_000_000),
        proptest::option::weighted(
            0.5,
            proptest::collection::vec(
                proptest::sample::select(&["unparsed", "line_cut", "x"][..]),
                0..3,
            ),
        ),
        prop_oneof![
            3 => Just(None),
            2 => (0_i64..4).prop_map(|number| Some(json!(number))),
            1 => (0_i64..4).prop_map(|number| Some(json!(number as f64 / 2.0))),
            1 => any::<bool>().prop_map(|value| Some(json!(value))),
            1 => proptest::sample::select(&["1", "x"][..]).prop_map(|text| Some(json!(text))),
        ],
    )
        .prop_map(
            |(at, route, client, status, duration, bytes, tags, mixed)| {
                let mut document = Map::new();
                document.insert("@timestamp".into(), json!(time::text(START + at).unwrap()));
                if let Some(route) = route {
                    document.insert("http".into(), json!({ "route": route }));
                }
                if let Some(status) = status {
                    let http = document.entry("http").or_insert_with(|| json!({}));
                    http["response"] = json!({ "status_code": status });
                    if let Some(bytes) = bytes {
                        http["response"]["body"] = json!({ "bytes": bytes });
                    }
                }
                if let Some(client) = client {
                    document.insert("source".into(), json!({ "address": client }));
                }
                if let Some(duration) = duration {
                    document.insert("event".into(), json!({ "duration": duration }));
                }
                if let Some(tags) = tags {
                    document.insert("tags".into(), json!(tags));
                }
                if let Some(mixed) = mixed {
                    document.insert("mixed".into(), mixed);
                }
                Value::Object(document)
            },
        )
}

/// The different values of a field of a document.
fn keys(document: &Value, field: &str) -> BTreeSet<Key> {
    let pointer = format!("/{}", field.replace('.', "/"));
    let key = |value: &Value| match value {
        Value::Bool(value) => Key::Bool(*value),
        Value::Number(number) => number.as_i64().map_or_else(
            || Key::number(number.as_f64().unwrap()),
            |number| Key::Integer(number.into()),
        ),
        Value::String(text) => Key::from(&**text),
        _ => Key::Missing,
    };
    let keys: BTreeSet<Key> = match document.pointer(&pointer) {
        Some(Value::Array(list)) => list.iter().map(key).collect(),
        Some(value) => [key(value)].into(),
        None => BTreeSet::new(),
    };
    if keys.is_empty() {
        [Key::Missing].into()
    } else {
        keys
    }
}

fn time_of(document: &Value) -> i64 {
    time::parse(document["@timestamp"].as_str().unwrap()).unwrap()
}

fn fits(filter: &Filter, document: &Value) -> bool {
    let fits = keys(document, &filter.field).iter().any(|key| {
        let text = key.to_string();
        *key != Key::Missing
            && match &filter.test {
                Test::Pattern(pattern) => pattern.matches(&text),
                Test::Network(network) => {
                    text.parse::<IpAddr>().is_ok_and(|ip| network.contains(&ip))
                }
            }
    });
    fits != filter.negated
}

fn is_meant(scope: &Scope, document: &Value) -> bool {
    (scope.from..scope.to).contains(&time_of(document))
        && scope.filters.iter().all(|filter| fits(filter, document))
}

fn number(document: &Value, pointer: &str) -> Option<i64> {
    document
        .pointer(pointer)
        .map(|value| value.as_i64().unwrap())
}

#[track_caller]
fn assert_figures(found: &Figures, documents: &[&Value]) {
    let status = |document: &&&Value| number(document, "/http/response/status_code").unwrap_or(0);
    let errors = |least| {
        documents
            .iter()
            .filter(|document| status(document) >= least)
            .count() as u64
    };
    assert_eq!(found.count, documents.len() as u64);
    assert_eq!(found.errors, errors(400));
    assert_eq!(found.server_errors, errors(500));
    let bytes = documents
        .iter()
        .filter_map(|document| number(document, "/http/response/body/bytes"));
    assert_eq!(found.bytes, bytes.map(i128::from).sum::<i128>());
    let durations = documents
        .iter()
        .filter_map(|document| number(document, "/event/duration"));
    let mut durations: Vec<i64> = durations.collect();
    durations.sort_unstable();
    assert_eq!(found.durations.values(), durations.len() as u64);
    for percent in [50_u8, 95, 99] {
        let rank = (durations.len() * usize::from(percent)).div_ceil(100);
        let found = found.durations.percentile(percent);
        match rank.checked_sub(1) {
            None => assert_eq!(found, None),
            Some(rank) => {
                let exact = durations[rank] as f64;
                let error = (found.unwrap() as f64 - exact).abs();
                assert!(error <= exact * RELATIVE_ERROR, "{found:?} {exact}");
            }
        }
    }
}

fn filters() -> impl Strategy<Value = Vec<Filter>> {
    let pattern = |field: &'static str, texts: &'static [&'static str]| {
        proptest::sample::select(texts)
            .prop_map(move |text| (field, Test::Pattern(Pattern::parse(text))))
    };
    let network =
        proptest::sample::select(&["10.0.0.0/8", "10.0.0.1/32", "::/64", "2001:db8::/32"][..])
            .prop_map(|network| {
                (
                    "source.address",
                    Test::Network(network.parse::<IpNet>().unwrap()),
                )
            });
    let one = prop_oneof![
        pattern("http.route", &["/a", "/a*", "*", "-", "nothing", "*{id}"]),
        pattern("http.response.status_code", &["404", "4*", "*", "x"]),
        pattern("tags", &["unparsed", "x", "*", "*e*"]),
        pattern("mixed", &["1", "true", "0.5", "*"]),
        pattern("absent", &["*", "a"]),
        network,
    ];
    let filter = (one, any::<bool>()).prop_map(|((field, test), negated)| Filter {
        field: field.to_owned(),
        negated,
        test,
    });
    proptest::collection::vec(filter, 0..3)
}

const FIELDS: [&str; 6] = [
    "http.route",
    "source.address",
    "http.response.status_code",
    "tags",
    "mixed",
    "absent",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_and_figures_are_those_of_the_documents(
        documents in proptest::collection::vec(document(), 0..120),
        cuts in proptest::collection::vec(0_usize..120, 0..4),
        (from, length) in (-5_000_i64..100_000, 0_i64..110_000),
        filters in filters(),
        field in proptest::sample::select(&FIELDS[..]),
        limit in 1_usize..6,
        step in 1_000_i64..40_000,
    ) {
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(documents.len())).collect();
        cuts.extend([0, documents.len()]);
        cuts.sort_unstable();
        let parts: Vec<Part> =
            cuts.windows(2).map(|cut| part("part", &documents[cut[0]..cut[1]])).collect();
        let scope = Scope { from: START + from, to: START + from + length, filters };
        let meant: Vec<&Value> = documents.iter().filter(|document| is_meant(&scope, document)).collect();
        let mut groups: BTreeMap<Key, Vec<&Value>> = BTreeMap::new();
        for document in &meant {
            for key in keys(document, field) {
                groups.entry(key).or_default().push(*document);
            }
        }

        let counts = Counts::of(&parts, &scope, field).unwrap();
        prop_assert_eq!(counts.rows(), meant.len() as u64);
        prop_assert_eq!(counts.len(), groups.len());
        // by count, and those with equal counts by key
        let mut order: Vec<(Key, u64)> =
            groups.iter().map(|(key, group)| (key.clone(), group.len() as u64)).collect();
        order.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        order.truncate(limit);
        let top = counts.top(limit);
        prop_assert_eq!(&top, &order);

        let top: Vec<Key> = top.into_iter().map(|(key, _)| key).collect();
        let found = figures(&parts, &scope, field, &top).unwrap();
        prop_assert_eq!(found.len(), top.len());
        for (key, figures) in top.iter().zip(&found) {
            assert_figures(figures, &groups[key]);
        }

        let starts: Vec<i64> = (0..).map(|number| scope.from + number * step)
            .take_while(|start| *start < scope.to.max(scope.from + 1)).collect();
        let buckets = timeline(&parts, &scope, &starts, Some((field, &top))).unwrap();
        prop_assert_eq!(buckets.len(), starts.len());
        for (start, bucket) in starts.iter().zip(&buckets) {
            let inside: Vec<&Value> = meant.iter().copied()
                .filter(|document| (*start..start + step).contains(&time_of(document))).collect();
            assert_figures(&bucket.figures, &inside);
            let count = |fits: &dyn Fn(&Key) -> bool| {
                inside.iter().filter(|document| keys(document, field).iter().any(fits)).count() as u64
            };
            let mut expected: Vec<u64> = top.iter().map(|key| count(&|other| other == key)).collect();
            expected.push(count(&|key| !top.contains(key)));
            prop_assert_eq!(&bucket.counts, &expected);
        }
        let without = timeline(&parts, &scope, &starts, None).unwrap();
        prop_assert!(without.iter().all(|bucket| bucket.counts.is_empty()));
        let counted: u64 = without.iter().map(|bucket| bucket.figures.count).sum();
        prop_assert_eq!(counted, meant.len() as u64);
    }

    #[test]
    fn a_damaged_segment_is_an_error_that_names_it_or_gives_no_panic(
        documents in proptest::collection::vec(document(), 1..20),
        places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut builder = SegmentBuilder::new(schema());
        for (number, document) in (0..).zip(&documents) {
            let key = DocumentKey { second: 0, stream: 1, offset: number };
            builder.add(key, document.to_string().as_bytes()).unwrap();
        }
        let mut bytes = builder.finish().unwrap();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        // A segment of which not even the footer can be read is the caller's.
        let Ok(Ok(segment)) = std::panic::catch_unwind(|| Segment::from_bytes(bytes)) else {
            return Ok(());
        };
        let bad = Part { name: "day/bad".to_owned(), segment };
        let parts = [part("day/good", &documents), bad, part("day/other", &documents)];
        let scope = Scope { from: START, to: START + 100_000, filters: vec![] };
        for field in FIELDS {
            if let Err(error) = Counts::of(&parts, &scope, field) {
                prop_assert!(error.to_string().contains("day/bad"), "{}", error);
            }
        }
    }
}

#[test]
fn a_block_of_rows_is_no_border() {
    // more rows than a block has, values and absences in turn, times out of order
    let documents: Vec<Value> = (0..5_000_i64)
        .map(|number| {
            let at = time::text(START + (number * 7_919) % 5_000).unwrap();
            match number % 3 {
                0 => json!({"@timestamp": at}),
                1 => json!({"@timestamp": at, "http": {"route": format!("/{}", number % 5)}, "tags": ["a", "a", "b"]}),
                _ => json!({"@timestamp": at, "tags": ["b"]}),
            }
        })
        .collect();
    let parts = [part("one", &documents)];
    for (from, to) in [(0, 5_000), (1_000, 4_321)] {
        let scope = Scope {
            from: START + from,
            to: START + to,
            filters: vec![],
        };
        for field in ["http.route", "tags"] {
            let mut expected: BTreeMap<Key, u64> = BTreeMap::new();
            for document in documents
                .iter()
                .filter(|document| is_meant(&scope, document))
            {
                for key in keys(document, field) {
                    *expected.entry(key).or_default() += 1;
                }
            }
            let counts = Counts::of(&parts, &scope, field).unwrap();
            let found: BTreeMap<Key, u64> = counts.top(100).into_iter().collect();
            assert_eq!(found, expected, "{field}");
        }
    }
}

#[test]
fn a_sum_does_not_overflow() {
    let row = json!({
        "@timestamp": time::text(START).unwrap(),
        "http": {"response": {"body": {"bytes": i64::MAX}}},
    });
    let parts = [
        part("one", &[row.clone(), row.clone()]),
        part("two", &[row]),
    ];
    let scope = Scope {
        from: START,
        to: START + 1,
        filters: vec![],
    };
    let found = figures(&parts, &scope, "http.route", &[Key::Missing]).unwrap();
    assert_eq!(found[0].bytes, 3 * i128::from(i64::MAX));
}

#[test]
fn a_panic_of_the_library_is_an_error_that_names_the_segment() {
    let mut builder = SegmentBuilder::new(schema());
    let document = json!({
        "@timestamp": time::text(START).unwrap(),
        "http": {"route": "/a"},
        "source": {"address": "10.0.0.1"},
    });
    let key = DocumentKey {
        second: 0,
        stream: 1,
        offset: 0,
    };
    builder.add(key, document.to_string().as_bytes()).unwrap();
    let bytes = builder.finish().unwrap();
    let scope = Scope {
        from: START,
        to: START + 1,
        filters: vec![],
    };
    let mut panics = 0;
    for place in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[place] = !bytes[place];
        let Ok(Ok(segment)) = std::panic::catch_unwind(|| Segment::from_bytes(bytes)) else {
            continue;
        };
        let name = format!("day/{place}");
        let part = Part { name, segment };
        if let Err(QueryError::Damaged { segment, reason }) =
            Counts::of(&[part], &scope, "source.address")
        {
            assert_eq!(segment, format!("day/{place}"));
            assert!(!reason.is_empty());
            panics += 1;
        }
    }
    assert!(panics > 0);
}
