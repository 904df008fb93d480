//! Faults of the host, one per test: system calls that fail at each durable step, full disks, power cuts, and rotations
//! between two scans.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::{DATA, Host, LIVE, settings};
use crate::tail::sim::Op;

const GLOB: &str = "/logs/*access.log";
const CHECKPOINT: &str = "/state/logweir/run/checkpoint";

/// The result of a step.
#[derive(Debug, Clone, Copy)]
enum How {
    /// It fails so often that several starts of the agent fail.
    Error(usize),
    /// The machine dies at the step with this number, counted over all steps of a kind.
    Crash { steps: usize, kept: usize },
}

/// The lines that were read, each with its position; a line that is read twice has the same position.
#[derive(Default)]
struct Index(BTreeSet<(String, u64, String)>);

impl Index {
    fn take(&mut self, host: &mut Host) {
        for (stream, offset, text) in host.read() {
            self.0.insert((stream.to_string(), offset, text));
        }
    }
}

/// One life with a fault in it: the first start, growth, a rotation, a restart. Everything that is delivered counts,
/// settled or not; a start that fails is repeated.
fn live(op: Op, path: &str, error: Errno, how: How) {
    let case = format!("{op:?} {path} {how:?}");
    let mut host = Host::logs(&[GLOB]);
    let mut index = Index::default();
    let mut written = BTreeSet::new();
    match how {
        How::Error(times) => host.fs.fail(op, path, error, times),
        How::Crash { steps, .. } => host.fs.disk.die_after(steps),
    }
    let start = |host: &mut Host| {
        for _ in 0..12 {
            match host.try_start() {
                Ok(()) => return,
                Err(failed) => {
                    assert!(failed.to_string().contains("/state"), "{case}: {failed}");
                    if let How::Crash { kept, .. } = how {
                        host.fs.heal();
                        host.kill();
                        host.fs.disk.power_cut(kept, 128);
                    }
                }
            }
        }
        panic!("{case}: it never starts");
    };
    for round in 0..6 {
        for line in 0..4 {
            let line = format!("{round} {line} of {case}");
            host.fs.append(LIVE, format!("{line}\n").as_bytes());
            written.insert(line);
        }
        if host.tailer.is_none() {
            start(&mut host);
        }
        host.tailer().reconcile();
        index.take(&mut host);
        for (file, end) in std::mem::take(&mut host.ends) {
            host.tailer().settle(file, end);
        }
        if host.tailer().save().is_err()
            && let How::Crash { kept, .. } = how
        {
            host.fs.heal();
            host.kill();
            host.fs.disk.power_cut(kept, 128);
            start(&mut host);
        }
        if round == 2 {
            host.fs.mv(LIVE, &format!("{LIVE}.1"));
        }
        if round == 3 {
            start(&mut host);
        }
    }
    host.fs.heal();
    for _ in 0..4 {
        host.wait(10);
        host.tailer().reconcile();
        index.take(&mut host);
    }
    host.settle();
    let texts: Vec<&String> = index.0.iter().map(|(_, _, text)| text).collect();
    assert_eq!(texts.len(), written.len(), "{case}: doubled");
    assert!(texts.into_iter().all(|text| written.contains(text)));
    host.start();
    assert!(host.texts().is_empty(), "{case}: read again");
}

#[test]
fn every_system_call_may_fail() {
    let calls = [
        (Op::Open, "/logs", Errno::MFILE),
        (Op::Open, "/logs", Errno::ACCESS),
        (Op::Read, "/logs", Errno::IO),
        (Op::Read, "/state", Errno::IO),
        (Op::ReadDir, "/logs", Errno::MFILE),
        (Op::Stat, "/logs", Errno::IO),
        (Op::Create, "/state", Errno::NOSPC),
        (Op::Write, "checkpoint", Errno::NOSPC),
        (Op::Write, "identity", Errno::NOSPC),
        (Op::Sync, "checkpoint", Errno::IO),
        (Op::Sync, "identity", Errno::IO),
        (Op::Rename, "checkpoint", Errno::IO),
        (Op::Rename, "checkpoint.new", Errno::IO),
        (Op::Rename, "identity", Errno::IO),
        (Op::SyncDir, "/state", Errno::IO),
        (Op::SyncDir, "run", Errno::IO),
    ];
    for (op, path, error) in calls {
        for times in [1, 2, 5] {
            live(op, path, error, How::Error(times));
        }
    }
}

