//! The forms of an answer: a table for people, JSON and CSV for programs.
//!
//! Owns how figures are written. Refuses to know how they came about. Invariant: text from logs cannot control a terminal, and
//! a value that is missing is never mistaken for one that is there.

pub(super) mod csv;
pub(super) mod json;
pub(super) mod table;
#[cfg(test)]
mod tests;

use crate::search::Question;
use crate::search::answer::Answer;
use crate::search::zone::{self, Zone};

/// An answer, and what was asked.
pub(super) struct Asked<'a> {
    pub(super) question: &'a Question,
    pub(super) answer: &'a Answer,
    pub(super) zone: &'a dyn Zone,
    /// Length of the intervals of a timeline, in seconds.
    pub(super) interval: i64,
    /// As they were written.
    pub(super) conditions: Vec<&'a str>,
}

/// A time as RFC 3339 with milliseconds.
fn rfc3339(zone: &dyn Zone, millis: i128) -> String {
    let millis = i64::try_from(millis).ok();
    let time = millis.and_then(|millis| zone::local(zone, millis));
    time.map_or_else(String::new, |time| {
        time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    })
}
