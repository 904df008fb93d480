//! Reading a store beside the process that writes it.
//!
//! Owns finding the segments of a day. Takes no lock and writes nothing, so every user who may read the files can ask, and a
//! reader that stops holds nothing up. Invariant: the segments of one [`Reader::segments`] are those of one commit.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::Index;
use crate::error::StoreError;
use crate::manifest::{self, Manifest};
use crate::sealed::SealedError;
use crate::segment::Segment;

/// Manifests that are read before a day whose segments go on vanishing is given up.
const ATTEMPTS: usize = 100;

/// Reads a store.
#[derive(Debug, Clone)]
pub struct Reader {
    path: PathBuf,
}

/// An index that has documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// The index.
    pub index: Index,
    /// First and last second of `@timestamp`.
    pub seconds: (i64, i64),
    /// Its documents.
    pub documents: u64,
}

impl Reader {
    /// Opens a store.
    ///
    /// # Errors
    ///
    /// There is no store, or it may not be read.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        fs::read_dir(path).map_err(StoreError::io("read the directory", path))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// The indices that have documents, oldest day first; lines without a time come before them.
    ///
    /// # Errors
    ///
    /// A directory or manifest cannot be read.
    pub fn days(&self) -> Result<Vec<Day>, StoreError> {
        let read = StoreError::io("read the directory", &self.path);
        let mut indices = Vec::new();
        let entries =
            fs::read_dir(&self.path).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        for entry in entries.map_err(read)? {
            indices.extend(Index::parse(&entry.file_name().to_string_lossy()));
        }
        indices.sort_unstable();
        let mut days = Vec::new();
        for index in indices {
            let Some(manifest) = self.manifest(index)? else {
                continue;
            };
            if let Some(seconds) = manifest.seconds() {
                days.push(Day {
                    index,
                    seconds,
                    documents: manifest.documents(),
                });
            }
        }
        Ok(days)
    }

    /// The segments of a day that have documents in a range of seconds (of `@timestamp`), and those of an index that is gone
    /// meanwhile are none.
    ///
    /// # Errors
    ///
    /// A file cannot be read.
    pub fn segments(
        &self,
        index: Index,
        first: i64,
        last: i64,
    ) -> Result<Vec<Segment>, StoreError> {
        let directory = self.path.join(index.to_string());
        let mut missing = None;
        for _ in 0..ATTEMPTS {
            let Some(manifest) = self.manifest(index)? else {
                return Ok(Vec::new());
            };
            let entries = manifest
                .segments
                .iter()
                .filter(|segment| segment.seconds.0 <= last && first <= segment.seconds.1);
            let mut segments = Vec::new();
            missing = None;
            for entry in entries {
                let path = directory.join(entry.file());
                match File::open(&path).and_then(Segment::open) {
                    Ok(segment) => segments.push(segment),
                    // merged since the manifest was read: read it again
                    Err(error) if error.kind() == ErrorKind::NotFound => {
                        missing = Some(StoreError::io("open", &path)(error));
                        break;
                    }
                    Err(error) => return Err(StoreError::io("open", &path)(error)),
                }
            }
            if missing.is_none() {
                return Ok(segments);
            }
        }
        missing.map_or_else(|| Ok(Vec::new()), Err)
    }

    /// The manifest of an index; `None` when it has none.
    fn manifest(&self, index: Index) -> Result<Option<Manifest>, StoreError> {
        let path = self.path.join(index.to_string()).join(manifest::FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", &path)(error)),
        };
        match Manifest::parse(&bytes) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error @ SealedError::Newer(_)) => Err(StoreError::Newer {
                path,
                text: error.to_string(),
            }),
            Err(error) => {
                let error = io::Error::new(ErrorKind::InvalidData, error.to_string());
                Err(StoreError::io("read", &path)(error))
            }
        }
    }
}
