//! One behaviour per test, on the simulated host.

use rustix::io::Errno;

use super::{DATA, DAY, Host, LIVE, settings};
use crate::tail::sim::Op;
use crate::tail::{FramingSetting, LogSettings, TailError};

pub(super) const GLOB: &str = "/logs/*access.log";

pub(super) fn started() -> Host {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    host
}

#[test]
fn an_incomplete_line_waits_for_its_end() {
    let mut host = started();
    host.fs.append(LIVE, b"thr");
    assert_eq!(host.texts(), ["one", "two"]);
    host.fs.append(LIVE, b"ee\nfo");
    assert_eq!(host.texts(), ["three"]);
    assert!(host.texts().is_empty());
}

#[test]
fn a_long_line_is_cut_and_the_next_one_is_complete() {
    let mut host = started();
    let long = "x".repeat(4_097);
    host.fs.append(
        LIVE,
        format!("{}\n{}\nfour\n", &long[..4_096], long).as_bytes(),
    );
    let texts = host.texts();
    assert_eq!(texts.len(), 5);
    assert_eq!([texts[2].len(), texts[3].len()], [4_096, 4_096]);
    assert_eq!(texts[4], "four");
    assert_eq!(host.tailer().stats().long_lines, 1);
    host.restart();
    host.fs.append(LIVE, b"five\n");
    assert_eq!(host.texts(), ["five"]);
}

#[test]
fn a_growing_incomplete_line_is_read_only_once() {
    let mut host = started();
    host.texts();
    let line = vec![b'x'; 64];
    let before = host.fs.bytes_read();
    for _ in 0..60 {
        host.fs.append(LIVE, &line);
        assert!(host.read().is_empty());
    }
    host.fs.append(LIVE, b"\n");
    assert_eq!(host.read().len(), 1);
    let read = host.fs.bytes_read() - before;
    assert!(
        read < 3 * 60 * 64 + 10_000,
        "{read} bytes read for a line of {}",
        60 * 64
    );
}

#[test]
fn a_rename_is_followed_and_the_new_file_read_from_its_beginning() {
    let mut host = started();
    host.texts();
    let old = host.fs.touch(LIVE);
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append_inode(old, b"late\n");
    host.fs.append(LIVE, b"new\n");
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["late", "new"]);
    assert_eq!(host.tailer().stats().rotations.renamed, 1);
    assert_eq!(host.tailer().stats().files_open, 2);
    // nginx has closed the old one.
    host.wait(6);
    host.texts();
    assert_eq!(host.tailer().stats().files_open, 1);
    // It only seemed so.
    host.fs.append("/logs/access.log.1", b"later\n");
    assert_eq!(host.texts(), ["later"]);
}

#[test]
fn several_rotations_while_stopped_are_caught_up_oldest_first() {
    let mut host = started();
    host.texts();
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"three\n");
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append(LIVE, b"four\n");
    host.fs.mv("/logs/access.log.1", "/logs/access.log.2");
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append(LIVE, b"five\n");
    host.start();
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["five", "four", "three"]);
}

#[test]
fn the_first_rotation_of_an_empty_log_while_stopped_is_not_history() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.touch(LIVE);
    host.start();
    host.restart();
    host.kill();
    host.fs.append(LIVE, b"one\n");
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.start();
    assert_eq!(host.texts(), ["one"]);
}

#[test]
fn the_rest_of_a_copytruncate_comes_from_the_copy() {
    let mut host = started();
    host.texts();
    host.fs.append(LIVE, b"unread\n");
    host.fs.cp(LIVE, "/logs/access.log.1");
    host.fs.truncate(LIVE, 0);
    host.fs.append(LIVE, b"new\n");
    let file = host.tailer().lag()[0].path.clone();
    assert_eq!(file.to_str(), Some(LIVE));
    let mut lines = host.read();
    lines.sort_by_key(|line| line.2.clone());
    assert_eq!((lines[0].1, lines[0].2.as_str()), (0, "new"));
    assert_eq!((lines[1].1, lines[1].2.as_str()), (8, "unread"));
    let stats = host.tailer().stats();
    assert_eq!((stats.truncations, stats.rotations.copied), (1, 1));
    host.wait(120);
    host.texts();
    assert!(host.tailer().stats().lost_bytes.is_empty());
}

#[test]
fn a_truncation_that_regrows_past_the_old_offset_is_noticed() {
    let mut host = started();
    host.texts();
    host.fs.truncate(LIVE, 0);
    host.fs
        .append(LIVE, b"another and longer line\nand one more\n");
    assert_eq!(host.texts(), ["another and longer line", "and one more"]);
}

