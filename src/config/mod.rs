//! Configuration.
mod index_pattern;
pub use index_pattern::{IndexPattern, IndexPatternError};