/// This includes the steps of the first start: the checkpoint, its directory, the identity file, its directory.
#[test]
fn the_power_may_fail_at_every_durable_step() {
    for steps in 0..45 {
        for kept in 0..4 {
            live(Op::Stat, "", Errno::IO, How::Crash { steps, kept });
        }
    }
}

#[test]
fn several_rotations_while_stopped_with_delayed_compression() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"a1\na2\n");
    host.start();
    assert_eq!(host.texts().len(), 2);
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"a3\n");
    for (number, line) in ["b1\n", "c1\n", "d1\n"].iter().enumerate() {
        // logrotate with `compress` and `delaycompress`
        for old in (2..=number).rev() {
            host.fs.mv(
                &format!("{LIVE}.{old}.gz"),
                &format!("{LIVE}.{}.gz", old + 1),
            );
        }
        if number > 0 {
            host.fs.gzip(&format!("{LIVE}.1"), &format!("{LIVE}.2.gz"));
        }
        host.fs.mv(LIVE, &format!("{LIVE}.1"));
        host.fs.append(LIVE, line.as_bytes());
    }
    assert_eq!(
        host.fs.names("/logs"),
        [
            LIVE.to_owned(),
            format!("{LIVE}.1"),
            format!("{LIVE}.2.gz"),
            format!("{LIVE}.3.gz")
        ]
    );
    host.start();
    host.wait(10);
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["a3", "b1", "c1", "d1"]);
    host.wait(10);
    host.restart();
    assert!(host.texts().is_empty());
}

#[test]
fn a_file_compressed_while_partly_read_is_continued_from_the_open_or_the_compressed_one() {
    for killed in [false, true] {
        let mut host = Host::logs(&[GLOB]);
        host.fs.append(LIVE, &b"0123456789\n".repeat(40));
        host.start();
        let chunk = host.tailer().read().unwrap();
        let (file, end, stream) = (chunk.file, chunk.end, chunk.stream);
        host.tailer().settle(file, end);
        host.tailer().save().unwrap();
        host.fs.gzip(LIVE, "/logs/access.log.1.gz");
        host.fs.append(LIVE, b"new\n");
        if killed {
            host.start();
            host.wait(10);
        }
        host.tailer().reconcile();
        let lines = host.read();
        let rest: Vec<u64> = lines
            .iter()
            .filter(|line| line.0 == stream)
            .map(|line| line.1)
            .collect();
        let expected: Vec<u64> = (end / 11..40).map(|line| line * 11).collect();
        assert_eq!(rest, expected, "{killed}");
        assert_eq!(lines.len(), expected.len() + 1);
        host.wait(10);
        host.tailer().reconcile();
        host.wait(10);
        host.restart();
        assert!(host.texts().is_empty(), "{killed}");
    }
}

#[test]
fn the_rest_of_a_copytruncate_comes_from_the_compressed_copy_too() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, &b"0123456789\n".repeat(40));
    host.start();
    let chunk = host.tailer().read().unwrap();
    let (file, end) = (chunk.file, chunk.end);
    host.tailer().settle(file, end);
    host.tailer().save().unwrap();
    host.fs.cp(LIVE, "/logs/access.log.1");
    host.fs.truncate(LIVE, 0);
    host.fs.gzip("/logs/access.log.1", "/logs/access.log.1.gz");
    host.fs.append(LIVE, b"new\n");
    // Half of it is decoded, then the agent is killed.
    host.start();
    host.wait(10);
    host.tailer().reconcile();
    let mut first = vec![];
    for _ in 0..3 {
        let chunk = host.tailer().read().unwrap();
        first.push((chunk.file, chunk.offset, chunk.end));
    }
    for (file, _, end) in &first {
        host.tailer().settle(*file, *end);
    }
    host.tailer().save().unwrap();
    let mut lines: Vec<u64> = first
        .iter()
        .filter(|(_, offset, _)| *offset > 0)
        .flat_map(|(_, offset, end)| (offset / 11..end / 11).map(|line| line * 11))
        .collect();
    host.start();
    host.wait(10);
    host.tailer().reconcile();
    lines.extend(
        host.read()
            .into_iter()
            .map(|line| line.1)
            .filter(|at| *at > 0),
    );
    lines.sort_unstable();
    let expected: Vec<u64> = (end / 11..40).map(|line| line * 11).collect();
    assert_eq!(lines, expected);
    host.wait(120);
    host.texts();
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

