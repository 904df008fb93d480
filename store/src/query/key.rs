//! The value that requests are grouped by.
//!
//! Owns equality and order of values of different types. Invariant: a number is one value whether it was stored as a whole
//! number or beside fractions.

use std::cmp::Ordering;
use std::fmt;

use tantivy_columnar::MonotonicallyMappableToU64;
use tantivy_common::DateTime;

use crate::time;

/// A value of a field, or that there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// A number with a fraction.
    Fraction(Fraction),
    /// A text.
    Text(Box<str>),
    /// The field is missing.
    Missing,
}

/// A number with a fraction, or one too large for the whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fraction(u64);

impl Fraction {
    /// The number.
    pub fn get(self) -> f64 {
        f64::from_bits(self.0)
    }
}

/// Type of the values of a column that has no dictionary.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Bool,
    I64,
    U64,
    F64,
    Time,
}

impl Key {
    pub(super) fn number(number: f64) -> Self {
        // Every whole number of that size is exact in both types.
        const EXACT: f64 = 1e18;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and within the range of i128"
        )]
        if number.fract() == 0.0 && number.abs() < EXACT {
            return Self::Integer(number as i128);
        }
        Self::Fraction(Fraction(number.to_bits()))
    }

    /// The value that a column keeps as this `u64`.
    pub(super) fn of(kind: Kind, raw: u64) -> Self {
        match kind {
            Kind::Bool => Self::Bool(bool::from_u64(raw)),
            Kind::I64 => Self::Integer(i64::from_u64(raw).into()),
            Kind::U64 => Self::Integer(raw.into()),
            Kind::F64 => Self::number(f64::from_u64(raw)),
            Kind::Time => {
                let time = time::text(DateTime::from_u64(raw).into_timestamp_millis());
                Self::Text(time.unwrap_or_default().into())
            }
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) | Self::Fraction(_) => 0,
            Self::Bool(_) => 1,
            Self::Text(_) => 2,
            Self::Missing => 3,
        }
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// Numbers by size, then booleans, texts by their bytes, and what has no value.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => one.cmp(other),
            (Self::Fraction(one), Self::Fraction(other)) => one.get().total_cmp(&other.get()),
            (Self::Integer(one), Self::Fraction(other)) => {
                (*one as f64).total_cmp(&other.get()).then(Ordering::Less)
            }
            (Self::Fraction(one), Self::Integer(other)) => one
                .get()
                .total_cmp(&(*other as f64))
                .then(Ordering::Greater),
            (Self::Bool(one), Self::Bool(other)) => one.cmp(other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (one, other) => one.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// As the value is written in a filter; nothing for [`Key::Missing`].
impl fmt::Display for Key {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(out),
            Self::Integer(number) => number.fmt(out),
            Self::Fraction(number) => number.get().fmt(out),
            Self::Text(text) => text.fmt(out),
            Self::Missing => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_ordered_by_size_and_bytes_and_a_missing_one_comes_last() {
        let mut keys = [
            Key::Missing,
            Key::from("b"),
            Key::from("a"),
            Key::from("-"),
            Key::Bool(true),
            Key::number(404.0),
            Key::number(0.5),
            Key::Integer(-1),
            Key::Integer(u64::MAX.into()),
        ];
        keys.sort();
        let shown: Vec<String> = keys.iter().map(Key::to_string).collect();
        assert_eq!(
            shown,
            [
                "-1",
                "0.5",
                "404",
                "18446744073709551615",
                "true",
                "-",
                "a",
                "b",
                ""
            ]
        );
        assert_eq!(Key::number(404.0), Key::of(Kind::I64, 404_i64.to_u64()));
        assert_eq!(Key::number(404.0), Key::of(Kind::U64, 404));
    }
}
