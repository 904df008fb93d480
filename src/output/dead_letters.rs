//! The file of documents that the cluster rejects: `dead-letters/dead-letters.ndjson` in the state directory.
//!
//! Owns the file, its size and its entries; refuses to know why a document is put here. Invariant: an
//! append that returned `Ok` is on disk completely, whatever happens next, and only the entries that a caller
//! names leave the file. It guards against a line that is settled but stored nowhere.
//!
//! Every change is made under a lock file, and opens the file again, so that another process (a command that lists or
//! replays) may work on it beside the agent.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::disk::{self, Disk, DiskFile, DiskLock, HostDisk, Replaced, Rights, replace};
use crate::event::DocumentId;

const DIRECTORY: &str = "dead-letters";
const FILE: &str = "dead-letters.ndjson";
/// The suffix of the file while it is rewritten.
const NEXT: &str = ".next";
const LOCK: &str = "dead-letters.lock";
const REPLAY_LOCK: &str = "replay.lock";

/// Only the owner may read rejected documents.
const PRIVATE_FILE: u32 = 0o600;
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Why an entry is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// Refused for the document's own fault; it stays until somebody replays or deletes it.
    Dead,
    /// Its index refuses while others accept; the agent resends it periodically.
    Parked,
}

/// One document and why it is here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Entry {
    /// When it was put here (RFC 3339).
    pub at: String,
    /// Dead or parked.
    pub kind: EntryKind,
    /// The index it belongs to.
    #[serde(rename = "_index")]
    pub index: String,
    /// The index is a data stream, and must not become a plain index when this is sent again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub data_stream: bool,
    /// Its id.
    #[serde(rename = "_id")]
    pub id: String,
    /// Why it was refused.
    pub reason: Rejection,
    /// The log file of its line.
    #[serde(default)]
    pub file: Option<String>,
    /// The offset of its line in that file, uncompressed.
    #[serde(default)]
    pub offset: Option<u64>,
    /// The document as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<Box<RawValue>>,
    /// The document in base64, when it is not JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document_base64: Option<String>,
}

impl Entry {
    /// An entry for `document`, which has `index` and `id` and was made from a line of `file`.
    pub fn new(
        kind: EntryKind,
        unix_millis: i64,
        (index, id): (&str, &str),
        document: &[u8],
        file: Option<&Path>,
        reason: Rejection,
    ) -> Self {
        let at = DateTime::from_timestamp_millis(unix_millis).unwrap_or_default();
        let document = document.strip_suffix(b"\n").unwrap_or(document);
        let raw = std::str::from_utf8(document)
            .ok()
            .filter(|text| !text.contains('\n'))
            .and_then(|text| RawValue::from_string(text.to_owned()).ok());
        Self {
            at: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            kind,
            index: index.to_owned(),
            data_stream: false,
            id: id.to_owned(),
            reason,
            file: file.map(|file| file.to_string_lossy().into_owned()),
            offset: DocumentId::parse(id).map(|id| id.parts().offset),
            document_base64: raw.is_none().then(|| STANDARD.encode(document)),
            document: raw,
        }
    }

    /// Whether it would be one item of a bulk body. Otherwise (somebody edited the file) the whole request would be
    /// refused.
    pub fn is_sendable(&self) -> bool {
        let name = |text: &str| !text.is_empty() && !text.contains(['"', '\\', '\n', '\r']);
        let whole = |bytes: Cow<'_, [u8]>| !bytes.is_empty() && !bytes.contains(&b'\n');
        name(&self.index) && name(&self.id) && self.document_bytes().is_some_and(whole)
    }

    /// About its size in a request, in bytes.
    pub(crate) fn size(&self) -> usize {
        let raw = self.document.as_ref().map_or(0, |raw| raw.get().len());
        let base64 = self.document_base64.as_ref().map_or(0, String::len);
        raw + base64 + self.index.len() + self.id.len()
    }

    /// The document as it was sent, without a line end; `None` where somebody removed it from the file.
    pub fn document_bytes(&self) -> Option<Cow<'_, [u8]>> {
        match (&self.document, &self.document_base64) {
            (Some(raw), _) => Some(Cow::Borrowed(raw.get().as_bytes())),
            (None, Some(text)) => STANDARD.decode(text).ok().map(Cow::Owned),
            (None, None) => None,
        }
    }
}

/// Why a document was refused, as the output's server reports it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Rejection {
    /// Snake-case name of the exception; empty when the response has none.
    #[serde(rename = "type")]
    pub kind: String,
    /// The message, with that of its cause where it has one.
    #[serde(rename = "reason")]
    pub text: String,
    /// HTTP status of the document or the request, 0 without one.
    pub status: u16,
}

impl Rejection {
    /// `kind` is empty where the response names none.
    pub fn new(status: u16, kind: &str, text: impl Into<String>) -> Self {
        Self {
            kind: kind.to_owned(),
            text: text.into(),
            status,
        }
    }