#[test]
fn a_rotation_into_another_folder_is_followed_open_and_stopped() {
    let mut settings = settings(&[GLOB]);
    settings.rotated_dirs = vec!["/old".into()];
    let mut host = Host::new(settings);
    host.fs.mkdir("/old");
    let writer = host.fs.append(LIVE, b"one\n");
    host.start();
    assert_eq!(host.texts(), ["one"]);
    host.fs.mv(LIVE, "/old/access.log-20261123");
    host.fs.append_inode(writer, b"late\n");
    host.fs.append(LIVE, b"new\n");
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["late", "new"]);
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"more\n");
    host.fs.mv(LIVE, "/old/access.log-20261124");
    host.fs
        .gzip("/old/access.log-20261124", "/old/access.log-20261124.gz");
    host.start();
    host.wait(10);
    assert_eq!(host.texts(), ["more"]);
}

#[test]
fn a_file_that_replaces_one_with_the_same_beginning_is_read_from_its_start() {
    for longer in [false, true] {
        let mut host = Host::logs(&[GLOB]);
        host.fs.append(LIVE, b"same\none\ntwo\n");
        host.start();
        assert_eq!(host.texts().len(), 3);
        host.settle();
        host.fs.rm(LIVE);
        host.fs.append(LIVE, b"same\nuno\n");
        if longer {
            host.fs.append(LIVE, b"dos\ntres\n");
        }
        let texts = host.texts();
        // Its first line has the same offset as the other's, but is not a duplicate of it.
        assert_eq!(&texts[..2], ["same", "uno"]);
        assert_eq!(texts.len(), if longer { 4 } else { 2 });
    }
}

#[test]
fn a_shortage_of_descriptors_is_reported_and_only_delays_reading() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    assert_eq!(host.texts(), ["one"]);
    host.settle();
    host.fs.fail(Op::Open, "/", Errno::MFILE, 1_000);
    host.fs.fail(Op::ReadDir, "/", Errno::MFILE, 3);
    host.fs.append(LIVE, b"two\n");
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append(LIVE, b"three\n");
    // Reading of open files continues.
    assert_eq!(host.texts(), ["two"]);
    host.texts();
    host.texts();
    host.texts();
    assert!(
        host.problems()
            .iter()
            .any(|problem| problem.contains("LimitNOFILE")),
        "{:?}",
        host.problems()
    );
    host.fs.heal();
    assert_eq!(host.texts(), ["three"]);
}

#[test]
fn a_full_disk_stops_only_the_saving_for_logs_that_are_known() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"before\n");
    host.start();
    assert_eq!(host.texts(), ["before"]);
    host.fs.fail(Op::Write, DATA, Errno::NOSPC, 1_000);
    for round in 0..20 {
        host.fs.append(LIVE, format!("{round}\n").as_bytes());
        assert_eq!(host.texts(), [round.to_string()]);
        for (file, end) in std::mem::take(&mut host.ends) {
            host.tailer().settle(file, end);
        }
        let error = host.tailer().save().unwrap_err().to_string();
        assert!(error.contains("No space left on device"), "{error}");
    }
    host.fs.heal();
    host.tailer().save().unwrap();
    host.start();
    assert!(host.texts().is_empty());
}