#[test]
fn bytes_truncated_away_unread_are_counted() {
    let mut host = started();
    host.fs.append(LIVE, &b"0123456789abcde\n".repeat(20));
    host.tailer().reconcile();
    host.tailer().read().unwrap();
    host.fs.truncate(LIVE, 0);
    assert!(host.texts().is_empty());
    host.wait(61);
    host.texts();
    assert!(host.tailer().stats().lost_bytes["truncated"] > 200);
}

#[test]
fn a_reused_inode_is_a_new_file() {
    let mut host = started();
    host.texts();
    host.settle();
    host.kill();
    let old = host.fs.touch(LIVE);
    host.fs.rm(LIVE);
    assert_eq!(host.fs.append(LIVE, b"uno\ndos\ntres\n"), old);
    host.start();
    assert_eq!(host.texts(), ["uno", "dos", "tres"]);
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_counted() {
    let mut host = started();
    host.fs.rm(LIVE);
    assert_eq!(host.texts(), ["one", "two"]);
    assert_eq!(host.tailer().stats().deleted_open_bytes, 8);
    host.fs.append(LIVE, b"three\n");
    host.wait(1);
    assert_eq!(host.texts(), ["three"]);
    host.wait(6);
    host.texts();
    // Lines in delivery could not be read again.
    assert_eq!(host.tailer().stats().deleted_open_bytes, 8);
    host.settle();
    host.texts();
    assert_eq!(host.tailer().stats().deleted_open_bytes, 0);
}

#[test]
fn a_link_that_is_swapped_leads_to_both_files_even_over_a_restart() {
    let mut host = Host::logs(&[LIVE]);
    host.fs.mkdir("/data");
    host.fs.append("/data/a", b"a1\n");
    host.fs.symlink("/data/a", LIVE);
    host.start();
    assert_eq!(host.texts(), ["a1"]);
    assert!(
        host.tailer()
            .dirs_to_watch()
            .any(|dir| dir.ends_with("data"))
    );
    host.settle();
    host.kill();
    host.fs.append("/data/a", b"a2\n");
    host.fs.append("/data/b", b"b1\n");
    host.fs.rm(LIVE);
    host.fs.symlink("/data/b", LIVE);
    host.start();
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["a2", "b1"]);
}

#[test]
fn a_file_with_two_names_is_read_once_under_its_real_name() {
    let mut host = Host::logs(&["/logs/*.log", "/logs/access.*"]);
    host.fs.append(LIVE, b"one\n");
    host.fs.symlink(LIVE, "/logs/a.log");
    host.fs.ln(LIVE, "/logs/hard.log");
    host.start();
    assert_eq!(host.texts(), ["one"]);
    assert_eq!(host.tailer().lag()[0].path.to_str(), Some(LIVE));
}

#[test]
fn rotated_files_that_match_the_pattern_are_not_logs_of_their_own() {
    let mut host = Host::logs(&["/logs/*"]);
    host.fs.append(LIVE, b"new\n");
    host.fs.append("/logs/access.log.1", b"old\n");
    host.start();
    assert_eq!(host.texts(), ["new"]);
}

#[test]
fn history_is_read_as_far_back_as_configured_and_only_at_the_first_start() {
    let mut settings = settings(&[GLOB]);
    settings.history = 3 * DAY;
    let mut host = Host::new(settings);
    for (days, name) in [(5, "3"), (2, "2"), (1, "1")] {
        host.clock.jump(-days * 86_400_000);
        host.fs.append(
            &format!("{LIVE}.{name}"),
            format!("from .{name}\n").as_bytes(),
        );
        host.clock.jump(days * 86_400_000);
    }
    host.fs.append(LIVE, b"live\n");
    host.start();
    assert_eq!(host.texts().len(), 3);
    host.restart();
    assert!(host.texts().is_empty());
    // History stays history under any name, but appended lines are new.
    host.kill();
    host.fs.mv("/logs/access.log.3", "/logs/access.log.4");
    host.fs.append("/logs/access.log.4", b"added\n");
    host.start();
    assert_eq!(host.texts(), ["added"]);
}

#[test]
fn without_a_checkpoint_in_a_used_directory_everything_is_read_again() {
    let mut host = started();
    host.fs.append("/logs/access.log.1", b"old\n");
    host.texts();
    host.settle();
    host.kill();
    host.fs.disk.rm("/state/logweir/run/checkpoint");
    host.fs.disk.rm("/state/logweir/run/checkpoint.previous");
    host.start();
    assert_eq!(host.texts().len(), 3);
}

