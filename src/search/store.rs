//! Answers from the embedded store.
//!
//! Owns how a question becomes counts over segments. Refuses to know where segments lie. Invariant: all segments are held open
//! until the answer is there, so that it is about one state of the store.

use std::io;
use std::path::Path;

use logweir_store::query::{
    Counts, Figures, Key, Part, QueryError, RELATIVE_ERROR, Scope, figures, has_field, timeline,
};
use logweir_store::{Reader, StoreError};

use super::answer::{Answer, Cell, Column, Content, Precision};
use super::{Engine, EngineError, Question, Range, Timeline, Top, fields};

/// The percentiles of an answer.
const PERCENTS: [u8; 3] = [50, 95, 99];

/// The embedded store in a directory.
pub(crate) struct Store<'p> {
    pub(crate) path: &'p Path,
}

impl Engine for Store<'_> {
    fn answer(&self, question: &Question) -> Result<Answer, EngineError> {
        answer(
            question,
            parts(self.path, question.subject().range)?.into_iter(),
        )
    }
}

/// The segments that may have requests of a range, open.
fn parts(path: &Path, range: Range) -> Result<Vec<io::Result<Part>>, EngineError> {
    let unavailable = |error: StoreError| EngineError::Unavailable(explained(path, &error));
    let reader = Reader::open(path).map_err(unavailable)?;
    let (first, last) = (range.from.div_euclid(1000), range.to.div_euclid(1000));
    let mut parts = Vec::new();
    for day in reader.days().map_err(unavailable)? {
        if day.seconds.0 > last || day.seconds.1 < first {
            continue;
        }
        let segments = reader
            .segments(day.index, first, last)
            .map_err(unavailable)?;
        parts.extend(segments.into_iter().enumerate().map(|(number, segment)| {
            let name = format!("{number} of {}", day.index);
            Ok(Part { name, segment })
        }));
    }
    Ok(parts)
}

/// The error, and what to do where that is known.
fn explained(path: &Path, error: &StoreError) -> String {
    let kind = match error {
        StoreError::Io { source, .. } => Some(source.kind()),
        _ => None,
    };
    match kind {
        Some(io::ErrorKind::NotFound) => format!(
            "there is no store {}: it is made by logweir run where no cluster is configured; is this the agent's configuration?",
            path.display()
        ),
        Some(io::ErrorKind::PermissionDenied) => format!(
            "{error}: the store is for the agent's user and group; ask as a member of that group, or with sudo"
        ),
        _ => error.to_string(),
    }
}

/// Answers a question about the requests in these segments. Those without a request of its range may be left out.
///
/// # Errors
///
/// A segment cannot be read, the field has too many values, or no segment has a field that is not mapped either.
pub(crate) fn answer(
    question: &Question,
    segments: impl Iterator<Item = io::Result<Part>>,
) -> Result<Answer, EngineError> {
    let unreadable = |error: io::Error| EngineError::Unavailable(error.to_string());
    let parts: Vec<Part> = segments.collect::<io::Result<_>>().map_err(unreadable)?;
    check_fields(question, &parts)?;
    let subject = question.subject();
    let scope = Scope {
        from: subject.range.from,
        to: subject.range.to,
        filters: subject.filters.clone(),
    };
    match question {
        Question::Top(question) => top(question, &scope, &parts),
        Question::Timeline(question) => over_time(question, &scope, &parts),
    }
}

/// A field that nobody writes is a slip of the pen more often than a question.
fn check_fields(question: &Question, parts: &[Part]) -> Result<(), EngineError> {
    let filters = question.subject().filters.iter();
    let named = question
        .by()
        .into_iter()
        .chain(filters.map(|filter| &*filter.field));
    for field in named.filter(|field| !fields::is_mapped(field)) {
        let mut known = false;
        for part in parts {
            known = known || has_field(part, field)?;
        }
        if !known {
            return Err(EngineError::UnknownField(field.to_owned()));
        }
    }
    Ok(())
}

