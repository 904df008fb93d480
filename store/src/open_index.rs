//! One index as the writer holds it: what is on disk, and what is not yet.
//!
//! Owns the commit of one index and the answer whether a document is there already. Refuses to know other indices.
//! Invariant: a segment's file is durable before a manifest names it, and no file that a manifest on disk may name is
//! written again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::disk::Disk;
use crate::error::StoreError;
use crate::manifest::{self, Manifest, SegmentEntry};
use crate::sealed::SealedError;
use crate::segment::{Keys, Segment, SegmentBuilder};
use crate::{DocumentKey, Schema, Unsupported};

/// Segments whose keys are kept open for looking documents up.
const OPEN_KEYS: usize = 4;

pub(crate) struct OpenIndex {
    pub(crate) path: PathBuf,
    pub(crate) manifest: Manifest,
    /// The directory and its name in the store's directory are durable.
    made: bool,
    /// Offsets of each stream, those of documents that are not on disk yet included.
    streams: BTreeMap<u64, (u64, u64)>,
    /// Keys of the documents that are not on disk yet.
    pending: HashSet<DocumentKey>,
    building: Option<SegmentBuilder>,
    /// A segment whose writing failed; it is tried again.
    unwritten: Option<Unwritten>,
    /// Segments whose bytes were seen to be those that were written.
    verified: HashSet<u64>,
    keys: HashMap<u64, Arc<Keys>>,
}

struct Unwritten {
    bytes: Vec<u8>,
    documents: u32,
    seconds: (i64, i64),
    keys: (u32, u32),
}

/// Why an index cannot be opened or read.
pub(crate) enum IndexError {
    /// Its files are not what was written; it must be set aside.
    Damaged(String),
    Store(StoreError),
}

