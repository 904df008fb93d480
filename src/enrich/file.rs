//! A file that enriches records: a database of addresses, or definitions of user agents.
//!
//! Owns loading the file once, as a whole or not at all, and the messages about a file that cannot be used. Refuses to
//! know how the file is found and when it changes. Invariant: no file is built in; the operator provides each file and
//! may have received it under terms of its own.

use std::fmt;
use std::path::PathBuf;

/// The content of a file, and the facts about its kind.
pub trait Content: Sized {
    /// The setting of `[enrich]` that names it.
    const SETTING: &'static str;
    /// The kind of file that is expected, and where to get it.
    const WANTED: &'static str;
    /// The fields that it fills.
    const FILLS: &'static [&'static str];
    /// The size limit in bytes; it guards against a path like `/dev/zero`.
    const MOST: u64;

    /// Reads the content from the bytes of a file.
    ///
    /// # Errors
    ///
    /// If the bytes are not a file of this kind.
    fn read(bytes: Vec<u8>) -> Result<Self, FileError>;

    /// Describes the content for people; `size` is the size of the file, as it is shown.
    fn describe(&self, size: &dyn fmt::Display) -> String;
}

/// A file's path and a description of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The path.
    pub path: PathBuf,
    /// The description.
    pub says: String,
}

/// A loaded file.
pub struct EnrichFile<T> {
    about: About,
    pub(super) content: T,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// The file is not a database, or it is damaged.
    #[error(
        "is no database in MaxMind's format, or a damaged one ({0}); take the .mmdb file, unpacked and whole"
    )]
    NoDatabase(String),
    /// The database is of another type.
    #[error("is a database of type {found:?}; this takes {wanted}")]
    OtherDatabase {
        /// The type of the database.
        found: String,
        /// The kind of database that is expected.
        wanted: &'static str,
    },
    /// The file holds no definitions, or only a part of them.
    #[error("holds no definitions in uap-core's form ({0}); take regexes.yaml, whole")]
    NoDefinitions(String),
    /// An expression cannot be compiled.
    #[error("{expression:?} in {list} cannot be used ({why}); correct or remove it")]
    Expression {
        /// The list that holds it.
        list: &'static str,
        /// Its text.
        expression: String,
        /// The reason.
        why: String,
    },
}

impl<T: Content> EnrichFile<T> {
    /// Loads a file from its bytes; `size` is its size, as it is shown.
    ///
    /// # Errors
    ///
    /// If the bytes are not a file of this kind.
    pub fn new(path: PathBuf, bytes: Vec<u8>, size: &dyn fmt::Display) -> Result<Self, FileError> {
        let content = T::read(bytes)?;
        let says = content.describe(size);
        let about = About { path, says };
        Ok(Self { about, content })
    }
}

impl<T> EnrichFile<T> {
    /// The path and the description.
    pub fn about(&self) -> &About {
        &self.about
    }
}

impl<T> fmt::Debug for EnrichFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.fmt(f)
    }
}