#[test]
fn a_checkpoint_of_another_output_is_not_used() {
    let mut host = started();
    host.texts();
    host.settle();
    host.settings.output = Some("null:y".to_owned());
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
    assert!(host.problems()[0].contains("belongs to the output null:x, not to null:y"));
}

#[test]
fn a_failed_save_is_reported_and_repeated() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename, Op::SyncDir] {
        let mut host = started();
        host.texts();
        for (file, end) in std::mem::take(&mut host.ends) {
            host.tailer().settle(file, end);
        }
        host.fs.fail(op, DATA, Errno::NOSPC, 1);
        let error = host.tailer().save().unwrap_err();
        assert!(matches!(error, TailError::State { .. }), "{error}");
        host.tailer().save().unwrap();
        host.start();
        assert!(host.texts().is_empty(), "{op:?}");
    }
}

#[test]
fn a_saved_position_survives_a_power_cut() {
    for torn in [0, 128, 255] {
        let mut host = started();
        host.texts();
        host.settle();
        let saved = host.fs.disk.content("/state/logweir/run/checkpoint");
        host.kill();
        host.fs.disk.power_cut(0, torn);
        assert_eq!(host.fs.disk.content("/state/logweir/run/checkpoint"), saved);
        host.start();
        assert!(host.texts().is_empty());
    }
}

#[test]
fn a_power_cut_at_any_step_of_a_save_leaves_a_complete_checkpoint() {
    for steps in 0..7 {
        for kept in 0..4 {
            let mut host = started();
            host.texts();
            host.settle();
            host.fs.append(LIVE, b"three\n");
            host.texts();
            for (file, end) in std::mem::take(&mut host.ends) {
                host.tailer().settle(file, end);
            }
            host.fs.disk.die_after(steps);
            let saved = host.tailer().save().is_ok();
            host.fs.heal();
            host.kill();
            host.fs.disk.power_cut(kept, 128);
            host.start();
            // The position is the one before or the one after, so nothing is read from the beginning.
            let again = host.texts();
            assert!(
                again.is_empty() || again == ["three"],
                "{steps}, {kept}: {again:?}"
            );
            assert!(
                again.is_empty() || !saved,
                "{steps}, {kept}: saved, and read again"
            );
        }
    }
}

#[test]
fn an_unreadable_log_is_reported_and_read_later() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.append(LIVE, b"one\n");
    host.fs.fail(Op::Open, LIVE, Errno::ACCESS, 100);
    host.fs.mkdir("/etc");
    host.fs.append("/etc/group", b"root:x:0:\nadm:x:4:syslog\n");
    host.start();
    assert!(host.texts().is_empty());
    assert!(host.problems()[0].contains("/logs/access.log cannot be read: Permission denied"));
    assert!(host.problems()[0].contains("the group adm may read it"));
    host.fs.chmod(LIVE, 0o600);
    host.texts();
    assert!(host.problems()[0].contains("not even its group adm"));
    host.fs.heal();
    assert_eq!(host.texts(), ["one"]);
    assert!(host.problems().is_empty());
}

#[test]
fn a_read_error_only_delays_reading() {
    let mut host = started();
    host.tailer().reconcile();
    host.fs.fail(Op::Read, LIVE, Errno::STALE, 1);
    assert!(host.read().is_empty());
    assert_eq!(host.tailer().stats().problems.len(), 1);
    assert_eq!(host.texts(), ["one", "two"]);
}

#[test]
fn a_pipe_is_reported_as_one() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.mkfifo("/logs/pipe");
    host.fs.symlink("/logs/pipe", LIVE);
    host.start();
    assert!(
        host.problems()[0].contains("is a pipe, not a file"),
        "{:?}",
        host.problems()
    );
}

#[test]
fn a_live_name_with_a_date_needs_a_permanent_name() {
    let mut host = Host::logs(&["/logs/access-*.log"]);
    host.clock.jump(-86_400_000);
    host.fs.append("/logs/access-20261122.log", b"yesterday\n");
    host.clock.jump(86_400_000);
    host.fs.append("/logs/access-20261123.log", b"today\n");
    host.start();
    assert!(host.texts().is_empty());
    for problem in host.problems() {
        assert!(problem.contains("has a date in its name"), "{problem}");
    }
    assert_eq!(host.problems().len(), 2);
    host.settings.logs[0].name = Some("shop".to_owned());
    host.start();
    // The older ones are this log's history.
    assert_eq!(host.texts(), ["today"]);
    host.fs.append("/logs/access-20261124.log", b"tomorrow\n");
    assert_eq!(host.texts(), ["tomorrow"]);
}

