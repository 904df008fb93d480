#![allow(clippy::unwrap_used)]
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::event::{EventTime, StreamId};
use tempfile::TempDir;

fn entry(id: &str, document: &[u8]) -> Entry {
    let reason = Rejection {
        kind: "index_closed_exception".into(),
        text: "closed".into(),
        status: 400,
    };
    Entry::new(
        EntryKind::Parked,
        1_795_397_256_789,
        ("day", id),
        document,
        Some(Path::new("/var/log/nginx/access.log")),
        reason,
    )
}

fn ids(file: &DeadLetters) -> Vec<String> {
    file.entries()
        .unwrap()
        .map(|entry| entry.unwrap().id)
        .collect()
}

fn lab() -> (TempDir, DeadLetters) {
    let directory = TempDir::new().unwrap();
    let file = DeadLetters::new(directory.path(), 1 << 20);
    (directory, file)
}

#[test]
fn an_entry_names_the_file_and_offset_of_its_line() {
    let id = DocumentId::new(EventTime::At(1), &StreamId([2; 10]), 0x01_0203_0405);
    let id = std::str::from_utf8(id.as_bytes()).unwrap();
    let origin = |id: &str| {
        let entry = entry(id, b"{}");
        (entry.file, entry.offset)
    };
    let file = Some("/var/log/nginx/access.log".to_owned());
    assert_eq!(origin(id), (file.clone(), Some(0x01_0203_0405)));
    assert_eq!(origin("x"), (file, None));
}

#[test]
fn the_shape_on_disk() {
    let line = serde_json::to_string(&entry("abc", b"{\"n\": 1.0}\n")).unwrap();
    insta::assert_snapshot!(line);
}

#[test]
fn a_document_comes_back_byte_for_byte_whatever_it_is() {
    for document in [
        &b"{\"a\":1.000,\"b\":\"\\u00e4\"}"[..],
        b"{\"cut\":",
        b"\xff\xfe",
        b"",
        b"{} {}",
    ] {
        let line = serde_json::to_vec(&entry("x", document)).unwrap();
        let back: Entry = serde_json::from_slice(&line).unwrap();
        assert_eq!(back.document_bytes().unwrap(), document);
        assert_eq!((back.index.as_str(), back.id.as_str()), ("day", "x"));
    }
}

#[test]
fn an_entry_that_would_break_a_request_is_not_sendable() {
    let good = entry("x", b"{\"a\":1}");
    assert!(good.is_sendable());
    assert!(entry("x", b"\xff").is_sendable());
    for bad in [
        entry("x", b""),
        entry("x", b"{\"a\":1}\n{}"),
        entry("", b"{}"),
        Entry {
            index: "a\"b".to_owned(),
            ..good.clone()
        },
        Entry {
            id: "a\nb".to_owned(),
            ..good.clone()
        },
        Entry {
            document: None,
            document_base64: Some("?".to_owned()),
            ..good.clone()
        },
        Entry {
            document: None,
            ..good
        },
    ] {
        assert!(!bad.is_sendable(), "{bad:?}");
    }
}

#[test]
fn entries_are_selected_by_kind_and_by_text_of_the_reason() {
    let parked = entry("x", b"{}");
    let takes = |kind, reason| Choice::of(kind, reason).takes(&parked);
    assert!(takes(None, None));
    assert!(takes(Some(EntryKind::Parked), Some("Index_CLOSED")));
    assert!(takes(None, Some("400")));
    assert!(!takes(Some(EntryKind::Dead), None));
    assert!(!takes(None, Some("mapping")));
}

#[test]
fn a_walk_reads_each_entry_once_while_the_file_is_rewritten() {
    let (_directory, file) = lab();
    let many: Vec<Entry> = (0..1000)
        .map(|id| entry(&format!("id-{id}"), b"{\"n\":1}"))
        .collect();
    file.append(&many).unwrap();
    let mut walk = file.entries().unwrap();
    assert_eq!(walk.next().unwrap().unwrap().id, "id-0");
    file.rewrite(|entry| {
        if entry.id.ends_with('7') {
            EntryChange::Keep
        } else {
            EntryChange::Remove
        }
    })
    .unwrap();
    file.append(&[entry("new", b"{}")]).unwrap();
    let rest: Vec<String> = walk.map(|entry| entry.unwrap().id).collect();
    assert_eq!(rest.len(), 999);
    assert_eq!(rest[998], "id-999");
    assert_eq!(ids(&file).len(), 101);
}

#[test]
fn one_replay_at_a_time() {
    let (directory, file) = lab();
    file.append(&[entry("a", b"{}")]).unwrap();
    let lock = file.lock_replay().unwrap();
    assert!(lock.is_some());
    let other = DeadLetters::new(directory.path(), 1 << 20);
    assert!(other.lock_replay().unwrap().is_none());
    // the agent continues meanwhile
    file.append(&[entry("b", b"{}")]).unwrap();
    drop(lock);
    assert!(other.lock_replay().unwrap().is_some());
}

