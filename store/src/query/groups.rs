//! The groups that rows of a segment belong to.
//!
//! Owns the numbers of groups within a segment. Invariant: a row is once in the group of each of its values; without a value it
//! is in the group of [`Key::Missing`].
//!
//! Numbers are given once for each different value of a segment. Rows then need no texts.

use std::collections::HashMap;
use std::io;

use tantivy_columnar::{DynamicColumn, StrColumn};

use super::columns::{Memo, Raw, Scan, check, invalid, places};
use super::key::{Key, Kind};
use super::{Fault, MOST_GROUPS};
use crate::segment::Segment;

/// The field of a segment by which rows are grouped.
pub(super) struct Groups<'k> {
    sources: Vec<Source>,
    numbering: Numbering<'k>,
    pairs: Vec<(u32, u32)>,
    spare: Vec<(u32, u32)>,
}

/// Which numbers groups have.
enum Numbering<'k> {
    /// Every group has its own. Rows without a value have 0; then come the texts of dictionaries, then other values in the order
    /// in which they are met.
    All { next: u32 },
    /// Chosen keys have their place among them; all others have the number behind the last one.
    Chosen(&'k HashMap<Key, u32>),
}

enum Source {
    Texts {
        scan: Scan<u64>,
        column: StrColumn,
        numbers: Terms,
    },
    Values {
        raw: Raw,
        numbers: HashMap<u64, u32>,
        memo: Box<Memo<u32>>,
    },
}

/// Numbers of the texts of a dictionary.
enum Terms {
    /// The first one has this number.
    From(u32),
    /// Each has its own.
    Each(Vec<u32>),
}

/// A key that may be borrowed from a dictionary.
pub(super) enum KeyRef<'k> {
    Text(&'k str),
    Key(Key),
}

const MISSING: u32 = 0;