fn top(question: &Top, scope: &Scope, parts: &[Part]) -> Result<Answer, EngineError> {
    let counts = Counts::of(parts, scope, &question.by)?;
    let keys = counts.top(question.limit).into_iter().map(|(key, _)| key);
    let keys: Vec<Key> = keys.collect();
    let figures = figures(parts, scope, &question.by, &keys)?;
    let all = counts.rows();
    let rows = keys.into_iter().zip(&figures).map(|(key, figures)| {
        let share = figures.count as f64 / all.max(1) as f64;
        let mut row = vec![cell(key), whole(figures.count), Cell::Fraction(share)];
        row.extend(cells(figures));
        row
    });
    let mut columns: Vec<Column> = [Content::Key, Content::Count, Content::Share]
        .map(Column::exact)
        .into();
    columns.extend(figure_columns());
    Ok(Answer {
        columns,
        rows: rows.collect(),
        requests: all,
        values: Some(counts.len() as u64),
    })
}

fn over_time(question: &Timeline, scope: &Scope, parts: &[Part]) -> Result<Answer, EngineError> {
    let (mut keys, mut values) = (Vec::new(), None);
    if let Some((field, limit)) = &question.by {
        let counts = Counts::of(parts, scope, field)?;
        keys = counts.top(*limit).into_iter().map(|(key, _)| key).collect();
        values = Some(counts.len() as u64);
    }
    let by = question.by.as_ref().map(|(field, _)| (&**field, &*keys));
    let buckets = timeline(parts, scope, &question.starts, by)?;
    let requests = buckets.iter().map(|bucket| bucket.figures.count).sum();
    let rows = question.starts.iter().zip(&buckets).map(|(start, bucket)| {
        let mut row = vec![Cell::Whole((*start).into()), whole(bucket.figures.count)];
        row.extend(cells(&bucket.figures));
        row.extend(bucket.counts.iter().map(|count| whole(*count)));
        row
    });
    let rows = rows.collect();
    let mut columns: Vec<Column> = [Content::Time, Content::Count].map(Column::exact).into();
    columns.extend(figure_columns());
    columns.extend(
        keys.into_iter()
            .map(|key| Column::exact(Content::Value(cell(key)))),
    );
    columns.extend(by_other(question));
    Ok(Answer {
        columns,
        rows,
        requests,
        values,
    })
}

fn by_other(question: &Timeline) -> Option<Column> {
    question.by.as_ref().map(|_| Column::exact(Content::Other))
}

/// The columns of [`cells`].
fn figure_columns() -> impl Iterator<Item = Column> {
    let percentiles = PERCENTS.map(|percent| Column {
        content: Content::Percentile(percent),
        precision: Precision::Within(RELATIVE_ERROR),
    });
    [Content::Errors, Content::ServerErrors]
        .map(Column::exact)
        .into_iter()
        .chain(percentiles)
        .chain([Column::exact(Content::Bytes)])
}

fn cells(figures: &Figures) -> impl Iterator<Item = Cell> + '_ {
    let percentiles = PERCENTS.map(|percent| {
        let found = figures.durations.percentile(percent);
        found.map_or(Cell::Missing, whole)
    });
    [whole(figures.errors), whole(figures.server_errors)]
        .into_iter()
        .chain(percentiles)
        .chain([Cell::Whole(figures.bytes)])
}

fn whole(number: u64) -> Cell {
    Cell::Whole(number.into())
}

fn cell(key: Key) -> Cell {
    match key {
        Key::Bool(value) => Cell::Flag(value),
        Key::Integer(number) => Cell::Whole(number),
        Key::Fraction(number) => Cell::Fraction(number.get()),
        Key::Text(text) => Cell::Text(text.into()),
        Key::Missing => Cell::Missing,
    }
}

impl From<QueryError> for EngineError {
    fn from(error: QueryError) -> Self {
        let text = error.to_string();
        match error {
            QueryError::Open(_) => Self::Unavailable(text),
            QueryError::Read { .. } | QueryError::Damaged { .. } => Self::Damaged(text),
            QueryError::TooManyGroups { .. } => Self::TooMuch(text),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
