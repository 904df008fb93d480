//! Which segments of an index are joined, and joining them.
//!
//! Owns the choice and the work; refuses to know manifests of other indices. Invariant: only neighbours are joined, so that
//! documents keep their order; a segment never grows beyond what a merge can hold in memory.
//!
//! A live index gets a segment a second. Eight neighbours of one size become one of the next size, so a document is
//! written again once for each factor of eight.

use std::path::PathBuf;

use xxhash_rust::xxh3::xxh3_64;

use crate::Index;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::manifest::SegmentEntry;
use crate::open_index::{IndexError, read_segment, write_segment};
use crate::segment::{Segment, stacked};

/// Neighbours that become one.
const WIDTH: usize = 8;
/// Documents of the smallest size.
const SMALLEST: u32 = 1 << 10;
/// Documents of a segment that is not joined again.
const LARGEST: u32 = 1 << 19;
/// Most documents of a merged segment.
const MOST: u64 = 1 << 20;
/// Most bytes of its parts: a merge holds them and the result in memory. A million documents take less, unless they have
/// long texts of their own, such as `event.original`.
const MOST_BYTES: u64 = 32 << 20;

/// Segments to be joined, apart from the writer.
pub struct MergeJob<D> {
    pub(crate) disk: D,
    pub(crate) index: Index,
    pub(crate) directory: PathBuf,
    pub(crate) parts: Vec<SegmentEntry>,
    /// Number of the merged segment.
    pub(crate) number: u64,
}

/// A merged segment, durable but not yet in a manifest.
pub struct Merged {
    pub(crate) index: Index,
    pub(crate) parts: Vec<u64>,
    pub(crate) result: Result<SegmentEntry, IndexError>,
}

impl<D: Disk> MergeJob<D> {
    /// Joins the segments. It takes about a second for each million documents.
    pub fn run(self) -> Merged {
        Merged {
            index: self.index,
            parts: self.parts.iter().map(|part| part.number).collect(),
            result: self.merge(),
        }
    }

    fn merge(&self) -> Result<SegmentEntry, IndexError> {
        let segments: Vec<Segment> = self
            .parts
            .iter()
            .map(|part| read_segment(&self.disk, &self.directory, part))
            .collect::<Result<_, _>>()?;
        let segments: Vec<&Segment> = segments.iter().collect();
        let bytes =
            stacked(&segments).map_err(StoreError::io("merge segments of", &self.directory))?;
        let entry = SegmentEntry {
            number: self.number,
            documents: self.parts.iter().map(|part| part.documents).sum(),
            bytes: bytes.len() as u64,
            hash: xxh3_64(&bytes),
            seconds: joined(self.parts.iter().map(|part| part.seconds)),
            keys: joined(self.parts.iter().map(|part| part.keys)),
        };
        write_segment(&self.disk, &self.directory, &entry, &bytes)?;
        Ok(entry)
    }
}

fn joined<T: Ord + Copy + Default>(ranges: impl Iterator<Item = (T, T)>) -> (T, T) {
    ranges
        .reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)))
        .unwrap_or_default()
}

/// The neighbours that should be joined now. An index that is at rest gets as few segments as may be.
pub(crate) fn choose(segments: &[SegmentEntry], at_rest: bool) -> Option<&[SegmentEntry]> {
    if at_rest {
        return run(segments, 0, LARGEST, 2);
    }
    // the smallest size first: it is where most segments are
    let mut from = 0;
    let mut below = SMALLEST;
    while from < LARGEST {
        let found = run(segments, from, below, WIDTH);
        if found.is_some() {
            return found;
        }
        from = below;
        below = below.saturating_mul(8).min(LARGEST);
    }
    None
}

/// The first run of neighbours of less than `below` documents each, together not more than a merge may hold, among which
/// are `width` of at least `from` documents.
fn run(segments: &[SegmentEntry], from: u32, below: u32, width: usize) -> Option<&[SegmentEntry]> {
    let mut rest = segments;
    while !rest.is_empty() {
        let (mut documents, mut bytes) = (0, 0);
        let length = rest
            .iter()
            .take_while(|segment| {
                documents += u64::from(segment.documents);
                bytes += segment.bytes;
                segment.documents < below && documents <= MOST && bytes <= MOST_BYTES
            })
            .count();
        let found = rest.get(..length).unwrap_or_default();
        let of_size = found.iter().filter(|segment| segment.documents >= from);
        if of_size.count() >= width {
            return Some(found);
        }
        rest = rest.get(length.max(1)..).unwrap_or_default();
    }
    None
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn segments(documents: &[u32]) -> Vec<SegmentEntry> {
        let numbers = 0..;
        documents
            .iter()
            .zip(numbers)
            .map(|(documents, number)| SegmentEntry {
                number,
                documents: *documents,
                bytes: 1,
                hash: 0,
                seconds: (0, 0),
                keys: (0, 0),
            })
            .collect()
    }

    fn chosen(documents: &[u32], at_rest: bool) -> Vec<u64> {
        let segments = segments(documents);
        let run = choose(&segments, at_rest).unwrap_or_default();
        run.iter().map(|segment| segment.number).collect()
    }

    #[test]
    fn eight_neighbours_of_a_size_are_joined() {
        assert_eq!(chosen(&[10; 7], false), Vec::<u64>::new());
        assert_eq!(chosen(&[10; 8], false), (0..8).collect::<Vec<_>>());
        let mut documents = vec![9_000; 3];
        documents.extend([10; 8]);
        assert_eq!(chosen(&documents, false), (3..11).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_at_rest_is_joined_as_far_as_may_be() {
        assert_eq!(chosen(&[100_000, 5, 3], true), [0, 1, 2]);
        assert_eq!(chosen(&[LARGEST, 5, 3], true), [1, 2]);
        assert_eq!(chosen(&[LARGEST, 5], true), Vec::<u64>::new());
    }

    #[test]
    fn a_merge_holds_a_bounded_number_of_bytes() {
        let mut segments = segments(&[1000; 4]);
        for (segment, mebibytes) in segments.iter_mut().zip([40, 20, 10, 10]) {
            segment.bytes = mebibytes << 20;
        }
        let numbers = |run: &[SegmentEntry]| run.iter().map(|one| one.number).collect::<Vec<_>>();
        assert_eq!(choose(&segments, true).map(numbers), Some(vec![1, 2]));
    }

    #[test]
    fn a_live_index_keeps_few_segments_and_writes_few_documents_twice() {
        let (mut documents, mut written) = (Vec::new(), 0_u64);
        for second in 0..4000 {
            documents.push(1000 + second % 7);
            loop {
                let run = chosen(&documents, false);
                let (Some(first), Some(last)) = (run.first(), run.last()) else {
                    break;
                };
                let (first, last) = (
                    usize::try_from(*first).unwrap(),
                    usize::try_from(*last).unwrap(),
                );
                let merged: u32 = documents[first..=last].iter().sum();
                assert!(u64::from(merged) <= MOST);
                written += u64::from(merged);
                documents.splice(first..=last, [merged]);
            }
        }
        assert!(documents.len() < 40, "{documents:?}");
        assert!(written <= 5 * 4_000_000, "{written}");
    }
}
