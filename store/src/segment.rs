//! One segment: the columns of some documents, written once.
//!
//! Owns the bytes of a segment and access to its columns by the name of a field. Refuses to know directories. Invariant: a
//! segment never changes; its rows are in the order in which documents were added.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::sync::Arc;

use tantivy_columnar::{
    Column, ColumnarReader, ColumnarWriter, DynamicColumn, MergeRowOrder, StackMergeOrder,
    StrColumn, merge_columnar,
};
use tantivy_common::file_slice::{FileSlice, WrapFile};

use crate::document::{Row, Unsupported};
use crate::schema::Schema;
use crate::{DocumentKey, LIST, OFFSET, SECOND, STREAM, TIMESTAMP};

/// Documents in memory that become a segment.
pub struct SegmentBuilder {
    schema: Arc<Schema>,
    writer: ColumnarWriter,
    rows: u32,
    /// Rows without a document, because writing it failed.
    holes: Vec<u32>,
    path: String,
    seconds: Option<(i64, i64)>,
}

impl SegmentBuilder {
    /// An empty one.
    pub fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            writer: ColumnarWriter::default(),
            rows: 0,
            holes: Vec::new(),
            path: String::new(),
            seconds: None,
        }
    }

    /// Adds a document, JSON as it would be sent to Elasticsearch.
    ///
    /// # Errors
    ///
    /// The document is not JSON or does not fit into columns; it is left out.
    pub fn add(&mut self, key: DocumentKey, document: &[u8]) -> Result<(), Unsupported> {
        let mut row = Row {
            schema: &self.schema,
            writer: &mut self.writer,
            row: self.rows,
            path: &mut self.path,
            timestamp: None,
        };
        let written = row.write(document);
        let second = row.timestamp.unwrap_or(0).div_euclid(1000);
        let number = self.rows;
        self.rows += 1;
        if let Err(error) = written {
            self.holes.push(number);
            return Err(error);
        }
        self.writer.record_numerical(number, STREAM, key.stream);
        self.writer
            .record_numerical(number, SECOND, i64::from(key.second) - second);
        let (first, last) = self.seconds.unwrap_or((second, second));
        self.seconds = Some((first.min(second), last.max(second)));
        Ok(())
    }

    /// Documents that were added.
    pub fn documents(&self) -> u32 {
        self.rows - u32::try_from(self.holes.len()).unwrap_or(0)
    }

    /// Memory in use, in bytes.
    pub fn memory(&self) -> usize {
        self.writer.mem_usage()
    }

    /// First and last second of `@timestamp`; `None` without documents.
    pub fn seconds(&self) -> Option<(i64, i64)> {
        self.seconds
    }

    /// The bytes of the segment.
    ///
    /// # Errors
    ///
    /// The columns could not be written.
    pub fn finish(mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.writer.serialize(self.rows, None, &mut bytes)?;
        if self.holes.is_empty() {
            return Ok(bytes);
        }
        // Rare: a row whose document failed half-way. Its values are dropped by a merge that leaves the row out.
        let holes: HashSet<u32> = self.holes.into_iter().collect();
        let segment = Segment::from_bytes(bytes)?;
        merged(&[&segment], |_, row| !holes.contains(&row))
    }
}

/// Joins segments into one. Rows keep their order; those that `keep` refuses are left out.
pub(crate) fn merged(
    segments: &[&Segment],
    keep: impl Fn(usize, u32) -> bool,
) -> io::Result<Vec<u8>> {
    use tantivy_columnar::{RowAddr, ShuffleMergeOrder};
    use tantivy_common::{BitSet, OwnedBytes, ReadOnlyBitSet};

    let readers: Vec<&ColumnarReader> = segments.iter().map(|segment| &segment.reader).collect();
    let mut rows = Vec::new();
    let mut alive_bitsets = Vec::new();
    for (number, segment) in segments.iter().enumerate() {
        let mut alive = BitSet::with_max_value(segment.rows());
        for row_id in (0..segment.rows()).filter(|row| keep(number, *row)) {
            alive.insert(row_id);
            let segment_ord = u32::try_from(number).map_err(io::Error::other)?;
            rows.push(RowAddr {
                segment_ord,
                row_id,
            });
        }
        let mut bytes = Vec::new();
        alive.serialize(&mut bytes)?;
        alive_bitsets.push(Some(ReadOnlyBitSet::open(OwnedBytes::new(bytes))));
    }
    let order = MergeRowOrder::Shuffled(ShuffleMergeOrder {
        new_row_id_to_old_row_id: rows,
        alive_bitsets,
    });
    let mut bytes = Vec::new();
    merge_columnar(&readers, &[], order, &mut bytes)?;
    Ok(bytes)
}

/// Joins whole segments, one behind the other.
pub(crate) fn stacked(segments: &[&Segment]) -> io::Result<Vec<u8>> {
    let readers: Vec<&ColumnarReader> = segments.iter().map(|segment| &segment.reader).collect();
    let order = MergeRowOrder::Stack(StackMergeOrder::stack(&readers));
    let mut bytes = Vec::new();
    merge_columnar(&readers, &[], order, &mut bytes)?;
    Ok(bytes)
}

/// The columns of a segment, read from a file or from memory when they are asked for.
#[derive(Clone)]
pub struct Segment {
    pub(crate) reader: ColumnarReader,
}

