//! Answers from segments in memory against numbers that are counted from the documents.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;

use logweir_store::{DocumentKey, Schema, Segment, SegmentBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::zone::{self, BERLIN};
use super::super::{Subject, intervals};
use super::*;

/// 2026-10-25T00:00:00 in Berlin, a day of 25 hours.
const START: i64 = 1_792_879_200_000;
const HOUR: i64 = 3_600_000;

pub(crate) fn part(documents: &[Value]) -> Part {
    let mappings = include_str!("../../../mappings/elasticsearch/component-mappings.json");
    let mut builder = SegmentBuilder::new(Arc::new(Schema::parse(mappings).unwrap()));
    for (offset, document) in (0..).zip(documents) {
        let key = DocumentKey {
            second: 0,
            stream: 1,
            offset,
        };
        builder.add(key, document.to_string().as_bytes()).unwrap();
    }
    Part {
        name: "day/segment".to_owned(),
        segment: Segment::from_bytes(builder.finish().unwrap()).unwrap(),
    }
}

fn time(millis: i64) -> String {
    let time = chrono::DateTime::from_timestamp_millis(millis).unwrap();
    time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// A request; `None` a line that no format takes.
fn request(at: i64, request: Option<(&str, &str, i64)>) -> Value {
    match request {
        None => json!({
            "@timestamp": time(START + at),
            "tags": ["unparsed"],
            "event": {"original": "nonsense"},
            "error": {"message": "no format"},
        }),
        Some((route, client, status)) => json!({
            "@timestamp": time(START + at),
            "event": {"duration": at},
            "http": {"route": route, "response": {"status_code": status, "body": {"bytes": at}}},
            "source": {"address": client},
        }),
    }
}

fn subject(from: i64, to: i64, conditions: &[&str]) -> Subject {
    Subject {
        range: Range {
            from: START + from,
            to: START + to,
        },
        filters: conditions
            .iter()
            .map(|text| fields::condition(text).unwrap())
            .collect(),
    }
}

fn ask_top(
    parts: &[Part],
    by: &str,
    subject: Subject,
    limit: usize,
) -> Result<Answer, EngineError> {
    let question = Question::Top(Top {
        subject,
        by: fields::field(by).unwrap(),
        limit,
    });
    answer(&question, parts.iter().cloned().map(Ok))
}

fn requests() -> impl Strategy<Value = Vec<Value>> {
    let one = (
        0..26 * HOUR,
        proptest::option::weighted(
            0.9,
            (
                proptest::sample::select(&["/a", "/b", "/c/{id}", "-"][..]),
                proptest::sample::select(
                    &["10.0.0.1", "10.9.9.9", "2001:db8::1", "h4sh3d", "192.0.2.1"][..],
                ),
                proptest::sample::select(&[200_i64, 304, 404, 499, 500][..]),
            ),
        ),
    );
    let one = one.prop_map(|(at, parts)| request(at, parts));
    proptest::collection::vec(one, 0..200)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn top_clients_within_a_network_are_those_of_the_log(documents in requests(), limit in 1_usize..5) {
        let parts = [part(&documents), part(&documents)];
        let meant = subject(HOUR, 20 * HOUR, &["client=10.0.0.0/8", "status!=2*"]);
        let mut counts: BTreeMap<String, i128> = BTreeMap::new();
        for document in documents.iter().chain(&documents) {
            let at = document["@timestamp"].as_str().unwrap();
            let inside = at >= &*time(START + HOUR) && at < &*time(START + 20 * HOUR);
            let client = document["source"]["address"].as_str().unwrap_or_default();
            let status = document["http"]["response"]["status_code"].as_i64();
            if inside && client.starts_with("10.") && status != Some(200) {
                *counts.entry(client.to_owned()).or_default() += 1;
            }
        }
        let all: i128 = counts.values().sum();
        let mut expected: Vec<(String, i128)> = counts.into_iter().collect();
        expected.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let found = ask_top(&parts, "client", meant, limit).unwrap();
        prop_assert_eq!(i128::from(found.requests), all);
        prop_assert_eq!(found.values, Some(expected.len() as u64));
        expected.truncate(limit);
        let rows: Vec<(String, i128)> = found.rows.iter().map(|row| match &row[..2] {
            [Cell::Text(client), Cell::Whole(count)] => (client.clone(), *count),
            other => panic!("{other:?}"),
        }).collect();
        prop_assert_eq!(rows, expected);
    }

    #[test]
    fn a_timeline_of_a_day_of_25_hours_is_that_of_the_log(documents in requests(), hours in 1_i64..4) {
        let subject = subject(0, 25 * HOUR, &[]);
        let starts = intervals::starts(subject.range, hours * 3_600, &BERLIN).unwrap();
        let question = Question::Timeline(Timeline {
            subject,
            starts: starts.clone(),
            by: Some(("http.route".to_owned(), 2)),
        });
        let parts = [part(&documents)];
        let found = answer(&question, parts.into_iter().map(Ok)).unwrap();
        // by what clocks show, and their offset: the hour that comes twice is two intervals
        let label = |millis: i64| {
            let local = zone::local(&BERLIN, millis).unwrap();
            let hour = i64::from(chrono::Timelike::hour(&local)) / hours * hours;
            let day = chrono::Datelike::day(&local);
            (day, local.offset().to_string(), hour)
        };
        let mut counts: BTreeMap<_, i128> = BTreeMap::new();
        for document in &documents {
            let at = chrono::DateTime::parse_from_rfc3339(document["@timestamp"].as_str().unwrap());
            let at = at.unwrap().timestamp_millis();
            if at < START + 25 * HOUR {
                *counts.entry(label(at)).or_default() += 1;
            }
        }
        let mut all = 0;
        for (start, row) in starts.iter().zip(&found.rows) {
            let Cell::Whole(count) = row[1] else { panic!() };
            prop_assert_eq!(count, counts.get(&label(*start)).copied().unwrap_or(0), "{:?}", label(*start));
            // one value a request, so the columns add up
            let columns: i128 = row[8..].iter().map(|cell| match cell {
                Cell::Whole(count) => *count,
                other => panic!("{other:?}"),
            }).sum();
            prop_assert_eq!(columns, count);
            all += count;
        }
        prop_assert_eq!(all, i128::from(found.requests));
    }
}

#[test]
fn all_columns_of_top_have_their_figures() {
    let documents = [
        request(1_000, Some(("/a", "10.0.0.1", 200))),
        request(3_000, Some(("/a", "10.0.0.1", 404))),
        request(2_000, Some(("/a", "10.0.0.1", 500))),
        request(2_000, None),
    ];
    let found = ask_top(&[part(&documents)], "route", subject(0, HOUR, &[]), 10).unwrap();
    let names: Vec<String> = found
        .columns
        .iter()
        .map(|column| column.content.name())
        .collect();
    assert_eq!(
        names,
        [
            "key",
            "count",
            "share",
            "errors",
            "errors_5xx",
            "p50_ns",
            "p95_ns",
            "p99_ns",
            "bytes"
        ]
    );
    let whole = |row: usize, column: usize| match found.rows[row][column] {
        Cell::Whole(number) => number,
        ref other => panic!("{other:?}"),
    };
    assert_eq!(found.rows[0][0], Cell::Text("/a".to_owned()));
    assert_eq!(
        [1, 3, 4, 8].map(|column| whole(0, column)),
        [3, 2, 1, 6_000]
    );
    assert_eq!(found.rows[0][2], Cell::Fraction(0.75));
    for (column, exact) in [(5, 2_000.0), (6, 3_000.0), (7, 3_000.0)] {
        let off = (whole(0, column) as f64 - exact).abs() / exact;
        assert!(off <= RELATIVE_ERROR, "{column}: {off}");
        assert_eq!(
            found.columns[column].precision,
            Precision::Within(RELATIVE_ERROR)
        );
    }
    // the line that no format takes has no route and no duration
    assert_eq!(found.rows[1][0], Cell::Missing);
    assert_eq!(found.rows[1][5], Cell::Missing);
    assert_eq!((found.requests, found.values), (4, Some(2)));
}

#[test]
fn a_field_that_nobody_writes_is_an_error_and_one_of_the_configuration_is_not() {
    let mut own = request(1, None);
    own["labels"] = json!({"tenant": "x"});
    let parts = [part(&[request(1, None)]), part(&[own])];
    let found = ask_top(&parts, "labels.tenant", subject(0, HOUR, &[]), 1).unwrap();
    assert_eq!(found.requests, 2);
    for (by, conditions) in [("http.rout", &[][..]), ("route", &["http.rout=/a"])] {
        let error = ask_top(&parts, by, subject(0, HOUR, conditions), 1).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, EngineError::UnknownField(_)), "{text}");
        assert!(text.contains("did you mean `http.route`?"), "{text}");
    }
    // a field of the mappings may be without values
    let found = ask_top(&parts, "user", subject(0, HOUR, &["site=x"]), 1).unwrap();
    assert_eq!((found.requests, found.rows.len()), (0, 0));
}

#[test]
fn a_segment_that_cannot_be_opened_ends_the_question() {
    let question = Question::Top(Top {
        subject: subject(0, 1, &[]),
        by: "http.route".to_owned(),
        limit: 1,
    });
    let gone = std::iter::once(Err(io::Error::other("gone")));
    let error = answer(&question, gone).unwrap_err();
    assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
}
