//! Reads the values of columns in blocks of rows.
//!
//! Owns the ways from rows to values. Invariant: rows are given and returned in ascending order, each row once; a list gives
//! its row once for each of its values.

use std::error::Error;
use std::fmt::Debug;
use std::io;

use tantivy_columnar::{
    Cardinality, Column, ColumnIndex, DynamicColumn, MonotonicallyMappableToU64, StrColumn,
};
use tantivy_common::DateTime;

use super::key::Kind;

/// Rows that are read at once. Their values stay in the processor's caches.
pub(super) const BLOCK: usize = 2048;

/// A column and the values of the block that was read last.
pub(super) struct Scan<T> {
    column: Column<T>,
    rows: Vec<u32>,
    ids: Vec<u32>,
    values: Vec<T>,
}

impl<T: PartialOrd + Copy + Debug + Send + Sync + 'static> Scan<T> {
    pub(super) fn new(column: Column<T>) -> Self {
        Self {
            column,
            rows: Vec::new(),
            ids: Vec::new(),
            values: Vec::new(),
        }
    }

    /// Whether a row may have several values.
    pub(super) fn is_list(&self) -> bool {
        self.column.get_cardinality() == Cardinality::Multivalued
    }

    /// The values of these rows, and the row of each value.
    pub(super) fn read<'a>(&'a mut self, rows: &'a [u32]) -> (&'a [u32], &'a [T]) {
        self.values.clear();
        if matches!(self.column.index, ColumnIndex::Full) {
            self.fill(rows);
            return (rows, &self.values);
        }
        self.rows.clear();
        self.ids.clear();
        self.column
            .row_ids_for_docs(rows, &mut self.rows, &mut self.ids);
        let ids = std::mem::take(&mut self.ids);
        self.fill(&ids);
        self.ids = ids;
        (&self.rows, &self.values)
    }

    /// Reads the values of these numbers, which ascend.
    fn fill(&mut self, ids: &[u32]) {
        let [first, .., last] = ids else {
            let values = ids.iter().map(|id| self.column.values.get_val(*id));
            self.values.extend(values);
            return;
        };
        self.values.resize(ids.len(), self.column.min_value());
        if (last - first) as usize == ids.len() - 1 {
            let first = u64::from(*first);
            self.column.values.get_range(first, &mut self.values);
        } else {
            self.column.values.get_vals(ids, &mut self.values);
        }
    }
}

/// A column without a dictionary: its values as `u64`, in their order.
pub(super) struct Raw {
    column: Typed,
    values: Vec<u64>,
}

enum Typed {
    Bool(Scan<bool>),
    I64(Scan<i64>),
    U64(Scan<u64>),
    F64(Scan<f64>),
    Time(Scan<DateTime>),
}

impl Raw {
    /// `None` for texts, which have a dictionary, and for what is never written.
    pub(super) fn new(column: DynamicColumn) -> Option<Self> {
        let column = match column {
            DynamicColumn::Bool(column) => Typed::Bool(Scan::new(column)),
            DynamicColumn::I64(column) => Typed::I64(Scan::new(column)),
            DynamicColumn::U64(column) => Typed::U64(Scan::new(column)),
            DynamicColumn::F64(column) => Typed::F64(Scan::new(column)),
            DynamicColumn::DateTime(column) => Typed::Time(Scan::new(column)),
            DynamicColumn::Str(_) | DynamicColumn::IpAddr(_) | DynamicColumn::Bytes(_) => {
                return None;
            }
        };
        let values = Vec::new();
        Some(Self { column, values })
    }

    /// What the values stand for.
    pub(super) fn kind(&self) -> Kind {
        match self.column {
            Typed::Bool(_) => Kind::Bool,
            Typed::I64(_) => Kind::I64,
            Typed::U64(_) => Kind::U64,
            Typed::F64(_) => Kind::F64,
            Typed::Time(_) => Kind::Time,
        }
    }

    /// As [`Scan::is_list`].
    pub(super) fn is_list(&self) -> bool {
        match &self.column {
            Typed::Bool(scan) => scan.is_list(),
            Typed::I64(scan) => scan.is_list(),
            Typed::U64(scan) => scan.is_list(),
            Typed::F64(scan) => scan.is_list(),
            Typed::Time(scan) => scan.is_list(),
        }
    }