#[test]
fn logs_with_equal_first_lines_stay_separate_even_in_a_shared_olddir() {
    let mut settings = settings(&["/logs/*/access.log"]);
    settings.rotated_dirs = vec!["/logs/old".into()];
    let mut host = Host::new(settings);
    for directory in ["/logs/a", "/logs/b", "/logs/old"] {
        host.fs.mkdir(directory);
    }
    host.fs.append("/logs/a/access.log", b"same\n");
    host.fs.append("/logs/b/access.log", b"same\nmore\n");
    host.start();
    let lines = host.read();
    assert_eq!(lines.len(), 3);
    let ids: std::collections::HashSet<_> = lines.iter().map(|line| line.0).collect();
    assert_eq!(ids.len(), 2);
    host.settle();
    host.kill();
    host.fs.append("/logs/b/access.log", b"last\n");
    host.fs.mv("/logs/b/access.log", "/logs/old/access.log.1");
    host.start();
    let lines = host.read();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!((lines[0].1, lines[0].2.as_str()), (10, "last"));
}

#[test]
fn excludes_are_names_or_paths() {
    let mut settings = settings(&["/logs/**/*.log"]);
    settings.logs[0].exclude = vec!["debug*".to_owned(), "/logs/b/*".to_owned()];
    let mut host = Host::new(settings);
    for directory in ["/logs/a", "/logs/b", "/logs/c/d"] {
        host.fs.mkdir(directory);
    }
    for name in ["a/x.log", "a/debug.log", "b/x.log", "c/d/x.log"] {
        host.fs
            .append(&format!("/logs/{name}"), format!("{name}\n").as_bytes());
    }
    host.start();
    let mut texts = host.texts();
    texts.sort();
    assert_eq!(texts, ["a/x.log", "c/d/x.log"]);
}

#[test]
fn a_bad_pattern_is_refused_by_name() {
    for (glob, word) in [
        ("logs/*.log", "absolute"),
        ("/logs/[", "/logs/["),
        ("/logs/../x.log", ".."),
        ("/logs/", "names directories"),
        ("/", "names no file"),
    ] {
        let mut host = Host::logs(&[glob]);
        let error = host.try_start().unwrap_err().to_string();
        assert!(error.contains(word), "{glob}: {error}");
    }
}

#[test]
fn positions_of_deleted_files_are_forgotten_only_after_retention() {
    let mut settings = settings(&[GLOB]);
    settings.retention = Some(30 * DAY);
    let mut host = Host::new(settings);
    host.fs.append(LIVE, b"one\n");
    host.start();
    host.texts();
    host.settle();
    let entries = |host: &Host| {
        let text = host.fs.disk.content("/state/logweir/run/checkpoint");
        text.split(|&byte| byte == b'\n')
            .filter(|line| line.starts_with(b"{\"stream"))
            .count()
    };
    host.fs.rm(LIVE);
    host.fs.append(LIVE, b"two\n");
    host.texts();
    host.settle();
    assert_eq!(entries(&host), 2);
    host.wait(10);
    host.texts();
    host.clock.advance(29 * DAY);
    host.texts();
    host.restart();
    assert_eq!(entries(&host), 2);
    host.clock.advance(2 * DAY);
    host.texts();
    host.settle();
    assert_eq!(entries(&host), 1);
}

#[test]
fn a_new_log_of_a_used_directory_starts_as_at_the_first_start() {
    let mut host = started();
    host.fs.mkdir("/other");
    host.fs.append("/other/access.log.1", b"old\n");
    host.fs.append("/other/access.log", b"live\n");
    host.clock.advance(DAY);
    host.texts();
    host.settle();
    host.settings.logs.push(LogSettings {
        paths: vec!["/other/access.log".to_owned()],
        exclude: vec![],
        rotated: vec![],
        name: None,
        framing: FramingSetting::Raw,
    });
    host.start();
    assert_eq!(host.texts(), ["live"]);
}