/// If it were read, and renamed while the agent is stopped, its lines would be read again as those of another log.
#[test]
fn a_log_that_is_new_waits_while_its_identity_cannot_be_saved() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    assert_eq!(host.texts(), ["one"]);
    host.fs.fail(Op::Write, DATA, Errno::NOSPC, 1_000);
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append("/logs/access.log.1", b"two\n");
    host.fs.append(LIVE, b"new\n");
    assert_eq!(host.texts(), ["two"]);
    assert!(host.tailer().waits());
    host.fs.append(LIVE, b"newer\n");
    assert!(host.texts().is_empty());
    assert!(host.tailer().save().is_err());
    host.fs.heal();
    assert!(host.texts().is_empty());
    host.tailer().save().unwrap();
    assert_eq!(host.texts(), ["new", "newer"]);
    assert!(!host.tailer().waits());
    host.kill();
    host.fs.mv(LIVE, "/logs/access_20261123.log");
    host.start();
    assert_eq!(
        host.texts(),
        ["one", "two", "new", "newer"],
        "read again, under their first identity"
    );
    assert!(host.read().is_empty());
}

#[test]
fn an_unusable_checkpoint_is_reported_and_the_lines_are_read_again() {
    let good = {
        let mut host = Host::logs(&[GLOB]);
        host.fs.append(LIVE, b"one\n");
        host.start();
        host.texts();
        host.settle();
        host.fs.disk.content(CHECKPOINT)
    };
    let newer = String::from_utf8(good.clone())
        .unwrap()
        .replace("\"version\":1", "\"version\":9");
    let newer = {
        let body = &newer[..newer.trim_end().rfind('\n').unwrap() + 1];
        format!("{body}{{\"crc32c\":{}}}\n", crc32c::crc32c(body.as_bytes()))
    };
    let cases: [(&[u8], &str); 4] = [
        (b"", "it is empty"),
        (&good[..good.len() / 2], "cut off or damaged"),
        (b"nonsense\n{\"crc32c\":0}\n", "cut off or damaged"),
        (newer.as_bytes(), "version 9"),
    ];
    for (bytes, word) in cases {
        let mut host = Host::logs(&[GLOB]);
        host.fs.append(LIVE, b"one\n");
        host.start();
        host.texts();
        host.settle();
        host.fs.append("/logs/access.log.1", b"zero\n");
        host.kill();
        host.fs.disk.put(CHECKPOINT, bytes);
        host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
        host.start();
        assert!(host.problems()[0].contains(word), "{:?}", host.problems());
        // All readable files are read, under the same ids.
        let mut texts = host.texts();
        texts.sort();
        assert_eq!(texts, ["one", "zero"]);
        host.restart();
        assert!(host.problems().is_empty(), "{:?}", host.problems());
        assert!(host.texts().is_empty());
    }
}

#[test]
fn a_clock_that_jumps_back_and_forth_does_no_harm() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    host.texts();
    let mut read = vec![];
    for (round, hours) in [-26, 30, -1, 3, -300, 299].into_iter().enumerate() {
        host.clock.jump(hours * 3_600_000);
        host.fs.append(LIVE, format!("{round} before\n").as_bytes());
        host.fs
            .mv(LIVE, &format!("{LIVE}-20261123-{}", 1_795_406_400 + round));
        host.fs.append(LIVE, format!("{round} after\n").as_bytes());
        read.extend(host.texts());
        host.settle();
        // Waits are monotonic: the rotated file is closed in time.
        host.wait(6);
        read.extend(host.texts());
        assert_eq!(host.tailer().stats().files_open, 1, "{hours}");
        if round % 2 == 1 {
            host.restart();
            read.extend(host.texts());
        }
    }
    assert_eq!(read.len(), 12, "{read:?}");
}

/// nginx's workers take a moment to open the new file, and the old one has no name by which it could be found again.
#[test]
fn a_deleted_and_replaced_file_is_read_until_its_writers_are_gone() {
    let mut host = Host::logs(&[GLOB]);
    let writer = host.fs.append(LIVE, b"one\n");
    host.fs.hold(writer, true);
    host.start();
    assert_eq!(host.texts(), ["one"]);
    host.fs.rm(LIVE);
    host.fs.touch(LIVE);
    for late in 0..4 {
        assert!(host.texts().is_empty());
        host.wait(3);
        host.fs
            .append_inode(writer, format!("late {late}\n").as_bytes());
        host.fs.append(LIVE, format!("new {late}\n").as_bytes());
        assert_eq!(host.texts().len(), 2, "{late}");
    }
    host.settle();
    host.fs.hold(writer, false);
    host.wait(6);
    host.texts();
    assert_eq!(host.tailer().stats().files_open, 1);
}

