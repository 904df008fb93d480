//! The target of records in the cluster: an index for each day, or a data stream.
//!
//! Owns the names derived from the setting. Refuses to know which objects have these names.

use std::fmt;

use chrono::NaiveDate;

use super::settings::{self, Section};
use super::{DataStream, IndexPattern};

/// An arbitrary day.
const EXAMPLE_DAY: NaiveDate = NaiveDate::from_ymd_opt(2026, 1, 2).unwrap();

/// The target of records in the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IndexTarget {
    /// An index for each day of the event, in UTC.
    Daily(IndexPattern),
    /// One data stream for all records.
    Stream(DataStream),
}

impl IndexTarget {
    /// The target if nothing is set. It is never `None`, because a test reads the default of the table.
    pub fn default_target() -> Option<Self> {
        let setting = settings::find(Section::Elasticsearch, "index")?;
        let pattern = IndexPattern::parse(setting.default.trim_matches('"')).ok()?;
        Some(pattern.into())
    }

    /// The setting as written in the configuration.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Daily(pattern) => pattern.as_str(),
            Self::Stream(stream) => stream.as_str(),
        }
    }

    /// The data stream, where it is one.
    pub fn stream(&self) -> Option<&DataStream> {
        match self {
            Self::Daily(_) => None,
            Self::Stream(stream) => Some(stream),
        }
    }

    /// The identity of the target in the checkpoint: positions of one target do not count for another.
    pub fn output(&self) -> String {
        match self {
            Self::Daily(pattern) => format!("elasticsearch:{pattern}"),
            Self::Stream(stream) => format!("elasticsearch data stream:{stream}"),
        }
    }

    /// The name of the index template and what belongs to it.
    pub fn template(&self) -> String {
        match self {
            Self::Daily(pattern) => pattern.template(),
            Self::Stream(stream) => stream.template().to_owned(),
        }
    }

    /// The pattern of the names that the template applies to.
    pub fn wildcard(&self) -> String {
        match self {
            Self::Daily(pattern) => pattern.wildcard(),
            Self::Stream(stream) => stream.wildcard(),
        }
    }

    /// An example of a name that records with a time go to.
    pub fn example(&self) -> String {
        match self {
            Self::Daily(pattern) => pattern.name(EXAMPLE_DAY),
            Self::Stream(stream) => stream.as_str().to_owned(),
        }
    }

    /// The index of lines without a readable time, where they have one of their own.
    pub fn unparsed(&self) -> Option<String> {
        match self {
            Self::Daily(pattern) => Some(pattern.unparsed()),
            Self::Stream(_) => None,
        }
    }

    /// An expression that matches all our indices, and no other.
    pub fn all(&self) -> String {
        match self {
            Self::Daily(pattern) => pattern.wildcard(),
            Self::Stream(stream) => stream.as_str().to_owned(),
        }
    }
}

impl fmt::Display for IndexTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<IndexPattern> for IndexTarget {
    fn from(pattern: IndexPattern) -> Self {
        Self::Daily(pattern)
    }
}

impl From<DataStream> for IndexTarget {
    fn from(stream: DataStream) -> Self {
        Self::Stream(stream)
    }
}
