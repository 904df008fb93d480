//! The marks and stamps of the shipped objects.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;

use super::objects::NAMESPACE;
use super::*;

fn shipped() -> SavedObjects {
    SavedObjects::for_pattern("nginx-access-*", None)
}

#[test]
fn every_object_is_parsed_and_has_its_own_stamp() {
    let file = include_str!("../../../kibana/logweir.ndjson");
    let shipped = shipped();
    assert_eq!(shipped.objects().len(), file.lines().count());
    let mut stamps = BTreeSet::new();
    for object in shipped.objects() {
        assert!(object.id.starts_with("logweir-"), "{}", object.id);
        let body = object.body();
        assert_eq!(
            object.recognise(body),
            SavedObjectState::Equal,
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
fn a_stamp_depends_on_the_content_only() {
    let stamps = |objects: &SavedObjects| -> Vec<String> {
        objects
            .objects()
            .iter()
            .map(|object| object.body().to_string())
            .collect()
    };
    assert_eq!(stamps(&shipped()), stamps(&shipped()));
    let other = SavedObjects::for_pattern("web-*", None);
    let differ = shipped()
        .objects()
        .iter()
        .zip(other.objects())
        .filter(|(one, other)| one.recognise(other.body()) != SavedObjectState::Equal)
        .map(|(one, _)| one.kind.clone())
        .collect::<Vec<_>>();
    assert_eq!(differ, ["index-pattern"]);
}

#[test]
fn the_mark_is_at_the_end_of_the_description() {
    let shipped = shipped();
    let object = shipped
        .objects()
        .iter()
        .find(|object| object.kind == "dashboard")
        .unwrap();
    let held = |description: &str| {
        let attributes = json!({"title": object.title, "description": description});
        object.recognise(&json!({"attributes": attributes}))
    };
    assert_eq!(held("Traffic. [logweir]"), SavedObjectState::Older);
    assert_eq!(
        held("Traffic. [logweir 00000000] "),
        SavedObjectState::Older
    );
    for foreign in [
        "",
        "Traffic.",
        "A copy of [logweir]'s page",
        "[logweir 0] and mine",
    ] {
        assert_eq!(held(foreign), SavedObjectState::Foreign, "{foreign}");
    }
    assert_eq!(
        object.recognise(&json!({"attributes": {"title": object.title}})),
        SavedObjectState::Foreign
    );
}

/// Ids are unique across all spaces: no two may be equal, whatever the names of the spaces.
#[test]
fn every_id_contains_the_name_of_the_space() {
    let plain = shipped();
    let of = |space: &str| SavedObjects::for_pattern("nginx-access-*", Some(space));
    assert_eq!(of("default").ndjson(), plain.ndjson());
    for (object, plain) in of("ops").objects().iter().zip(plain.objects()) {
        let moved = plain.id.replace("logweir-", "logweir-ops-");
        assert_eq!(object.id, moved);
        assert_eq!(object.body()["id"], object.id);
        // Apart from the mark and the ids, the object equals the shipped one.
        let back = object.body().to_string();
        let back = back
            .replace("logweir-ops-", "logweir-")
            .replace(&object.mark, &plain.mark);
        assert_eq!(back, plain.body().to_string());
        let ids = object.body().to_string().matches("logweir-").count();
        let moved = object.body().to_string().matches("logweir-ops-").count();
        assert_eq!(moved, ids, "{}", object.id);
    }
    let names: BTreeSet<&str> = plain
        .objects()
        .iter()
        .filter_map(|object| object.id.strip_prefix(NAMESPACE))
        .collect();
    assert_eq!(names.len(), plain.objects().len());
    for name in &names {
        let end = format!("-{name}");
        let mut longer = names.iter().filter(|other| other.ends_with(&end));
        assert_eq!(
            longer.next(),
            None,
            "a space can be called so that {name} in it is this one"
        );
    }
}