    /// As [`Scan::read`].
    pub(super) fn read<'a>(&'a mut self, rows: &'a [u32]) -> (&'a [u32], &'a [u64]) {
        fn convert<'a, T: MonotonicallyMappableToU64>(
            (rows, of): (&'a [u32], &[T]),
            values: &'a mut Vec<u64>,
        ) -> (&'a [u32], &'a [u64]) {
            values.clear();
            values.extend(of.iter().map(|value| value.to_u64()));
            (rows, values)
        }
        match &mut self.column {
            Typed::Bool(scan) => convert(scan.read(rows), &mut self.values),
            Typed::I64(scan) => convert(scan.read(rows), &mut self.values),
            Typed::U64(scan) => scan.read(rows),
            Typed::F64(scan) => convert(scan.read(rows), &mut self.values),
            Typed::Time(scan) => convert(scan.read(rows), &mut self.values),
        }
    }
}

/// Remembers what was found out about the values of the rows before: most fields without a dictionary have few.
pub(super) struct Memo<T>([Option<(u64, T)>; 256]);

impl<T: Copy> Memo<T> {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self([None; 256]))
    }

    pub(super) fn get(&mut self, value: u64, find: impl FnOnce() -> T) -> T {
        let place = &mut self.0[usize::from(value.to_le_bytes()[0])];
        match place {
            Some((seen, found)) if *seen == value => *found,
            _ => {
                let found = find();
                *place = Some((value, found));
                found
            }
        }
    }
}

/// The numbers of a field, a value for each row.
pub(super) struct Numbers {
    columns: Vec<Number>,
    absent: i64,
    values: Vec<i64>,
}

enum Number {
    I64(Scan<i64>),
    U64(Scan<u64>),
    F64(Scan<f64>),
}

impl Numbers {
    /// `absent` stands for what a row does not have.
    pub(super) fn new(columns: Vec<DynamicColumn>, absent: i64) -> Self {
        let columns = columns.into_iter().filter_map(|column| match column {
            DynamicColumn::I64(column) => Some(Number::I64(Scan::new(column))),
            DynamicColumn::U64(column) => Some(Number::U64(Scan::new(column))),
            DynamicColumn::F64(column) => Some(Number::F64(Scan::new(column))),
            _ => None,
        });
        Self {
            columns: columns.collect(),
            absent,
            values: Vec::new(),
        }
    }

    /// The number of each of these rows. Fractions are cut off, as Elasticsearch does with a `long`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "cutting fractions off is what is wanted; larger numbers saturate"
    )]
    pub(super) fn read(&mut self, rows: &[u32]) -> &[i64] {
        self.values.clear();
        self.values.resize(rows.len(), self.absent);
        let values = &mut self.values;
        for column in &mut self.columns {
            match column {
                Number::I64(scan) => scatter(rows, scan.read(rows), values, |number| number),
                Number::U64(scan) => scatter(rows, scan.read(rows), values, |number| {
                    i64::try_from(number).unwrap_or(i64::MAX)
                }),
                Number::F64(scan) => scatter(rows, scan.read(rows), values, |number| number as i64),
            }
        }
        &self.values
    }
}

/// Puts the values of some of the rows at the places of these rows.
fn scatter<T: Copy>(
    rows: &[u32],
    (of, values): (&[u32], &[T]),
    out: &mut [i64],
    convert: impl Fn(T) -> i64,
) {
    if of.len() == rows.len() {
        for (out, value) in out.iter_mut().zip(values) {
            *out = convert(*value);
        }
        return;
    }
    for (place, value) in places(rows, of).zip(values) {
        out[place] = convert(*value);
    }
}

/// Fails for a dictionary that cannot be whole: each of its texts has a row. A damaged number of texts would take memory and
/// time without end.
pub(super) fn check(column: &StrColumn) -> io::Result<()> {
    if column.num_terms() > column.ords().values.num_vals() as usize {
        return Err(invalid("a dictionary has more texts than values"));
    }
    Ok(())
}

/// Something is wrong with the bytes of a segment.
pub(super) fn invalid(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The place of each row of `of` in `rows`; both ascend, and `rows` has all of them.
pub(super) fn places<'a>(rows: &'a [u32], of: &'a [u32]) -> impl Iterator<Item = usize> + 'a {
    let mut place = 0;
    of.iter().map(move |row| {
        while rows[place] < *row {
            place += 1;
        }
        place
    })
}
