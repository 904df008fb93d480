//! The names of indices: one for each day, one for lines without a readable time.
//!
//! Owns which index a document belongs to. Invariant: it is a function of the document's key alone, so that a line that is
//! read again meets the document that it made before.

use std::fmt;

use chrono::{DateTime, NaiveDate};

use crate::DocumentKey;

/// Names begin as those in Elasticsearch do.
const PREFIX: &str = "nginx-access-";
const UNPARSED: &str = "unparsed";
const SECONDS_PER_DAY: u32 = 86_400;

/// An index, a directory of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Index {
    /// Of the lines without a readable time.
    Unparsed,
    /// Of a day, as days since 1970 (UTC).
    Day(u32),
}

impl Index {
    /// The index of a document.
    pub fn of(key: &DocumentKey) -> Self {
        match key.second {
            0 => Self::Unparsed,
            second => Self::Day(second / SECONDS_PER_DAY),
        }
    }

    /// The index of a directory's name; `None` for other directories.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.strip_prefix(PREFIX)?;
        if name == UNPARSED {
            return Some(Self::Unparsed);
        }
        let date = NaiveDate::parse_from_str(name, "%Y.%m.%d").ok()?;
        let days = date.signed_duration_since(NaiveDate::default()).num_days();
        let index = Self::Day(u32::try_from(days).ok()?);
        (index.to_string().strip_prefix(PREFIX) == Some(name)).then_some(index)
    }
}

impl fmt::Display for Index {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unparsed => write!(out, "{PREFIX}{UNPARSED}"),
            Self::Day(day) => {
                let second = i64::from(*day) * i64::from(SECONDS_PER_DAY);
                let date = DateTime::from_timestamp(second, 0).unwrap_or_default();
                write!(out, "{PREFIX}{}", date.format("%Y.%m.%d"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_its_index() {
        for (index, name) in [
            (Index::Unparsed, "nginx-access-unparsed"),
            (Index::Day(20_780), "nginx-access-2026.11.23"),
            (Index::Day(0), "nginx-access-1970.01.01"),
        ] {
            assert_eq!(index.to_string(), name);
            assert_eq!(Index::parse(name), Some(index));
        }
        for other in [
            "nginx-access-2026.1.2",
            "nginx-access-",
            "x",
            "nginx-access-2026.11.23-1",
        ] {
            assert_eq!(Index::parse(other), None, "{other}");
        }
    }

    #[test]
    fn a_day_begins_at_midnight_utc() {
        let key = |second| DocumentKey {
            second,
            stream: 1,
            offset: 1,
        };
        assert_eq!(Index::of(&key(0)), Index::Unparsed);
        assert_eq!(Index::of(&key(20_780 * 86_400 - 1)), Index::Day(20_779));
        assert_eq!(Index::of(&key(20_780 * 86_400)), Index::Day(20_780));
    }
}
