//! Reloads: one tailer after another in the same process.

use rustix::io::Errno;

use super::{CarriedFiles, Host, LIVE, Tailer, settings};
use crate::tail::TailError;
use crate::tail::sim::Op;

const GLOB: &str = "/logs/*access.log";

/// A log whose lines no output takes was deleted by logrotate, and another one is in its place.
fn with_a_deleted_file() -> Host {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    host.fs.rm(LIVE);
    host.fs.append(LIVE, b"later\n");
    host.wait(1);
    host.tailer().reconcile();
    host
}

#[test]
fn lines_that_only_an_open_file_contains_survive_a_reload() {
    let mut host = with_a_deleted_file();
    host.reload();
    assert_eq!(host.texts(), ["one", "two", "later"]);
    // They were handed out, and not settled.
    host.reload();
    assert_eq!(host.texts(), ["one", "two", "later"]);
    host.settle();
    host.reload();
    assert!(host.texts().is_empty());
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

#[test]
fn an_open_file_with_lines_in_flight_survives_a_reload() {
    let mut host = with_a_deleted_file();
    assert_eq!(host.texts(), ["one", "two", "later"]);
    host.wait(4000);
    host.tailer().reconcile();
    host.reload();
    assert_eq!(host.texts(), ["one", "two", "later"]);
    host.settle();
    host.wait(4000);
    assert!(host.texts().is_empty());
    assert_eq!(host.tailer().stats().deleted_open_bytes, 0);
}

#[test]
fn a_partly_settled_compressed_file_is_continued_at_its_settled_position() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"");
    host.start();
    let rotated = format!("{LIVE}.1");
    let lines: Vec<String> = (0..40).map(|line| format!("line {line}")).collect();
    host.fs
        .append(&rotated, (lines.join("\n") + "\n").as_bytes());
    host.fs.gzip(&rotated, &format!("{rotated}.gz"));
    host.wait(10);
    host.tailer().reconcile();
    let (file, end) = {
        let chunk = host.tailer().read().unwrap();
        (chunk.file, chunk.end)
    };
    host.tailer().settle(file, end);
    host.fs.rm(&format!("{rotated}.gz"));
    host.tailer().reconcile();
    host.reload();
    let left = host.texts();
    assert!(!left.is_empty() && left.len() < lines.len());
    assert!(lines.ends_with(&left), "{left:?}");
}

/// Another file that begins alike is read first the next time. That must not make it a finished one.
#[test]
fn a_compressed_file_whose_lines_were_not_settled_is_decoded_again() {
    let mut host = Host::logs(&[GLOB]);
    // a chunk for each line
    host.settings.read_bytes = 4;
    host.fs.touch(LIVE);
    host.start();
    let rotated = format!("{LIVE}.2");
    host.fs.append(&rotated, b"one\ntwo\n");
    host.fs.gzip(&rotated, &format!("{rotated}.gz"));
    host.wait(10);
    host.tailer().reconcile();
    let key = host.tailer().read().unwrap().file;
    assert_eq!(host.texts(), ["two"]);
    host.tailer().settle(key, 4);
    host.wait(10);
    host.tailer().reconcile();
    host.fs.append(&format!("{LIVE}.1"), b"one\nsix\n");
    host.reload();
    let mut texts = host.texts();
    for _ in 0..3 {
        host.wait(10);
        texts.extend(host.texts());
    }
    assert!(texts.contains(&"two".to_owned()), "{texts:?}");
}

#[test]
fn counters_continue_over_a_reload() {
    let mut host = with_a_deleted_file();
    host.texts();
    host.settle();
    let stats = host.tailer().stats().clone();
    assert_eq!((stats.bytes_read, stats.rotations.removed), (14, 1));
    host.reload();
    let after = host.tailer().stats();
    assert_eq!((after.bytes_read, after.rotations.removed), (14, 1));
    assert!(after.problems.is_empty());
}

#[test]
fn a_log_that_is_no_longer_configured_is_not_continued() {
    let mut host = with_a_deleted_file();
    host.settings.logs = settings(&["/logs/other.log"]).logs;
    host.reload();
    assert!(host.texts().is_empty());
    assert_eq!(host.tailer().stats().files_open, 0);
}

/// Each of two configured logs keeps its own formats.
#[test]
fn a_file_without_a_name_stays_with_its_log() {
    let mut host = with_a_deleted_file();
    let mut logs = settings(&["/logs/other.log"]).logs;
    logs.append(&mut settings(&["/log?/**/*access.log"]).logs);
    host.settings.logs = logs;
    host.reload();
    host.tailer().reconcile();
    let mut bytes = 0;
    while let Some(chunk) = host.tailer().read() {
        assert_eq!(chunk.log, 1);
        bytes += chunk.bytes.len();
    }
    assert_eq!(bytes, "one\ntwo\nlater\n".len());
}

#[test]
fn when_the_next_tailer_cannot_start_all_files_stay_open() {
    let mut host = with_a_deleted_file();
    let mut from = host.tailer.take().unwrap().into_carried_files();
    let open = |settings, from: &mut CarriedFiles<_>| {
        Tailer::open(settings, host.fs.clone(), host.clock.clone(), from)
    };
    let failed = open(settings(&["/logs/[.log"]), &mut from).err().unwrap();
    assert!(matches!(failed, TailError::Glob { .. }), "{failed}");
    host.fs.fail(Op::Read, "/state", Errno::IO, 1);
    let failed = open(host.settings.clone(), &mut from).err().unwrap();
    assert!(matches!(failed, TailError::State { .. }), "{failed}");
    let second = open(host.settings.clone(), &mut CarriedFiles::default()).err();
    assert!(matches!(second, Some(TailError::Locked { .. })));
    host.tailer = open(host.settings.clone(), &mut from).ok();
    assert_eq!(host.texts(), ["one", "two", "later"]);
}

/// Positions belong to an output: the other one has none yet.
#[test]
fn another_output_gets_all_lines_of_the_open_files() {
    let mut host = with_a_deleted_file();
    assert_eq!(host.texts(), ["one", "two", "later"]);
    let key = *host.ends.keys().next().unwrap();
    host.tailer().settle(key, 8);
    host.settings.output = Some("null:y".to_owned());
    host.reload();
    assert_eq!(host.texts(), ["one", "two", "later"]);
}
