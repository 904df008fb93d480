//! Documents come back as they were written, from memory, from files, and after merges.

use std::path::Path;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{DAY, NO_LIMITS, add, key, schema};
use crate::{HostDisk, Reader, Segment, SegmentBuilder, Sources, Writer};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z/]{0,8}",
        any::<String>(),
        Just("2026-11-23T05:26:59.123Z".to_owned()),
        Just("::1".to_owned()),
        Just(String::new()),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => text().prop_map(Value::from),
        3 => any::<i64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
    ]
}

/// Each field has values of one type, and holds lists or single values.
fn documents() -> impl Strategy<Value = Vec<Value>> {
    let texts = prop::option::of(text());
    let list = prop::option::of(prop::collection::vec(text(), 1..4));
    let one = (
        texts,
        list,
        prop::option::of(scalar()),
        prop::option::of(any::<f64>()),
        0..86_400_000_i64,
    );
    prop::collection::vec(one, 1..12).prop_map(|rows| {
        let rows = rows.into_iter().enumerate();
        rows.map(|(number, (route, tags, other, fraction, millis))| {
            let time = crate::time::text(i64::from(DAY) * 86_400_000 + millis).unwrap();
            let mut document = json!({
                "@timestamp": time,
                "event": { "created": time, "type": ["access"] },
                "log": { "offset": number * 10 },
            });
            if let Some(route) = route {
                document["http"]["route"] = route.into();
            }
            if let Some(tags) = tags {
                document["tags"] = tags.into();
            }
            if let Some(other) = other {
                document["custom"]["inner"]["value"] = other;
            }
            if let Some(fraction) = fraction.filter(|number| number.is_finite()) {
                document["custom"]["fraction"] = fraction.into();
            }
            document
        })
        .collect()
    })
}

fn equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64() == other.as_f64()
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(name, value)| other.get(name).is_some_and(|other| equal(value, other)))
        }
        (one, other) => one == other,
    }
}

fn segment(documents: &[Value], first: usize) -> Segment {
    let mut builder = SegmentBuilder::new(schema());
    for (number, document) in documents.iter().enumerate() {
        let key = key(DAY, 1, 2, (first + number) as u64 * 10);
        builder.add(key, document.to_string().as_bytes()).unwrap();
    }
    Segment::from_bytes(builder.finish().unwrap()).unwrap()
}

proptest! {
    #[test]
    fn a_document_comes_back_as_it_was_written(documents in documents(), split in 0..12_usize) {
        let split = split.min(documents.len());
        let (first, second) = (segment(&documents[..split], 0), segment(&documents[split..], split));
        let merged = crate::segment::stacked(&[&first, &second]).unwrap();
        let merged = Segment::from_bytes(merged).unwrap();
        prop_assert_eq!(merged.rows() as usize, documents.len());
        let sources = Sources::of(&merged).unwrap();
        let keys = merged.keys().unwrap();
        for (number, document) in documents.iter().enumerate() {
            let row = u32::try_from(number).unwrap();
            let back = sources.get(row).unwrap();
            prop_assert!(equal(&back, document), "{back} is not {document}");
            prop_assert_eq!(keys.get(row), Some(key(DAY, 1, 2, number as u64 * 10)));
        }
    }
}

#[test]
fn what_is_no_document_is_refused_and_leaves_no_row() {
    let good = json!({ "@timestamp": "2026-11-23T00:00:01.000Z", "log": { "offset": 3 } });
    let mut builder = SegmentBuilder::new(schema());
    for bad in [
        r#"{"http":{"route":"/a"},"a":[[1]]}"#,
        r#"{"http":{"route":"/b"},"a":[{}]}"#,
        r#"{"http":{"route":"/c"},"a":null}"#,
        r#"{"http":{"route":"/d"},"a.b":1}"#,
        r#"{"http":{"route":"/e"},"[second]":1}"#,
        r#"{"http":{"route":"/f"}"#,
        r#"{"http":{"route":"/g"}} x"#,
        "",
    ] {
        assert!(
            builder.add(key(DAY, 1, 2, 1), bad.as_bytes()).is_err(),
            "{bad}"
        );
    }
    let deep = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    assert!(builder.add(key(DAY, 1, 2, 1), deep.as_bytes()).is_err());
    builder
        .add(key(DAY, 1, 2, 3), good.to_string().as_bytes())
        .unwrap();
    assert_eq!(builder.documents(), 1);
    let segment = Segment::from_bytes(builder.finish().unwrap()).unwrap();
    assert_eq!(segment.rows(), 1);
    assert_eq!(Sources::of(&segment).unwrap().get(0).unwrap(), good);
}

#[test]
fn a_reader_sees_what_was_committed_while_segments_are_merged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("store");
    let mut writer = Writer::open(HostDisk, &path, schema(), NO_LIMITS).unwrap();
    let reader = Reader::open(&path).unwrap();
    let count = |reader: &Reader| -> u64 {
        let days = reader.days().unwrap();
        days.iter()
            .flat_map(|day| {
                reader
                    .segments(day.index, day.seconds.0, day.seconds.1)
                    .unwrap()
            })
            .map(|segment| u64::from(segment.rows()))
            .sum()
    };
    for number in 0..40_u64 {
        add(
            &mut writer,
            &[
                key(DAY, 86_399, 1, number * 2),
                key(DAY + 1, 0, 1, number * 2 + 1),
            ],
        )
        .unwrap();
        assert_eq!(count(&reader), number * 2);
        writer.commit().unwrap();
        if let Some(job) = writer.next_merge(0) {
            writer.finish_merge(job.run()).unwrap();
        }
        assert_eq!(count(&reader), number * 2 + 2);
    }
    let days = reader.days().unwrap();
    let segments = reader.segments(days[0].index, i64::MIN, i64::MAX).unwrap();
    assert!(segments.len() < 10, "{}", segments.len());
    assert!(reader.segments(days[0].index, 0, 5).unwrap().is_empty());
    assert!(Reader::open(Path::new("/does/not/exist")).is_err());
}