#[test]
fn a_compressed_file_is_continued_at_the_position_of_the_plain_one() {
    let mut host = started();
    host.fs.append(LIVE, b"three\nfour\n");
    host.tailer().reconcile();
    let chunk = host.tailer().read().unwrap();
    let (file, end) = (chunk.file, chunk.end);
    host.tailer().settle(file, end);
    host.tailer().save().unwrap();
    host.kill();
    host.fs.append(LIVE, b"five\nhalf");
    host.fs.gzip(LIVE, "/logs/access.log.2.gz");
    host.fs.append(LIVE, b"new\n");
    host.start();
    host.wait(10);
    let mut lines = host.texts();
    lines.sort();
    assert_eq!(lines, ["five", "new"]);
    host.wait(10);
    host.texts();
    host.restart();
    assert!(host.texts().is_empty());
    // It was not even opened again.
    assert_eq!(host.tailer().stats().files_open, 1);
}

#[test]
fn a_compressed_file_that_ends_early_is_tried_again_when_it_changed() {
    let mut host = started();
    host.texts();
    host.settle();
    host.kill();
    host.fs.append(LIVE, &b"more\n".repeat(3_000));
    let gz = host.fs.gzip(LIVE, "/logs/access.log.1.gz");
    host.fs.truncate("/logs/access.log.1.gz", gz.len() / 2);
    host.start();
    host.wait(10);
    let first = host.texts().len();
    assert!(first < 3_000);
    host.wait(10);
    assert!(host.texts().is_empty());
    host.fs.append("/logs/access.log.1.gz", &gz[gz.len() / 2..]);
    host.wait(10);
    assert_eq!(host.texts().len() + first, 3_000);
}

#[test]
fn a_clock_set_back_does_not_turn_a_new_log_into_history() {
    let mut host = Host::logs(&[GLOB]);
    host.start();
    for back in [2, 7, 90] {
        host.clock.jump(-back * 1_000_000);
        let name = format!("/logs/{back}.access.log");
        let line = format!("one of {back}");
        host.fs.append(&name, format!("{line}\n").as_bytes());
        host.fs.cp(&name, &format!("{name}.1"));
        host.fs.truncate(&name, 0);
        assert_eq!(host.texts(), [line], "{back}");
    }
}

#[test]
fn a_damaged_checkpoint_does_not_replace_the_complete_one() {
    const CHECKPOINT: &str = "/state/logweir/run/checkpoint";
    for damage in [
        &b""[..],
        b"{\"magic\":\"logweir checkpoint\",\"version\":1,",
    ] {
        for steps in 0..6 {
            let mut host = started();
            host.texts();
            host.settle();
            host.fs.append(LIVE, b"three\n");
            host.texts();
            host.settle();
            host.kill();
            host.fs.disk.put(CHECKPOINT, damage);
            host.start();
            assert_eq!(host.texts(), ["three"]);
            for (file, end) in std::mem::take(&mut host.ends) {
                host.tailer().settle(file, end);
            }
            // The agent dies in the first save.
            host.fs.disk.die_after(steps);
            let _ = host.tailer().save();
            host.fs.heal();
            host.start();
            let again = host.texts();
            assert!(again.is_empty() || again == ["three"], "{steps}: {again:?}");
        }
    }
}

/// The previous checkpoint does not contain the log, and its files are dated by a clock that was wrong.
#[test]
fn a_log_that_is_only_in_a_damaged_checkpoint_is_not_history() {
    const CHECKPOINT: &str = "/state/logweir/run/checkpoint";
    let mut host = Host::logs(&[GLOB]);
    host.start();
    host.clock.jump(-2 * 3_600_000);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.fs.mv(LIVE, &format!("{LIVE}.1"));
    host.start();
    host.tailer().save().unwrap();
    host.kill();
    host.fs.disk.put(CHECKPOINT, b"{");
    host.clock.jump(2 * 3_600_000);
    host.start();
    assert_eq!(host.texts(), ["one", "two"]);
}

#[test]
fn a_read_error_does_not_close_a_deleted_file() {
    let mut host = started();
    host.tailer().reconcile();
    host.fs.rm(LIVE);
    host.fs.fail(Op::Read, LIVE, Errno::IO, 3);
    for _ in 0..3 {
        assert!(host.texts().is_empty());
        assert!(host.problems()[0].contains("cannot be read"));
    }
    assert_eq!(host.texts(), ["one", "two"]);
    assert!(host.problems().is_empty());
}

