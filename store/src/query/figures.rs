//! The figures of chosen groups, and of intervals of time.
//!
//! Owns the fields that figures come from. Invariant: counts and sums are exact; memory depends on the number of groups and
//! intervals that were asked for, not on the number of rows.

use std::collections::HashMap;
use std::io;

use super::columns::Numbers;
use super::groups::Groups;
use super::histogram::Histogram;
use super::key::Key;
use super::rows::Rows;
use super::{Fault, Part, QueryError, Scope, parts};
use crate::segment::Segment;

/// The field of the response's status.
const STATUS: &str = "http.response.status_code";
/// The field of the duration, in nanoseconds.
const DURATION: &str = "event.duration";
/// The field of the bytes that were sent, without headers.
const BYTES: &str = "http.response.body.bytes";

/// The figures of some rows.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    /// Rows.
    pub count: u64,
    /// Rows with a status of 400 or above.
    pub errors: u64,
    /// Rows with a status of 500 or above.
    pub server_errors: u64,
    /// Sum of `http.response.body.bytes`.
    pub bytes: i128,
    /// The durations, `event.duration`, in nanoseconds.
    pub durations: Histogram,
}

impl Figures {
    fn add(&mut self, values: Values) {
        self.count += 1;
        self.errors += u64::from(values.status >= 400);
        self.server_errors += u64::from(values.status >= 500);
        self.bytes += i128::from(values.bytes);
        // A row without a duration has a negative one here.
        if let Ok(duration) = u64::try_from(values.duration) {
            self.durations.add(duration);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.errors += other.errors;
        self.server_errors += other.server_errors;
        self.bytes += other.bytes;
        self.durations.merge(&other.durations);
    }
}

/// Of one row.
struct Values {
    status: i64,
    bytes: i64,
    duration: i64,
}

/// The columns that figures come from.
struct Sources {
    status: Numbers,
    bytes: Numbers,
    duration: Numbers,
}

impl Sources {
    fn new(segment: &Segment) -> io::Result<Self> {
        Ok(Self {
            status: Numbers::new(segment.columns(STATUS)?, 0),
            bytes: Numbers::new(segment.columns(BYTES)?, 0),
            duration: Numbers::new(segment.columns(DURATION)?, -1),
        })
    }

    fn of(&mut self, rows: &[u32]) -> impl Fn(usize) -> Values {
        let (status, bytes) = (self.status.read(rows), self.bytes.read(rows));
        let duration = self.duration.read(rows);
        move |place| Values {
            status: status[place],
            bytes: bytes[place],
            duration: duration[place],
        }
    }
}

/// The figures of the groups with these keys, in their order.
///
/// # Errors
///
/// A segment cannot be read.
pub fn figures(
    parts: &[Part],
    scope: &Scope,
    field: &str,
    keys: &[Key],
) -> Result<Vec<Figures>, QueryError> {
    let chosen = places(keys);
    let make = || vec![Figures::default(); keys.len()];
    let found = parts::each(parts, field, make, |figures, segment| {
        let Some(mut rows) = Rows::new(scope, segment, false)? else {
            return Ok(());
        };
        let mut groups = Groups::chosen(segment, field, &chosen)?;
        let mut sources = Sources::new(segment)?;
        let (mut wanted, mut members) = (Vec::new(), Vec::new());
        rows.each(|block| {
            wanted.clear();
            members.clear();
            for (place, number) in groups.of(&block.rows)? {
                let (row, number) = (block.rows[*place as usize], *number as usize);
                if number < keys.len() {
                    if wanted.last() != Some(&row) {
                        wanted.push(row);
                    }
                    members.push((wanted.len() - 1, number));
                }
            }
            let values = sources.of(&wanted);
            for (row, number) in &members {
                figures[*number].add(values(*row));
            }
            Ok::<(), Fault>(())
        })
    })?;
    let mut found = found.into_iter();
    let mut all = found.next().unwrap_or_else(make);
    for other in found {
        for (one, other) in all.iter_mut().zip(&other) {
            one.merge(other);
        }
    }
    Ok(all)
}

/// The figures of an interval of time.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    /// Of all rows in the interval.
    pub figures: Figures,
    /// Rows of each chosen key, and, in the last place, rows with another value. Empty when nothing was chosen.
    pub counts: Vec<u64>,
}

/// The figures of the intervals that begin at `starts`, in milliseconds since 1970, in ascending order; the first one begins
/// not after the scope. `by` is a field and the values of it that are counted apart.
///
/// A row counts once for each chosen key that it has, and once as another value when it has at least one.
///
/// # Errors
///
/// A segment cannot be read.
pub fn timeline(
    parts: &[Part],
    scope: &Scope,
    starts: &[i64],
    by: Option<(&str, &[Key])>,
) -> Result<Vec<Bucket>, QueryError> {
    let field = by.map_or("", |(field, _)| field);
    let chosen = by.map(|(_, keys)| places(keys)).unwrap_or_default();
    let make = || {
        let counts = by.map_or(0, |(_, keys)| keys.len() + 1);
        let bucket = Bucket {
            figures: Figures::default(),
            counts: vec![0; counts],
        };
        vec![bucket; starts.len()]
    };
    let found = parts::each(parts, field, make, |buckets, segment| {
        let Some(mut rows) = Rows::new(scope, segment, true)? else {
            return Ok(());
        };
        let mut groups = match by {
            Some((field, _)) => Some(Groups::chosen(segment, field, &chosen)?),
            None => None,
        };
        let mut sources = Sources::new(segment)?;
        let mut of = Vec::new();
        let mut current = Current::default();
        rows.each(|block| {
            let values = sources.of(&block.rows);
            of.clear();
            for (place, time) in block.times.iter().enumerate() {
                let bucket = current.find(starts, *time);
                buckets[bucket].figures.add(values(place));
                of.push(bucket);
            }
            if let Some(groups) = &mut groups {
                for (place, number) in groups.of(&block.rows)? {
                    buckets[of[*place as usize]].counts[*number as usize] += 1;
                }
            }
            Ok::<(), Fault>(())
        })
    })?;
    let mut found = found.into_iter();
    let mut all = found.next().unwrap_or_else(make);
    for other in found {
        for (one, other) in all.iter_mut().zip(&other) {
            one.figures.merge(&other.figures);
            for (one, other) in one.counts.iter_mut().zip(&other.counts) {
                *one += other;
            }
        }
    }
    Ok(all)
}

/// The interval of the row before: rows are nearly in the order of their times.
#[derive(Default)]
struct Current {
    bucket: usize,
    from: i64,
    to: i64,
}

impl Current {
    fn find(&mut self, starts: &[i64], time: i64) -> usize {
        if time < self.from || self.to <= time {
            let behind = starts.partition_point(|start| *start <= time);
            self.bucket = behind.saturating_sub(1);
            self.from = starts.get(self.bucket).copied().unwrap_or(i64::MIN);
            self.to = starts.get(behind).copied().unwrap_or(i64::MAX);
        }
        self.bucket
    }
}

/// The place of each key.
fn places(keys: &[Key]) -> HashMap<Key, u32> {
    keys.iter().cloned().zip(0..).collect()
}