    /// The label for counts: the exception's name, or the status.
    pub fn label(&self) -> String {
        match (&*self.kind, self.status) {
            ("", 0) => "(no reason given)".to_owned(),
            ("", status) => format!("status {status}"),
            (kind, _) => kind.to_owned(),
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.status != 0 {
            write!(f, "{} ", self.status)?;
        }
        match (self.kind.is_empty(), self.text.is_empty()) {
            (true, true) => f.write_str("(no reason given)"),
            (true, false) => f.write_str(&self.text),
            (false, true) => f.write_str(&self.kind),
            (false, false) => write!(f, "{}: {}", self.kind, self.text),
        }
    }
}

/// A selection of entries.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    kind: Option<EntryKind>,
    reason: Option<String>,
}

impl Choice {
    /// Selects entries of this kind whose reason contains this text, ignoring case.
    pub fn of(kind: Option<EntryKind>, reason: Option<&str>) -> Self {
        Self {
            kind,
            reason: reason.map(str::to_lowercase),
        }
    }

    /// Whether this entry is selected.
    pub fn takes(&self, entry: &Entry) -> bool {
        self.kind.is_none_or(|kind| kind == entry.kind)
            && self.reason.as_ref().is_none_or(|text| {
                let reason = entry.reason.to_string().to_lowercase();
                reason.contains(text)
            })
    }
}

/// Why entries were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The file would grow over its limit.
    #[error("{} has reached its limit of {limit} bytes", path.display())]
    Full {
        /// The file.
        path: PathBuf,
        /// Its limit.
        limit: u64,
    },
    /// The system does not write.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
}

/// What a rewrite of the file does with an entry.
#[derive(Debug)]
pub enum EntryChange {
    /// It stays.
    Keep,
    /// It is removed, because its document is stored elsewhere.
    Remove,
    /// It is replaced by this entry.
    Replace(Box<Entry>),
}

/// The file.
#[derive(Debug)]
pub struct DeadLetters {
    directory: PathBuf,
    limit: u64,
    disk: Arc<dyn Disk>,
}

/// Held while entries are replayed.
#[derive(Debug)]
pub struct ReplayLock {
    _lock: DiskLock,
}

impl DeadLetters {
    /// The file of this state directory; it and its directory are made when first needed.
    pub fn new(data_dir: &Path, limit: u64) -> Self {
        Self {
            directory: data_dir.join(DIRECTORY),
            limit,
            disk: Arc::new(HostDisk),
        }
    }

    /// Counts the steps that make it durable.
    #[cfg(test)]
    pub(crate) fn counted(self, points: &crate::fail_points::FailPoints) -> Self {
        let disk = disk::counted::CountedDisk {
            disk: self.disk,
            points: points.clone(),
            steps: disk::counted::Steps::DEAD_LETTERS,
            // It is called on a thread of its own; the other threads continue.
            take_long: Arc::new(|| (0..1_000).for_each(|_| std::thread::yield_now())),
        };
        Self {
            disk: Arc::new(disk),
            ..self
        }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.directory.join(FILE)
    }

    /// Its size now, including changes by other processes.
    pub fn bytes(&self) -> u64 {
        self.disk.size(&self.path()).unwrap_or(0)
    }

    /// Takes the lock for replays; `None` when another process has it. The file must exist.
    pub fn lock_replay(&self) -> io::Result<Option<ReplayLock>> {
        let (path, rights) = (self.directory.join(REPLAY_LOCK), self.lock_rights());
        let lock = self.disk.try_lock(&path, rights)?;
        Ok(lock.map(|_lock| ReplayLock { _lock }))
    }