impl From<StoreError> for IndexError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl OpenIndex {
    /// An index that is not on disk.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            manifest: Manifest::new(),
            made: false,
            streams: BTreeMap::new(),
            pending: HashSet::new(),
            building: None,
            unwritten: None,
            verified: HashSet::new(),
            keys: HashMap::new(),
        }
    }

    /// Opens an index that is on disk, and removes files that no manifest names.
    pub(crate) fn open<D: Disk>(disk: &D, path: PathBuf) -> Result<Self, IndexError> {
        let names = disk
            .list(&path)
            .map_err(StoreError::io("read the directory", &path))?;
        let file = path.join(manifest::FILE);
        let manifest = match disk.read(&file) {
            Ok(bytes) => match Manifest::parse(&bytes) {
                Ok(manifest) => manifest,
                Err(error @ SealedError::Newer(_)) => {
                    let text = error.to_string();
                    return Err(StoreError::Newer { path: file, text }.into());
                }
                Err(error) => {
                    return Err(IndexError::Damaged(format!("{}: {error}", manifest::FILE)));
                }
            },
            // The manifest is written before the first segment.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if names.iter().any(|name| name.ends_with(manifest::SEGMENT)) {
                    let text = format!("{} is missing", manifest::FILE);
                    return Err(IndexError::Damaged(text));
                }
                return Ok(Self::new(path));
            }
            Err(error) => return Err(StoreError::io("read", &file)(error).into()),
        };
        let known: HashSet<String> = manifest.segments.iter().map(SegmentEntry::file).collect();
        for segment in &known {
            if !names.contains(segment) {
                return Err(IndexError::Damaged(format!("{segment} is missing")));
            }
        }
        // A process that was killed may have renamed the manifest and not synced it. What it names counts as there from now on.
        disk.sync_dir(&path)
            .map_err(StoreError::io("sync", &path))?;
        for name in &names {
            if name != manifest::FILE && !known.contains(name) {
                let leftover = path.join(name);
                disk.remove_file(&leftover)
                    .map_err(StoreError::io("remove", &leftover))?;
            }
        }
        Ok(Self {
            streams: manifest.streams.clone(),
            made: true,
            manifest,
            ..Self::new(path)
        })
    }

    /// Leaves what is on disk behind, and keeps what is not there yet.
    pub(crate) fn forget_disk(&mut self) {
        // Numbers are not used again: a merge of the old segments may still be on its way.
        let next = self.manifest.next;
        self.manifest = Manifest::new();
        self.manifest.next = next;
        self.made = false;
        self.verified.clear();
        self.keys.clear();
        self.streams.clear();
        for key in &self.pending {
            Manifest::cover(&mut self.streams, key.stream, key.offset);
        }
    }

    /// Whether a document with this key may be on disk; where this says no, it is not.
    pub(crate) fn may_have(&self, key: &DocumentKey) -> bool {
        self.manifest.may_have(key.stream, key.offset) && !self.pending.contains(key)
    }

    /// Those of `candidates` that are on disk.
    pub(crate) fn find<D: Disk>(
        &mut self,
        disk: &D,
        candidates: &HashSet<DocumentKey>,
    ) -> Result<HashSet<DocumentKey>, IndexError> {
        let mut found = HashSet::new();
        let seconds = range(candidates.iter().map(|key| key.second));
        let offsets = range(candidates.iter().map(|key| key.offset));
        let (Some(seconds), Some(offsets)) = (seconds, offsets) else {
            return Ok(found);
        };
        let segments: Vec<SegmentEntry> = self
            .manifest
            .segments
            .iter()
            .filter(|segment| segment.keys.0 <= seconds.1 && seconds.0 <= segment.keys.1)
            .cloned()
            .collect();
        for segment in segments {
            let keys = self.keys_of(disk, &segment)?;
            keys.find(offsets, &mut |key| {
                if candidates.contains(&key) {
                    found.insert(key);
                }
            });
        }
        Ok(found)
    }

    fn keys_of<D: Disk>(
        &mut self,
        disk: &D,
        segment: &SegmentEntry,
    ) -> Result<Arc<Keys>, IndexError> {
        if let Some(keys) = self.keys.get(&segment.number) {
            return Ok(Arc::clone(keys));
        }
        self.verify(disk, segment)?;
        let path = self.path.join(segment.file());
        let keys = disk.open(&path).and_then(|segment| segment.keys());
        let keys = Arc::new(keys.map_err(|error| read_error(&path, error))?);
        if self.keys.len() >= OPEN_KEYS {
            self.keys.clear();
        }
        self.keys.insert(segment.number, Arc::clone(&keys));
        Ok(keys)
    }

    /// Compares a segment with its checksum, once while the process lives.
    pub(crate) fn verify<D: Disk>(
        &mut self,
        disk: &D,
        segment: &SegmentEntry,
    ) -> Result<(), IndexError> {
        if !self.verified.contains(&segment.number) {
            read_segment(disk, &self.path, segment)?;
            self.verified.insert(segment.number);
        }
        Ok(())
    }

    /// A segment that was not verified yet.
    pub(crate) fn unverified(&self) -> Option<SegmentEntry> {
        let mut segments = self.manifest.segments.iter();
        segments
            .find(|segment| !self.verified.contains(&segment.number))
            .cloned()
    }

    /// Adds a document that is not on disk. False when it is among those that are not there yet.
    pub(crate) fn add(
        &mut self,
        schema: &Arc<Schema>,
        key: DocumentKey,
        document: &[u8],
    ) -> Result<bool, Unsupported> {
        if !self.pending.insert(key) {
            return Ok(false);
        }
        let building = self
            .building
            .get_or_insert_with(|| SegmentBuilder::new(Arc::clone(schema)));
        if let Err(error) = building.add(key, document) {
            self.pending.remove(&key);
            return Err(error);
        }
        Manifest::cover(&mut self.streams, key.stream, key.offset);
        Ok(true)
    }

    /// Whether there are documents that are not on disk.
    pub(crate) fn is_dirty(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Memory of the documents that are not on disk, in bytes.
    pub(crate) fn memory(&self) -> usize {
        const KEY: usize = 2 * size_of::<DocumentKey>();
        let building = self.building.as_ref().map_or(0, SegmentBuilder::memory);
        let unwritten = self
            .unwritten
            .as_ref()
            .map_or(0, |segment| segment.bytes.len());
        building + unwritten + self.pending.len() * KEY
    }

    /// Makes all documents durable and visible. After an error nothing is lost, and it may be tried again.
    pub(crate) fn commit<D: Disk>(&mut self, disk: &D) -> Result<(), StoreError> {
        if self.unwritten.is_none() {
            let Some(building) = self.building.take() else {
                return Ok(());
            };
            let documents = building.documents();
            if documents == 0 {
                return Ok(());
            }
            let seconds = building.seconds().unwrap_or_default();
            let keys = range(self.pending.iter().map(|key| key.second)).unwrap_or_default();
            let bytes = building
                .finish()
                .map_err(StoreError::io("encode a segment of", &self.path))?;
            self.unwritten = Some(Unwritten {
                bytes,
                documents,
                seconds,
                keys,
            });
        }
        let Some(segment) = &self.unwritten else {
            return Ok(());
        };
        if !self.made {
            make_directory(disk, &self.path)?;
            replace_manifest(disk, &self.path, &self.manifest)?;
            self.made = true;
        }
        let entry = SegmentEntry {
            number: self.manifest.next,
            documents: segment.documents,
            bytes: segment.bytes.len() as u64,
            hash: xxh3_64(&segment.bytes),
            seconds: segment.seconds,
            keys: segment.keys,
        };
        // When the manifest cannot be replaced, the one on disk may name the file: the next attempt takes another number.
        self.manifest.next += 1;
        write_segment(disk, &self.path, &entry, &segment.bytes)?;
        let mut manifest = self.manifest.clone();
        manifest.streams.clone_from(&self.streams);
        manifest.segments.push(entry.clone());
        replace_manifest(disk, &self.path, &manifest)?;
        self.manifest = manifest;
        self.verified.insert(entry.number);
        self.unwritten = None;
        self.pending.clear();
        Ok(())
    }

    /// Removes the segments whose documents are all older than `second`; gives their number of documents.
    pub(crate) fn drop_segments<D: Disk>(
        &mut self,
        disk: &D,
        second: i64,
    ) -> Result<u64, StoreError> {
        let mut manifest = self.manifest.clone();
        let is_old = |segment: &mut SegmentEntry| segment.seconds.1 < second;
        let dropped: Vec<SegmentEntry> = manifest.segments.extract_if(.., is_old).collect();
        if dropped.is_empty() {
            return Ok(0);
        }
        replace_manifest(disk, &self.path, &manifest)?;
        self.manifest = manifest;
        for segment in &dropped {
            self.verified.remove(&segment.number);
            self.keys.remove(&segment.number);
            // One that stays is removed at the next start: no manifest names it.
            let _ = disk.remove_file(&self.path.join(segment.file()));
        }
        Ok(dropped
            .iter()
            .map(|segment| u64::from(segment.documents))
            .sum())
    }

    /// Puts the merged segment in the place of those that it holds the documents of, and removes their files.
    ///
    /// False when they are not there any more: the merged one is then removed.
    pub(crate) fn replace<D: Disk>(
        &mut self,
        disk: &D,
        merged: SegmentEntry,
        parts: &[u64],
    ) -> Result<bool, StoreError> {
        let mut manifest = self.manifest.clone();
        let start = manifest
            .segments
            .iter()
            .position(|segment| Some(&segment.number) == parts.first());
        let run = start.and_then(|start| manifest.segments.get(start..start + parts.len()));
        let is_there =
            run.is_some_and(|run| run.iter().map(|part| part.number).eq(parts.iter().copied()));
        let Some(start) = start.filter(|_| is_there) else {
            let path = self.path.join(merged.file());
            disk.remove_file(&path)
                .map_err(StoreError::io("remove", &path))?;
            return Ok(false);
        };
        let number = merged.number;
        manifest
            .segments
            .splice(start..start + parts.len(), [merged]);
        replace_manifest(disk, &self.path, &manifest)?;
        self.manifest = manifest;
        self.verified.insert(number);
        for part in parts {
            self.verified.remove(part);
            self.keys.remove(part);
            // One that stays is removed at the next start: no manifest names it.
            let _ = disk.remove_file(&self.path.join(manifest::file(*part)));
        }
        Ok(true)
    }
}

