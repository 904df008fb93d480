//! Documents that the cluster rejected: listing and resending them, beside an agent and without one.

use std::path::Path;

use logweir::output::dead_letters::{DeadLetters, Entry, EntryKind, Rejection};
use serde_json::Value;

use crate::support::agent::{Ended, Home};
use testkit::fake_cluster::{Cluster, Fault};
use testkit::stage::{Stage, TEMPLATE};

const LIST: [&str; 2] = ["dead-letters", "list"];
const REPLAY: [&str; 2] = ["dead-letters", "replay"];

fn file(home: &Home) -> DeadLetters {
    DeadLetters::new(&home.data(), 1 << 20)
}

fn entry(kind: EntryKind, index: &str, id: &str, document: &str, reason: (&str, &str)) -> Entry {
    let reason = Rejection {
        kind: reason.0.to_owned(),
        text: reason.1.to_owned(),
        status: 400,
    };
    let at = 1_795_397_256_789;
    let parsed: Value = serde_json::from_str(document).unwrap_or_default();
    let file = parsed.pointer("/log/file/path").and_then(Value::as_str);
    Entry {
        offset: parsed.pointer("/log/offset").and_then(Value::as_u64),
        ..Entry::new(
            kind,
            at,
            (index, id),
            document.as_bytes(),
            file.map(Path::new),
            reason,
        )
    }
}

fn ended(home: &Home, command: [&str; 2], more: &[&str]) -> Ended {
    home.end_of(&[&command, more].concat())
}

fn ids(home: &Home) -> Vec<String> {
    let entries = file(home).entries().unwrap();
    entries.map(|entry| entry.unwrap().id).collect()
}

/// Four entries with three reasons; one of them contains hostile text of a client.
fn some(home: &Home) {
    let document = r#"{"log":{"file":{"path":"/var/log/nginx/a\u001b[2J.log"},"offset":7}}"#;
    let field = ("document_parsing_exception", "field [\u{1b}[31mred\u{7f}]");
    let closed = ("index_closed_exception", "closed");
    let day = "nginx-access-2026.11.23";
    file(home)
        .append(&[
            entry(EntryKind::Dead, day, "id-1", document, field),
            entry(EntryKind::Dead, day, "id-2", "{}", field),
            entry(
                EntryKind::Parked,
                "nginx-access-2026.11.01",
                "id-3",
                "{}",
                closed,
            ),
            entry(
                EntryKind::Parked,
                day,
                "id-4",
                "{}",
                ("", "other \u{202e} words"),
            ),
        ])
        .unwrap();
}

#[test]
fn an_empty_list_is_reported_and_is_no_failure() {
    let home = Home::new();
    home.configure_log("http://127.0.0.1:1");
    for more in [&[][..], &["--kind", "dead"]] {
        let list = ended(&home, LIST, more);
        assert_eq!(list.code, Some(0));
        assert!(list.words.starts_with("no dead letters"), "{}", list.words);
    }
    assert_eq!(ended(&home, LIST, &["--json"]).words, "");
    let replay = ended(&home, REPLAY, &[]);
    assert_eq!(replay.code, Some(0));
    assert!(
        replay.words.contains("nothing to replay"),
        "{}",
        replay.words
    );
    assert!(!home.data().exists(), "who only looks makes nothing");
    some(&home);
    let list = ended(&home, LIST, &["--reason", "no such"]);
    assert!(
        list.words.contains("none of the 4 entries"),
        "{}",
        list.words
    );
}

#[test]
fn a_list_has_a_row_for_each_entry_and_counts_by_reason_and_is_escaped() {
    let home = Home::new();
    home.configure_log("http://127.0.0.1:1");
    some(&home);
    let stable = |ended: Ended| {
        assert_eq!(ended.code, Some(0), "{}", ended.words);
        assert!(
            !ended
                .words
                .contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'),
            "{:?}",
            ended.words
        );
        let words = ended.words.replace(home.path("").to_str().unwrap(), "DIR/");
        let trimmed: Vec<&str> = words.lines().map(str::trim_end).collect();
        trimmed.join("\n")
    };
    insta::assert_snapshot!("list", stable(ended(&home, LIST, &[])));
    insta::assert_snapshot!(
        "list_of_some",
        stable(ended(&home, LIST, &["--reason", "PARSING", "--limit", "1"]))
    );
    let json = stable(ended(&home, LIST, &["--json", "--kind", "parked"]));
    let entries: Vec<Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0]["_id"], "id-3");
    assert_eq!(entries[1]["reason"]["reason"], "other \u{202e} words");
    assert!(entries[1]["document"].is_object());
}

#[test]
fn unreadable_lines_are_counted_and_kept() {
    let home = Home::new();
    home.configure_log("http://127.0.0.1:1");
    some(&home);
    let path = file(&home).path();
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{{\"not\":\"ours\"}}\n{text}")).unwrap();
    let list = ended(&home, LIST, &[]);
    assert_eq!(list.code, Some(0));
    assert!(
        list.words.contains("4 entries, 2 dead and 2 parked"),
        "{}",
        list.words
    );
    assert!(
        list.words.contains("1 of its lines cannot be read"),
        "{}",
        list.words
    );
}

