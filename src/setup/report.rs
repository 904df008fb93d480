//! What setup did, for the operator to read.

use std::fmt;

use super::plan::Kind;
use super::{Names, Target};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was ours and differed.
    Updated,
    /// It was as it should be; nothing was sent.
    Unchanged,
    /// It was somebody else's, and the operator insisted.
    Overwritten,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Overwritten => "overwritten",
        })
    }
}

/// One step's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it is.
    pub kind: Kind,
    /// Its name in the cluster.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// What setup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The cluster.
    pub target: Target,
    /// The names that follow the setting.
    pub names: Names,
    /// Each step's end, in order.
    pub changes: Vec<Change>,
    /// True when a template with a higher priority takes our indices away from ours.
    pub shadowed: bool,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.target.family, self.target.version)?;
        for Change {
            kind,
            name,
            outcome,
        } in &self.changes
        {
            writeln!(f, "  {outcome:<11} {} {name}", kind.as_str())?;
        }
        let pattern = &self.names.pattern;
        if self.names.stream {
            writeln!(
                f,
                "New data streams that match {pattern} get it; one that is there takes it at its next rollover."
            )?;
        } else {
            writeln!(f, "New indices that match {pattern} get it.")?;
        }
        if self.shadowed {
            let noun = if self.names.stream {
                "a data stream"
            } else {
                "an index"
            };
            writeln!(
                f,
                "Warning: {noun} such as {} would not get it: another index template with a higher priority \
                 matches. Find it with GET /_index_template and lower its priority or narrow its pattern.",
                self.names.example
            )?;
        }
        Ok(())
    }
}
