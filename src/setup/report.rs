//! The report of a setup for the operator.

use std::fmt;

use super::plan::ObjectKind;
use super::template_conflict::TemplateConflict;
use super::{ServerInfo, TargetNames};

/// How a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeOutcome {
    /// It was missing.
    Created,
    /// Ours with other content: replaced.
    Updated,
    /// It was equal; nothing was sent.
    Unchanged,
    /// It belongs to the operator and was left unchanged.
    Kept,
    /// A foreign object, replaced because of `--force`.
    Overwritten,
    /// Ours, edited by hand, replaced because of `--force`.
    Restored,
}

impl fmt::Display for ChangeOutcome {
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

/// One step and its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The kind of object.
    pub kind: ObjectKind,
    /// Its name in the cluster.
    pub name: String,
    /// The outcome.
    pub outcome: ChangeOutcome,
}

/// What setup did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetupReport {
    /// The cluster's family and version.
    pub server: ServerInfo,
    /// The names derived from the setting.
    pub names: TargetNames,
    /// The outcome of each step, in order.
    pub changes: Vec<Change>,
    /// Templates with a higher priority than ours.
    pub conflicts: Vec<TemplateConflict>,
    /// Notes for the operator.
    pub(super) notes: String,
}

impl fmt::Display for SetupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.server.family, self.server.version)?;
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
