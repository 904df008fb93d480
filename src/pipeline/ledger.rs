//! Which stretches of which files are on their way, and up to where each file is settled without a gap.
//!
//! Batches come back in any order; a position may be saved only when everything before it is durable
//! elsewhere. Invariant: [`Ledger::settle`] never reports an offset while a stretch before it is still out.

use std::collections::{HashMap, VecDeque};

use crate::output::Span;
use crate::tail::FileKey;

/// Stretches sent and not yet settled, per file in reading order.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    files: HashMap<FileKey, VecDeque<Stretch>>,
    /// Files whose settled offset moved, for [`Ledger::take_settled`].
    moved: HashMap<FileKey, u64>,
}

#[derive(Debug)]
struct Stretch {
    from: u64,
    to: u64,
    settled: bool,
}

impl Ledger {
    /// The spans of a batch that is being handed to the output.
    pub(super) fn send(&mut self, spans: &[Span]) {
        for span in spans {
            let stretch = Stretch {
                from: span.from,
                to: span.to,
                settled: false,
            };
            self.files.entry(span.file).or_default().push_back(stretch);
        }
    }

    /// The spans of a batch that came back settled.
    pub(super) fn settle(&mut self, spans: &[Span]) {
        for span in spans {
            let Some(stretches) = self.files.get_mut(&span.file) else {
                continue;
            };
            if let Some(stretch) = stretches
                .iter_mut()
                .find(|s| s.from == span.from && !s.settled)
            {
                stretch.settled = true;
            }
            while stretches.front().is_some_and(|front| front.settled) {
                if let Some(front) = stretches.pop_front() {
                    self.moved.insert(span.file, front.to);
                }
            }
            if stretches.is_empty() {
                self.files.remove(&span.file);
            }
        }
    }

    /// Files whose settled offset moved since the last call, each with the new one.
    pub(super) fn take_settled(&mut self) -> impl Iterator<Item = (FileKey, u64)> + '_ {
        self.moved.drain()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn span(file: u64, from: u64, to: u64) -> Span {
        Span {
            file: FileKey(file),
            from,
            to,
            lines: 1,
        }
    }

    proptest! {
        /// Batches of a few files come back in any order: what is reported is always the end of the longest
        /// settled beginning, and in the end everything.
        #[test]
        fn only_gapless_beginnings_are_settled(
            files in proptest::collection::vec(0..3_u64, 1..40),
            order in proptest::collection::vec(any::<prop::sample::Index>(), 40),
        ) {
            let mut ledger = Ledger::default();
            let mut ends = [0_u64; 3];
            let mut out: Vec<Span> = Vec::new();
            for file in files {
                let end = &mut ends[usize::try_from(file).unwrap()];
                let sent = span(file, *end, *end + 10);
                *end += 10;
                ledger.send(&[sent]);
                out.push(sent);
            }
            let mut reported = [0_u64; 3];
            for index in order {
                if out.is_empty() { break }
                ledger.settle(&[out.swap_remove(index.index(out.len()))]);
                for (file, offset) in ledger.take_settled() {
                    reported[usize::try_from(file.0).unwrap()] = offset;
                }
                for (file, offset) in reported.iter().enumerate() {
                    let first_out = out.iter().filter(|s| s.file.0 == file as u64).map(|s| s.from).min();
                    prop_assert_eq!(*offset, first_out.unwrap_or(ends[file]));
                }
            }
            prop_assert_eq!(ledger.files.is_empty(), out.is_empty());
        }
    }
}
