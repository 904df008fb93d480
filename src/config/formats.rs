//! The formats that a log is tried with.
//!
//! Owns their order: those of the log itself, then those that all logs share, which are held once however many logs
//! there are. Refuses to know where they come from. Invariant: no format stands in a list twice, and a list costs what
//! is its log's own alone: with thousands of servers, each with a `log_format` of its own, nothing grows by the square.

use std::collections::HashSet;
use std::sync::Arc;

use logweir_parsers::nginx_conf::COMBINED;
use logweir_parsers::{Escape, Format};

use super::nginx::directive;

/// A format and what to call it.
#[derive(Debug, Clone)]
pub struct NamedFormat {
    /// The `log_format`'s name, or `format N` for one without.
    pub name: String,
    /// The format.
    pub format: Format,
}

impl NamedFormat {
    /// nginx's predefined format.
    pub fn combined() -> Self {
        NamedFormat {
            name: COMBINED.to_owned(),
            format: Format::combined(),
        }
    }

    /// Would it read every line alike?
    pub fn is_same(&self, other: &NamedFormat) -> bool {
        self.key() == other.key()
    }

    /// What it reads lines by.
    pub fn key(&self) -> (&str, Escape) {
        (self.format.source(), self.format.escape())
    }

    /// As a `log_format` directive, which [`super::Config::add_formats`] takes back.
    pub fn directive(&self) -> String {
        directive(&self.name.replace(' ', "-"), &self.format)
    }
}

/// Formats in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Formats {
    first: Vec<NamedFormat>,
    shared: Arc<[NamedFormat]>,
    last: Vec<NamedFormat>,
}

impl Formats {
    /// `first`, then `shared`, then `last`; of equal ones the first counts.
    pub fn new(
        first: impl IntoIterator<Item = NamedFormat>,
        shared: Arc<[NamedFormat]>,
        last: impl IntoIterator<Item = NamedFormat>,
    ) -> Self {
        Formats {
            first: distinct(first),
            shared,
            last: distinct(last),
        }
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &NamedFormat> {
        let is_in = |formats: &[NamedFormat], format: &NamedFormat| {
            formats.iter().any(|known| known.is_same(format))
        };
        let shared = self.shared.iter();
        let shared = shared.filter(move |format| !is_in(&self.first, format));
        let last = self.last.iter();
        let last =
            last.filter(move |format| !is_in(&self.first, format) && !is_in(&self.shared, format));
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

    /// The one at this place.
    pub fn get(&self, index: usize) -> Option<&NamedFormat> {
        self.iter().nth(index)
    }

    /// Those that are this log's own, and those of `shared` behind them.
    pub(super) fn parts(&self) -> (impl Iterator<Item = &NamedFormat>, &Arc<[NamedFormat]>) {
        (self.first.iter().chain(&self.last), &self.shared)
    }

    pub(super) fn set_shared(&mut self, shared: Arc<[NamedFormat]>) {
        self.shared = shared;
    }

    /// The names; of many that all logs share only their number.
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

/// Each format once, where it stands first.
pub(super) fn distinct(formats: impl IntoIterator<Item = NamedFormat>) -> Vec<NamedFormat> {
    let mut seen = HashSet::new();
    let is_new = |named: &NamedFormat| {
        let (source, escape) = named.key();
        seen.insert((source.to_owned(), escape))
    };
    formats.into_iter().filter(is_new).collect()
}
