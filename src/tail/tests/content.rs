//! Files whose names do not identify their log, and how their lines are read.

use super::{DATA, DAY, Host, LIVE, Read, settings};
use crate::tail::{FramingSetting, Leaves, LogSettings, other_files};

const STATE: &str = "/state/logweir";

/// A host whose settings name its logs without a wildcard.
fn literal(paths: &[&str]) -> Host {
    let host = Host::logs(paths);
    for directory in ["/old", "/logs/2026-11", "/data"] {
        host.fs.mkdir(directory);
    }
    host
}

/// An agent that has read two lines of a log, and is stopped; a third line follows.
fn stopped_with_a_line_unread(mut host: Host) -> Host {
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"three\n");
    host
}

fn sorted(mut texts: Vec<String>) -> Vec<String> {
    texts.sort();
    texts
}

fn lose_positions(host: &mut Host) {
    host.kill();
    for name in ["checkpoint", "checkpoint.previous"] {
        host.fs.disk.rm(&format!("{STATE}/run/{name}"));
    }
}

/// Names that operators give to rotated files; most of them are in no table of names.
const NAMES: [&str; 14] = [
    "access.log.1",
    "access.log-20261127",
    "access.log.old",
    "access.log.bak",
    "access.log.20261127153000",
    "access.log-27112026",
    "access.log.1764257183",
    "access-2026-11-27T15-26-23.123.log",
    "20261127_access.log",
    "access_20261127.log",
    "access_old.log",
    "access.log-20261127.log",
    "yesterday",
    "2026-11/access.log",
];

#[test]
fn a_log_renamed_while_stopped_is_found_by_its_content_whatever_its_name() {
    for name in NAMES {
        let mut host = literal(&[LIVE]);
        host.settings.rotated_dirs = vec!["/logs/20*/".to_owned()];
        let mut host = stopped_with_a_line_unread(host);
        host.fs.mv(LIVE, &format!("/logs/{name}"));
        host.fs.append(LIVE, b"new\n");
        host.start();
        assert_eq!(sorted(host.texts()), ["new", "three"], "{name}");
        assert_eq!(host.tailer().stats().files_not_found, 0, "{name}");
        assert!(host.problems().is_empty(), "{name}: {:?}", host.problems());
        // Late requests arrive after everything was read.
        host.settle();
        for _ in 0..3 {
            host.wait(20);
            assert!(host.texts().is_empty(), "{name}");
        }
        host.fs.append(&format!("/logs/{name}"), b"late\n");
        host.wait(20);
        assert_eq!(host.texts(), ["late"], "{name}");
        host.restart();
        assert!(host.texts().is_empty(), "{name}");
    }
}

/// Nothing is read while the output accepts nothing, but positions are saved.
#[test]
fn a_log_that_was_empty_when_it_was_opened_is_known_before_it_is_read() {
    for compressed in [false, true] {
        for name in NAMES {
            let mut host = literal(&[LIVE]);
            host.settings.rotated_dirs = vec!["/logs/20*/".to_owned()];
            host.fs.append(LIVE, b"");
            host.start();
            host.fs.append(LIVE, b"one\ntwo\n");
            host.tailer().save().unwrap();
            host.kill();
            let path = format!("/logs/{name}");
            host.fs.mv(LIVE, &path);
            if compressed {
                host.fs.gzip(&path, &format!("{path}.gz"));
                host.wait(6);
            }
            host.fs.append(LIVE, b"new\n");
            host.start();
            assert_eq!(sorted(host.texts()), ["new", "one", "two"], "{path}");
            assert_eq!(host.tailer().stats().files_not_found, 0, "{path}");
            host.restart();
            assert!(host.texts().is_empty(), "{path}");
        }
    }
}

