//! tmp

pub mod nginx_conf;

/// How nginx escapes the values of variables in a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escape {
    /// `\xHH`
    Default,
    /// JSON
    Json,
    /// nothing
    None,
}
