//! What setup did, for the operator to read.

use std::fmt;

use super::plan::Kind;
use super::shadow::Shadow;
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
    /// It belongs to the operator and was there.
    Kept,
    /// It was somebody else's, and the operator insisted.
    Overwritten,
    /// It was ours, somebody had changed it, and the operator insisted.
    Restored,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Unchanged => "unchanged",
            Self::Kept => "kept",
            Self::Overwritten => "overwritten",
            Self::Restored => "restored",
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
    /// Templates that take our indices away from ours.
    pub shadows: Vec<Shadow>,
    /// What to know besides.
    pub(super) notes: String,
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
        f.write_str(&self.notes)
    }
}
