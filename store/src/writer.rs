//! The writer: takes batches of documents, commits them in groups, and keeps the store in its limits.
//!
//! Owns the store's directory, locked while it lives, and the first day that may be written ([`Writer::add`] refuses older
//! ones as expired). Refuses to know threads and clocks. Invariant: a document is durable when [`Writer::commit`] returned
//! without an error after it was added; until then its lines may be read and added again.
//!
//! **Exactly once.** A key may be there already when a line is read again, because a position was lost or a process was
//! killed between a commit and the saving of positions; or when two files begin alike. Each manifest has, by stream, the
//! range of offsets that were ever added to the index. A document outside of it is new. Inside of it the segments are
//! asked, whose columns hold the key. Indices are committed one after the other: after a crash between two commits, the
//! lines of a batch across midnight are found in one index and added to the other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::{Event, StoreError};
use crate::merge::{self, MergeJob, Merged};
use crate::open_index::{IndexError, OpenIndex, make_directory, replace};
use crate::sealed::{self, SealedError};
use crate::{DocumentKey, Index, Schema, Unsupported};

/// Name of the file with the first day that may be written.
const FLOOR: &str = "floor.json";
const NEW_FLOOR: &str = "floor.new";
const FLOOR_VERSION: u32 = 1;
/// Locked by the writer.
const LOCK: &str = "lock";
/// Beginning of the name of a directory that is being removed.
const DROPPED: &str = "dropped-";
/// Beginning of the name of a directory that was set aside.
const DAMAGED: &str = "damaged-";

/// An index that was not written for so many seconds is at rest: it gets as few segments as may be.
const REST: i64 = 600;

const SECONDS_PER_DAY: i64 = 86_400;

/// Limits of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Age in seconds beyond which whole days are removed; `None` keeps all.
    pub retention: Option<u32>,
    /// Bytes on disk; `None` for no limit.
    pub disk_budget: Option<u64>,
    /// Bytes of documents in memory, after which a commit is due.
    pub memory: usize,
}

/// How the documents of a batch ended.
#[derive(Debug, Default)]
pub struct Added {
    /// New.
    pub added: u64,
    /// There before.
    pub duplicate: u64,
    /// Of a day that was dropped.
    pub expired: u64,
    /// Not storable, by position in the batch.
    pub rejected: Vec<(usize, Unsupported)>,
}

/// Writes to a store.
pub struct Writer<D: Disk> {
    disk: D,
    path: PathBuf,
    schema: Arc<Schema>,
    limits: Limits,
    indices: BTreeMap<Index, OpenIndex>,
    /// The first day that may be written, in days since 1970.
    floor: u32,
    /// The oldest day of the retention, as of the last upkeep.
    oldest: u32,
    /// Indices that documents were added to since the last upkeep.
    written: HashSet<Index>,
    /// By index: the time of the last upkeep that found it written, in seconds since 1970.
    last_written: HashMap<Index, i64>,
    /// A merge is on its way.
    merging: bool,
    events: Vec<Event>,
    _lock: D::Lock,
}

#[derive(Serialize, Deserialize)]
struct Floor {
    version: u32,
    day: u32,
}

impl<D: Disk> Writer<D> {
    /// Opens a store, or makes one.
    ///
    /// # Errors
    ///
    /// The directory cannot be used, another process writes to it, or a newer version wrote it.
    pub fn open(
        disk: D,
        path: &Path,
        schema: Arc<Schema>,
        limits: Limits,
    ) -> Result<Self, StoreError> {
        make_directory(&disk, path)?;
        let lock_path = path.join(LOCK);
        let lock = disk
            .lock(&lock_path)
            .map_err(StoreError::io("lock", &lock_path))?
            .ok_or_else(|| StoreError::Locked {
                path: path.to_owned(),
            })?;
        let mut writer = Self {
            disk,
            path: path.to_owned(),
            schema,
            limits,
            indices: BTreeMap::new(),
            floor: 0,
            oldest: 0,
            written: HashSet::new(),
            last_written: HashMap::new(),
            merging: false,
            events: Vec::new(),
            _lock: lock,
        };
        writer.load()?;
        Ok(writer)
    }

