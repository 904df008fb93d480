//! The documents of the embedded store, read from its files, and the moments at which it writes.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use logweir_store::Reader;
use tantivy_columnar::StrColumn;

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
                // Only these columns: whole documents are compared elsewhere, and take ten times as long.
                let original = segment.texts("event.original")?;
                let path = segment.texts("log.file.path")?;
                let tags = segment.texts("tags")?;
                let keys = segment.document_keys()?;
                for row in 0..segment.rows() {
                    let key = usize::try_from(row).ok().and_then(|row| keys.get(row));
                    let key = key.with_context(|| format!("a row of {index} without a key"))?;
                    each(Document {
                        index: &index,
                        id: &format!("{}-{:012x}-{}", key.second, key.stream, key.offset),
                        original: &values(original.as_ref(), row)?.concat(),
                        path: &values(path.as_ref(), row)?.concat(),
                        offset: key.offset,
                        unparsed: values(tags.as_ref(), row)?
                            .iter()
                            .any(|tag| tag == "unparsed"),
                    });
                    count += 1;
                }
            }
        }
        Ok(count)
    }
}

/// The texts of a row.
fn values(column: Option<&StrColumn>, row: u32) -> Result<Vec<String>> {
    let Some(column) = column else {
        return Ok(Vec::new());
    };
    let texts = column.term_ords(row).map(|ord| {
        let mut text = String::new();
        column.ord_to_str(ord, &mut text)?;
        Ok(text)
    });
    texts.collect()
}
