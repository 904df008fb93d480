//! Random lives of a store: each document is there exactly once, whatever fails.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::sim_disk::{Fault, SimDisk};
use super::{DAY, NO_LIMITS, add, key, open, stored};
use crate::DocumentKey;

#[derive(Debug, Clone)]
enum Step {
    /// New lines of a stream, across midnight or not; then lines that were read before.
    Add {
        stream: u64,
        lines: u8,
        repeats: u8,
    },
    Commit,
    /// Upkeep and a merge.
    Upkeep {
        later: u16,
    },
    /// A call fails, some calls from now on.
    Fail(u8),
    /// The process is killed some calls from now on, or the power fails.
    Die {
        after: u8,
        power: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_u64, 0..6_u8, 0..6_u8).prop_map(|(stream, lines, repeats)| Step::Add { stream, lines, repeats }),
        3 => Just(Step::Commit),
        2 => (0..900_u16).prop_map(|later| Step::Upkeep { later }),
        1 => (0..12_u8).prop_map(Step::Fail),
        1 => (0..30_u8, any::<bool>()).prop_map(|(after, power)| Step::Die { after, power }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn each_document_is_there_once_whatever_fails(steps in prop::collection::vec(step(), 1..60), seed: u64) {
        let disk = SimDisk::new(seed);
        let mut writer = Some(open(&disk, NO_LIMITS));
        // lines that exist; those whose commit was reported
        let mut lines: Vec<DocumentKey> = Vec::new();
        let mut durable: BTreeSet<DocumentKey> = BTreeSet::new();
        let mut now = i64::from(DAY) * 86_400;
        let mut power = false;
        let mut dice = seed | 1;
        let mut pick = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(dice >> 33).unwrap() % below.max(1)
        };
        for step in steps {
            let open_writer = writer.as_mut().unwrap();
            let done = match step {
                Step::Add { stream, lines: new, repeats } => {
                    let mut batch = Vec::new();
                    for _ in 0..new {
                        let number = lines.len() as u64;
                        // the last lines of a day and the first of the next
                        let second = if number % 4 == 3 { 86_399 } else { 86_400 + u32::try_from(number % 3).unwrap() };
                        let line = key(DAY, second, stream, number * 10);
                        lines.push(line);
                        batch.push(line);
                    }
                    for _ in 0..repeats {
                        if let Some(line) = lines.get(pick(lines.len())) {
                            batch.push(*line);
                        }
                    }
                    add(open_writer, &batch).map(drop)
                }
                // nothing is added while a commit fails
                Step::Commit => loop {
                    match open_writer.commit() {
                        Ok(()) => {
                            durable.extend(stored(&disk.observer()));
                            break Ok(());
                        }
                        Err(error) if disk.is_dead() => break Err(error),
                        Err(_) => {}
                    }
                },
                Step::Upkeep { later } => {
                    now += i64::from(later);
                    let upkeep = open_writer.upkeep(now);
                    match open_writer.next_merge(now) {
                        Some(job) => upkeep.and(open_writer.finish_merge(job.run())),
                        None => upkeep,
                    }
                }
                Step::Fail(after) => {
                    disk.fail(after.into(), Fault::Once);
                    Ok(())
                }
                Step::Die { after, power: cut } => {
                    disk.fail(after.into(), Fault::Dead);
                    power = cut;
                    Ok(())
                }
            };
            prop_assert!(open_writer.take_events().is_empty());
            if done.is_err() && disk.is_dead() {
                // the lock is free before the next one wants it
                drop(writer.take());
                if power {
                    disk.cut_power();
                }
                disk.revive();
                let mut there = stored(&disk.observer());
                let all = there.len();
                there.dedup();
                prop_assert_eq!(all, there.len(), "a document is there twice");
                let there: BTreeSet<_> = there.into_iter().collect();
                prop_assert!(there.is_superset(&durable), "a durable document is gone");
                writer = Some(open(&disk, NO_LIMITS));
            }
        }
        disk.revive();
        drop(writer);
        let mut writer = open(&disk, NO_LIMITS);
        // all positions were lost: each line is read again
        add(&mut writer, &lines).unwrap();
        writer.commit().unwrap();
        while let Some(job) = writer.next_merge(now + 10_000) {
            writer.finish_merge(job.run()).unwrap();
        }
        let mut expected = lines;
        expected.sort_unstable();
        prop_assert_eq!(stored(&disk.observer()), expected);
    }
}