    fn load(&mut self) -> Result<(), StoreError> {
        let names = self
            .disk
            .list(&self.path)
            .map_err(StoreError::io("read the directory", &self.path))?;
        for name in names.iter().filter(|name| name.starts_with(DROPPED)) {
            self.remove(&self.path.join(name))?;
        }
        let floor = self.read_floor(&names)?;
        for index in names.iter().filter_map(|name| Index::parse(name)) {
            let path = self.path.join(index.to_string());
            if let (Index::Day(day), Some(floor)) = (index, floor)
                && day < floor
            {
                // the process ended between the new floor and the removal
                self.drop_directory(&path, index)?;
                continue;
            }
            match OpenIndex::open(&self.disk, path.clone()) {
                Ok(open) => {
                    self.indices.insert(index, open);
                }
                Err(IndexError::Store(error)) => return Err(error),
                Err(IndexError::Damaged(reason)) => self.set_aside(index, reason)?,
            }
        }
        let oldest = self.days().next().unwrap_or(0);
        self.floor = floor.unwrap_or(oldest);
        if floor.is_none() && names.iter().any(|name| name == FLOOR) {
            self.write_floor(self.floor)?;
        }
        self.disk
            .sync_dir(&self.path)
            .map_err(StoreError::io("sync", &self.path))
    }

    /// The floor; `None` when it cannot be read. A store without the file has floor 0.
    fn read_floor(&mut self, names: &[String]) -> Result<Option<u32>, StoreError> {
        if !names.iter().any(|name| name == FLOOR) {
            return Ok(Some(0));
        }
        let path = self.path.join(FLOOR);
        let bytes = self
            .disk
            .read(&path)
            .map_err(StoreError::io("read", &path))?;
        match sealed::parse::<Floor>(&bytes, FLOOR_VERSION) {
            Ok(floor) => Ok(Some(floor.day)),
            Err(error @ SealedError::Newer(_)) => Err(StoreError::Newer {
                path,
                text: error.to_string(),
            }),
            Err(error) => {
                let reason = error.to_string();
                self.events.push(Event::FloorUnreadable { reason });
                Ok(None)
            }
        }
    }

    fn write_floor(&self, day: u32) -> Result<(), StoreError> {
        let path = self.path.join(FLOOR);
        let floor = Floor {
            version: FLOOR_VERSION,
            day,
        };
        let bytes = sealed::bytes(&floor).map_err(std::io::Error::other);
        let bytes = bytes.map_err(StoreError::io("encode", &path))?;
        replace(&self.disk, &self.path, FLOOR, NEW_FLOOR, &bytes)
    }

    /// What happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Adds the documents of a batch: all of them, or none when there is an error.
    ///
    /// # Errors
    ///
    /// A document may be there already, and the segments cannot be read.
    pub fn add(&mut self, batch: &[(DocumentKey, &[u8])]) -> Result<Added, StoreError> {
        let present = self.present(batch)?;
        let mut outcome = Added::default();
        let mut last = None;
        for (number, (key, document)) in batch.iter().enumerate() {
            let index = Index::of(key);
            if self.is_expired(index) {
                outcome.expired += 1;
                continue;
            }
            if present.get(&index).is_some_and(|keys| keys.contains(key)) {
                outcome.duplicate += 1;
                continue;
            }
            let open = open_index(&mut self.indices, &self.path, index);
            match open.add(&self.schema, *key, document) {
                Ok(true) => outcome.added += 1,
                Ok(false) => outcome.duplicate += 1,
                Err(error) => outcome.rejected.push((number, error)),
            }
            if last != Some(index) {
                last = Some(index);
                self.written.insert(index);
            }
        }
        Ok(outcome)
    }

    /// The keys of the batch that are on disk, by index.
    fn present(
        &mut self,
        batch: &[(DocumentKey, &[u8])],
    ) -> Result<HashMap<Index, HashSet<DocumentKey>>, StoreError> {
        let mut candidates: HashMap<Index, HashSet<DocumentKey>> = HashMap::new();
        for (key, _) in batch {
            let index = Index::of(key);
            if self
                .indices
                .get(&index)
                .is_some_and(|open| open.may_have(key))
            {
                candidates.entry(index).or_default().insert(*key);
            }
        }
        let mut present = HashMap::new();
        for (index, candidates) in candidates {
            let open = open_index(&mut self.indices, &self.path, index);
            match open.find(&self.disk, &candidates) {
                Ok(found) => {
                    present.insert(index, found);
                }
                Err(IndexError::Store(error)) => return Err(error),
                Err(IndexError::Damaged(reason)) => self.set_aside(index, reason)?,
            }
        }
        Ok(present)
    }

    fn is_expired(&self, index: Index) -> bool {
        matches!(index, Index::Day(day) if day < self.floor.max(self.oldest))
    }

    /// Whether so much is in memory that it should be committed now.
    pub fn is_full(&self) -> bool {
        self.memory() >= self.limits.memory
    }

