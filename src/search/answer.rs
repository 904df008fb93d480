//! The answer to a question: a typed table.
//!
//! Owns the columns and their precision. Refuses to know how they are shown.

/// A table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) columns: Vec<Column>,
    pub(crate) rows: Vec<Vec<Cell>>,
    /// Requests that the question is about, each counted once.
    pub(crate) requests: u64,
    /// Different values of the field that they are grouped by, the missing one included.
    pub(crate) values: Option<u64>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    pub(crate) content: Content,
    pub(crate) precision: Precision,
}

/// What a column says.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Content {
    /// The value of the field that requests are grouped by.
    Key,
    /// The beginning of an interval.
    Time,
    /// Requests.
    Count,
    /// Their part of all requests, 0 to 1.
    Share,
    /// Requests with a status of 400 or above.
    Errors,
    /// Requests with a status of 500 or above.
    ServerErrors,
    /// The duration that so many percent of the requests did not exceed, in nanoseconds.
    Percentile(u8),
    /// The sum of the responses' bodies, in bytes.
    Bytes,
    /// Requests with this value.
    Value(Cell),
    /// Requests with a value that has no column.
    Other,
}

/// How far a figure may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Precision {
    /// It is as it says.
    Exact,
    /// It differs by at most this part of the true value.
    Within(f64),
}

/// A value in a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// There is none.
    Missing,
    Text(String),
    Flag(bool),
    Whole(i128),
    Fraction(f64),
}

impl Content {
    /// A short name in lower case, the same in every form of an answer.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Key => "key",
            Self::Time => "time",
            Self::Count => "count",
            Self::Share => "share",
            Self::Errors => "errors",
            Self::ServerErrors => "errors_5xx",
            Self::Percentile(percent) => return format!("p{percent}_ns"),
            Self::Bytes => "bytes",
            Self::Value(_) => "value",
            Self::Other => "other",
        }
        .to_owned()
    }
}

impl Column {
    pub(crate) fn exact(content: Content) -> Self {
        let precision = Precision::Exact;
        Self { content, precision }
    }
}