#[test]
fn a_log_renamed_while_stopped_is_followed_even_if_all_of_it_was_read() {
    for (name, reopened) in NAMES
        .into_iter()
        .flat_map(|name| [(name, true), (name, false)])
    {
        let mut host = literal(&[LIVE]);
        host.settings.rotated_dirs = vec!["/logs/20*/".to_owned()];
        host.fs.append(LIVE, b"one\ntwo\n");
        host.start();
        assert_eq!(host.texts(), ["one", "two"]);
        host.settle();
        host.kill();
        host.fs.mv(LIVE, &format!("/logs/{name}"));
        if reopened {
            host.fs.append(LIVE, b"new\n");
        }
        host.start();
        assert_eq!(host.texts(), ["new"][..usize::from(reopened)], "{name}");
        host.wait(20);
        assert!(host.texts().is_empty(), "{name}");
        // nginx was not asked to reopen it, or one of its workers still finishes requests.
        host.fs.append(&format!("/logs/{name}"), b"late\n");
        host.wait(20);
        assert_eq!(host.texts(), ["late"], "{name}");
    }
}

#[test]
fn a_compressed_log_renamed_while_stopped_is_found_by_its_content() {
    for name in NAMES {
        let mut host = literal(&[LIVE]);
        host.settings.rotated_dirs = vec!["/logs/20*/".to_owned()];
        let mut host = stopped_with_a_line_unread(host);
        host.fs.gzip(LIVE, &format!("/logs/{name}.gz"));
        host.fs.append(LIVE, b"new\n");
        host.start();
        assert!(host.tailer().waits(), "{name}");
        host.wait(10);
        assert_eq!(sorted(host.texts()), ["new", "three"], "{name}");
        host.settle();
        for _ in 0..3 {
            host.wait(20);
            assert!(host.texts().is_empty(), "{name}");
        }
        assert!(!host.tailer().waits(), "{name}");
        assert_eq!(host.tailer().stats().files_not_found, 0, "{name}");
    }
}

#[test]
fn a_log_renamed_while_nothing_is_accepted_survives_reloads_whatever_its_name() {
    for name in NAMES {
        let mut host = literal(&[LIVE]);
        host.fs.append(LIVE, b"one\n");
        host.start();
        host.texts();
        host.settle();
        host.fs.append(LIVE, b"two\n");
        assert_eq!(host.texts(), ["two"]);
        host.fs.mv(LIVE, &format!("/logs/{name}"));
        host.fs.append(LIVE, b"new\n");
        for _ in 0..2 {
            host.reload();
            assert_eq!(sorted(host.texts()), ["new", "two"], "{name}");
        }
        host.kill();
        host.start();
        host.tailer().reconcile();
        // Without the other directory in the settings, the kill loses the lines that only the open file contained.
        let texts = sorted(host.texts());
        if name.contains('/') {
            assert_eq!(texts, ["new"], "{name}");
            assert_eq!(host.tailer().stats().files_not_found, 1);
        } else {
            assert_eq!(texts, ["new", "two"], "{name}");
        }
    }
}