    /// Memory of documents that are not on disk, in bytes.
    pub fn memory(&self) -> usize {
        self.indices.values().map(OpenIndex::memory).sum()
    }

    /// Makes all added documents durable and visible to readers.
    ///
    /// # Errors
    ///
    /// The disk refuses. Nothing is lost: it may be called again, and until then nothing should be added.
    pub fn commit(&mut self) -> Result<(), StoreError> {
        for open in self.indices.values_mut().filter(|open| open.is_dirty()) {
            open.commit(&self.disk)?;
        }
        Ok(())
    }

    /// Drops what is too old or too much, and compares one segment with its checksum. Call it about once a second, with the
    /// time in seconds since 1970.
    ///
    /// # Errors
    ///
    /// The disk refuses; the next call tries again.
    pub fn upkeep(&mut self, now: i64) -> Result<(), StoreError> {
        for index in self.written.drain() {
            self.last_written.insert(index, now);
        }
        self.retire(now)?;
        self.shrink()?;
        self.verify()
    }

    fn retire(&mut self, now: i64) -> Result<(), StoreError> {
        let Some(age) = self.limits.retention else {
            return Ok(());
        };
        let oldest = now - i64::from(age);
        self.oldest = u32::try_from(oldest.div_euclid(SECONDS_PER_DAY)).unwrap_or(0);
        let old: Vec<u32> = self.days().take_while(|day| *day < self.oldest).collect();
        for day in old {
            let index = Index::Day(day);
            let documents = self.drop_day(day)?;
            self.events.push(Event::Retired { index, documents });
        }
        let documents = self.drop_unparsed(oldest)?;
        if documents > 0 {
            let index = Index::Unparsed;
            self.events.push(Event::Retired { index, documents });
        }
        Ok(())
    }

    /// Removes the oldest day, or lines without a time that are older, until the store is as small as it should be.
    fn shrink(&mut self) -> Result<(), StoreError> {
        let Some(budget) = self.limits.disk_budget else {
            return Ok(());
        };
        loop {
            let bytes = self.bytes();
            if bytes <= budget {
                return Ok(());
            }
            // the last day stays, however large it is
            let mut days = self.days();
            let day = days.next().filter(|_| days.next().is_some());
            drop(days);
            let end = day.map(|day| (i64::from(day) + 1) * SECONDS_PER_DAY);
            let unparsed = self.indices.get(&Index::Unparsed);
            let unparsed = unparsed.and_then(|open| {
                let newest = open
                    .manifest
                    .segments
                    .iter()
                    .map(|segment| segment.seconds.1);
                newest.min()
            });
            let (index, documents) = match (day, unparsed) {
                (_, Some(oldest)) if end.is_none_or(|end| oldest < end) => {
                    (Index::Unparsed, self.drop_unparsed(oldest + 1)?)
                }
                (Some(day), _) => (Index::Day(day), self.drop_day(day)?),
                (None, _) => return Ok(()),
            };
            self.events.push(Event::OverBudget {
                index,
                documents,
                bytes,
            });
        }
    }

    /// Removes segments of lines without a time, by the time at which they were read.
    fn drop_unparsed(&mut self, before: i64) -> Result<u64, StoreError> {
        match self.indices.get_mut(&Index::Unparsed) {
            Some(open) => open.drop_segments(&self.disk, before),
            None => Ok(0),
        }
    }

    /// Compares one segment that was not read yet with its checksum.
    fn verify(&mut self) -> Result<(), StoreError> {
        let next = self
            .indices
            .iter()
            .find_map(|(index, open)| Some((*index, open.unverified()?)));
        let Some((index, segment)) = next else {
            return Ok(());
        };
        let open = open_index(&mut self.indices, &self.path, index);
        match open.verify(&self.disk, &segment) {
            Ok(()) => Ok(()),
            Err(IndexError::Store(error)) => Err(error),
            Err(IndexError::Damaged(reason)) => self.set_aside(index, reason),
        }
    }

    /// Moves the floor over a day and removes it; gives its documents.
    fn drop_day(&mut self, day: u32) -> Result<u64, StoreError> {
        let index = Index::Day(day);
        self.write_floor(day + 1)?;
        self.floor = day + 1;
        let path = self.path.join(index.to_string());
        self.drop_directory(&path, index)?;
        let dropped = self.indices.remove(&index);
        self.last_written.remove(&index);
        Ok(dropped.map_or(0, |open| open.manifest.documents()))
    }

