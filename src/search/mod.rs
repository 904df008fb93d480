//! Questions about requests, and the engines that answer them.
//!
//! Owns the questions as types, and the answer: a table that says of each figure whether it is exact. Refuses to know how an
//! answer is shown. Invariant: the same question over the same requests has the same counts and sums on every engine;
//! percentiles are within the stated error.
//!
//! A question is about requests whose `@timestamp` is in a range and that fulfil all conditions. A request counts once in each
//! value of a list; without a value it counts in a group of its own.

pub(crate) mod answer;
pub(crate) mod fields;
pub(crate) mod intervals;
pub(crate) mod store;
pub(crate) mod times;
pub(crate) mod zone;

use logweir_store::query::Filter;

use self::answer::Answer;

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Question {
    /// Which values of a field have the most requests.
    Top(Top),
    /// How many requests there were when.
    Timeline(Timeline),
}

/// The requests that a question is about.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    pub(crate) range: Range,
    /// Conditions that all must hold.
    pub(crate) filters: Vec<Filter>,
}

/// Times in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    /// The first one.
    pub(crate) from: i64,
    /// The one behind the last.
    pub(crate) to: i64,
}

/// The values of a field with the most requests; equal ones in the order of the values.
#[derive(Debug, Clone)]
pub(crate) struct Top {
    pub(crate) subject: Subject,
    /// An ECS field.
    pub(crate) by: String,
    pub(crate) limit: usize,
}

/// Requests in each interval.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    pub(crate) subject: Subject,
    /// The intervals' beginnings, in ascending order: the first one is not after the range, the last one within it.
    pub(crate) starts: Vec<i64>,
    /// A field, and how many of its most frequent values are counted apart.
    pub(crate) by: Option<(String, usize)>,
}

impl Question {
    pub(crate) fn subject(&self) -> &Subject {
        match self {
            Self::Top(top) => &top.subject,
            Self::Timeline(timeline) => &timeline.subject,
        }
    }

    /// The field that requests are grouped by.
    pub(crate) fn by(&self) -> Option<&str> {
        match self {
            Self::Top(top) => Some(&top.by),
            Self::Timeline(timeline) => timeline.by.as_ref().map(|(field, _)| &**field),
        }
    }
}

/// A place where requests are kept, which answers questions about them.
pub(crate) trait Engine {
    /// Answers a question.
    ///
    /// # Errors
    ///
    /// See [`EngineError`].
    fn answer(&self, question: &Question) -> Result<Answer, EngineError>;
}

/// A question without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EngineError {
    /// The requests cannot be reached.
    #[error("{0}")]
    Unavailable(String),
    /// What is kept is damaged.
    #[error("{0}")]
    Damaged(String),
    /// There are more different values than can be counted.
    #[error("{0}")]
    TooMuch(String),
    /// No request has a field that the question names.
    #[error("{}", fields::unknown(.0, "no request of that time has such a field"))]
    UnknownField(String),
}
