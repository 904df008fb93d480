//! Tracks which batches are not acknowledged yet, and up to which offset each file is durable without a gap.
//!
//! Batches are acknowledged in any order; a position may be saved only when everything before it is durable elsewhere.
//! Invariant: [`AckTracker::take_durable`] never returns an offset while a range before it is not acknowledged.

use std::collections::{HashMap, VecDeque};

use crate::event::{Batch, FileKey, Span};

/// The batches that are not acknowledged, and the ranges of files that they cover.
#[derive(Debug, Default)]
pub(super) struct AckTracker {
    batches: HashMap<BatchNumber, SentBatch>,
    next: u64,
    /// Ranges that are not durable without a gap, per file in reading order.
    files: HashMap<FileKey, VecDeque<Stretch>>,
    /// Files whose durable offset moved, for [`AckTracker::take_durable`].
    moved: HashMap<FileKey, u64>,
}

/// One batch of this process; never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct BatchNumber(u64);

#[derive(Debug)]
struct SentBatch {
    stretches: Vec<(FileKey, u64)>,
    documents: u64,
}

#[derive(Debug)]
struct Stretch {
    from: u64,
    to: u64,
    durable: bool,
}

impl AckTracker {
    /// Records a batch that is about to be handed to the output.
    pub(super) fn send(&mut self, batch: &Batch) -> BatchNumber {
        for Span { file, from, to, .. } in &batch.spans {
            let stretch = Stretch {
                from: *from,
                to: *to,
                durable: false,
            };
            self.files.entry(*file).or_default().push_back(stretch);
        }
        let number = BatchNumber(self.next);
        self.next += 1;
        let sent = SentBatch {
            stretches: batch
                .spans
                .iter()
                .map(|span| (span.file, span.from))
                .collect(),
            documents: batch.items.len() as u64,
        };
        self.batches.insert(number, sent);
        number
    }

    /// Marks the batch as durable; returns its number of documents.
    pub(super) fn acknowledge(&mut self, number: BatchNumber) -> u64 {
        let Some(sent) = self.batches.remove(&number) else {
            return 0;
        };
        for (file, from) in sent.stretches {
            self.settle(file, from);
        }
        sent.documents
    }

    /// Forgets a batch that will not be acknowledged; returns its number of documents.
    pub(super) fn release(&mut self, number: BatchNumber) -> u64 {
        let sent = self.batches.remove(&number);
        sent.map_or(0, |sent| sent.documents)
    }

    /// Forgets all batches; returns their number of documents.
    pub(super) fn release_all(&mut self) -> u64 {
        self.batches.drain().map(|(_, sent)| sent.documents).sum()
    }

    /// Batches that are not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.batches.len()
    }

    /// Files whose durable offset moved since the last call, each with the new one.
    pub(super) fn take_durable(&mut self) -> impl Iterator<Item = (FileKey, u64)> + '_ {
        self.moved.drain()
    }

    fn settle(&mut self, file: FileKey, from: u64) {
        let Some(stretches) = self.files.get_mut(&file) else {
            return;
        };
        let mut open = stretches.iter_mut();
        if let Some(stretch) = open.find(|stretch| stretch.from == from && !stretch.durable) {
            stretch.durable = true;
        }
        while stretches.front().is_some_and(|front| front.durable) {
            if let Some(front) = stretches.pop_front() {
                self.moved.insert(file, front.to);
            }
        }
        if stretches.is_empty() {
            self.files.remove(&file);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::event::StreamId;

    fn batch(file: u64, from: u64, to: u64) -> Batch {
        let span = Span {
            file: FileKey(file),
            stream: StreamId([0; 10]),
            path: Path::new("/logs/access.log").into(),
            from,
            to,
            marker: None,
            lines: 1,
            documents: 1,
        };
        Batch {
            spans: vec![span],
            ..Batch::default()
        }
    }

    proptest! {
        /// Batches of a few files are acknowledged in any order: the durable offset is always the end of the longest
        /// acknowledged prefix, and finally everything is durable.
        #[test]
        fn only_prefixes_without_a_gap_are_durable(
            files in proptest::collection::vec(0..3_u64, 1..40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let mut acks = AckTracker::default();
            let mut ends = [0_u64; 3];
            let mut out = Vec::new();
            for file in files {
                let end = &mut ends[usize::try_from(file).unwrap()];
                let number = acks.send(&batch(file, *end, *end + 10));
                out.push((number, file, *end));
                *end += 10;
            }
            let mut durable = [0_u64; 3];
            for index in order {
                if out.is_empty() { break }
                acks.acknowledge(out.swap_remove(index.index(out.len())).0);
                for (file, offset) in acks.take_durable() {
                    durable[usize::try_from(file.0).unwrap()] = offset;
                }
                prop_assert_eq!(acks.unacknowledged(), out.len());
                for (file, offset) in durable.iter().enumerate() {
                    let of_file = out.iter().filter(|(_, own, _)| *own == file as u64);
                    let first_out = of_file.map(|(_, _, from)| *from).min();
                    prop_assert_eq!(*offset, first_out.unwrap_or(ends[file]));
                }
            }
            prop_assert_eq!(acks.files.is_empty(), out.is_empty());
        }
    }
}
