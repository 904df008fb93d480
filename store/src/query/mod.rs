//! Counts rows of segments: by the values of a field, and over time.
//!
//! Owns exact counting with bounded memory. Refuses to know where segments lie, and what people call a field. Invariant:
//! counts and sums are exact whatever the segments; percentiles have a stated error ([`RELATIVE_ERROR`]).
//!
//! A question takes up to two passes. [`Counts`] counts all groups and chooses the largest; [`figures`] and [`timeline`] then
//! compute what only those need. Both passes see the same segments, which the caller holds open.

mod columns;
mod counts;
mod figures;
mod filter;
mod groups;
mod histogram;
mod key;
mod parts;
mod rows;
#[cfg(test)]
mod tests;

use std::io;

use crate::segment::Segment;

pub use counts::Counts;
pub use figures::{Bucket, Figures, figures, timeline};
pub use filter::{Filter, Pattern, Test};
pub use histogram::{Histogram, RELATIVE_ERROR};
pub use key::{Fraction, Key};

/// Values of a field that can be counted at once. They take about 100 MB for each processor.
pub const MOST_GROUPS: usize = 1_000_000;
/// Bytes of the texts among them.
pub const MOST_GROUP_BYTES: usize = 128 << 20;

/// A segment, and the name that errors call it by.
#[derive(Clone)]
pub struct Part {
    /// Such as the path of its file.
    pub name: String,
    /// The segment.
    pub segment: Segment,
}

/// The rows that are counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// First time, in milliseconds since 1970.
    pub from: i64,
    /// The time behind the last one.
    pub to: i64,
    /// Conditions that all must hold.
    pub filters: Vec<Filter>,
}

/// Rows that could not be counted.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// Segments could not be opened, or threads not started.
    #[error("the segments cannot be read: {0}")]
    Open(#[source] io::Error),
    /// A segment could not be read.
    #[error("segment {segment} cannot be read: {source}")]
    Read {
        /// Its name.
        segment: String,
        /// The reason.
        source: io::Error,
    },
    /// The library that reads columns gave up.
    #[error("segment {segment} is damaged: {reason}")]
    Damaged {
        /// Its name.
        segment: String,
        /// The message of the library.
        reason: String,
    },
    /// There are more groups than can be counted.
    #[error(
        "{field} has more than {MOST_GROUPS} different values here, or values of more than {} MiB: \
         ask about a shorter time, or about fewer requests with a condition",
        MOST_GROUP_BYTES >> 20
    )]
    TooManyGroups {
        /// The field.
        field: String,
    },
}

/// What ends the work on a segment.
#[derive(Debug)]
enum Fault {
    Io(io::Error),
    TooManyGroups,
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl Fault {
    fn of(self, segment: &str, field: &str) -> QueryError {
        match self {
            Self::Io(source) => QueryError::Read {
                segment: segment.to_owned(),
                source,
            },
            Self::TooManyGroups => QueryError::TooManyGroups {
                field: field.to_owned(),
            },
        }
    }
}

/// Whether a segment has values of a field.
///
/// # Errors
///
/// The segment cannot be read.
pub fn has_field(part: &Part, field: &str) -> Result<bool, QueryError> {
    let columns = part.segment.columns(field);
    columns.map_or_else(
        |error| Err(Fault::Io(error).of(&part.name, field)),
        |columns| Ok(!columns.is_empty()),
    )
}
