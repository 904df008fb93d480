//! What is in the store at the end, against what was written.
//!
//! Owns the comparison of lines and documents. Invariant: a document counts as doubled when another one has the same file,
//! time and offset.

use std::collections::HashSet;
use std::path::Path;

use logweir_store::{Reader, StoreError};

/// Documents in the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) documents: u64,
    pub(super) doubled: u64,
}

/// How many documents there are, as the manifests say it.
pub(super) fn documents(store: &Path) -> Result<u64, StoreError> {
    let days = Reader::open(store)?.days()?;
    Ok(days.iter().map(|day| day.documents).sum())
}

/// Counts all documents, and those that are there more than once.
pub(super) fn count(store: &Path) -> Result<Tally, StoreError> {
    let reader = Reader::open(store)?;
    let mut tally = Tally::default();
    for day in reader.days()? {
        let mut keys = HashSet::new();
        for segment in reader.segments(day.index, i64::MIN, i64::MAX)? {
            for key in segment.document_keys().map_err(StoreError::read(store))? {
                tally.documents += 1;
                tally.doubled += u64::from(!keys.insert(key));
            }
        }
    }
    Ok(tally)
}