impl Segment {
    /// Opens a segment that is a file. Only what is asked for is read.
    ///
    /// # Errors
    ///
    /// The file cannot be read or is not a segment.
    pub fn open(file: File) -> io::Result<Self> {
        let file = WrapFile::new(file)?;
        Self::of(FileSlice::new(Arc::new(file)))
    }

    /// Opens a segment in memory.
    ///
    /// # Errors
    ///
    /// The bytes are not a segment.
    pub fn from_bytes(bytes: Vec<u8>) -> io::Result<Self> {
        Self::of(bytes.into())
    }

    fn of(slice: FileSlice) -> io::Result<Self> {
        // The reader panics on less than its footer.
        if slice.num_bytes().get_bytes() < 32 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a segment of less than 32 bytes",
            ));
        }
        let reader = ColumnarReader::open(slice)?;
        Ok(Self { reader })
    }

    /// Documents in the segment.
    pub fn rows(&self) -> u32 {
        self.reader.num_docs()
    }

    /// Columns of a field, of every type in which its values are stored: those of single values and those of lists.
    ///
    /// # Errors
    ///
    /// The columns cannot be read.
    pub fn columns(&self, field: &str) -> io::Result<Vec<DynamicColumn>> {
        let mut columns = Vec::new();
        for name in [field.to_owned(), format!("{field}{LIST}")] {
            for handle in self.reader.read_columns(&name)? {
                columns.push(handle.open()?);
            }
        }
        Ok(columns)
    }

    /// The texts of a field, where it has any; `None` as well for a field whose texts are in lists and single.
    ///
    /// # Errors
    ///
    /// The column cannot be read.
    pub fn texts(&self, field: &str) -> io::Result<Option<StrColumn>> {
        let columns = self.columns(field)?;
        Ok(columns.into_iter().find_map(|column| match column {
            DynamicColumn::Str(column) => Some(column),
            _ => None,
        }))
    }

    /// `@timestamp` of each row, in milliseconds since 1970.
    ///
    /// # Errors
    ///
    /// The column cannot be read or is missing.
    pub fn timestamps(&self) -> io::Result<Timestamps> {
        let missing = || io::Error::new(io::ErrorKind::InvalidData, "a segment without @timestamp");
        let columns = self.columns(TIMESTAMP)?;
        columns
            .into_iter()
            .find_map(|column| match column {
                DynamicColumn::DateTime(column) => Some(Timestamps(column)),
                _ => None,
            })
            .ok_or_else(missing)
    }

    /// The key of each row, in order.
    ///
    /// # Errors
    ///
    /// The columns cannot be read.
    pub fn document_keys(&self) -> io::Result<Vec<DocumentKey>> {
        let keys = self.keys()?;
        Ok((0..self.rows()).filter_map(|row| keys.get(row)).collect())
    }

    /// The keys of the rows, for looking documents up.
    pub(crate) fn keys(&self) -> io::Result<Keys> {
        let missing = |name| {
            let text = format!("a segment without the column {name}");
            io::Error::new(io::ErrorKind::InvalidData, text)
        };
        let number = |name: &'static str| {
            let columns = self.columns(name)?;
            let column = columns.into_iter().find_map(|column| match column {
                DynamicColumn::I64(column) => Some(column),
                _ => None,
            });
            column.ok_or_else(|| missing(name))
        };
        Ok(Keys {
            timestamps: self.timestamps()?,
            second: number(SECOND)?,
            stream: number(STREAM)?,
            offset: number(OFFSET)?,
        })
    }
}

/// The times of the rows.
pub struct Timestamps(Column<tantivy_common::DateTime>);

impl Timestamps {
    /// Of one row, in milliseconds since 1970.
    pub fn get(&self, row: u32) -> Option<i64> {
        self.0
            .first(row)
            .map(tantivy_common::DateTime::into_timestamp_millis)
    }

    /// The column.
    pub fn column(&self) -> &Column<tantivy_common::DateTime> {
        &self.0
    }
}

/// The parts of the rows' keys.
pub(crate) struct Keys {
    timestamps: Timestamps,
    second: Column<i64>,
    stream: Column<i64>,
    offset: Column<i64>,
}

impl Keys {
    /// Gives the keys of all rows whose offset is in the range.
    pub(crate) fn find(&self, (first, last): (u64, u64), found: &mut impl FnMut(DocumentKey)) {
        let number = |offset| i64::try_from(offset).unwrap_or(i64::MAX);
        let mut rows = Vec::new();
        self.offset.get_docids_for_value_range(
            number(first)..=number(last),
            0..self.offset.num_docs(),
            &mut rows,
        );
        rows.into_iter()
            .filter_map(|row| self.get(row))
            .for_each(found);
    }

    /// The key of a row; `None` when it has none, which no row of ours has.
    pub(crate) fn get(&self, row: u32) -> Option<DocumentKey> {
        let second =
            self.timestamps.get(row).unwrap_or(0).div_euclid(1000) + self.second.first(row)?;
        Some(DocumentKey {
            second: u32::try_from(second).ok()?,
            stream: u64::try_from(self.stream.first(row)?).ok()?,
            offset: u64::try_from(self.offset.first(row)?).ok()?,
        })
    }
}
