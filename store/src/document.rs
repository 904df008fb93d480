//! Writes the values of a JSON document into columns.
//!
//! Owns the name and the type of the column that a value goes to. Refuses to know what a field means. Invariant: what is
//! written here, [`super::source`] gives back as an equal JSON document.
//!
//! A field is a path of names joined by dots. The column of a list has `[]` behind its name, so that a list of one value
//! stays a list.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use tantivy_columnar::{ColumnarWriter, RowId};
use tantivy_common::DateTime;

use crate::schema::Schema;
use crate::{LIST, TIMESTAMP, time};

/// A document that cannot be kept in columns.
#[derive(Debug, thiserror::Error)]
#[error("the document cannot be stored: {0}")]
pub struct Unsupported(#[from] serde_json::Error);

/// Where the values of one document go.
pub(crate) struct Row<'w> {
    pub(crate) schema: &'w Schema,
    pub(crate) writer: &'w mut ColumnarWriter,
    pub(crate) row: RowId,
    /// The name of the column, as it is put together on the way through the document.
    pub(crate) path: &'w mut String,
    /// The time of the document in milliseconds, once it was met.
    pub(crate) timestamp: Option<i64>,
}

impl Row<'_> {
    /// Writes all values of `document`.
    ///
    /// When this fails, some values may be written: the row must be left out.
    pub(crate) fn write(&mut self, document: &[u8]) -> Result<(), Unsupported> {
        self.path.clear();
        // Once for the whole document, which is far faster than for each text.
        let document = std::str::from_utf8(document).map_err(serde_json::Error::custom)?;
        let mut json = serde_json::Deserializer::from_str(document);
        Value {
            row: self,
            depth: 0,
        }
        .deserialize(&mut json)?;
        json.end()?;
        Ok(())
    }

    fn text(&mut self, text: &str) {
        // Few texts have the form of a time, and that is found faster.
        if let Some(millis) = time::parse(text)
            && self.schema.is_date(self.path)
        {
            if self.path == TIMESTAMP {
                self.timestamp = Some(millis);
            }
            let time = DateTime::from_timestamp_millis(millis);
            self.writer.record_datetime(self.row, self.path, time);
        } else {
            self.writer.record_str(self.row, self.path, text);
        }
    }
}

/// Objects in one another: more than any document has, less than a stack holds.
const DEEPEST: u8 = 16;

struct Value<'r, 'w> {
    row: &'r mut Row<'w>,
    depth: u8,
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number, a boolean, a list of these, or an object")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.row.text(text);
        Ok(())
    }

    fn visit_i64<E>(self, number: i64) -> Result<(), E> {
        let Row {
            writer, row, path, ..
        } = self.row;
        writer.record_numerical(*row, path, number);
        Ok(())
    }

    fn visit_u64<E>(self, number: u64) -> Result<(), E> {
        let Row {
            writer, row, path, ..
        } = self.row;
        writer.record_numerical(*row, path, number);
        Ok(())
    }

    fn visit_f64<E>(self, number: f64) -> Result<(), E> {
        let Row {
            writer, row, path, ..
        } = self.row;
        writer.record_numerical(*row, path, number);
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        let Row {
            writer, row, path, ..
        } = self.row;
        writer.record_bool(*row, path, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let length = self.row.path.len();
        self.row.path.push_str(LIST);
        while list.next_element_seed(Scalar(self.row))?.is_some() {}
        self.row.path.truncate(length);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if self.depth == DEEPEST {
            return Err(A::Error::custom("objects are nested too deeply"));
        }
        let length = self.row.path.len();
        while members.next_key_seed(Name(self.row.path))?.is_some() {
            let depth = self.depth + 1;
            members.next_value_seed(Value {
                row: self.row,
                depth,
            })?;
            self.row.path.truncate(length);
        }
        Ok(())
    }
}

/// A name of an object, appended to the path.
struct Name<'p>(&'p mut String);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<(), E> {
        // Names with these would not come back as they were: a dot leads into an object, `[]` ends the name of a list, and
        // columns of the store's own begin with a bracket.
        let is_odd = |byte: u8| matches!(byte, b'.' | b'\0' | b'[' | b']');
        if name.is_empty() || name.bytes().any(is_odd) {
            return Err(E::custom(format_args!("{name:?} is not a name of a field")));
        }
        if !self.0.is_empty() {
            self.0.push('.');
        }
        self.0.push_str(name);
        Ok(())
    }
}

/// A value of a list, which holds neither lists nor objects.
struct Scalar<'r, 'w>(&'r mut Row<'w>);

impl<'de> DeserializeSeed<'de> for Scalar<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl Visitor<'_> for Scalar<'_, '_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a text, a number or a boolean in a list")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        let Row {
            writer, row, path, ..
        } = self.0;
        writer.record_str(*row, path, text);
        Ok(())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<(), E> {
        Value {
            row: self.0,
            depth: 0,
        }
        .visit_i64(number)
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<(), E> {
        Value {
            row: self.0,
            depth: 0,
        }
        .visit_u64(number)
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<(), E> {
        Value {
            row: self.0,
            depth: 0,
        }
        .visit_f64(number)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        Value {
            row: self.0,
            depth: 0,
        }
        .visit_bool(value)
    }
}
