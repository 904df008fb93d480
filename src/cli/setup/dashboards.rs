//! The part of `logweir setup` about dashboards.

use std::fmt::Write as _;

use super::Exit;
use crate::config::{IndexTarget, Kibana};
use crate::http::{HttpClient, HttpError};
use crate::setup::ChangeOutcome;
use crate::setup::kibana::{
    Diff, KibanaError, SavedObject, SavedObjectState, SavedObjects, address, diff, import,
};

/// The objects in Kibana compared with those to import.
pub(in crate::cli) struct Dashboards<'c> {
    client: HttpClient,
    kibana: &'c Kibana,
    diff: Diff,
}

/// The error and the exit code for it.
pub(in crate::cli) type Failure = (String, Exit);

impl<'c> Dashboards<'c> {
    /// Looks; imports nothing.
    pub(in crate::cli) async fn inspect(
        kibana: &'c Kibana,
        target: &IndexTarget,
    ) -> Result<Self, Failure> {
        let client =
            HttpClient::of_kibana(kibana).map_err(|error| (error.to_string(), Exit::Config))?;
        let space = kibana.space.as_deref();
        let diff = diff(&client, space, &SavedObjects::of(target, space)).await;
        let diff = diff.map_err(|error| failure(&error))?;
        Ok(Self {
            client,
            kibana,
            diff,
        })
    }

    /// The comparison.
    pub(in crate::cli) fn into_diff(self) -> Diff {
        self.diff
    }

    /// Refuses to overwrite foreign objects; called before anything is written.
    pub(super) fn permit(&self, force: bool) -> Result<(), Failure> {
        let names = self.diff.foreign();
        if names.is_empty() || force {
            return Ok(());
        }
        let error: KibanaError<HttpError> = KibanaError::Foreign { names };
        Err(failure(&error))
    }

    /// Imports what is missing or of another version, and by `force` what was changed; returns where to look.
    pub(super) async fn import(&self, force: bool) -> Result<String, Failure> {
        let space = self.kibana.space.as_deref();
        let done = import(&self.client, space, &self.diff, force).await;
        done.map_err(|error| failure(&error))?;
        let mut out = self.describe(|outcome| match outcome {
            ChangeOutcome::Created => "created",
            ChangeOutcome::Updated => "updated",
            ChangeOutcome::Overwritten => "overwritten",
            ChangeOutcome::Restored if force => "restored",
            ChangeOutcome::Restored => "changed, kept",
            ChangeOutcome::Unchanged | ChangeOutcome::Kept => "unchanged",
        });
        if !force {
            out.push_str(self.hint());
        }
        out.push_str(&self.addresses());
        Ok(out)
    }

    /// Describes what an import would do.
    pub(super) fn would(&self) -> String {
        let mut out = self.describe(|outcome| match outcome {
            ChangeOutcome::Created => "would be created",
            ChangeOutcome::Updated => "would be updated",
            ChangeOutcome::Overwritten => "not logweir's",
            ChangeOutcome::Restored => "changed",
            ChangeOutcome::Unchanged | ChangeOutcome::Kept => "unchanged",
        });
        for (object, held) in &self.diff.objects {
            let SavedObjectState::Changed(differences) = held else {
                continue;
            };
            for difference in differences {
                let _ = writeln!(out, "    {}: {difference}", object.name());
            }
        }
        out.push_str(self.hint());
        out
    }

    /// The hint for objects that somebody changed.
    fn hint(&self) -> &'static str {
        let is_changed = |(_, held): &(SavedObject, SavedObjectState)| {
            matches!(held, SavedObjectState::Changed(_))
        };
        if self.diff.objects.iter().any(is_changed) {
            "What is changed was put by logweir and changed in Kibana since: it stays as it is; --force restores it.\n"
        } else {
            ""
        }
    }

    /// The URL of each dashboard.
    fn addresses(&self) -> String {
        let mut out = String::from("Open:\n");
        for (object, _) in &self.diff.objects {
            if object.kind == "dashboard" {
                let address = address(self.kibana, &object.id);
                let _ = writeln!(out, "  {address}  {}", object.title);
            }
        }
        out
    }

    /// A line for each dashboard, and counts of the objects on them.
    fn describe(&self, word: impl Fn(ChangeOutcome) -> &'static str) -> String {
        let version = self.diff.version.as_deref().unwrap_or_default();
        let mut out = format!("{} {version}\n", self.diff.product).replace(" \n", "\n");
        let mut others: Vec<(&str, usize)> = Vec::new();
        for (object, outcome) in self.diff.outcomes() {
            let word = word(outcome);
            let is_of_people = matches!(
                outcome,
                ChangeOutcome::Overwritten | ChangeOutcome::Restored
            );
            if object.kind == "dashboard" || is_of_people {
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

pub(in crate::cli) fn failure(error: &KibanaError<HttpError>) -> Failure {
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
