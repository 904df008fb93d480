//! Limits of batches, the same for every output.
//!
//! The keys are in `[elasticsearch]` for compatibility.

use std::time::Duration;

use super::Problem;
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;
use super::units::Bytes;

/// Sizes and ages of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batches {
    /// Target size of a batch before compression.
    pub batch_bytes: Bytes,
    /// Most documents of a batch.
    pub batch_count: usize,
    /// Greatest age of a batch's first document.
    pub flush_interval: Duration,
    /// Most batches that the output handles at one time.
    pub max_in_flight: usize,
}

/// Reads the keys; without the section, it uses their defaults.
pub(super) fn read(values: Option<&Values>, problems: &mut Vec<Problem>) -> Option<Batches> {
    let mut scope = Scope::new(Section::Elasticsearch, values, problems);
    let batch_bytes = scope.bytes("batch_bytes");
    let batch_count = scope.count("batch_count");
    let flush_interval = scope.duration("flush_interval");
    let max_in_flight = scope.count("max_in_flight");
    Some(Batches {
        batch_bytes: batch_bytes?,
        batch_count: batch_count?,
        flush_interval: flush_interval?,
        max_in_flight: max_in_flight?,
    })
}
