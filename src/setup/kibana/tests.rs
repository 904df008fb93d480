//! The marks and stamps of the shipped objects.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use super::*;

fn shipped() -> SavedObjects {
    SavedObjects::for_pattern("nginx-access-*")
}

#[test]
fn every_object_is_read_and_carries_a_stamp_of_its_own() {
    let file = include_str!("../../../kibana/logweir.ndjson");
    let shipped = shipped();
    assert_eq!(shipped.objects().len(), file.lines().count());
    let mut stamps = BTreeSet::new();
    for object in shipped.objects() {
        assert!(object.id.starts_with("logweir-"), "{}", object.id);
        let body = object.body();
        assert_eq!(
            object.recognise(&body["attributes"]),
            Held::Equal,
            "{}",
            object.id
        );
        let text = body.to_string();
        let (_, rest) = text.split_once("[logweir ").expect("it carries a mark");
        let (stamp, _) = rest.split_once(']').unwrap();
        assert!(stamps.insert(stamp.to_owned()), "{}: {stamp}", object.id);
        assert!(text.matches("[logweir ").count() == 1, "{}", object.id);
    }
}

#[test]
fn a_stamp_follows_the_content_and_nothing_else() {
    let stamps = |objects: &SavedObjects| -> Vec<String> {
        objects
            .objects()
            .iter()
            .map(|object| object.body().to_string())
            .collect()
    };
    assert_eq!(stamps(&shipped()), stamps(&shipped()));
    let other = SavedObjects::for_pattern("web-*");
    let differ = shipped()
        .objects()
        .iter()
        .zip(other.objects())
        .filter(|(one, other)| one.recognise(&other.body()["attributes"]) != Held::Equal)
        .map(|(one, _)| one.kind.clone())
        .collect::<Vec<_>>();
    assert_eq!(differ, ["index-pattern"]);
}

#[test]
fn an_objects_mark_stands_at_the_end_of_its_description() {
    let shipped = shipped();
    let object = shipped
        .objects()
        .iter()
        .find(|object| object.kind == "dashboard")
        .unwrap();
    let held = |description: &str| {
        let attributes = json!({"title": object.title, "description": description});
        object.recognise(&attributes)
    };
    assert_eq!(held("Traffic. [logweir]"), Held::Older);
    assert_eq!(held("Traffic. [logweir 00000000] "), Held::Older);
    for foreign in [
        "",
        "Traffic.",
        "A copy of [logweir]'s page",
        "[logweir 0] and mine",
    ] {
        assert_eq!(held(foreign), Held::Foreign, "{foreign}");
    }
    assert_eq!(
        object.recognise(&json!({"title": object.title})),
        Held::Foreign
    );
}