#[test]
fn after_a_loss_of_positions_files_in_an_unreadable_folder_do_not_become_history() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.start();
    host.kill();
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.disk.rm(CHECKPOINT);
    host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
    host.wait(7_200);
    for _ in 0..3 {
        host.fs.fail(Op::ReadDir, "/logs", Errno::MFILE, 1_000);
        host.start();
        assert!(host.texts().is_empty());
        // Nothing is settled, but a valid checkpoint exists by now.
        host.settle();
        assert!(host.fs.disk.exists(CHECKPOINT));
    }
    host.fs.heal();
    assert_eq!(host.texts(), ["one"]);
    host.settle();
    // From here on the rotated files of a new log are history again.
    let text = String::from_utf8(host.fs.disk.content(CHECKPOINT)).unwrap();
    assert!(!text.contains("read_all"));
}

/// Lines written, each with a number.
fn lines(numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers
        .flat_map(|number| format!("line {number:05}\n").into_bytes())
        .collect()
}

/// logrotate with `rotate KEPT`: the oldest file is deleted.
fn rotate(host: &Host, kept: usize) {
    for number in (1..=kept).rev() {
        for suffix in ["", ".gz"] {
            let name = |number: usize| format!("{LIVE}.{number}{suffix}");
            if !host.fs.exists(&name(number)) {
                continue;
            }
            if number == kept {
                host.fs.rm(&name(number));
            } else {
                host.fs.mv(&name(number), &name(number + 1));
            }
        }
    }
    host.fs.mv(LIVE, &format!("{LIVE}.1"));
}

/// Nothing is read for a long time, for example while a cluster is down; files that were found in time are held open
/// although they are deleted.
#[test]
fn a_file_that_was_opened_while_nothing_could_be_read_survives_its_deletion() {
    for compressed in [false, true] {
        let mut host = Host::logs(&[GLOB]);
        host.fs.append(LIVE, &lines(0..10));
        host.start();
        for turn in 1..40 {
            rotate(&host, 2);
            if compressed {
                host.fs.gzip(&format!("{LIVE}.1"), &format!("{LIVE}.1.gz"));
            }
            host.fs.append(LIVE, &lines(turn * 10..turn * 10 + 10));
            host.wait(3_600);
            host.tailer().reconcile();
        }
        let mut found = host.texts();
        found.sort();
        assert_eq!(found.len(), 400, "{compressed}");
        found.dedup();
        assert_eq!(found.len(), 400, "{compressed}");
        host.wait(120);
        host.texts();
        assert!(host.tailer().stats().lost_bytes.is_empty(), "{compressed}");
    }
}

/// After a restart more files wait than can be held open. The oldest are held, because they are deleted next, and each
/// deleted file makes room for another.
#[test]
fn of_many_waiting_files_those_that_are_deleted_next_are_held_open() {
    for compressed in [false, true] {
        hold_those_that_go_next(compressed);
    }
}

