//! Sends entries of the dead-letter file again because somebody asked for it.
//!
//! Owns what is repeated, for how long, and the counts at the end; refuses to know who asked. Invariant: an
//! entry leaves the file only when the cluster has its document; one that was not sent, or not answered, stays
//! as it was. Guards against a repeat that trades a kept line for a hope. It may run beside an agent that
//! works on the same file: both send the same ids, so that the second is told that it is there already.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use tokio::time::Instant;

use super::deliver::{Courier, Deliverer};
use super::entries::{End, Ends, Load, Passage};
use super::judge::{Verdict, hint};
use super::parked::too_large;
use crate::event::OutcomeCounts;
use crate::output::dead_letters::Rejection;
use crate::output::dead_letters::{Choice, Entry};

/// Reasons that are counted one by one; a server has few, and whoever answers in its place any number.
const REASONS: usize = 1000;

/// What a replay came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// Entries that were chosen.
    pub chosen: u64,
    /// What the cluster took of them, and how; these have left the file.
    pub taken: OutcomeCounts,
    /// Refused again for the document's own fault, by reason; they stay.
    pub refused: BTreeMap<String, u64>,
    /// Not one item of a request: somebody edited the file; they stay.
    pub unsendable: u64,
    /// Not taken as things stand, by reason and what to do; they stay.
    pub waiting: BTreeMap<(String, String), u64>,
    /// Not sent, or not answered, in time; they stay.
    pub late: u64,
    /// Why not in time.
    pub busy: Option<String>,
}

impl Replayed {
    /// Entries that stay for their own fault.
    pub fn refused(&self) -> u64 {
        self.refused.values().sum::<u64>() + self.unsendable
    }

    /// Entries that the cluster did not take, through no fault of theirs.
    pub fn left(&self) -> u64 {
        self.waiting.values().sum::<u64>() + self.late
    }
}

/// A replay at work.
struct Replay {
    deadline: Instant,
    done: Replayed,
    ends: Ends,
    /// Indices that do not take anything, with the reason and what to do.
    waiting: BTreeMap<String, (String, String)>,
}

impl<C: Courier> Deliverer<C> {
    /// Sends the chosen entries until each is judged, or `time` is over.
    pub(crate) async fn replay(&self, choice: &Choice, time: Duration) -> io::Result<Replayed> {
        let mut replay = Replay {
            deadline: Instant::now() + time,
            done: Replayed::default(),
            ends: Ends::default(),
            waiting: BTreeMap::new(),
        };
        let mut walk = self.dead_letters.entries()?;
        loop {
            let chosen = choice.clone();
            let (rest, entries) = self
                .next_entries(walk, move |entry| chosen.takes(entry))
                .await?;
            walk = rest;
            if entries.is_empty() {
                break;
            }
            replay.done.chosen += entries.len() as u64;
            let (loads, unsendable) = Load::sort(&entries);
            replay.done.unsendable += unsendable.len() as u64;
            for load in loads {
                self.send_again(load, &mut replay).await;
            }
            if replay.ends.are_many() {
                self.settle(&mut replay.ends, choice).await?;
            }
        }
        self.settle(&mut replay.ends, choice).await?;
        Ok(replay.done)
    }

    /// Sends a load, in parts where it must be, until each entry is judged or the time is over.
    async fn send_again(&self, load: Load<'_>, replay: &mut Replay) {
        let mut ready = vec![load];
        let mut round = 0;
        while let Some(load) = ready.pop() {
            let load = replay.without_waiting(&load);
            if load.entries.is_empty() {
                continue;
            }
            let passage = tokio::time::timeout_at(replay.deadline, self.pass(&load)).await;
            match passage {
                Err(_) => replay.done.late += load.entries.len() as u64,
                Ok(Passage::Judged(verdicts)) => {
                    let again = self.sort_replayed(&load, verdicts, replay);
                    if !again.is_empty() {
                        let wait = tokio::time::sleep(self.pace.item_wait(round));
                        // when the time is over, the next pass finds that out
                        let _ = tokio::time::timeout_at(replay.deadline, wait).await;
                        round += 1;
                        ready.push(load.with(again));
                    }
                }
                Ok(Passage::TooLarge) => match (load.halves(), &load.entries[..]) {
                    (Some((first, second)), _) => ready.extend([second, first]),
                    (None, [entry]) => replay.refused(entry, too_large()),
                    (None, _) => {}
                },
                Ok(Passage::Busy(reason)) => {
                    replay.done.busy = Some(reason);
                    ready.push(load);
                }
                Ok(Passage::Held(reason)) => {
                    let said = (reason.to_string(), hint(&reason, self.credentials()));
                    for entry in &load.entries {
                        replay.waiting.insert(entry.index.clone(), said.clone());
                    }
                    ready.push(load);
                }
            }
        }
    }

    /// Takes note of what each entry came to; gives those to be sent again.
    fn sort_replayed<'e>(
        &self,
        load: &Load<'e>,
        verdicts: Vec<Verdict>,
        replay: &mut Replay,
    ) -> Vec<&'e Entry> {
        let mut again = Vec::new();
        for (entry, verdict) in load.entries.iter().zip(verdicts) {
            let taken = &mut replay.done.taken;
            match verdict {
                Verdict::Indexed => taken.indexed += 1,
                Verdict::Duplicate => taken.duplicate += 1,
                Verdict::Diverted => taken.diverted += 1,
                Verdict::Filtered => taken.filtered += 1,
                Verdict::RetryItem(why) => {
                    replay.done.busy = Some(format!("{}: {}", entry.index, why.label()));
                    again.push(*entry);
                    continue;
                }
                Verdict::DeadLetter(reason) => {
                    replay.refused(entry, reason);
                    continue;
                }
                Verdict::HoldCluster(reason) => {
                    let said = (
                        format!("{}: {reason}", entry.index),
                        hint(&reason, self.credentials()),
                    );
                    count(&mut replay.done.waiting, said.clone(), other_reasons);
                    replay.waiting.insert(entry.index.clone(), said);
                    replay.ends.insert(entry, End::Waits(reason));
                    continue;
                }
            }
            replay.ends.insert(entry, End::Taken);
        }
        again
    }
}

/// Counts one more under this key; beyond [`REASONS`] of them under the one for all others.
fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K, others: fn() -> K) {
    let key = match counts.len() < REASONS || counts.contains_key(&key) {
        true => key,
        false => others(),
    };
    *counts.entry(key).or_default() += 1;
}

fn others() -> String {
    "others".to_owned()
}

fn other_reasons() -> (String, String) {
    (others(), "replay again".to_owned())
}

impl Replay {
    fn refused(&mut self, entry: &Entry, reason: Rejection) {
        count(&mut self.done.refused, reason.label(), others);
        self.ends.insert(entry, End::Dead(reason));
    }

    /// The load without entries whose index takes nothing; these are counted.
    fn without_waiting<'e>(&mut self, load: &Load<'e>) -> Load<'e> {
        let (waiting, done) = (&self.waiting, &mut self.done);
        let ready = load.entries.iter().filter(|entry| {
            let said = waiting.get(&entry.index);
            if let Some(said) = said {
                count(&mut done.waiting, said.clone(), other_reasons);
            }
            said.is_none()
        });
        load.with(ready.copied().collect())
    }
}
