//! More logs than descriptors.

use std::collections::{BTreeMap, BTreeSet};

use rustix::io::Errno;

use super::Host;
use crate::tail::Leaves;
use crate::tail::sim::Op;

const LOGS: usize = 30;
const SLOTS: usize = 8;

fn path(at: usize) -> String {
    format!("/logs/s{at:02}_access.log")
}

/// A host with many logs, each with a line, and descriptors for few of them.
fn host() -> Host {
    let mut host = Host::logs(&["/logs/*access.log"]);
    host.settings.open_files = SLOTS;
    for at in 0..LOGS {
        host.fs
            .append(&path(at), format!("first of {at}\n").as_bytes());
    }
    host
}

/// What the pipeline does while logs wait: it scans, and reads all that can be read.
fn rounds(host: &mut Host, most: usize) -> (Vec<String>, usize) {
    let mut texts = Vec::new();
    for round in 1..=most {
        texts.extend(host.texts());
        host.settle();
        assert!(host.tailer().stats().files_open <= SLOTS);
        if !host.tailer().waits_for_descriptors() {
            return (texts, round);
        }
        host.wait(1);
    }
    panic!("logs wait for ever");
}

#[test]
fn all_logs_are_read_in_turns_and_each_line_once() {
    let mut host = host();
    host.start();
    let (texts, rounds_of_start) = rounds(&mut host, 20);
    assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), LOGS);
    assert_eq!(texts.len(), LOGS);
    // All descriptors are used in each round.
    assert!(
        rounds_of_start <= LOGS.div_ceil(SLOTS) + 2,
        "{rounds_of_start}"
    );
    let problems = host.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("30 logs are there, and 8 files can be open"),
        "{problems:?}"
    );
    assert!(problems[0].contains("LimitNOFILE"));
    // Nothing is unread, so no file is opened and no log waits.
    let before = host.fs.bytes_read();
    for _ in 0..5 {
        assert_eq!(host.texts(), [""; 0]);
        assert_eq!(host.tailer().stats().files_waiting, 0);
        host.wait(10);
    }
    assert!(host.fs.bytes_read() - before < 5 * SLOTS * 100);
    // All logs are written to repeatedly, also over restarts.
    let mut found = BTreeSet::new();
    for turn in 0..10 {
        for at in 0..LOGS {
            host.fs
                .append(&path(at), format!("{turn} of {at}\n").as_bytes());
        }
        host.wait(1);
        found.extend(host.texts());
        host.settle();
        if turn == 5 {
            host.restart();
        }
    }
    found.extend(rounds(&mut host, 20).0);
    assert_eq!(found.len(), 10 * LOGS);
    assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
}

/// The logs that hold the descriptors are never read to their end.
#[test]
fn an_endlessly_growing_log_gives_up_its_descriptor_after_a_while() {
    let mut host = host();
    host.settings.read_bytes = 16;
    host.start();
    let mut found: BTreeSet<String> = BTreeSet::new();
    for turn in 0..200 {
        for at in 0..LOGS {
            for line in 0..3 {
                let line = format!("{turn}.{line} of {at}\n");
                host.fs.append(&path(at), line.as_bytes());
            }
        }
        host.wait(1);
        host.tailer().reconcile();
        // This is less than is written.
        for _ in 0..2 * SLOTS {
            if let Some(chunk) = host.tailer().read() {
                found.insert(chunk.path.to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(found.len(), LOGS);
    host.read();
    let counts = rounds(&mut host, 100).0.len();
    assert!(counts > 0);
    assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
}

/// A file that only a descriptor holds keeps it, however many logs wait.
#[test]
fn a_deleted_or_renamed_log_with_unread_lines_keeps_its_descriptor() {
    for renamed in [false, true] {
        let mut host = host();
        host.start();
        // All descriptors are used by unread files. They go, and others come.
        let open: Vec<String> = (host.tailer().open.files.iter())
            .map(|reader| reader.path.to_string_lossy().into_owned())
            .collect();
        assert_eq!(open.len(), SLOTS);
        for path in &open {
            match renamed {
                true => assert!(host.fs.mv(path, &path.replace("/logs/", "/elsewhere-"))),
                false => host.fs.rm(path),
            }
        }
        for _ in 0..3 {
            host.wait(30);
            host.tailer().reconcile();
        }
        assert_eq!(host.tailer().open.files.len(), SLOTS);
        assert_eq!(host.tailer().stats().files_waiting, LOGS - SLOTS);
        let texts: BTreeSet<String> = (0..20)
            .flat_map(|_| {
                host.wait(1000);
                let texts = host.texts();
                host.settle();
                texts
            })
            .collect();
        assert_eq!(texts.len(), LOGS, "{renamed}");
        assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
    }
}

#[test]
fn a_log_without_a_descriptor_is_followed_over_a_rotation_and_a_truncation() {
    let mut host = host();
    host.start();
    rounds(&mut host, 20);
    for at in 0..LOGS {
        let path = path(at);
        host.fs
            .append(&path, format!("second of {at}\n").as_bytes());
        if at % 2 == 0 {
            host.fs.mv(&path, &format!("{path}.1"));
        } else {
            host.fs.cp(&path, &format!("{path}.1"));
            host.fs.truncate(&path, 0);
        }
        host.fs.append(&path, format!("third of {at}\n").as_bytes());
    }
    let mut texts = BTreeSet::new();
    for _ in 0..40 {
        host.wait(20);
        texts.extend(host.texts());
        host.settle();
    }
    let missing: Vec<String> = (0..LOGS)
        .flat_map(|at| [format!("second of {at}"), format!("third of {at}")])
        .filter(|text| !texts.contains(text))
        .collect();
    assert_eq!(missing, [""; 0]);
    assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
}

/// The system refuses descriptors although there should be some: no log counts as deleted.
#[test]
fn a_log_waits_while_the_system_has_no_descriptor_for_it() {
    for error in [Errno::MFILE, Errno::NFILE] {
        let mut host = host();
        host.settings.open_files = 1024;
        host.fs.limit_descriptors(Some(0));
        if error == Errno::NFILE {
            host.fs.limit_descriptors(None);
            host.fs.fail(Op::Open, "/logs", error, usize::MAX);
        }
        host.start();
        for _ in 0..5 {
            assert_eq!(host.texts(), [""; 0]);
            host.wait(1000);
        }
        assert_eq!(host.tailer().stats().files_waiting, LOGS);
        // A run that ends by itself does end, and reports what is left.
        assert!(!host.tailer().waits());
        assert_eq!(host.tailer().leaves(), Leaves::Input);
        let problems = host.problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("no more files can be opened"),
            "{problems:?}"
        );
        host.fs.heal();
        // Few descriptors come back: the logs take turns.
        host.fs.limit_descriptors(Some(3));
        let mut texts = BTreeSet::new();
        for _ in 0..20 {
            texts.extend(host.texts());
            host.settle();
            host.wait(10);
        }
        assert_eq!(texts.len(), LOGS);
        assert_eq!(host.tailer().stats().lost_bytes, BTreeMap::new());
    }
}
