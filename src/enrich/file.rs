//! A file that records take something from: a database of addresses, definitions of user agents.
//!
//! Owns that it is made ready once, whole or not at all, and the words about one that cannot be used. Refuses to know
//! how it is found and when it has changed. Invariant: no file is built in; each comes from the operator, who may
//! have got it under terms of its own.

use std::fmt;
use std::path::PathBuf;

/// What is made of such a file, and what there is to say of its kind.
pub trait Content: Sized {
    /// The setting of `[enrich]` that names it.
    const SETTING: &'static str;
    /// What it must be, and where it is had.
    const WANTED: &'static str;
    /// The fields that it fills.
    const FILLS: &'static [&'static str];
    /// A larger file is none; guards against a path like `/dev/zero`.
    const MOST: u64;

    /// Takes the bytes of a file.
    ///
    /// # Errors
    ///
    /// When they are something else.
    fn read(bytes: Vec<u8>) -> Result<Self, FileError>;

    /// What it is, to be shown; `size` is that of the file.
    fn describe(&self, size: &dyn fmt::Display) -> String;
}

/// A file's path and what it is, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// The path.
    pub path: PathBuf,
    /// What it is.
    pub says: String,
}

/// A file that was made ready.
pub struct EnrichFile<T> {
    about: About,
    pub(super) content: T,
}

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// Not such a file, or a damaged one.
    #[error(
        "is no database in MaxMind's format, or a damaged one ({0}); take the .mmdb file, unpacked and whole"
    )]
    NoDatabase(String),
    /// One for something else.
    #[error("is a database of type {found:?}; this takes {wanted}")]
    OtherDatabase {
        /// Its type.
        found: String,
        /// What to take.
        wanted: &'static str,
    },
    /// Not such a file, or a part of one.
    #[error("holds no definitions in uap-core's form ({0}); take regexes.yaml, whole")]
    NoDefinitions(String),
    /// One of its expressions means nothing here.
    #[error("{expression:?} in {list} cannot be used ({why}); mend it or take it out")]
    Expression {
        /// Where it stands.
        list: &'static str,
        /// Its text.
        expression: String,
        /// What is wrong.
        why: String,
    },
}

impl<T: Content> EnrichFile<T> {
    /// Makes a file of these bytes ready.
    ///
    /// # Errors
    ///
    /// When they are something else than what it is for.
    pub fn new(path: PathBuf, bytes: Vec<u8>, size: &dyn fmt::Display) -> Result<Self, FileError> {
        let content = T::read(bytes)?;
        let says = content.describe(size);
        let about = About { path, says };
        Ok(Self { about, content })
    }
}

impl<T> EnrichFile<T> {
    /// Which it is.
    pub fn about(&self) -> &About {
        &self.about
    }
}

impl<T> fmt::Debug for EnrichFile<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.about.fmt(f)
    }
}
