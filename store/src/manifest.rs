//! The manifest of one index: which segments it has, and which lines may be in them.
//!
//! Owns the form of `manifest.json`. Invariant: the file is replaced as a whole, after all that it names is durable; so a
//! reader sees the index as it was after one of the commits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::sealed::{self, SealedError};

/// Name of the file.
pub(crate) const FILE: &str = "manifest.json";
/// Name of the file while it is written.
pub(crate) const NEW_FILE: &str = "manifest.new";

/// End of the names of segments' files.
pub(crate) const SEGMENT: &str = ".columns";

/// The form that this version writes and reads.
const VERSION: u32 = 1;

/// The content of one index.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    version: u32,
    /// Number of the next segment's file.
    pub(crate) next: u64,
    /// In the order in which their documents were added.
    pub(crate) segments: Vec<SegmentEntry>,
    /// By stream: the first and the last offset of the documents that were ever added.
    pub(crate) streams: BTreeMap<u64, (u64, u64)>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SegmentEntry {
    pub(crate) number: u64,
    pub(crate) documents: u32,
    pub(crate) bytes: u64,
    /// xxh3 of the file.
    pub(crate) hash: u64,
    /// First and last second of `@timestamp`.
    pub(crate) seconds: (i64, i64),
    /// First and last second of the documents' keys.
    pub(crate) keys: (u32, u32),
}

impl SegmentEntry {
    /// Name of the segment's file.
    pub(crate) fn file(&self) -> String {
        file(self.number)
    }

    /// Whether `bytes` are those of the segment.
    pub(crate) fn is(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.bytes && xxh3_64(bytes) == self.hash
    }
}

/// Name of the file of segment `number`.
pub(crate) fn file(number: u64) -> String {
    format!("{number:010}{SEGMENT}")
}

impl Manifest {
    pub(crate) fn new() -> Self {
        Self {
            version: VERSION,
            ..Self::default()
        }
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> serde_json::Result<Vec<u8>> {
        sealed::bytes(self)
    }

    /// Reads the bytes of the file.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, SealedError> {
        sealed::parse(bytes, VERSION)
    }

    /// Whether a document at this position may have been added before. Where this says no, it was not.
    pub(crate) fn may_have(&self, stream: u64, offset: u64) -> bool {
        self.streams
            .get(&stream)
            .is_some_and(|(first, last)| (*first..=*last).contains(&offset))
    }

    /// Notes that a document at this position is added.
    pub(crate) fn cover(streams: &mut BTreeMap<u64, (u64, u64)>, stream: u64, offset: u64) {
        streams
            .entry(stream)
            .and_modify(|(first, last)| {
                *first = offset.min(*first);
                *last = offset.max(*last);
            })
            .or_insert((offset, offset));
    }

    /// First and last second of all documents.
    pub(crate) fn seconds(&self) -> Option<(i64, i64)> {
        self.segments
            .iter()
            .map(|segment| segment.seconds)
            .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
    }

    pub(crate) fn bytes_of_segments(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    pub(crate) fn documents(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| u64::from(segment.documents))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn manifest() -> Manifest {
        let mut manifest = Manifest::new();
        manifest.next = 8;
        manifest.segments.push(SegmentEntry {
            number: 7,
            documents: 3,
            bytes: 900,
            hash: u64::MAX,
            seconds: (1, 5),
            keys: (0, 4),
        });
        Manifest::cover(&mut manifest.streams, 1 << 47, 10);
        Manifest::cover(&mut manifest.streams, 1 << 47, 30);
        manifest
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let manifest = manifest();
        assert_eq!(
            Manifest::parse(&manifest.bytes().unwrap()).unwrap(),
            manifest
        );
        assert!(manifest.may_have(1 << 47, 20));
        assert!(!manifest.may_have(1 << 47, 31));
        assert!(!manifest.may_have(1, 20));
    }

    #[test]
    fn every_cut_and_every_changed_byte_is_noticed() {
        let bytes = manifest().bytes().unwrap();
        for end in 0..bytes.len() {
            assert!(Manifest::parse(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(Manifest::parse(&changed).is_err(), "{at}");
        }
    }

    #[test]
    fn a_newer_form_is_refused() {
        let mut newer = manifest();
        newer.version = VERSION + 1;
        let error = Manifest::parse(&newer.bytes().unwrap()).unwrap_err();
        assert!(matches!(error, SealedError::Newer(2)));
    }
}