#[test]
fn the_file_is_created_when_needed_and_only_the_owner_may_read_it() {
    let (directory, file) = lab();
    assert_eq!(file.entries().unwrap().count(), 0);
    file.rewrite(|_| EntryChange::Remove).unwrap();
    assert!(!file.path().exists());
    file.append(&[entry("a", b"{}")]).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&file.path()), 0o600);
    assert_eq!(mode(&directory.path().join(DIRECTORY)), 0o700);
    assert_eq!(file.bytes(), std::fs::metadata(file.path()).unwrap().len());
    assert_eq!(DeadLetters::new(directory.path(), 1).bytes(), file.bytes());
    file.rewrite(|_| EntryChange::Keep).unwrap();
    assert_eq!(mode(&file.path()), 0o600);
}

#[test]
fn an_incomplete_last_line_is_ignored_and_truncated() {
    let (_directory, file) = lab();
    // Longer than one step of the search for the last line end.
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(150_000));
    file.append(&[entry("a", b"{}"), entry("b", long.as_bytes())])
        .unwrap();
    let whole = std::fs::read(file.path()).unwrap();
    let second = memchr::memchr(b'\n', &whole).unwrap() + 1;
    for cut in [second + 1, second + 70_000, whole.len() - 2] {
        std::fs::write(file.path(), &whole[..cut]).unwrap();
        assert_eq!(ids(&file), ["a"]);
        file.append(&[entry("c", b"{}")]).unwrap();
        assert_eq!(ids(&file), ["a", "c"]);
    }
    // A whole entry that lacks only its line end was settled, and stays.
    std::fs::write(file.path(), &whole[..whole.len() - 1]).unwrap();
    assert_eq!(ids(&file), ["a", "b"]);
    file.append(&[entry("c", b"{}")]).unwrap();
    assert_eq!(ids(&file), ["a", "b", "c"]);
    // The very first line, torn.
    std::fs::write(file.path(), &whole[..10]).unwrap();
    file.append(&[entry("c", b"{}")]).unwrap();
    assert_eq!(ids(&file), ["c"]);
}

#[test]
fn a_full_file_takes_nothing_and_keeps_its_entries() {
    let directory = TempDir::new().unwrap();
    let file = DeadLetters::new(directory.path(), 500);
    file.append(&[entry("a", b"{}")]).unwrap();
    let many: Vec<Entry> = (0..5).map(|_| entry("b", b"{}")).collect();
    assert!(matches!(file.append(&many), Err(AppendError::Full { .. })));
    assert_eq!(ids(&file), ["a"]);
    file.rewrite(|_| EntryChange::Remove).unwrap();
    assert_eq!(file.bytes(), 0);
    file.append(&many[..1]).unwrap();
    assert_eq!(ids(&file), ["b"]);
}

#[test]
fn rewriting_touches_the_named_entries_only() {
    let (_directory, file) = lab();
    file.append(&[entry("a", b"{}"), entry("b", b"{}"), entry("c", b"{}")])
        .unwrap();
    let mut text = std::fs::read_to_string(file.path()).unwrap();
    text.push_str("a line of somebody else\n");
    std::fs::write(file.path(), &text).unwrap();
    file.rewrite(|entry| match entry.id.as_str() {
        "a" => EntryChange::Remove,
        "b" => EntryChange::Replace(Box::new(Entry {
            kind: EntryKind::Dead,
            ..entry.clone()
        })),
        _ => EntryChange::Keep,
    })
    .unwrap();
    let after = std::fs::read_to_string(file.path()).unwrap();
    assert!(after.ends_with("a line of somebody else\n"));
    let left: Vec<_> = file.entries().unwrap().collect();
    assert_eq!(left.len(), 3);
    assert_eq!(left[0].as_ref().unwrap().kind, EntryKind::Dead);
    assert_eq!(left[1].as_ref().unwrap().id, "c");
    assert!(left[2].is_err());
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_file() {
    let (directory, file) = lab();
    file.append(&[entry("a", b"{}")]).unwrap();
    std::fs::write(
        directory.path().join(DIRECTORY).join(NEXT),
        b"half a new fi",
    )
    .unwrap();
    assert_eq!(ids(&file), ["a"]);
    file.rewrite(|_| EntryChange::Keep).unwrap();
    assert_eq!(ids(&file), ["a"]);
}

#[test]
fn two_processes_may_append_and_rewrite_at_once() {
    let (directory, _) = lab();
    let path = directory.path();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            scope.spawn(move || {
                let file = DeadLetters::new(path, 1 << 20);
                for n in 0..20 {
                    file.append(&[entry(&format!("{writer}-{n}"), b"{}")])
                        .unwrap();
                }
            });
        }
        scope.spawn(move || {
            let file = DeadLetters::new(path, 1 << 20);
            for _ in 0..20 {
                file.rewrite(|_| EntryChange::Keep).unwrap();
            }
        });
    });
    let mut ids = ids(&DeadLetters::new(path, 1 << 20));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 60);
}
