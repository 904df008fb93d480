//! The dashboards' part of `logweir setup`.

use std::fmt::Write as _;

use super::Exit;
use crate::config::{Kibana, Target};
use crate::output::elasticsearch::OutputError;
use crate::setup::Outcome;
use crate::setup::kibana::{Diff, KibanaDoor, KibanaError, SavedObjects, diff, import};

/// What Kibana has, against what would be imported.
pub(super) struct Dashboards<'c> {
    door: KibanaDoor,
    kibana: &'c Kibana,
    diff: Diff,
}

/// What went wrong, and how the process ends for it.
type Failure = (String, Exit);

impl<'c> Dashboards<'c> {
    /// Looks; imports nothing.
    pub(super) async fn look(kibana: &'c Kibana, place: &Target) -> Result<Self, Failure> {
        let door = KibanaDoor::new(kibana).map_err(|error| (error.to_string(), Exit::Config))?;
        let space = kibana.space.as_deref();
        let diff = diff(&door, space, &SavedObjects::of(place, space)).await;
        let diff = diff.map_err(|error| failure(&error))?;
        Ok(Self { door, kibana, diff })
    }

    /// Refuses to overwrite what is not ours; asked before anything is written anywhere.
    pub(super) fn permit(&self, force: bool) -> Result<(), Failure> {
        let names = self.diff.foreign();
        if names.is_empty() || force {
            return Ok(());
        }
        let error: KibanaError<OutputError> = KibanaError::Foreign { names };
        Err(failure(&error))
    }

    /// Imports what is missing or of another version.
    pub(super) async fn import(&self, force: bool) -> Result<String, Failure> {
        let space = self.kibana.space.as_deref();
        let done = import(&self.door, space, &self.diff, force).await;
        done.map_err(|error| failure(&error))?;
        Ok(self.told(|outcome| match outcome {
            Outcome::Created => "created",
            Outcome::Updated => "updated",
            Outcome::Overwritten => "overwritten",
            Outcome::Unchanged | Outcome::Kept => "unchanged",
        }))
    }

    /// What an import would do.
    pub(super) fn would(&self) -> String {
        self.told(|outcome| match outcome {
            Outcome::Created => "would be created",
            Outcome::Updated => "would be updated",
            Outcome::Overwritten => "not logweir's",
            Outcome::Unchanged | Outcome::Kept => "unchanged",
        })
    }

    /// A line for each dashboard, and a count for what is on them.
    fn told(&self, word: impl Fn(Outcome) -> &'static str) -> String {
        let version = self.diff.version.as_deref().unwrap_or_default();
        let mut out = format!("{} {version}\n", self.diff.product).replace(" \n", "\n");
        let mut others: Vec<(&str, usize)> = Vec::new();
        for (object, outcome) in self.diff.outcomes() {
            let word = word(outcome);
            if object.kind == "dashboard" || outcome == Outcome::Overwritten {
                let _ = writeln!(out, "  {word:<17} {}: {}", object.kind, object.title);
                continue;
            }
            match others.iter_mut().find(|(other, _)| *other == word) {
                Some((_, count)) => *count += 1,
                None => others.push((word, 1)),
            }
        }
        for (word, count) in others {
            let _ = writeln!(
                out,
                "  {word:<17} {count} objects that the dashboards consist of"
            );
        }
        out
    }
}

fn failure(error: &KibanaError<OutputError>) -> Failure {
    let exit = match error {
        KibanaError::Refused {
            status: 401 | 403, ..
        } => Exit::Permission,
        KibanaError::NoSpaces { .. }
        | KibanaError::Foreign { .. }
        | KibanaError::Elsewhere { .. } => Exit::Config,
        _ => Exit::Unavailable,
    };
    (error.to_string(), exit)
}
