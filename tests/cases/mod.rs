//! Cases by noun.

mod output;