/// No line of a log was delivered when it was renamed.
#[test]
fn a_log_without_settled_lines_is_found_again() {
    let mut host = literal(&[LIVE]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    host.texts();
    host.tailer().save().unwrap();
    host.kill();
    host.fs.mv(LIVE, "/logs/access.log.old");
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
}

#[test]
fn a_rotation_beside_the_target_of_a_link_is_followed() {
    for name in ["/data/x.log.1", "/data/x.log.old", "/data/x-20261127.log"] {
        for stopped in [true, false] {
            let mut host = literal(&[LIVE]);
            host.fs.append("/data/x.log", b"one\n");
            host.fs.symlink("/data/x.log", LIVE);
            host.start();
            assert_eq!(host.texts(), ["one"]);
            host.settle();
            if stopped {
                host.kill();
            }
            host.fs.append("/data/x.log", b"two\n");
            host.fs.mv("/data/x.log", name);
            host.fs.append("/data/x.log", b"new\n");
            if stopped {
                host.start();
            } else {
                host.reload();
            }
            assert_eq!(sorted(host.texts()), ["new", "two"], "{name}");
        }
    }
}

#[test]
fn a_stream_that_is_not_found_is_reported_and_counted_once() {
    let mut host = stopped_with_a_line_unread(literal(&[LIVE]));
    host.fs.mv(LIVE, "/elsewhere");
    host.fs.append(LIVE, b"new\n");
    host.start();
    assert_eq!(host.texts(), ["new"]);
    let said = format!("{LIVE} was read to byte 8 of a file that cannot be found any more");
    assert!(
        host.problems()[0].starts_with(&said),
        "{:?}",
        host.problems()
    );
    assert_eq!(host.tailer().stats().files_not_found, 1);
    assert_eq!(host.tailer().leaves(), Leaves::Input);
    host.restart();
    assert!(host.problems().is_empty());
    assert_eq!(host.tailer().stats().files_not_found, 0);
    // It is still searched for.
    host.fs.mv("/elsewhere", "/logs/here.it.is");
    host.wait(10);
    assert_eq!(host.texts(), ["three"]);
}

#[test]
fn a_file_that_only_begins_like_a_log_does_not_belong_to_it() {
    let mut host = stopped_with_a_line_unread(literal(&[LIVE]));
    host.fs.append("/logs/other", b"one\nand something else\n");
    host.fs
        .append("/logs/error.log", b"2026/11/27 15:00:00 [error] x\n");
    host.start();
    assert_eq!(host.texts(), ["three"]);
    host.fs.mv(LIVE, "/logs/access.log.old");
    host.fs.append(LIVE, b"new\n");
    host.restart();
    assert_eq!(host.texts(), ["new"]);
    assert_eq!(host.tailer().stats().stream_id_collisions, 0);
}

fn two_logs_that_begin_alike() -> Host {
    let mut host = literal(&["/logs/a.log", "/logs/b.log"]);
    for log in ["/logs/a.log", "/logs/b.log"] {
        host.fs.append(log, b"same\nsame too\n");
    }
    host.start();
    assert_eq!(host.texts().len(), 4);
    host.settle();
    host.kill();
    host
}

#[test]
fn logs_named_by_the_settings_stay_separate_even_with_equal_content() {
    let mut host = two_logs_that_begin_alike();
    host.fs.append("/logs/a.log", b"of a\n");
    host.fs.append("/logs/b.log", b"of b\n");
    host.start();
    let read = host.read();
    assert_eq!(read.len(), 2);
    assert_ne!(read[0].0, read[1].0);
}

/// If the contents match both logs, the table of names decides, then the directory; otherwise the ambiguity is
/// reported.
#[test]
fn a_file_that_fits_two_logs_is_given_to_the_likelier_one() {
    let id_of = |read: &[Read], text: &str| {
        let of_text = |line: &&Read| line.2 == text;
        read.iter().find(of_text).map(|line| line.0).unwrap()
    };
    for (old_a, old_b, doubt) in [
        ("/logs/a.log.1", "/logs/b.log.1", false),
        ("/logs/x.old", "/logs/y.old", true),
    ] {
        let mut host = two_logs_that_begin_alike();
        let mut logs = [("a", old_a), ("b", old_b)];
        // The order of the files does not matter.
        logs.reverse();
        for (log, old) in logs {
            let path = format!("/logs/{log}.log");
            host.fs.append(&path, format!("rest of {log}\n").as_bytes());
            host.fs.mv(&path, old);
            host.fs.append(&path, format!("new {log}\n").as_bytes());
        }
        host.start();
        let first = host.read();
        assert_eq!(first.len(), 4, "{old_a}: {first:?}");
        let doubts = |host: &mut Host| {
            let said = |problem: &&String| problem.contains("whose files begin alike");
            host.problems().iter().filter(said).count()
        };
        assert_eq!(doubts(&mut host) > 0, doubt, "{old_a}");
        assert_ne!(id_of(&first, "rest of a"), id_of(&first, "rest of b"));
        // This does not change when the positions are lost.
        host.settle();
        lose_positions(&mut host);
        host.start();
        let again = host.read();
        for text in ["rest of a", "rest of b"] {
            assert_eq!(id_of(&first, text), id_of(&again, text), "{old_a}: {text}");
        }
    }
}

#[test]
fn an_assigned_file_stays_with_its_log_when_the_positions_are_lost() {
    for name in ["/logs/access.log.old", "/logs/old-access.log"] {
        let mut host = stopped_with_a_line_unread(literal(&["/logs/*access.log"]));
        host.fs.mv(LIVE, name);
        host.fs.append(LIVE, b"new\n");
        host.start();
        let before = host.read();
        host.settle();
        lose_positions(&mut host);
        host.start();
        let again = host.read();
        assert_eq!(again.len(), 4, "{name}: {again:?}");
        assert!(before.iter().all(|line| again.contains(line)), "{name}");
        // It is renamed again, and compressed.
        host.settle();
        host.fs.gzip(name, "/logs/much.later");
        lose_positions(&mut host);
        host.wait(10);
        host.start();
        let again = host.read();
        assert!(
            before.iter().all(|line| again.contains(line)),
            "{name}: {again:?}"
        );
    }
}

#[test]
fn damaged_assignments_are_reported_and_determined_again() {
    let mut host = stopped_with_a_line_unread(literal(&[LIVE]));
    host.fs.mv(LIVE, "/logs/access.log.old");
    host.fs
        .disk
        .put(&format!("{STATE}/assignments.json"), b"{\"magic\":");
    host.start();
    assert_eq!(host.texts(), ["three"]);
    assert!(host.problems()[0].contains("is damaged and not used"));
    host.restart();
    assert!(host.problems().is_empty());
}

#[test]
fn a_rotated_file_that_a_glob_matches_is_not_indexed_as_a_log_of_its_own() {
    for name in [
        "access.log.1",
        "access.log.old",
        "access.log.20261127153000",
    ] {
        for how in ["nothing", "reload", "restart"] {
            let mut host = literal(&["/logs/access.log*"]);
            host.fs.append(LIVE, b"one\n");
            host.start();
            host.fs.append(LIVE, b"two\n");
            assert_eq!(host.texts(), ["one", "two"]);
            host.settle();
            host.fs.mv(LIVE, &format!("/logs/{name}"));
            host.fs.append(LIVE, b"new\n");
            match how {
                "reload" => host.reload(),
                "restart" => host.start(),
                _ => {}
            }
            assert_eq!(host.texts(), ["new"], "{name}, {how}");
            host.settle();
            for _ in 0..3 {
                host.wait(70);
                assert!(host.texts().is_empty(), "{name}, {how}");
            }
            host.restart();
            assert!(host.texts().is_empty(), "{name}, {how}");
            assert!(host.problems().is_empty(), "{:?}", host.problems());
        }
    }
}

#[test]
fn a_copy_under_a_wide_glob_is_reported_and_indexed_once() {
    for first_start in [true, false] {
        for copy in ["/logs/access.log.bak", "/logs/access.log.copy"] {
            let mut host = literal(&["/logs/access.log*"]);
            host.fs.append(LIVE, b"one\ntwo\n");
            if first_start {
                host.fs.cp(LIVE, copy);
                host.start();
            } else {
                host.start();
                host.texts();
                host.settle();
                host.fs.cp(LIVE, copy);
                assert!(host.texts().is_empty());
                host.start();
            }
            assert_eq!(
                host.texts().len(),
                if first_start { 2 } else { 0 },
                "{copy}"
            );
            let said = format!("{copy} holds the lines of {LIVE}");
            for _ in 0..3 {
                assert!(
                    host.problems()[0].starts_with(&said),
                    "{:?}",
                    host.problems()
                );
                host.fs.append(LIVE, b"more\n");
                host.wait(20);
                assert_eq!(host.texts(), ["more"], "{copy}");
            }
            host.restart();
            assert!(host.texts().is_empty());
            // When the copy grows by itself, it contains lines that are read from no other file.
            host.fs.append(copy, b"a log of its own after all\n");
            host.wait(10);
            assert_eq!(host.texts().len(), 3, "{copy}");
        }
    }
}

/// `cp` first creates an empty file, and then fills it.
#[test]
fn a_copy_that_was_first_seen_empty_is_still_a_copy() {
    let mut host = literal(&["/logs/access.log*"]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    host.texts();
    host.settle();
    host.fs.touch("/logs/access.log.bak");
    assert!(host.texts().is_empty());
    host.fs.append("/logs/access.log.bak", b"one\n");
    assert!(host.read().is_empty());
    host.fs.append("/logs/access.log.bak", b"two\n");
    assert!(host.texts().is_empty());
    assert!(host.problems()[0].contains("holds the lines of"));
    host.fs.append("/logs/access.log.other", b"a new log\n");
    assert_eq!(host.texts(), ["a new log"]);
}

/// Only the copy contains the lines that were in the log when it was truncated, and it was left unread as a copy
/// before.
#[test]
fn a_copy_of_a_file_that_was_emptied_unread_is_read() {
    let mut host = literal(&["/logs/*access.log"]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    host.tailer().save().unwrap();
    host.fs.cp(LIVE, "/logs/old-access.log");
    host.tailer().reconcile();
    host.fs.truncate(LIVE, 0);
    host.fs.append(LIVE, b"two and more\n");
    let mut texts = host.texts();
    texts.extend(host.texts());
    assert_eq!(sorted(texts), ["one", "two and more"]);
}

#[test]
fn two_logs_of_one_glob_with_the_same_beginning_stay_separate() {
    let mut host = literal(&["/logs/*.log"]);
    host.fs.append("/logs/a.log", b"same\nof a\n");
    host.fs.append("/logs/b.log", b"same\nof b\n");
    host.start();
    assert_eq!(host.read().len(), 4);
    host.restart();
    host.fs.append("/logs/a.log", b"more of a\n");
    host.fs.append("/logs/b.log", b"more of b\n");
    assert_eq!(sorted(host.texts()), ["more of a", "more of b"]);
}

#[test]
fn a_dated_name_found_by_a_glob_does_not_affect_other_logs() {
    let mut host = literal(&["/logs/*.log"]);
    host.fs.append("/logs/shop.log", b"shop\n");
    host.fs.append("/logs/gala-20261224.example.log", b"gala\n");
    host.start();
    assert_eq!(host.texts(), ["shop"]);
    let said = "/logs/gala-20261224.example.log has a date in its name and is not followed";
    assert!(
        host.problems()[0].starts_with(said),
        "{:?}",
        host.problems()
    );
    // A name in the settings is permanent, like those in nginx.conf.
    host.settings.logs.push(LogSettings {
        paths: vec!["/logs/gala-20261224.example.log".to_owned()],
        exclude: vec![],
        rotated: vec![],
        name: None,
        framing: FramingSetting::Raw,
    });
    host.reload();
    assert_eq!(host.texts(), ["shop", "gala"]);
    assert!(host.problems().is_empty(), "{:?}", host.problems());
}

#[test]
fn declared_files_are_history_or_missed_rotations() {
    let mut settings = settings(&[LIVE]);
    settings.history = 3 * DAY;
    settings.logs[0].rotated = vec!["/logs/archive/*/access-*.log".to_owned()];
    let mut host = Host::new(settings);
    for directory in ["/logs/archive", "/logs/archive/2026", "/logs/archive/2027"] {
        host.fs.mkdir(directory);
    }
    host.fs
        .append("/logs/archive/2026/access-one.log", b"history\n");
    host.fs
        .append("/logs/archive/2026/other-one.log", b"no log's\n");
    host.fs.append(LIVE, b"live\n");
    host.start();
    assert_eq!(sorted(host.texts()), ["history", "live"]);
    host.settle();
    host.kill();
    // Two rotations, one generation of which was never seen.
    host.fs.append(LIVE, b"rest\n");
    host.fs.mv(LIVE, "/logs/archive/2026/access-two.log");
    host.fs.append(LIVE, b"never seen\n");
    host.fs.mv(LIVE, "/logs/archive/2027/access-three.log");
    host.fs.append(LIVE, b"new\n");
    host.start();
    assert_eq!(sorted(host.texts()), ["never seen", "new", "rest"]);
}

#[test]
fn a_declared_file_that_may_belong_to_two_logs_is_reported_and_counted() {
    let mut settings = settings(&["/logs/a.log", "/logs/b.log"]);
    settings.logs[0].rotated = vec!["/archive/*".to_owned()];
    let mut host = Host::new(settings);
    host.fs.mkdir("/archive");
    for log in ["a", "b"] {
        host.fs
            .append(&format!("/logs/{log}.log"), format!("{log}\n").as_bytes());
    }
    host.start();
    assert_eq!(host.texts(), ["a", "b"]);
    host.settle();
    host.fs.append("/archive/x", b"whose?\n");
    host.fs.append("/archive/2026.b", b"by its name\n");
    assert_eq!(host.texts(), ["by its name"]);
    host.settle();
    assert_eq!(host.tailer().stats().unassigned_files, 1);
    assert!(host.problems()[0].contains("may belong to /logs/a.log or /logs/b.log"));
    // Its content identifies it.
    host.fs.append("/logs/a.log", b"rest\n");
    host.kill();
    host.fs.mv("/logs/a.log", "/archive/y");
    host.start();
    assert_eq!(host.texts(), ["rest"]);
}

#[test]
fn rotated_dirs_that_match_nothing_are_reported() {
    let mut host = literal(&[LIVE]);
    host.settings.rotated_dirs = vec!["/logs/20*/".to_owned(), "/nowhere/*".to_owned()];
    host.fs.append(LIVE, b"one\n");
    host.start();
    let problems = host.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("/nowhere/* is in rotated_dirs and matches no directory"));
}

#[test]
fn rotated_dirs_that_match_every_directory_of_a_log_are_reported() {
    let mut host = literal(&["/logs/*/access.log"]);
    host.settings.rotated_dirs = vec!["/logs/*/".to_owned()];
    host.fs.append("/logs/2026-11/access.log", b"one\n");
    host.start();
    assert!(host.texts().is_empty());
    assert!(host.problems()[0].contains("rotated_dirs takes all of them"));
}

/// `rsync` replaces the log with a longer copy each time it runs.
#[test]
fn a_longer_copy_that_replaces_the_log_does_not_count_as_a_loss() {
    let mut host = literal(&[LIVE]);
    let mut content = b"one\ntwo\nthr".to_vec();
    host.fs.append(LIVE, &content);
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
    host.settle();
    for (more, line) in [("ee\nfo", "three"), ("ur\nfi", "four"), ("ve\nsi", "five")] {
        content.extend(more.as_bytes());
        host.fs.append("/logs/.access.log.tmp", &content);
        host.fs.mv("/logs/.access.log.tmp", LIVE);
        let mut texts = host.texts();
        for _ in 0..4 {
            host.wait(6);
            texts.extend(host.texts());
            host.settle();
        }
        assert_eq!(texts, [line]);
    }
    host.wait(120);
    host.texts();
    assert!(host.tailer().stats().lost_bytes.is_empty());
    // An incomplete line that no file continues is lost, and counted.
    host.fs.rm(LIVE);
    host.fs.append(LIVE, b"new\n");
    for _ in 0..3 {
        host.texts();
        host.wait(61);
    }
    assert_eq!(host.tailer().stats().lost_bytes["unterminated"], 2);
}

#[test]
fn check_shows_which_files_count_as_rotated() {
    let mut host = stopped_with_a_line_unread(literal(&[LIVE]));
    host.settings.logs[0].exclude = vec!["*.tmp".to_owned()];
    host.fs.cp(LIVE, "/logs/access.log.tmp");
    host.fs.gzip(LIVE, "/logs/yesterday.gz");
    for (name, text) in [
        ("access.log", "new\n"),
        ("access.log.1", "x\n"),
        ("access.log.swp", "half"),
        ("error.log", "2026/11/27 10:00:00 [error] 7#7: x\n"),
        ("notes.txt", "x\n"),
        ("like.it", "one\nbut then another\n"),
        ("other.zst", "x\n"),
    ] {
        host.fs.append(&format!("/logs/{name}"), text.as_bytes());
    }
    let others = other_files(
        &host.settings.logs,
        &[],
        DATA.as_ref(),
        &host.settings.links,
        &host.fs,
    )
    .unwrap();
    let shown: Vec<String> = others
        .iter()
        .map(|other| {
            let name = other.path.file_name().unwrap().to_str().unwrap();
            let log = other.log.as_deref().unwrap_or("-");
            format!("{name} | {log} | {}", other.why)
        })
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}