impl Groups<'static> {
    /// A group for every value.
    pub(super) fn all(segment: &Segment, field: &str) -> Result<Self, Fault> {
        Self::new(segment, field, Numbering::All { next: MISSING + 1 })
    }

    /// One more than the highest number so far.
    pub(super) fn count(&self) -> usize {
        match self.numbering {
            Numbering::All { next } => next as usize,
            Numbering::Chosen(chosen) => chosen.len() + 1,
        }
    }

    /// Calls `each` with the number and the key of every group that is `wanted`.
    pub(super) fn keys(
        &self,
        wanted: impl Fn(u32) -> bool,
        mut each: impl FnMut(u32, KeyRef<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        if wanted(MISSING) {
            each(MISSING, KeyRef::Key(Key::Missing))?;
        }
        for source in &self.sources {
            match source {
                Source::Texts {
                    column,
                    numbers: Terms::From(first),
                    ..
                } => texts(column, *first, &wanted, &mut each)?,
                Source::Texts { .. } => {}
                Source::Values { raw, numbers, .. } => {
                    for (value, number) in numbers.iter().filter(|(_, number)| wanted(**number)) {
                        each(*number, KeyRef::Key(Key::of(raw.kind(), *value)))?;
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'k> Groups<'k> {
    /// A group for each of these keys, by their places, and one for all other values.
    pub(super) fn chosen(
        segment: &Segment,
        field: &str,
        keys: &'k HashMap<Key, u32>,
    ) -> Result<Self, Fault> {
        Self::new(segment, field, Numbering::Chosen(keys))
    }

    fn new(segment: &Segment, field: &str, mut numbering: Numbering<'k>) -> Result<Self, Fault> {
        let mut sources = Vec::new();
        for column in segment.columns(field)? {
            if let DynamicColumn::Str(column) = column {
                check(&column)?;
                sources.push(Source::Texts {
                    scan: Scan::new(column.ords().clone()),
                    numbers: numbering.terms(&column)?,
                    column,
                });
            } else if let Some(raw) = Raw::new(column) {
                sources.push(Source::Values {
                    raw,
                    numbers: HashMap::new(),
                    memo: Memo::new(),
                });
            }
        }
        Ok(Self {
            sources,
            numbering,
            pairs: Vec::new(),
            spare: Vec::new(),
        })
    }

    /// The places of rows in `rows`, in ascending order, each with the number of its group.
    pub(super) fn of(&mut self, rows: &[u32]) -> Result<&[(u32, u32)], Fault> {
        self.pairs.clear();
        let is_list = |source: &Source| match source {
            Source::Texts { scan, .. } => scan.is_list(),
            Source::Values { raw, .. } => raw.is_list(),
        };
        let may_repeat = self.sources.len() > 1 || self.sources.iter().any(is_list);
        for source in &mut self.sources {
            source.add(rows, &mut self.pairs, &mut self.numbering)?;
        }
        if may_repeat {
            self.pairs.sort_unstable();
            self.pairs.dedup();
        }
        if may_repeat || self.pairs.len() < rows.len() {
            self.add_missing(rows.len());
        }
        Ok(&self.pairs)
    }

    /// Adds a pair for each place that has none.
    fn add_missing(&mut self, places: usize) {
        let missing = self.numbering.missing();
        std::mem::swap(&mut self.pairs, &mut self.spare);
        self.pairs.clear();
        let mut found = self.spare.iter().copied().peekable();
        for place in (0..).take(places) {
            if found.peek().is_none_or(|(found, _)| *found != place) {
                self.pairs.push((place, missing));
            }
            while let Some(pair) = found.next_if(|(found, _)| *found == place) {
                self.pairs.push(pair);
            }
        }
    }
}

impl Numbering<'_> {
    fn missing(&self) -> u32 {
        match self {
            Self::All { .. } => MISSING,
            Self::Chosen(_) => self.place(&Key::Missing),
        }
    }

    /// The place of a key among those that were chosen.
    fn place(&self, key: &Key) -> u32 {
        match self {
            Self::All { .. } => MISSING,
            Self::Chosen(chosen) => match chosen.get(key) {
                Some(place) => *place,
                None => u32::try_from(chosen.len()).unwrap_or(u32::MAX),
            },
        }
    }

    fn terms(&mut self, column: &StrColumn) -> io::Result<Terms> {
        match self {
            Self::All { next } => {
                let first = *next;
                let terms = u32::try_from(column.num_terms()).ok();
                *next = terms
                    .and_then(|terms| first.checked_add(terms))
                    .ok_or_else(|| invalid("dictionaries of too many texts"))?;
                Ok(Terms::From(first))
            }
            Self::Chosen(chosen) => {
                let other = u32::try_from(chosen.len()).unwrap_or(u32::MAX);
                let mut numbers = vec![other; column.num_terms()];
                for (key, place) in *chosen {
                    if let Key::Text(text) = key
                        && let Some(term) = column.dictionary().term_ord(&**text)?
                        && let Some(number) = usize::try_from(term)
                            .ok()
                            .and_then(|term| numbers.get_mut(term))
                    {
                        *number = *place;
                    }
                }
                Ok(Terms::Each(numbers))
            }
        }
    }

    /// The number of a value that is met for the first time.
    fn value(&mut self, kind: Kind, value: u64) -> u32 {
        match self {
            Self::All { next } => {
                let number = *next;
                *next = next.saturating_add(1);
                number
            }
            Self::Chosen(_) => self.place(&Key::of(kind, value)),
        }
    }
}

impl Source {
    fn add(
        &mut self,
        rows: &[u32],
        pairs: &mut Vec<(u32, u32)>,
        numbering: &mut Numbering<'_>,
    ) -> Result<(), Fault> {
        match self {
            Self::Texts { scan, numbers, .. } => {
                let (of, terms) = scan.read(rows);
                match numbers {
                    // An ordinal is less than the number of terms, which fits.
                    Terms::From(first) => add(rows, of, terms, pairs, |term| {
                        *first + u32::try_from(term).unwrap_or(0)
                    }),
                    Terms::Each(numbers) => add(rows, of, terms, pairs, |term| {
                        numbers[usize::try_from(term).unwrap_or(0)]
                    }),
                }
            }
            Self::Values { raw, numbers, memo } => {
                let kind = raw.kind();
                let (of, values) = raw.read(rows);
                add(rows, of, values, pairs, |value| {
                    memo.get(value, || {
                        let new = || numbering.value(kind, value);
                        *numbers.entry(value).or_insert_with(new)
                    })
                });
                if numbers.len() > MOST_GROUPS {
                    return Err(Fault::TooManyGroups);
                }
            }
        }
        Ok(())
    }
}

/// Appends a pair for each value: the place of its row, and its number.
fn add(
    rows: &[u32],
    of: &[u32],
    values: &[u64],
    pairs: &mut Vec<(u32, u32)>,
    mut number: impl FnMut(u64) -> u32,
) {
    if of == rows {
        pairs.extend(
            (0..)
                .zip(values)
                .map(|(place, value)| (place, number(*value))),
        );
    } else {
        let places = places(rows, of).map(|place| u32::try_from(place).unwrap_or(u32::MAX));
        pairs.extend(
            places
                .zip(values)
                .map(|(place, value)| (place, number(*value))),
        );
    }
}

/// Calls `each` with the texts of a dictionary that are wanted, and their numbers.
fn texts(
    column: &StrColumn,
    first: u32,
    wanted: impl Fn(u32) -> bool,
    mut each: impl FnMut(u32, KeyRef<'_>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let numbers = (first..).take(column.num_terms());
    let numbers: Vec<u32> = numbers.filter(|number| wanted(*number)).collect();
    let terms: Vec<u64> = numbers
        .iter()
        .map(|number| u64::from(number - first))
        .collect();
    let mut numbers = numbers.into_iter();
    let mut result = Ok(());
    let complete = column.dictionary().sorted_ords_to_term_cb(&terms, |text| {
        if let (Ok(()), Some(number)) = (&result, numbers.next()) {
            result = match std::str::from_utf8(text) {
                Ok(text) => each(number, KeyRef::Text(text)),
                Err(error) => Err(invalid(error).into()),
            };
        }
    })?;
    result?;
    if complete {
        Ok(())
    } else {
        Err(invalid("a text is missing in a dictionary").into())
    }
}
