//! The documents of the embedded store, read from its files, and the moments at which it writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use logweir_store::{Reader, Sources};

use super::cluster::Document;
use super::oracle::Index;

/// A store under load writes more often than this.
const WRITES_WITHIN: Duration = Duration::from_secs(3);

/// A store.
pub(super) struct Stored {
    path: PathBuf,
}

impl Stored {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns when a commit or a merge has begun a new file: true, unless none does.
    pub(super) fn wait_for_a_new_file(&self) -> bool {
        let before = self.files();
        let start = Instant::now();
        while start.elapsed() < WRITES_WITHIN {
            if !self.files().is_subset(&before) {
                return true;
            }
        }
        false
    }

    /// The files of all days. A day may go while it is listed.
    fn files(&self) -> BTreeSet<PathBuf> {
        let list = |path: &Path| {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        list(&self.path)
            .iter()
            .flat_map(|place| list(place))
            .collect()
    }
}

impl Index for Stored {
    fn documents(&self, each: &mut dyn FnMut(Document<'_>)) -> Result<u64> {
        let reader = Reader::open(&self.path)?;
        let mut count = 0;
        for day in reader.days()? {
            let index = day.index.to_string();
            for segment in reader.segments(day.index, i64::MIN, i64::MAX)? {
                let sources = Sources::of(&segment)?;
                let keys = segment.document_keys()?;
                for row in 0..segment.rows() {
                    let source = sources.get(row)?;
                    let key = usize::try_from(row).ok().and_then(|row| keys.get(row));
                    let key = key.with_context(|| format!("a row of {index} without a key"))?;
                    each(Document {
                        index: &index,
                        id: &format!("{}-{:012x}-{}", key.second, key.stream, key.offset),
                        original: source["event"]["original"].as_str().unwrap_or_default(),
                        path: source["log"]["file"]["path"].as_str().unwrap_or_default(),
                        offset: key.offset,
                        unparsed: source["tags"]
                            .as_array()
                            .is_some_and(|tags| tags.iter().any(|tag| tag == "unparsed")),
                    });
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}
