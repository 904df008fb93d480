//! Rebuilds documents from their columns.
//!
//! Owns the way back of [`super::document`]. Invariant: the document is equal to the one that was written, as JSON: the
//! order of members may differ, and a number may be written otherwise.

use std::io;

use serde_json::{Map, Number, Value};
use tantivy_columnar::DynamicColumn;

use crate::segment::Segment;
use crate::{LIST, time};

/// The documents of a segment.
pub struct Sources {
    columns: Vec<(String, DynamicColumn)>,
}

impl Sources {
    /// Opens all columns of a segment.
    ///
    /// # Errors
    ///
    /// A column cannot be read.
    pub fn of(segment: &Segment) -> io::Result<Self> {
        let mut columns = Vec::new();
        for (name, handle) in segment.reader.list_columns()? {
            if !name.starts_with('[') {
                columns.push((name, handle.open()?));
            }
        }
        Ok(Self { columns })
    }

    /// The document of a row.
    ///
    /// # Errors
    ///
    /// A value cannot be read.
    pub fn get(&self, row: u32) -> io::Result<Value> {
        let mut document = Map::new();
        for (name, column) in &self.columns {
            let values = values(column, row)?;
            match name.strip_suffix(LIST) {
                Some(_) if values.is_empty() => {}
                Some(name) => match slot(&mut document, name) {
                    Value::Array(list) => list.extend(values),
                    other => *other = Value::Array(values),
                },
                None => {
                    if let Some(value) = values.into_iter().next() {
                        *slot(&mut document, name) = value;
                    }
                }
            }
        }
        Ok(Value::Object(document))
    }
}

/// The place of a field in the document; the objects around it are made.
fn slot<'d>(mut object: &'d mut Map<String, Value>, field: &str) -> &'d mut Value {
    let mut rest = field;
    while let Some((name, inner)) = rest.split_once('.') {
        let value = object.entry(name).or_insert(Value::Null);
        if !value.is_object() {
            *value = Value::Object(Map::new());
        }
        match value {
            Value::Object(inside) => object = inside,
            // it was made one just now
            other => return other,
        }
        rest = inner;
    }
    object.entry(rest).or_insert(Value::Null)
}

fn values(column: &DynamicColumn, row: u32) -> io::Result<Vec<Value>> {
    Ok(match column {
        DynamicColumn::Bool(column) => column.values_for_doc(row).map(Value::Bool).collect(),
        DynamicColumn::I64(column) => column.values_for_doc(row).map(Value::from).collect(),
        DynamicColumn::U64(column) => column.values_for_doc(row).map(Value::from).collect(),
        DynamicColumn::F64(column) => column.values_for_doc(row).map(fraction).collect(),
        DynamicColumn::DateTime(column) => column
            .values_for_doc(row)
            .filter_map(|time| time::text(time.into_timestamp_millis()))
            .map(Value::String)
            .collect(),
        DynamicColumn::Str(column) => column
            .term_ords(row)
            .map(|ord| {
                let mut text = String::new();
                column.ord_to_str(ord, &mut text)?;
                Ok(Value::String(text))
            })
            .collect::<io::Result<_>>()?,
        // never written
        DynamicColumn::IpAddr(_) | DynamicColumn::Bytes(_) => Vec::new(),
    })
}

/// A number of a column that holds fractions; whole numbers among them are written as such.
fn fraction(number: f64) -> Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole and within the range of f64's exact integers"
    )]
    if number.fract() == 0.0 && number.abs() < EXACT {
        return Value::from(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}