#[test]
fn a_damaged_compressed_file_is_read_as_far_as_possible_and_not_decoded_repeatedly() {
    let mut host = started();
    host.texts();
    host.settle();
    host.kill();
    host.fs.append(LIVE, &b"more\n".repeat(3_000));
    let mut gz = host.fs.gzip(LIVE, "/logs/access.log.1.gz");
    let second = {
        host.fs.append("/logs/x", b"behind the damage\n");
        host.fs.gzip("/logs/x", "/logs/x.gz")
    };
    host.fs.rm("/logs/x.gz");
    // The first member's checksum is wrong.
    let at = gz.len() - 8;
    gz[at] ^= 1;
    gz.extend(second);
    host.fs.put("/logs/access.log.1.gz", &gz);
    host.start();
    host.wait(10);
    assert_eq!(host.texts().len(), 3_000);
    assert!(
        host.problems()
            .iter()
            .any(|problem| problem.contains("is damaged")),
        "{:?}",
        host.problems()
    );
    let before = host.fs.bytes_read();
    for _ in 0..5 {
        host.wait(10);
        host.texts();
    }
    assert_eq!(host.fs.bytes_read() - before, 0);
    assert!(host.problems()[0].contains("is damaged"));
    // The file is repaired.
    gz[at] ^= 1;
    host.fs.put("/logs/access.log.1.gz", &gz);
    host.wait(10);
    assert_eq!(host.texts(), ["behind the damage"]);
}

/// After a power cut a file system may leave NULs where it had reserved space and written nothing, and nginx appends
/// after them. The tailer does not interpret them: the bytes up to the next `\n` are one line.
#[test]
fn nuls_after_a_power_cut_are_part_of_a_line() {
    let mut host = started();
    host.fs.append(LIVE, b"three\nto");
    assert_eq!(host.texts(), ["one", "two", "three"]);
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"\0\0\0real\nmore\n");
    host.start();
    assert_eq!(host.texts(), ["to\0\0\0real", "more"]);
}

#[test]
fn a_compressed_file_that_ends_with_a_long_incomplete_line_is_read_up_to_that_line() {
    let mut host = started();
    host.texts();
    host.settle();
    host.kill();
    host.fs.append(LIVE, b"three\n");
    host.fs.append(LIVE, &[b'x'; 20_000]);
    host.fs.gzip(LIVE, "/logs/access.log.1.gz");
    host.start();
    host.wait(10);
    assert_eq!(host.texts(), ["three"]);
    host.wait(10);
    assert!(host.texts().is_empty());
}

#[test]
fn beyond_the_limit_the_oldest_deleted_files_are_closed_and_their_bytes_counted() {
    let mut host = Host::logs(&[GLOB]);
    host.settings.held_open_bytes = 2_500;
    host.fs.append(LIVE, b"");
    host.start();
    for file in 0..4 {
        host.fs
            .append(LIVE, format!("line of {file}\n").repeat(100).as_bytes());
        host.texts_of_one_chunk();
        host.fs.rm(LIVE);
        host.fs.touch(LIVE);
        host.wait(1);
        host.tailer().reconcile();
        let stats = host.tailer().stats();
        let lost = stats.lost_bytes.get("held_open_limit").copied();
        // Each has 1000 bytes, and some of them are read.
        match file {
            0 | 1 => assert_eq!(lost, None),
            _ => assert!(lost.unwrap() >= (file - 1) * 900 && lost.unwrap() < (file - 1) * 1_000),
        }
        assert!(stats.deleted_open_bytes <= 2_500);
    }
    assert!(
        host.problems()
            .iter()
            .any(|problem| problem.contains("held_open_bytes"))
    );
    let left: std::collections::BTreeSet<String> = host.texts().into_iter().collect();
    assert_eq!(
        left.into_iter().collect::<Vec<_>>(),
        ["line of 2", "line of 3"]
    );
}

#[test]
fn rotated_files_with_a_name_are_not_all_held_open() {
    let mut host = Host::logs(&[GLOB]);
    host.fs.touch(LIVE);
    host.start();
    for file in 0..600 {
        host.fs.append(LIVE, format!("line of {file}\n").as_bytes());
        host.fs.append(LIVE, b"more\n");
        // The output is down: the file is opened, but nothing is read.
        host.tailer().reconcile();
        host.fs
            .mv(LIVE, &format!("{LIVE}-20261123-{}", 1_795_406_400 + file));
        host.fs.touch(LIVE);
    }
    host.tailer().reconcile();
    assert!(host.tailer().stats().files_open <= 514);
    let mut lines = 0;
    for _ in 0..10 {
        host.wait(10);
        lines += host.texts().len();
    }
    assert_eq!(lines, 1_200);
    assert!(host.tailer().stats().lost_bytes.is_empty());
}