/// Reads a segment whole and compares it with its checksum.
pub(crate) fn read_segment<D: Disk>(
    disk: &D,
    directory: &Path,
    segment: &SegmentEntry,
) -> Result<Segment, IndexError> {
    let path = directory.join(segment.file());
    let bytes = disk.read(&path).map_err(|error| read_error(&path, error))?;
    if !segment.is(&bytes) {
        let text = format!("{}: its checksum does not match", segment.file());
        return Err(IndexError::Damaged(text));
    }
    Segment::from_bytes(bytes).map_err(|error| read_error(&path, error))
}

/// Writes a segment, so that it is durable under its name.
pub(crate) fn write_segment<D: Disk>(
    disk: &D,
    directory: &Path,
    segment: &SegmentEntry,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let path = directory.join(segment.file());
    let written = disk
        .write(&path, bytes)
        .map_err(StoreError::io("write", &path))
        .and_then(|()| {
            disk.sync_dir(directory)
                .map_err(StoreError::io("sync", directory))
        });
    if written.is_err() {
        // No manifest names it yet. On a full disk a part of it would keep the room that the next attempt needs. One that
        // stays is removed at the next start.
        let _ = disk.remove_file(&path);
    }
    written
}

/// Makes a directory and those above it, durably.
pub(crate) fn make_directory<D: Disk>(disk: &D, path: &Path) -> Result<(), StoreError> {
    let parent = path.parent().unwrap_or(path);
    match disk.create_dir(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && parent != path => {
            make_directory(disk, parent)?;
            disk.create_dir(path)
        }
        made => made,
    }
    .map_err(StoreError::io("create", path))?;
    disk.sync_dir(parent)
        .map_err(StoreError::io("sync", parent))
}

fn replace_manifest<D: Disk>(
    disk: &D,
    directory: &Path,
    manifest: &Manifest,
) -> Result<(), StoreError> {
    let bytes = manifest.bytes().map_err(io::Error::other);
    let path = directory.join(manifest::FILE);
    let bytes = bytes.map_err(StoreError::io("encode", &path))?;
    replace(disk, directory, manifest::FILE, manifest::NEW_FILE, &bytes)
}

/// Replaces a small file: after a power cut it has the old content or the new one.
pub(crate) fn replace<D: Disk>(
    disk: &D,
    directory: &Path,
    name: &str,
    new_name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let (path, new) = (directory.join(name), directory.join(new_name));
    disk.write(&new, bytes)
        .map_err(StoreError::io("write", &new))?;
    disk.rename(&new, &path)
        .map_err(StoreError::io("replace", &path))?;
    disk.sync_dir(directory)
        .map_err(StoreError::io("sync", directory))
}

fn read_error(path: &Path, error: io::Error) -> IndexError {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            IndexError::Damaged(format!("{name}: {error}"))
        }
        _ => IndexError::Store(StoreError::io("read", path)(error)),
    }
}

fn range<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<(T, T)> {
    values.fold(None, |range, value| {
        let (first, last) = range.unwrap_or((value, value));
        Some((first.min(value), last.max(value)))
    })
}