    /// Appends entries and returns when they are on disk.
    pub fn append(&self, entries: &[Entry]) -> Result<(), AppendError> {
        let io = |error| AppendError::Io {
            path: self.path(),
            error,
        };
        let mut lines = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut lines, entry).map_err(|error| io(error.into()))?;
            lines.push(b'\n');
        }
        let lock = self.lock().map_err(io)?;
        let rights = Rights {
            mode: PRIVATE_FILE,
            owner_of: None,
        };
        let file = self.disk.append(&self.path(), Some(rights)).map_err(io)?;
        let length = repair(&*file).map_err(io)?;
        if length + lines.len() as u64 > self.limit {
            return Err(AppendError::Full {
                path: self.path(),
                limit: self.limit,
            });
        }
        if let Err(error) = file.write_all(&lines).and_then(|()| file.sync()) {
            // A partly written entry is not settled; if this fails too, the next append repairs the file.
            let _ = file.truncate(length);
            return Err(io(error));
        }
        // This is always necessary: a name that exists is not yet durable. An earlier attempt, or another process
        // between its rename and its fsync, may have died or failed.
        (self.disk.sync_dir(&self.directory))
            .and_then(|()| self.sync_parent())
            .map_err(io)?;
        drop(lock);
        Ok(())
    }

    /// The current entries, oldest first. A document may have two entries (the agent died between writing it here and
    /// saving its position). An incomplete last line is left out; any other line that is no entry is returned as an
    /// error, and the walk continues.
    pub fn entries(&self) -> io::Result<Entries> {
        let lines = match self.disk.open(&self.path()) {
            Ok(file) => Some(BufReader::new(disk::reader(file)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok(Entries {
            lines,
            buffer: Vec::new(),
        })
    }

    /// Rewrites the file with what `fate` keeps; a line that is no entry stays as it is. At any time either the old
    /// file or the new one exists.
    pub fn rewrite(&self, mut change: impl FnMut(&Entry) -> EntryChange) -> io::Result<()> {
        let lock = self.lock()?;
        let path = self.path();
        let old = match self.disk.append(&path, None) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        repair(&*old)?;
        let rights = Rights {
            mode: PRIVATE_FILE,
            owner_of: Some(&path),
        };
        let mut old = BufReader::new(disk::reader(old)?);
        let file = Replaced::state(&path).with(NEXT, rights);
        let replaced = replace(&*self.disk, file, |new| {
            let mut line = Vec::new();
            while old.read_until(b'\n', &mut line)? > 0 {
                match serde_json::from_slice::<Entry>(&line).map(|entry| change(&entry)) {
                    Ok(EntryChange::Remove) => {}
                    Ok(EntryChange::Replace(entry)) => {
                        serde_json::to_writer(&mut *new, &entry)?;
                        new.write_all(b"\n")?;
                    }
                    Ok(EntryChange::Keep) | Err(_) => new.write_all(&line)?,
                }
                line.clear();
            }
            Ok(())
        });
        replaced.map_err(|error| error.source)?;
        self.sync_parent()?;
        drop(lock);
        Ok(())
    }

    fn lock(&self) -> io::Result<DiskLock> {
        self.disk
            .create_dir_all(&self.directory, PRIVATE_DIRECTORY)?;
        self.disk
            .lock(&self.directory.join(LOCK), self.lock_rights())
    }

    fn lock_rights(&self) -> Rights<'_> {
        Rights {
            mode: PRIVATE_FILE,
            owner_of: Some(&self.directory),
        }
    }

    /// Makes the directory itself durable.
    fn sync_parent(&self) -> io::Result<()> {
        match self.directory.parent() {
            Some(parent) => self.disk.sync_dir(parent),
            None => Ok(()),
        }
    }
}

/// Makes the file end with a complete line and returns its length. An incomplete last line was never settled, so
/// truncating it loses nothing; a line that lacks only its line end (from an editor) gets one.
fn repair(file: &dyn DiskFile) -> io::Result<u64> {
    let length = file.size()?;
    if length == 0 {
        return Ok(0);
    }
    let mut last = [0];
    file.read_at(&mut last, length - 1)?;
    if last != *b"\n" {
        let (start, torn) = last_line(file, length)?;
        if serde_json::from_slice::<Entry>(&torn).is_ok() {
            file.write_all(b"\n")?;
        } else {
            tracing::warn!(
                bytes = torn.len(),
                "cut a torn last line off the dead-letter file"
            );
            file.truncate(start)?;
        }
        file.sync()?;
    }
    file.size()
}

/// Start and bytes of the last line, which has no end.
fn last_line(file: &dyn DiskFile, length: u64) -> io::Result<(u64, Vec<u8>)> {
    const STEP: u64 = 64 * 1024;
    let mut tail = Vec::new();
    let mut start = length;
    while start > 0 {
        let from = start.saturating_sub(STEP);
        let mut block = vec![0; usize::try_from(start - from).unwrap_or(0)];
        file.read_at(&mut block, from)?;
        let end = memchr::memrchr(b'\n', &block);
        let line = block.split_off(end.map_or(0, |end| end + 1));
        start = from + block.len() as u64;
        tail.splice(0..0, line);
        if end.is_some() {
            break;
        }
    }
    Ok((start, tail))
}

/// Walks the entries of the file.
#[derive(Debug)]
pub struct Entries {
    lines: Option<BufReader<disk::FileReader>>,
    buffer: Vec<u8>,
}

/// Whether an error of [`Entries`] is about one line only, so that the walk continues.
pub fn is_no_entry(error: &io::Error) -> bool {
    // serde_json uses these kinds for invalid JSON and for another shape
    matches!(
        error.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
    )
}

impl Iterator for Entries {
    type Item = io::Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.buffer.clear();
        match self.lines.as_mut()?.read_until(b'\n', &mut self.buffer) {
            Ok(0) => None,
            Err(error) => {
                self.lines = None;
                Some(Err(error))
            }
            Ok(_) => match serde_json::from_slice(&self.buffer) {
                Ok(entry) => Some(Ok(entry)),
                // An incomplete last line is ignored.
                Err(_) if self.buffer.last() != Some(&b'\n') => None,
                Err(error) => Some(Err(error.into())),
            },
        }
    }
}

#[cfg(test)]
#[path = "dead_letters_tests.rs"]
mod tests;

#[cfg(test)]
mod faults;
