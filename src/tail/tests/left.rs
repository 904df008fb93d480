//! Files that are left unread, and how that is reported.

use std::collections::BTreeMap;

use rustix::io::Errno;

use super::cases::GLOB;
use super::{DAY, Host, LIVE, settings};
use crate::tail::Leaves;
use crate::tail::sim::Op;

const NOTHING: [(&str, u64); 0] = [];

fn with_retention(history: std::time::Duration) -> Host {
    let mut settings = settings(&[GLOB]);
    settings.history = history;
    settings.retention = Some(30 * DAY);
    Host::new(settings)
}

impl Host {
    /// Starts with a log of 19 bytes; how much of it is settled.
    fn read_half(&mut self) -> u64 {
        self.settings.read_bytes = 8;
        self.fs.append(LIVE, b"one\ntwo\nthree\nfour\n");
        self.start();
        let chunk = self.tailer().read().unwrap();
        let (file, end) = (chunk.file, chunk.end);
        self.tailer().settle(file, end);
        self.tailer().save().unwrap();
        end
    }

    fn passed_over(&mut self) -> BTreeMap<&'static str, u64> {
        self.tailer().stats().passed_over_bytes.clone()
    }

    fn lost(&mut self) -> BTreeMap<&'static str, u64> {
        self.tailer().stats().lost_bytes.clone()
    }

    /// Long enough for whatever is missed to be called lost.
    fn look_for_minutes(&mut self) -> Vec<String> {
        let mut texts = vec![];
        for _ in 0..6 {
            texts.extend(self.texts());
            self.settle();
            self.wait(30);
        }
        texts
    }
}

#[test]
fn files_older_than_retention_are_left_unread() {
    let mut host = with_retention(100 * DAY);
    host.fs.append("/logs/access.log.1", b"too old\n");
    host.fs
        .append("/logs/access.log.2", b"too old and compressed\n");
    host.fs.gzip("/logs/access.log.2", "/logs/access.log.2.gz");
    host.fs.append("/logs/access.log.3.zst", b"no one knows");
    host.fs.append("/logs/access.log.4", b"may not be read\n");
    host.fs
        .fail(Op::Open, "access.log.4", Errno::ACCESS, usize::MAX);
    host.clock.advance(31 * DAY);
    host.fs.append(LIVE, b"live\n");
    host.start();
    assert_eq!(host.look_for_minutes(), ["live"]);
    // Each once, whatever is looked at how often.
    assert_eq!(host.passed_over(), BTreeMap::from([("expired", 8 + 23)]));
    assert_eq!(host.lost(), BTreeMap::from(NOTHING));
    assert_eq!(host.problems(), [""; 0]);
    host.fs.rm("/logs/access.log.1");
    host.fs.rm("/logs/access.log.2.gz");
    assert_eq!(host.look_for_minutes(), [""; 0]);
    assert_eq!(host.lost(), BTreeMap::from(NOTHING));
}

/// History that was not asked for does not count as passed over: it was there before.
#[test]
fn old_history_and_read_files_are_not_counted_as_passed_over() {
    let mut host = with_retention(DAY);
    host.fs.append("/logs/access.log.2", b"history\n");
    host.fs.append("/logs/access.log.3", b"more of it\n");
    host.fs.gzip("/logs/access.log.3", "/logs/access.log.3.gz");
    host.clock.advance(31 * DAY);
    host.fs.append("/logs/access.log.1", b"one\n");
    host.fs.append(LIVE, b"two\n");
    host.start();
    assert_eq!(host.look_for_minutes(), ["one", "two"]);
    for _ in 0..2 {
        host.clock.advance(20 * DAY);
        host.fs.append(LIVE, b"three\n");
        assert_eq!(host.look_for_minutes(), ["three"]);
        host.restart();
        assert_eq!(host.look_for_minutes(), [""; 0]);
        assert_eq!(host.passed_over(), BTreeMap::from(NOTHING));
        assert_eq!(host.lost(), BTreeMap::from(NOTHING));
    }
}