#[test]
fn the_cluster_refuses_lines_and_takes_them_at_the_replay() {
    let mut cluster = Cluster::with([Fault::Items {
        every: 40,
        status: 400,
        kind: "document_parsing_exception",
    }]);
    cluster.put_template(TEMPLATE);
    let stage = Stage::of(cluster);
    let home = Home::new();
    home.configure_log(&stage.address());
    home.append(0..100);
    home.once();
    assert_eq!(stage.count(), 97);
    let list = ended(&home, LIST, &[]);
    assert!(
        list.words.contains("3 entries, 3 dead and 0 parked"),
        "{}",
        list.words
    );
    assert!(list.words.contains("access.log:"), "{}", list.words);

    let dry = ended(&home, REPLAY, &["--dry-run"]);
    assert_eq!(dry.code, Some(0));
    assert!(
        dry.words.contains("3 entries would be sent"),
        "{}",
        dry.words
    );
    assert_eq!(stage.count(), 97);

    // beside a running agent, which continues
    let agent = home.run();
    let replay = ended(&home, REPLAY, &["--reason", "parsing"]);
    assert_eq!(replay.code, Some(0), "{}", replay.words);
    assert!(
        replay.words.contains("3 of 3 entries taken"),
        "{}",
        replay.words
    );
    assert!(ids(&home).is_empty());
    home.append(100..120);
    let mut agent = agent;
    agent.until_so("the new lines to arrive", || stage.count() == 120);
    agent.stop();
    assert_eq!(stage.numbers(), (0..120).collect::<Vec<_>>());
}

#[test]
fn the_exit_code_distinguishes_rejected_documents_and_an_unavailable_cluster() {
    let bad = |id: &str| entry(EntryKind::Dead, "day", id, r#"{"bad":true}"#, ("x", ""));
    let good = |id: &str, index: &str| entry(EntryKind::Dead, index, id, "{}", ("x", ""));
    let mut cluster = Cluster::default();
    cluster.closed.insert("shut".to_owned());
    let stage = Stage::of(cluster);
    let home = Home::new();
    home.configure_log(&stage.address());

    file(&home).append(&[good("a", "day"), bad("b")]).unwrap();
    let replay = ended(&home, REPLAY, &[]);
    assert_eq!(replay.code, Some(65), "{}", replay.words);
    assert!(
        replay.words.contains("1 of 2 entries taken"),
        "{}",
        replay.words
    );
    assert!(
        replay.words.contains("1 entry refused again"),
        "{}",
        replay.words
    );
    let left = file(&home).entries().unwrap().next().unwrap().unwrap();
    assert_eq!(left.reason.kind, "document_parsing_exception");

    file(&home).append(&[good("c", "shut")]).unwrap();
    let replay = ended(&home, REPLAY, &[]);
    assert_eq!(replay.code, Some(69), "{}", replay.words);
    assert!(
        replay.words.contains("POST INDEX/_open"),
        "{}",
        replay.words
    );
    assert_eq!(ids(&home), ["b", "c"]);

    home.configure_log("http://127.0.0.1:1");
    let replay = ended(&home, REPLAY, &["--timeout", "200ms"]);
    assert_eq!(replay.code, Some(69), "{}", replay.words);
    assert!(replay.words.contains("2  not in time"), "{}", replay.words);
    assert_eq!(ids(&home), ["b", "c"]);
}

#[test]
fn a_second_replay_is_refused_while_the_first_one_runs() {
    let stage = Stage::new();
    let home = Home::new();
    home.configure_log(&stage.address());
    some(&home);
    let lock = file(&home).lock_replay().unwrap().unwrap();
    let replay = ended(&home, REPLAY, &[]);
    assert_eq!(replay.code, Some(69));
    assert!(replay.words.contains("another replay"), "{}", replay.words);
    assert_eq!((stage.count(), ids(&home).len()), (0, 4));
    drop(lock);
    assert_eq!(ended(&home, REPLAY, &[]).code, Some(0));
    assert_eq!((stage.count(), ids(&home).len()), (4, 0));
}

#[test]
fn a_replay_by_root_keeps_the_owner_of_the_file() {
    use std::os::unix::fs::{MetadataExt, chown};
    const NOBODY: u32 = 65534;

    let stage = Stage::new();
    let home = Home::new();
    home.configure_log(&stage.address());
    some(&home);
    let path = file(&home).path();
    let folder = path.parent().unwrap();
    if std::fs::metadata(folder).unwrap().uid() != 0 {
        // only root can change the owner of files
        return;
    }
    for path in [folder, &path] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let replay = ended(&home, REPLAY, &["--kind", "parked"]);
    assert_eq!(replay.code, Some(0), "{}", replay.words);
    let owner = |path: &Path| std::fs::metadata(path).unwrap().uid();
    assert_eq!(owner(&path), NOBODY);
    assert_eq!(owner(&folder.join("replay.lock")), NOBODY);
}

#[test]
fn entries_for_a_data_stream_never_create_a_plain_index() {
    let stage = Stage::new();
    stage.cluster().requires_streams = true;
    let home = Home::new();
    home.configure_log(&stage.address());
    let streamed = Entry {
        data_stream: true,
        ..entry(
            EntryKind::Dead,
            "logs-nginx.access-default",
            "a",
            "{}",
            ("x", ""),
        )
    };
    let daily = entry(
        EntryKind::Dead,
        "nginx-access-2026.11.23",
        "b",
        "{}",
        ("x", ""),
    );
    file(&home).append(&[streamed, daily]).unwrap();
    let replay = ended(&home, REPLAY, &["--timeout", "30s"]);
    assert_eq!(replay.code, Some(69), "{}", replay.words);
    assert_eq!(ids(&home), ["a"]);
    stage.cluster().put_stream_template("logs-nginx.access");
    let replay = ended(&home, REPLAY, &[]);
    assert_eq!(replay.code, Some(0), "{}", replay.words);
    assert!(
        stage
            .cluster()
            .streams
            .contains("logs-nginx.access-default")
    );
    assert!(ids(&home).is_empty());
}
