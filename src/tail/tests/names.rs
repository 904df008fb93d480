//! Content that came to lie under names that do not tell whose it is, and what a loss of positions makes of it.

use super::{Host, LIVE, Read, settings};
use crate::tail::checkpoint::{decode, encode};

const CHECKPOINT: &str = "/state/logweir/run/checkpoint";
const ASSIGNMENTS: &str = "/state/logweir/assignments.json";

/// Reads all there is, over the time in which a rotated file is let go and a compressed one is believed to be whole.
fn read_all(host: &mut Host) -> Vec<Read> {
    let mut lines = vec![];
    for _ in 0..4 {
        host.wait(20);
        host.tailer().reconcile();
        lines.extend(host.read());
        host.settle();
    }
    lines
}

/// Lines that are read again after a loss of positions were read before under the same ids.
fn assert_nothing_new_after_a_loss(host: &mut Host, before: &[Read], what: &str) {
    host.kill();
    host.fs.disk.rm(CHECKPOINT);
    host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
    host.start();
    let again = read_all(host);
    let new: Vec<&Read> = (again.iter())
        .filter(|line| !before.contains(line))
        .collect();
    assert!(!again.is_empty(), "{what}");
    assert!(new.is_empty(), "{what}: {new:?}");
}

/// A log under a wide glob with three lines, the first of its lines after a rotation included.
fn rotated_to(name: &str) -> (Host, Vec<Read>) {
    let mut host = Host::logs(&["/logs/access.log*"]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    let mut lines = read_all(&mut host);
    host.fs.mv(LIVE, name);
    host.fs.append(LIVE, b"new\n");
    lines.extend(read_all(&mut host));
    (host, lines)
}

#[test]
fn a_file_renamed_after_it_was_read_keeps_its_log_when_the_positions_are_lost() {
    for restart in [false, true] {
        let (mut host, before) = rotated_to("/logs/access.log.1");
        if restart {
            host.kill();
        }
        host.fs.mv("/logs/access.log.1", "/logs/access.log.older");
        if restart {
            host.start();
        }
        assert!(read_all(&mut host).is_empty());
        assert_nothing_new_after_a_loss(&mut host, &before, "renamed");
        // And once more: what was read again is known as well as what was read first.
        assert_nothing_new_after_a_loss(&mut host, &before, "renamed, lost again");
    }
}

#[test]
fn a_file_compressed_under_a_name_like_that_of_another_log_keeps_its_log_when_the_positions_are_lost()
 {
    for read_before in [true, false] {
        let (mut host, mut before) = rotated_to("/logs/access.log.old");
        host.kill();
        if !read_before {
            host.fs.append("/logs/access.log.old", b"late\n");
        }
        host.fs
            .gzip("/logs/access.log.old", "/logs/access.log.old.gz");
        host.start();
        before.extend(read_all(&mut host));
        assert_eq!(before.len(), if read_before { 3 } else { 4 });
        assert_nothing_new_after_a_loss(&mut host, &before, "compressed");
    }
}

#[test]
fn a_copy_whose_original_is_gone_keeps_its_log_when_the_positions_are_lost() {
    for whole in [true, false] {
        let (mut host, mut before) = rotated_to("/logs/access.log.1");
        host.fs.cp("/logs/access.log.1", "/logs/access.log.bak");
        assert!(read_all(&mut host).is_empty());
        if !whole {
            host.fs.append("/logs/access.log.1", b"late\n");
            before.extend(read_all(&mut host));
        }
        host.fs.rm("/logs/access.log.1");
        assert!(read_all(&mut host).is_empty());
        assert_nothing_new_after_a_loss(&mut host, &before, "copied");
    }
}

#[test]
fn a_copy_found_before_its_original_is_not_a_log() {
    let mut host = Host::logs(&["/logs/access.log*"]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    host.tailer().reconcile();
    let before = host.read();
    host.settle();
    host.fs.cp(LIVE, "/logs/access.log.bak");
    host.fs.append(LIVE, b"three\n");
    assert_eq!(host.texts(), ["three"]);
    host.settle();
    // Where no glob finds it, and before it is let go.
    host.fs.mv(LIVE, "/logs/old-access.log");
    host.fs.append(LIVE, b"new\n");
    assert_eq!(host.texts(), ["new"]);
    host.settle();
    host.start();
    let again = read_all(&mut host);
    assert!(again.iter().all(|line| before.contains(line)), "{again:?}");
}

#[test]
fn a_copy_that_exists_for_long_never_becomes_a_log() {
    let mut host = Host::logs(&["/logs/access.log*"]);
    host.fs.append(LIVE, b"one\ntwo\n");
    host.start();
    read_all(&mut host);
    host.fs.cp(LIVE, "/logs/access.log.bak");
    assert!(read_all(&mut host).is_empty());
    host.fs.append(LIVE, b"late\n");
    assert_eq!(read_all(&mut host).len(), 1);
    host.fs.mv(LIVE, "/logs/access.log.1");
    host.fs.append(LIVE, b"new\n");
    assert_eq!(read_all(&mut host).len(), 1);
    host.fs.rm("/logs/access.log.1");
    for _ in 0..12 {
        host.wait(30 * 86_400);
        assert!(host.texts().is_empty());
    }
}

#[test]
fn two_logs_with_one_directory_for_rotated_files_keep_their_own_when_the_positions_are_lost() {
    for restart in [false, true] {
        let mut settings = settings(&["/logs/a/access.log", "/logs/b/access.log"]);
        settings.rotated_dirs = vec!["/logs/old".to_owned()];
        let mut host = Host::new(settings);
        for directory in ["/logs/a", "/logs/b", "/logs/old"] {
            host.fs.mkdir(directory);
        }
        host.fs.append("/logs/a/access.log", b"of a\n");
        host.fs.append("/logs/b/access.log", b"of b\n");
        host.start();
        let mut before = read_all(&mut host);
        if restart {
            host.kill();
        }
        host.fs.append("/logs/b/access.log", b"more of b\n");
        host.fs.mv("/logs/b/access.log", "/logs/old/access.log.1");
        host.fs.append("/logs/b/access.log", b"new of b\n");
        if restart {
            host.start();
        }
        before.extend(read_all(&mut host));
        assert_eq!(before.len(), 4);
        assert_nothing_new_after_a_loss(&mut host, &before, "two logs");
    }
}

/// Older builds wrote no `beginning` and no `assignments.json`.
#[test]
fn streams_of_an_older_checkpoint_are_known_after_their_files_were_found() {
    for name in ["/logs/access.log.old", "/logs/access.log.old.gz"] {
        let mut host = Host::logs(&["/logs/access.log*"]);
        host.fs.append(LIVE, b"one\ntwo\n");
        host.start();
        let mut before = read_all(&mut host);
        host.kill();
        let mut checkpoint = decode(&host.fs.disk.content(CHECKPOINT)).unwrap();
        for entry in &mut checkpoint.entries {
            entry.beginning = None;
        }
        host.fs.disk.put(CHECKPOINT, &encode(&checkpoint).unwrap());
        host.fs.disk.rm(&format!("{CHECKPOINT}.previous"));
        host.fs.disk.rm(ASSIGNMENTS);
        host.fs.append(LIVE, b"three\n");
        if name.ends_with(".gz") {
            host.fs.gzip(LIVE, name);
        } else {
            host.fs.mv(LIVE, name);
        }
        host.fs.append(LIVE, b"new\n");
        host.start();
        before.extend(read_all(&mut host));
        assert_eq!(before.len(), 4, "{name}: {before:?}");
        let saved = decode(&host.fs.disk.content(CHECKPOINT)).unwrap();
        assert!(saved.entries.iter().all(|entry| entry.beginning.is_some()));
        assert_nothing_new_after_a_loss(&mut host, &before, name);
    }
}