    /// Removes the directory of an index: under another name first, so that what is left after a crash is no index.
    fn drop_directory(&self, path: &Path, index: Index) -> Result<(), StoreError> {
        let dropped = self.path.join(format!("{DROPPED}{index}"));
        self.remove(&dropped)?;
        match self.disk.rename(path, &dropped) {
            Ok(()) => {}
            // a day with documents in memory alone
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(StoreError::io("rename", path)(error)),
        }
        self.disk
            .sync_dir(&self.path)
            .map_err(StoreError::io("sync", &self.path))?;
        self.remove(&dropped)
    }

    fn remove(&self, directory: &Path) -> Result<(), StoreError> {
        self.disk
            .remove_dir(directory)
            .map_err(StoreError::io("remove", directory))
    }

    /// Gives the directory of an index another name; what is in memory stays.
    fn set_aside(&mut self, index: Index, reason: String) -> Result<(), StoreError> {
        let from = self.path.join(index.to_string());
        let names = self
            .disk
            .list(&self.path)
            .map_err(StoreError::io("read the directory", &self.path))?;
        let mut numbers = 1..;
        let path = loop {
            let number = numbers.next().unwrap_or(u32::MAX);
            let name = format!("{DAMAGED}{index}-{number}");
            if !names.contains(&name) {
                break self.path.join(name);
            }
        };
        self.disk
            .rename(&from, &path)
            .map_err(StoreError::io("rename", &from))?;
        self.disk
            .sync_dir(&self.path)
            .map_err(StoreError::io("sync", &self.path))?;
        if let Some(open) = self.indices.get_mut(&index) {
            open.forget_disk();
        }
        self.events.push(Event::SetAside {
            index,
            path,
            reason,
        });
        Ok(())
    }

    /// The next merge, if there is something to join. It may run beside the writer; give its result to
    /// [`Writer::finish_merge`] before the next one is asked for. `now` is in seconds since 1970.
    pub fn next_merge(&mut self, now: i64) -> Option<MergeJob<D>> {
        if self.merging {
            return None;
        }
        for (index, open) in &mut self.indices {
            let written = self.written.contains(index).then_some(now);
            let written = written.or_else(|| self.last_written.get(index).copied());
            let at_rest = written.is_none_or(|written| now - written > REST);
            let Some(parts) = merge::choose(&open.manifest.segments, at_rest) else {
                continue;
            };
            let parts = parts.to_vec();
            let number = open.manifest.next;
            open.manifest.next += 1;
            self.merging = true;
            return Some(MergeJob {
                disk: self.disk.clone(),
                index: *index,
                directory: open.path.clone(),
                parts,
                number,
            });
        }
        None
    }

    /// Puts a merged segment in its place.
    ///
    /// # Errors
    ///
    /// The merge failed, or the disk refuses. The parts stay; they will be merged later.
    pub fn finish_merge(&mut self, merged: Merged) -> Result<(), StoreError> {
        self.merging = false;
        let Some(open) = self.indices.get_mut(&merged.index) else {
            // its day was dropped meanwhile, and the directory with it
            return Ok(());
        };
        match merged.result {
            Ok(segment) => open.replace(&self.disk, segment, &merged.parts).map(drop),
            Err(IndexError::Store(error)) => Err(error),
            Err(IndexError::Damaged(reason)) => {
                let numbers = open.manifest.segments.iter().map(|segment| segment.number);
                let numbers: HashSet<u64> = numbers.collect();
                if merged.parts.iter().all(|part| numbers.contains(part)) {
                    self.set_aside(merged.index, reason)
                } else {
                    Ok(())
                }
            }
        }
    }

    /// The days that are there, oldest first.
    fn days(&self) -> impl Iterator<Item = u32> + use<'_, D> {
        self.indices.keys().filter_map(|index| match index {
            Index::Day(day) => Some(*day),
            Index::Unparsed => None,
        })
    }

    /// Bytes of all segments on disk.
    pub fn bytes(&self) -> u64 {
        let manifests = self.indices.values().map(|open| &open.manifest);
        manifests
            .map(crate::manifest::Manifest::bytes_of_segments)
            .sum()
    }

    /// Documents on disk.
    pub fn documents(&self) -> u64 {
        let manifests = self.indices.values().map(|open| &open.manifest);
        manifests.map(crate::manifest::Manifest::documents).sum()
    }
}

fn open_index<'i>(
    indices: &'i mut BTreeMap<Index, OpenIndex>,
    path: &Path,
    index: Index,
) -> &'i mut OpenIndex {
    indices
        .entry(index)
        .or_insert_with(|| OpenIndex::new(path.join(index.to_string())))
}
