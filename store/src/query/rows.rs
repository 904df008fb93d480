//! The rows of a segment that a question is about, in blocks.
//!
//! Owns the range of times and the order in which conditions are tried. Invariant: a row is given once, in ascending order,
//! if and only if its time is in the range and it fulfils every condition; a row without a time is in no range.

use std::io;

use tantivy_common::DateTime;

use super::Scope;
use super::columns::{BLOCK, Scan, invalid};
use super::filter::Condition;
use crate::segment::Segment;

/// The rows to look at.
pub(super) struct Rows {
    all: u32,
    /// First and last time, in milliseconds.
    within: (i64, i64),
    /// The times, where they must be looked at.
    times: Option<Scan<DateTime>>,
    conditions: Vec<Condition>,
}

/// Some of the rows, and their times where they were asked for.
#[derive(Default)]
pub(super) struct Block {
    pub(super) rows: Vec<u32>,
    pub(super) times: Vec<i64>,
}

impl Rows {
    /// `None` when no row of the segment is in the range or fulfils the conditions.
    pub(super) fn new(
        scope: &Scope,
        segment: &Segment,
        with_times: bool,
    ) -> io::Result<Option<Self>> {
        if segment.rows() == 0 {
            return Ok(None);
        }
        let timestamps = segment.timestamps()?;
        let column = timestamps.column();
        if column.num_docs() != segment.rows() {
            return Err(invalid("@timestamp has another number of rows"));
        }
        let first = column.min_value().into_timestamp_millis();
        let last = column.max_value().into_timestamp_millis();
        if last < scope.from || first >= scope.to {
            return Ok(None);
        }
        let mut conditions = Vec::new();
        for filter in &scope.filters {
            let condition = Condition::new(filter, segment)?;
            if condition.is_never() {
                return Ok(None);
            }
            conditions.push(condition);
        }
        let is_whole = scope.from <= first
            && last < scope.to
            && column.values.num_vals() == segment.rows()
            && column.index.get_cardinality().is_full();
        Ok(Some(Self {
            all: segment.rows(),
            within: (scope.from, scope.to),
            times: (with_times || !is_whole).then(|| Scan::new(column.clone())),
            conditions,
        }))
    }

    /// Calls `each` with every block that has rows.
    pub(super) fn each<E>(
        &mut self,
        mut each: impl FnMut(&Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut all = Vec::with_capacity(BLOCK);
        let mut block = Block::default();
        let mut start = 0;
        while start < self.all {
            let end = self
                .all
                .min(start.saturating_add(u32::try_from(BLOCK).unwrap_or(u32::MAX)));
            all.clear();
            all.extend(start..end);
            start = end;
            block.rows.clear();
            block.times.clear();
            match &mut self.times {
                None => block.rows.extend_from_slice(&all),
                Some(times) => {
                    let (from, to) = self.within;
                    let (rows, times) = times.read(&all);
                    for (row, time) in rows.iter().zip(times) {
                        let time = time.into_timestamp_millis();
                        if from <= time && time < to {
                            block.rows.push(*row);
                            block.times.push(time);
                        }
                    }
                }
            }
            for condition in &mut self.conditions {
                if block.rows.is_empty() {
                    break;
                }
                let hits = condition.test(&block.rows);
                keep(&mut block.rows, hits);
                if !block.times.is_empty() {
                    keep(&mut block.times, hits);
                }
            }
            if !block.rows.is_empty() {
                each(&block)?;
            }
        }
        Ok(())
    }
}

/// Keeps what is marked.
fn keep<T>(values: &mut Vec<T>, marks: &[bool]) {
    let mut marks = marks.iter();
    values.retain(|_| marks.next().is_some_and(|mark| *mark));
}
