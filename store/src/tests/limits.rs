//! Retention, the disk budget, damage, and two writers.

use std::path::Path;

use super::sim_disk::{Fault, SimDisk};
use super::{DAY, NO_LIMITS, STORE, add, key, open, stored};
use crate::{Disk, DocumentKey, Event, Index, Limits, StoreError, Writer};

fn filled(disk: &SimDisk, days: u32) {
    let mut writer = open(disk, NO_LIMITS);
    for day in 0..days {
        add(&mut writer, &[key(DAY + day, 5, 1, u64::from(day) * 10)]).unwrap();
        writer.commit().unwrap();
    }
}

fn noon(day: u32) -> i64 {
    i64::from(day) * 86_400 + 43_200
}

#[test]
fn days_beyond_the_retention_are_dropped_and_do_not_come_back() {
    let disk = SimDisk::new(1);
    filled(&disk, 4);
    let limits = Limits {
        retention: Some(86_400),
        ..NO_LIMITS
    };
    let mut writer = open(&disk, limits);
    writer.upkeep(noon(DAY + 3)).unwrap();
    let retired = |day| Event::Retired {
        index: Index::Day(day),
        documents: 1,
    };
    assert_eq!(writer.take_events(), [retired(DAY), retired(DAY + 1)]);
    assert_eq!(
        stored(&disk.observer()),
        [key(DAY + 2, 5, 1, 20), key(DAY + 3, 5, 1, 30)]
    );
    drop(writer);
    disk.cut_power();
    // positions were lost: the lines are read again
    let mut writer = open(&disk, limits);
    let added = add(
        &mut writer,
        &[
            key(DAY, 5, 1, 0),
            key(DAY + 1, 5, 1, 10),
            key(DAY + 2, 5, 1, 20),
        ],
    )
    .unwrap();
    assert_eq!((added.added, added.duplicate, added.expired), (0, 1, 2));
}

#[test]
fn a_day_is_dropped_whole_wherever_the_power_fails() {
    let limits = Limits {
        retention: Some(3600),
        ..NO_LIMITS
    };
    for calls in 1..60 {
        let disk = SimDisk::new(calls);
        filled(&disk, 2);
        let mut writer = open(&disk, limits);
        disk.fail(calls, Fault::Dead);
        let done = writer.upkeep(noon(DAY + 1));
        drop(writer);
        disk.cut_power();
        disk.revive();
        let mut writer = open(&disk, limits);
        assert!(writer.take_events().is_empty(), "after {calls} calls");
        writer.upkeep(noon(DAY + 1)).unwrap();
        let added = add(&mut writer, &[key(DAY, 5, 1, 0)]).unwrap();
        assert_eq!((added.added, added.expired), (0, 1), "after {calls} calls");
        assert_eq!(stored(&disk.observer()), [key(DAY + 1, 5, 1, 10)]);
        if done.is_ok() {
            return;
        }
    }
    panic!("the power never stayed on");
}

#[test]
fn the_oldest_days_are_dropped_when_the_store_is_too_large_but_never_the_last() {
    let disk = SimDisk::new(1);
    filled(&disk, 3);
    let bytes = open(&disk, NO_LIMITS).bytes();
    let limits = Limits {
        disk_budget: Some(bytes - 1),
        ..NO_LIMITS
    };
    let mut writer = open(&disk, limits);
    writer.upkeep(noon(DAY + 2)).unwrap();
    let over = Event::OverBudget {
        index: Index::Day(DAY),
        documents: 1,
        bytes,
    };
    assert_eq!(writer.take_events(), [over]);
    drop(writer);
    let mut writer = open(
        &disk,
        Limits {
            disk_budget: Some(1),
            ..NO_LIMITS
        },
    );
    writer.upkeep(noon(DAY + 2)).unwrap();
    assert_eq!(stored(&disk.observer()), [key(DAY + 2, 5, 1, 20)]);
}

/// Anybody who can make a log have lines without a time must not fill the disk with them, nor push the days out.
#[test]
fn lines_without_a_time_are_dropped_by_the_time_at_which_they_were_read() {
    let disk = SimDisk::new(1);
    filled(&disk, 2);
    let mut writer = open(&disk, NO_LIMITS);
    for (number, day) in [DAY, DAY + 1, DAY + 2].into_iter().enumerate() {
        let unparsed = DocumentKey {
            second: 0,
            stream: 1,
            offset: 100 + number as u64,
        };
        let read = key(day, 7, 9, unparsed.offset);
        let document = super::document(&read);
        writer.add(&[(unparsed, &document)]).unwrap();
        writer.commit().unwrap();
    }
    let all = writer.bytes();
    drop(writer);
    let limits = Limits {
        disk_budget: Some(all - 1),
        ..NO_LIMITS
    };
    let mut writer = open(&disk, limits);
    writer.upkeep(noon(DAY + 2)).unwrap();
    let over = Event::OverBudget {
        index: Index::Unparsed,
        documents: 1,
        bytes: all,
    };
    assert_eq!(writer.take_events(), [over]);
    drop(writer);
    let mut writer = open(
        &disk,
        Limits {
            retention: Some(86_400),
            ..NO_LIMITS
        },
    );
    writer.upkeep(noon(DAY + 2)).unwrap();
    let retired = |index, documents| Event::Retired { index, documents };
    assert_eq!(
        writer.take_events(),
        [retired(Index::Day(DAY), 1), retired(Index::Unparsed, 1)]
    );
    let left = [key(DAY + 1, 5, 1, 10), key(DAY + 2, 7, 9, 102)];
    assert_eq!(stored(&disk.observer()), left);
}

