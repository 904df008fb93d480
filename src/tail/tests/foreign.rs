//! Error logs that a glob finds.

use super::{DAY, Host, LIVE};

const ERROR: &str = "/logs/error.log";
const LINES: &str = "2026/11/23 04:00:00 [error] 12#12: *1 open() \"/x\" failed\n2026/11/23 04:00:01 [notice] 1#1: x\n";
const GLOB: &str = "/logs/*.log";

fn reported(host: &mut Host) -> Vec<String> {
    let reported = host.problems();
    reported
        .into_iter()
        .filter(|problem| problem.contains("is an error log of nginx"))
        .collect()
}

#[test]
fn an_error_log_that_a_glob_finds_is_left_alone_reported_and_counted() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.put(ERROR, LINES.as_bytes());
    host.fs.put(LIVE, b"one\n");
    host.start();
    assert_eq!(host.texts(), ["one"]);
    assert_eq!(reported(&mut host).len(), 1, "{:?}", host.problems());
    assert!(reported(&mut host)[0].starts_with(ERROR));
    assert_eq!(host.tailer().stats().error_logs, 1);
    host.fs.append(ERROR, LINES.as_bytes());
    host.wait(20);
    host.tailer().reconcile();
    assert_eq!(host.texts(), [""; 0]);
    assert_eq!(reported(&mut host).len(), 1);
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

#[test]
fn an_error_log_that_was_empty_at_first_is_left_alone_after_its_first_line() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.put(ERROR, b"");
    host.start();
    host.fs.append(ERROR, b"2026/11/23 04:00:00 [err");
    assert_eq!(host.texts(), [""; 0]);
    host.fs.append(ERROR, &LINES.as_bytes()[24..]);
    assert_eq!(host.texts(), [""; 0]);
    assert_eq!(reported(&mut host).len(), 1);
    assert_eq!(host.tailer().stats().error_logs, 1);
    for _ in 0..10 {
        host.fs.append(ERROR, LINES.as_bytes());
        host.wait(20);
        host.tailer().reconcile();
        assert_eq!(host.texts(), [""; 0]);
    }
    assert_eq!(host.tailer().stats().error_logs, 1);
    assert!(host.tailer().stats().lost_bytes.is_empty());
    // When it is emptied and another program writes to it, it is a log like any other.
    host.fs.put(ERROR, b"two\n");
    host.tailer().reconcile();
    assert_eq!(host.texts(), ["two"]);
    assert_eq!(host.tailer().stats().error_logs, 0);
}

#[test]
fn rotated_files_of_an_error_log_are_left_alone() {
    let mut host = Host::logs(&[GLOB]);
    host.settings.history = 7 * DAY;
    host.fs.put("/logs/error.log.1", LINES.as_bytes());
    host.fs.put(ERROR, b"");
    host.fs.put("/logs/access.log.1", b"old\n");
    host.fs.put(LIVE, b"new\n");
    host.start();
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["new", "old"]);
    host.fs.append(ERROR, LINES.as_bytes());
    assert_eq!(host.texts(), [""; 0]);
    host.fs.mv(ERROR, "/logs/error.log.1");
    host.fs.put(ERROR, LINES.as_bytes());
    host.wait(20);
    host.tailer().reconcile();
    assert_eq!(host.texts(), [""; 0]);
    assert_eq!(reported(&mut host).len(), 2);
}

#[test]
fn a_file_that_a_path_names_is_followed_whatever_its_content_is() {
    for globs in [&[ERROR][..], &[GLOB, ERROR], &[ERROR, GLOB]] {
        let mut host = Host::logs(globs);
        host.settings.history = 7 * DAY;
        host.fs.put("/logs/error.log.1", LINES.as_bytes());
        host.fs.put(ERROR, b"");
        host.start();
        assert_eq!(host.texts().len(), 2, "{globs:?}");
        host.fs.append(ERROR, LINES.as_bytes());
        assert_eq!(host.texts().len(), 2, "{globs:?}");
        assert_eq!(reported(&mut host), [""; 0]);
    }
    // Under a name of its own, too.
    let mut host = Host::logs(&[ERROR]);
    host.settings.logs[0].name = Some("web".to_owned());
    host.settings.history = 7 * DAY;
    let older = LINES.replace("2026/11/23", "2026/11/22");
    host.fs.put("/logs/error.log.1", older.as_bytes());
    host.fs.put(ERROR, LINES.as_bytes());
    host.start();
    assert_eq!(host.texts().len(), 4);
}

/// An earlier version followed the file: its positions are there, and the file may have lines that it did not read.
#[test]
fn an_error_log_that_was_followed_before_is_left_alone_and_does_not_count_as_lost() {
    let mut host = Host::logs(&[ERROR]);
    host.fs.put(ERROR, LINES.as_bytes());
    host.fs.put(LIVE, b"one\n");
    host.start();
    assert_eq!(host.texts().len(), 2);
    host.settle();
    host.fs.append(ERROR, LINES.as_bytes());
    host.kill();
    host.settings.logs[0].paths = vec![GLOB.to_owned()];
    host.start();
    assert_eq!(host.texts(), ["one"]);
    for _ in 0..10 {
        host.wait(3600);
        host.tailer().reconcile();
        assert_eq!(host.texts(), [""; 0]);
    }
    assert_eq!(reported(&mut host).len(), 1);
    assert!(host.tailer().stats().lost_bytes.is_empty());
    // Named again, it goes on where it was.
    host.settle();
    host.settings.logs[0].paths = vec![ERROR.to_owned()];
    host.restart();
    assert_eq!(host.texts().len(), 2);
}
