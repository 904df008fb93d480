#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Each durable step fails, once or for a while, or is the last one before a power cut, which loses everything that was not
//! fsynced. An entry whose append returned `Ok` is there afterwards, unless a rewrite dropped it.

use std::collections::BTreeSet;

use rustix::io::Errno;

use super::*;
use crate::disk::sim::{Op, SimDisk};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// The operation fails so many times, after so many that work.
    Error { op: Op, skip: usize, times: usize },
    /// The power fails after so many more steps.
    Crash { steps: usize },
}

fn entry(id: usize, kind: EntryKind) -> Entry {
    let id = format!("{id:04}");
    let reason = Rejection {
        kind: "index_closed_exception".into(),
        text: "closed".into(),
        status: 400,
    };
    Entry::new(kind, 0, ("day", &id), b"{\"n\":1}\n", None, reason)
}

/// Appends and rewrites with one fault, then a power cut, then further appends. Returns whether the fault occurred.
fn live(fault: Fault, kept: usize, torn: u8) -> bool {
    let disk = SimDisk::new("/state");
    match fault {
        Fault::Error { op, skip, times } => disk.faults().add(op, "", Errno::NOSPC, skip, times),
        Fault::Crash { steps } => disk.die_after(steps),
    }
    let file = DeadLetters {
        disk: Arc::new(disk.clone()),
        ..DeadLetters::new(Path::new("/state"), 1 << 20)
    };
    // Entries that are durable; the file may hold more.
    let mut settled = BTreeSet::new();
    let mut failed = false;
    let case = format!("{fault:?} {kept} {torn}");
    for round in 0..2 {
        for batch in 0..4 {
            let id = round * 100 + batch * 10;
            let entries = [entry(id, EntryKind::Parked), entry(id + 1, EntryKind::Dead)];
            match file.append(&entries) {
                Ok(()) => settled.extend([id, id + 1]),
                Err(_) => failed = true,
            }
            if batch % 2 == 1 {
                // The cluster has the parked ones by now.
                let fate = |entry: &Entry| match entry.kind {
                    EntryKind::Parked => EntryChange::Remove,
                    EntryKind::Dead => EntryChange::Keep,
                };
                failed |= file.rewrite(fate).is_err();
                settled.retain(|id| id % 10 == 1);
            }
        }
        disk.heal();
        disk.power_cut(kept, torn);
        let there: BTreeSet<usize> = file
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().id.parse().unwrap())
            .collect();
        let lost: Vec<&usize> = settled.difference(&there).collect();
        assert!(lost.is_empty(), "{case}: lost {lost:?}");
    }
    // Without faults everything is accepted.
    assert!(
        settled.is_superset(&BTreeSet::from([101, 111, 121, 131])),
        "{case}"
    );
    failed
}

#[test]
fn settled_entries_survive_every_failing_step() {
    for op in [Op::Create, Op::Write, Op::Sync, Op::Rename, Op::SyncDir] {
        let mut met = 0;
        for skip in 0..8 {
            for times in [1, 5] {
                for torn in [0, 100] {
                    let fault = Fault::Error { op, skip, times };
                    met += usize::from(live(fault, 0, torn));
                }
            }
        }
        assert!(met > 0, "{op:?} is met");
    }
}

#[test]
fn settled_entries_survive_a_power_cut_at_every_step() {
    const STEPS: usize = 60;
    for kept in 0..3 {
        for torn in [0, 100, 255] {
            for steps in 0..STEPS {
                let met = live(Fault::Crash { steps }, kept, torn);
                assert!(met || steps > 20, "{steps}");
            }
            let all = Fault::Crash { steps: STEPS };
            assert!(!live(all, kept, torn), "more steps than are tried");
        }
    }
}

/// The repair of a torn line fails, or is the last step.
#[test]
fn a_repair_may_fail_at_every_step() {
    for (op, times) in [
        (Op::Truncate, 1),
        (Op::Truncate, 5),
        (Op::Sync, 2),
        (Op::Write, 2),
    ] {
        for torn in [0, 100, 255] {
            let disk = SimDisk::new("/state");
            let file = DeadLetters {
                disk: Arc::new(disk.clone()),
                ..DeadLetters::new(Path::new("/state"), 1 << 20)
            };
            file.append(&[entry(1, EntryKind::Dead)]).unwrap();
            let path = file.path();
            let path = path.to_str().unwrap();
            let mut content = disk.content(path);
            content.extend_from_slice(b"{\"at\":");
            disk.put(path, &content);
            disk.faults().add(op, "", Errno::IO, 0, times);
            assert!(file.append(&[entry(2, EntryKind::Dead)]).is_err(), "{op:?}");
            disk.heal();
            disk.power_cut(0, torn);
            file.append(&[entry(3, EntryKind::Dead)]).unwrap();
            let there: Vec<String> = file
                .entries()
                .unwrap()
                .map(|entry| entry.unwrap().id)
                .collect();
            assert_eq!(there.first().unwrap(), "0001", "{op:?} {torn}");
            assert_eq!(there.last().unwrap(), "0003", "{op:?} {torn}");
        }
    }
}
