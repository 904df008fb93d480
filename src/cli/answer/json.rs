//! An answer as one JSON object on one line.
//!
//! Owns the names of its members. Invariant: a value has its type, and `null` where it is missing; columns say how far their
//! figures may be off.

use serde_json::{Map, Number, Value, json};

use super::super::terminal::safe_json;
use super::{Asked, rfc3339};
use crate::search::Question;
use crate::search::answer::{Cell, Column, Content, Precision};

pub(in crate::cli) fn text(asked: &Asked<'_>) -> String {
    let Asked {
        question, answer, ..
    } = asked;
    let range = question.subject().range;
    let (name, interval) = match question {
        Question::Top(_) => ("top", Value::Null),
        Question::Timeline(_) => ("timeline", asked.interval.into()),
    };
    let columns = answer.columns.iter().map(column);
    let rows = answer.rows.iter().map(|cells| row(asked, cells));
    let document = json!({
        "question": name,
        "by": question.by(),
        "from": rfc3339(asked.zone, range.from.into()),
        "to": rfc3339(asked.zone, range.to.into()),
        "interval_s": interval,
        "where": asked.conditions,
        "requests": answer.requests,
        "different_values": answer.values,
        "columns": columns.collect::<Vec<_>>(),
        "rows": rows.collect::<Vec<_>>(),
    });
    format!("{}\n", safe_json(&document.to_string()))
}

fn column(column: &Column) -> Value {
    let mut members = Map::new();
    members.insert("name".into(), column.content.name().into());
    if let Content::Value(value) = &column.content {
        members.insert("value".into(), cell(value));
    }
    let (exact, within) = match column.precision {
        Precision::Exact => (true, None),
        Precision::Within(part) => (false, Some(part)),
    };
    members.insert("exact".into(), exact.into());
    if let Some(part) = within {
        members.insert("relative_error".into(), part.into());
    }
    Value::Object(members)
}

/// A row by the names of its columns. Those of values stand in a list, in the order of their columns: a value may be called like
/// a column.
fn row(asked: &Asked<'_>, cells: &[Cell]) -> Value {
    let mut members = Map::new();
    let mut values = Vec::new();
    for (column, value) in asked.answer.columns.iter().zip(cells) {
        let value = match (&column.content, value) {
            (Content::Time, Cell::Whole(millis)) => rfc3339(asked.zone, *millis).into(),
            (_, value) => cell(value),
        };
        if let Content::Value(_) = column.content {
            values.push(value);
        } else {
            members.insert(column.content.name(), value);
        }
    }
    if members.contains_key("other") {
        members.insert("values".into(), values.into());
    }
    Value::Object(members)
}

fn cell(cell: &Cell) -> Value {
    match cell {
        Cell::Missing => Value::Null,
        Cell::Text(text) => text.as_str().into(),
        Cell::Flag(value) => (*value).into(),
        Cell::Fraction(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
        // JSON numbers of this crate end where those of 64 bits do; such a sum is not seen in practice.
        Cell::Whole(number) => i64::try_from(*number)
            .map(Number::from)
            .or_else(|_| u64::try_from(*number).map(Number::from))
            .map_or_else(|_| (*number as f64).into(), Value::Number),
    }
}