/// It was closed for want of descriptors, and the file is still there.
#[test]
fn a_partly_read_file_that_expires_is_skipped_and_does_not_count_as_lost() {
    for gz in [true, false] {
        let mut host = with_retention(100 * DAY);
        let end = host.read_half();
        let mut path = "/logs/access.log.1".to_owned();
        host.fs.mv(LIVE, &path);
        if gz {
            host.fs.gzip(&path, &format!("{path}.gz"));
            path.push_str(".gz");
        }
        host.fs.append(LIVE, b"live\n");
        host.tailer().open.files.clear();
        host.clock.advance(31 * DAY);
        assert_eq!(host.look_for_minutes(), ["live"]);
        let expired = BTreeMap::from([("expired", 19 - end)]);
        assert_eq!(host.passed_over(), expired, "{gz}");
        host.fs.rm(&path);
        host.look_for_minutes();
        assert_eq!(host.lost(), BTreeMap::from(NOTHING), "{gz}");
        host.start();
        host.look_for_minutes();
        assert_eq!(host.lost(), BTreeMap::from(NOTHING), "{gz}");
    }
}

/// The clock was ahead for longer than a day, and is set right: what was passed over is read.
#[test]
fn a_file_that_was_passed_over_by_a_wrong_clock_is_read() {
    let mut host = with_retention(100 * DAY);
    host.fs.append(LIVE, b"live\n");
    host.start();
    assert_eq!(host.look_for_minutes(), ["live"]);
    let ahead = i64::try_from((40 * DAY).as_millis()).unwrap();
    let mut steps = 0;
    host.clock.jump(ahead);
    while steps < 30 {
        host.wait(3600);
        host.texts();
        steps += 1;
    }
    // Its time is of before the jump.
    host.clock.jump(-ahead);
    host.fs.append("/logs/access.log.1", b"young\n");
    host.clock.jump(ahead);
    host.wait(1);
    let before = host.texts();
    host.clock.jump(-ahead);
    let mut texts = host.look_for_minutes();
    texts.extend(before);
    assert_eq!(texts, ["young"]);
}

#[test]
fn a_file_compressed_in_an_unknown_format_is_reported_and_counted() {
    for kind in ["zst", "bz2", "xz"] {
        let mut host = Host::logs(&[GLOB]);
        let end = host.read_half();
        host.kill();
        host.fs.rm(LIVE);
        let path = format!("{LIVE}.1.{kind}");
        host.fs.append(&path, b"whatever that is");
        host.fs.append(LIVE, b"live\n");
        host.start();
        assert_eq!(host.look_for_minutes(), ["live"]);
        let reported = format!("{path} is compressed in a format that cannot be read");
        let problems = host.problems();
        assert!(
            problems
                .iter()
                .any(|problem| problem.starts_with(&reported)),
            "{problems:?}"
        );
        let unfound =
            format!("{LIVE} was read to byte {end} of a file that cannot be found any more");
        assert!(
            problems.iter().any(|problem| problem.starts_with(&unfound)),
            "{problems:?}"
        );
        assert_eq!(host.tailer().stats().files_not_found, 1);
        assert_eq!(host.lost(), BTreeMap::from([("deleted", 19 - end)]));
    }
}

/// As a compressor leaves it that was killed, or that had no disk space.
#[test]
fn a_truncated_compressed_file_is_reported_when_it_is_no_longer_written() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    host.texts();
    host.settle();
    host.kill();
    host.fs.append(LIVE, &b"more\n".repeat(3_000));
    let gz = host.fs.gzip(LIVE, "/logs/access.log.1.gz");
    host.fs.put("/logs/access.log.1.gz", &gz[..gz.len() / 2]);
    host.fs.append(LIVE, b"new\n");
    host.wait(10);
    // It goes on, after all.
    host.start();
    host.fs.put("/logs/access.log.1.gz", &gz[..gz.len() - 9]);
    let read = host.read().len();
    assert!(host.tailer().waits());
    assert_eq!(host.tailer().leaves(), Leaves::Nothing);
    host.wait(10);
    let read = read + host.texts().len();
    assert!(!host.tailer().waits());
    assert_eq!(host.tailer().leaves(), Leaves::Damaged);
    assert!(host.problems()[0].starts_with("/logs/access.log.1.gz is damaged"));
    host.settle();
    host.fs.put("/logs/access.log.1.gz", &gz);
    host.wait(10);
    assert_eq!(read + host.texts().len(), 3_001);
    host.tailer().reconcile();
    assert_eq!(host.tailer().leaves(), Leaves::Nothing);
}