#[test]
fn a_damaged_day_is_set_aside_and_the_others_go_on() {
    for suffix in [".columns", "manifest.json"] {
        let disk = SimDisk::new(7);
        filled(&disk, 3);
        let directory = Path::new(STORE).join(Index::Day(DAY + 1).to_string());
        assert!(disk.damage(&directory, suffix));
        let mut writer = open(&disk, NO_LIMITS);
        let mut events = Vec::new();
        // each call compares one segment with its checksum
        for _ in 0..3 {
            writer.upkeep(noon(DAY + 2)).unwrap();
            events.extend(writer.take_events());
        }
        let [
            Event::SetAside {
                index,
                path,
                reason,
            },
        ] = &events[..]
        else {
            panic!("{events:?}");
        };
        assert_eq!(*index, Index::Day(DAY + 1));
        assert_eq!(
            *path,
            Path::new(STORE).join("damaged-nginx-access-2026.11.24-1")
        );
        assert!(reason.contains("checksum"), "{reason}");
        assert_eq!(
            stored(&disk.observer()),
            [key(DAY, 5, 1, 0), key(DAY + 2, 5, 1, 20)]
        );
        // its lines are new again, and those in memory are kept
        let added = add(&mut writer, &[key(DAY + 1, 5, 1, 10), key(DAY, 5, 1, 0)]).unwrap();
        assert_eq!((added.added, added.duplicate), (1, 1));
        writer.commit().unwrap();
        assert_eq!(stored(&disk.observer()).len(), 3);
    }
}

#[test]
fn damage_that_a_repeat_meets_loses_no_document_in_memory() {
    let disk = SimDisk::new(9);
    filled(&disk, 1);
    let mut writer = open(&disk, NO_LIMITS);
    add(&mut writer, &[key(DAY, 5, 1, 20)]).unwrap();
    let directory = Path::new(STORE).join(Index::Day(DAY).to_string());
    assert!(disk.damage(&directory, ".columns"));
    let added = add(&mut writer, &[key(DAY, 5, 1, 0)]).unwrap();
    assert_eq!(added.added, 1);
    assert_eq!(writer.take_events().len(), 1);
    writer.commit().unwrap();
    assert_eq!(
        stored(&disk.observer()),
        [key(DAY, 5, 1, 0), key(DAY, 5, 1, 20)]
    );
}

#[test]
fn a_floor_that_cannot_be_read_is_the_oldest_day() {
    let disk = SimDisk::new(3);
    filled(&disk, 3);
    let limits = Limits {
        retention: Some(86_400),
        ..NO_LIMITS
    };
    let mut writer = open(&disk, limits);
    writer.upkeep(noon(DAY + 2)).unwrap();
    drop(writer);
    assert!(disk.damage(Path::new(STORE), "floor.json"));
    let mut writer = open(&disk, limits);
    assert!(matches!(
        &writer.take_events()[..],
        [Event::FloorUnreadable { .. }]
    ));
    let added = add(&mut writer, &[key(DAY, 5, 1, 0)]).unwrap();
    assert_eq!(added.expired, 1);
}

#[test]
fn a_second_writer_is_refused() {
    let disk = SimDisk::new(3);
    let _writer = open(&disk, NO_LIMITS);
    let second = Writer::open(disk.clone(), Path::new(STORE), super::schema(), NO_LIMITS);
    assert!(matches!(second, Err(StoreError::Locked { .. })));
}

/// On a full disk each attempt of a commit would otherwise leave a part of its segment, until no room that is made is enough.
#[test]
fn a_segment_that_cannot_be_written_leaves_nothing_on_the_disk() {
    let directory = Path::new(STORE).join(Index::Day(DAY).to_string());
    let mut failed = 0;
    for step in 1..10 {
        let disk = SimDisk::new(9);
        filled(&disk, 1);
        let before = disk.observer().list(&directory).unwrap();
        let mut writer = open(&disk, NO_LIMITS);
        add(&mut writer, &[key(DAY, 7, 2, 0)]).unwrap();
        disk.fail(step, Fault::Once);
        let error = match writer.commit() {
            Err(error) if error.to_string().contains(".columns") => error,
            _ => continue,
        };
        failed += 1;
        assert_eq!(disk.observer().list(&directory).unwrap(), before, "{error}");
        writer.commit().unwrap();
        assert_eq!(stored(&disk.observer()).len(), 2);
    }
    assert_eq!(failed, 5, "each step of the file");
}
