//! How many rows each group has.
//!
//! Owns the groups of all segments together. Invariant: counts are exact; what does not fit into memory is an error, never a
//! cut.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::groups::{Groups, KeyRef};
use super::key::Key;
use super::rows::Rows;
use super::{Fault, MOST_GROUP_BYTES, MOST_GROUPS, Part, QueryError, Scope, parts};
use crate::segment::Segment;

/// Rows by the value of a field.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    rows: u64,
    texts: HashMap<Box<str>, u64>,
    /// All keys that are no texts.
    others: HashMap<Key, u64>,
    /// Length of all texts.
    bytes: usize,
}

impl Counts {
    /// Counts the rows of these segments by `field`.
    ///
    /// # Errors
    ///
    /// A segment cannot be read, or the field has more than [`MOST_GROUPS`] values.
    pub fn of(parts: &[Part], scope: &Scope, field: &str) -> Result<Self, QueryError> {
        let counted = parts::each(parts, field, Self::default, |counts, segment| {
            counts.add(scope, field, segment)
        })?;
        let mut counted = counted.into_iter();
        let mut all = counted.next().unwrap_or_default();
        for counts in counted {
            all.merge(counts).map_err(|fault| fault.of("", field))?;
        }
        Ok(all)
    }

    /// Rows in all groups together, each counted once.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Groups, the one of the rows without a value included.
    pub fn len(&self) -> usize {
        self.texts.len() + self.others.len()
    }

    /// Whether no row was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The groups with the most rows, at most `limit`. Those with equal counts are in the order of their keys.
    pub fn top(&self, limit: usize) -> Vec<(Key, u64)> {
        let mut texts: Vec<(Reverse<u64>, &str)> = self
            .texts
            .iter()
            .map(|(text, count)| (Reverse(*count), &**text))
            .collect();
        if limit < texts.len() {
            texts.select_nth_unstable(limit);
            texts.truncate(limit);
        }
        let texts = texts
            .into_iter()
            .map(|(Reverse(count), text)| (Key::from(text), count));
        let others = self.others.iter().map(|(key, count)| (key.clone(), *count));
        let mut top: Vec<(Key, u64)> = texts.chain(others).collect();
        top.sort_by(|(key, count), (other, than)| than.cmp(count).then(key.cmp(other)));
        top.truncate(limit);
        top
    }

    fn add(&mut self, scope: &Scope, field: &str, segment: &Segment) -> Result<(), Fault> {
        let Some(mut rows) = Rows::new(scope, segment, false)? else {
            return Ok(());
        };
        let mut groups = Groups::all(segment, field)?;
        let mut counts = vec![0_u32; groups.count()];
        let all = &mut self.rows;
        rows.each(|block| {
            *all += block.rows.len() as u64;
            let pairs = groups.of(&block.rows)?;
            for (_, number) in pairs {
                let number = *number as usize;
                if counts.len() <= number {
                    // A value without a dictionary that was not met before.
                    counts.resize(number + 1, 0);
                }
                counts[number] += 1;
            }
            Ok::<(), Fault>(())
        })?;
        let wanted = |number: u32| counts.get(number as usize).is_some_and(|count| *count > 0);
        groups.keys(wanted, |number, key| {
            let count = u64::from(counts[number as usize]);
            self.count(key, count)
        })
    }

    fn count(&mut self, key: KeyRef<'_>, count: u64) -> Result<(), Fault> {
        match key {
            KeyRef::Text(text) => match self.texts.get_mut(text) {
                Some(so_far) => *so_far += count,
                None => {
                    self.texts.insert(text.into(), count);
                    self.bytes += text.len();
                }
            },
            KeyRef::Key(Key::Text(text)) => return self.count(KeyRef::Text(&text), count),
            KeyRef::Key(key) => *self.others.entry(key).or_default() += count,
        }
        if self.len() > MOST_GROUPS || self.bytes > MOST_GROUP_BYTES {
            return Err(Fault::TooManyGroups);
        }
        Ok(())
    }

    fn merge(&mut self, other: Self) -> Result<(), Fault> {
        self.rows += other.rows;
        for (text, count) in other.texts {
            self.count(KeyRef::Text(&text), count)?;
        }
        for (key, count) in other.others {
            self.count(KeyRef::Key(key), count)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_values_or_longer_ones_than_fit_are_an_error() {
        let mut counts = Counts::default();
        let long = "x".repeat(MOST_GROUP_BYTES / 2 + 1);
        assert!(counts.count(KeyRef::Text(&long), 1).is_ok());
        assert!(counts.count(KeyRef::Text(&long), 1).is_ok());
        assert!(counts.count(KeyRef::Text(&format!("{long}1")), 1).is_err());

        let mut counts = Counts::default();
        for number in 0..MOST_GROUPS as i128 {
            assert!(counts.count(KeyRef::Key(Key::Integer(number)), 1).is_ok());
        }
        assert!(counts.count(KeyRef::Key(Key::Integer(0)), 1).is_ok());
        assert!(counts.count(KeyRef::Text("one more"), 1).is_err());
    }
}
