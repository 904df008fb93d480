//! The list of formats to try on one log.
//!
//! Owns the order: the log's own formats, then the formats that all logs share, which are stored once, then the last
//! resort. Invariant: a list contains no format twice, and needs memory only for its log's own formats. With thousands of
//! servers, each with its own `log_format`, memory does not grow quadratically.

use std::sync::Arc;

use super::formats::{NamedFormat, distinct};

/// Formats in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Formats {
    first: Vec<NamedFormat>,
    shared: Arc<[NamedFormat]>,
    last: Vec<NamedFormat>,
}

impl Formats {
    /// `first`, then `shared`, then `last`, without duplicates.
    pub fn new(
        first: impl IntoIterator<Item = NamedFormat>,
        shared: Arc<[NamedFormat]>,
        last: impl IntoIterator<Item = NamedFormat>,
    ) -> Self {
        let mut last = distinct(last);
        last.retain(|format| !is_in(&shared, format));
        Formats {
            first: distinct(first),
            shared,
            last,
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &NamedFormat> {
        let shared = self.shared.iter();
        let shared =
            shared.filter(|format| !is_in(&self.first, format) && !is_in(&self.last, format));
        let last = self.last.iter();
        let last = last.filter(|format| !is_in(&self.first, format));
        self.first.iter().chain(shared).chain(last)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The format at this index.
    pub fn get(&self, index: usize) -> Option<&NamedFormat> {
        self.iter().nth(index)
    }

    /// The log's own formats, and the shared ones after them.
    pub(super) fn parts(&self) -> (impl Iterator<Item = &NamedFormat>, &Arc<[NamedFormat]>) {
        (self.first.iter().chain(&self.last), &self.shared)
    }

    pub(super) fn set_shared(&mut self, shared: Arc<[NamedFormat]>) {
        self.shared = shared;
    }

    /// The index of the format that is expected before any line was seen: the first that the log names, or combined.
    pub fn expected(&self) -> usize {
        let combined = NamedFormat::combined();
        let names_none = self.first.is_empty();
        let mut formats = self.iter();
        formats
            .position(|format| !names_none || format.is_same(&combined))
            .unwrap_or(0)
    }

    /// The names; of shared formats only their number, if they are many.
    pub fn shown(&self) -> String {
        const SHOWN: usize = 20;
        let names = |formats: &mut dyn Iterator<Item = &NamedFormat>| {
            let names: Vec<&str> = formats.map(|named| named.name.as_str()).collect();
            names.join(", ")
        };
        if self.shared.len() <= SHOWN {
            return names(&mut self.iter());
        }
        let own = names(&mut self.first.iter().chain(&self.last));
        let comma = if own.is_empty() { "" } else { ", " };
        format!("{own}{comma}{} that all logs share", self.shared.len())
    }
}

fn is_in(formats: &[NamedFormat], format: &NamedFormat) -> bool {
    formats.iter().any(|known| known.is_same(format))
}

impl FromIterator<NamedFormat> for Formats {
    fn from_iter<T: IntoIterator<Item = NamedFormat>>(formats: T) -> Self {
        Formats::new(formats, Arc::default(), [])
    }
}

impl From<Vec<NamedFormat>> for Formats {
    fn from(formats: Vec<NamedFormat>) -> Self {
        formats.into_iter().collect()
    }
}