fn hold_those_that_go_next(compressed: bool) {
    const KEPT: usize = 150;
    let rotate = |host: &Host| {
        rotate(host, KEPT);
        if compressed {
            host.fs.gzip(&format!("{LIVE}.1"), &format!("{LIVE}.1.gz"));
        }
    };
    let mut host = Host::logs(&[GLOB]);
    host.start();
    host.kill();
    for turn in 0..KEPT + 1 {
        if turn > 0 {
            rotate(&host);
        }
        host.fs.append(LIVE, &lines(turn * 10..turn * 10 + 10));
        host.wait(60);
    }
    host.start();
    for turn in KEPT + 1..2 * KEPT {
        rotate(&host);
        host.fs.append(LIVE, &lines(turn * 10..turn * 10 + 10));
        host.wait(3_600);
        host.tailer().reconcile();
    }
    let mut found = BTreeSet::new();
    for _ in 0..20 {
        found.extend(host.texts());
        host.wait(20);
    }
    let missing: Vec<usize> = (0..2 * KEPT * 10)
        .filter(|number| !found.contains(&format!("line {number:05}")))
        .collect();
    assert!(missing.is_empty(), "{compressed}: {missing:?}");
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

/// A log that is copied and truncated while many files wait is read from its copy when the copy's turn comes.
#[test]
fn a_copy_that_waits_for_other_files_does_not_count_as_lost() {
    const KEPT: usize = 200;
    let mut host = Host::logs(&[GLOB]);
    host.start();
    host.kill();
    for turn in 0..KEPT {
        if turn > 0 {
            rotate(&host, KEPT);
        }
        host.fs.append(LIVE, &lines(turn * 10..turn * 10 + 10));
        host.wait(60);
    }
    host.start();
    host.fs.cp(LIVE, &format!("{LIVE}-20261123"));
    host.fs.truncate(LIVE, 0);
    let mut found = BTreeSet::new();
    while host.tailer().stats().truncations == 0 {
        let chunk = host.tailer().read().unwrap();
        let text = String::from_utf8_lossy(chunk.bytes);
        found.extend(text.lines().map(ToOwned::to_owned));
    }
    for _ in 0..3 {
        host.wait(61);
        host.tailer().reconcile();
    }
    assert!(host.tailer().stats().lost_bytes.is_empty());
    for _ in 0..20 {
        found.extend(host.texts());
        host.wait(20);
    }
    assert_eq!(found.len(), KEPT * 10);
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

/// A file that could not be held open is counted when it is deleted.
#[test]
fn a_deleted_file_that_could_not_be_held_is_counted() {
    const KEPT: usize = 600;
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, &lines(0..10));
    host.start();
    for turn in 1..=KEPT {
        rotate(&host, KEPT + 1);
        host.fs.append(LIVE, &lines(turn * 10..turn * 10 + 10));
        host.wait(60);
        host.tailer().reconcile();
    }
    // all of them are known and 512 are open; now all but the live one are deleted
    for number in 1..=KEPT + 1 {
        host.fs.rm(&format!("{LIVE}.{number}"));
    }
    let mut found = BTreeSet::new();
    for _ in 0..20 {
        found.extend(host.texts());
        host.wait(20);
    }
    let lost = &host.tailer().stats().lost_bytes;
    let written = (KEPT + 1) * 10;
    let missed = (written - found.len()) * "line 00000\n".len();
    assert!(missed > 0);
    assert_eq!(lost.get("deleted"), Some(&(missed as u64)), "{lost:?}");
    // It is reported once.
    host.restart();
    host.wait(120);
    host.texts();
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

#[test]
fn a_file_that_is_being_compressed_at_the_start_does_not_count_as_lost() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, &lines(0..10));
    host.start();
    host.texts();
    host.settle();
    host.fs.append(LIVE, &lines(10..20));
    host.tailer().reconcile();
    host.tailer().read();
    host.tailer().save().unwrap();
    host.kill();
    host.fs.mv(LIVE, &format!("{LIVE}.1"));
    host.fs.touch(LIVE);
    host.fs.gzip(&format!("{LIVE}.1"), &format!("{LIVE}.1.gz"));
    host.start();
    assert!(host.texts().is_empty());
    host.wait(10);
    assert_eq!(host.texts().len(), 10);
    host.wait(120);
    host.texts();
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

/// A copy of the beginning that is newer than the complete file, as `cp` creates it: it is recognised after each start.
#[test]
fn a_newer_shorter_copy_is_not_read_again_and_again() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, &lines(0..10));
    host.start();
    host.fs.mv(LIVE, &format!("{LIVE}.1"));
    host.fs.append(&format!("{LIVE}.1"), &lines(10..20));
    host.fs.append(&format!("{LIVE}.2"), &lines(0..10));
    assert_eq!(host.texts().len(), 20);
    for round in 0..3 {
        for _ in 0..3 {
            host.wait(120);
            assert!(host.texts().is_empty());
        }
        // causes a save
        host.fs.append(LIVE, format!("new {round}\n").as_bytes());
        assert_eq!(host.texts().len(), 1);
        host.restart();
        assert!(host.texts().is_empty());
    }
}
