//! An answer as CSV: a header, then a record for each row.
//!
//! Owns the form of RFC 4180. Invariant: a cell from a log has no line break and no control character, and no program takes it
//! for a formula: where it begins with `=`, `+`, `-` or `@`, an apostrophe stands before it. A missing value is an empty cell.

use super::super::terminal::safe;
use super::{Asked, rfc3339};
use crate::search::answer::{Cell, Content};

pub(in crate::cli) fn text(asked: &Asked<'_>) -> String {
    let columns = &asked.answer.columns;
    let header = columns.iter().map(|column| match &column.content {
        Content::Value(Cell::Missing) => "(missing)".to_owned(),
        Content::Value(value) => cell(value),
        content => content.name(),
    });
    let mut out = record(header);
    for row in &asked.answer.rows {
        let cells = columns
            .iter()
            .zip(row)
            .map(|(column, value)| match (&column.content, value) {
                (Content::Time, Cell::Whole(millis)) => rfc3339(asked.zone, *millis),
                (_, value) => cell(value),
            });
        out.push_str(&record(cells));
    }
    out
}

fn record(cells: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (number, cell) in cells.enumerate() {
        if number > 0 {
            out.push(',');
        }
        if cell.contains(['"', ',']) || cell.starts_with(' ') || cell.ends_with(' ') {
            out.push('"');
            out.push_str(&cell.replace('"', "\"\""));
            out.push('"');
        } else {
            out.push_str(&cell);
        }
    }
    out.push_str("\r\n");
    out
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Missing => String::new(),
        Cell::Flag(value) => value.to_string(),
        Cell::Whole(number) => number.to_string(),
        Cell::Fraction(number) => number.to_string(),
        Cell::Text(text) => {
            let text = safe(text);
            // Spreadsheets skip blanks before a formula, and know some of these in full width.
            let is_formula = text.trim_start().starts_with([
                '=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}',
            ]);
            if is_formula { format!("'{text}") } else { text }
        }
    }
}
