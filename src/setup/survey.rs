//! Reads the cluster's state before setup writes anything, compares it with the plan, and applies the plan.
//!
//! Invariant: an object is written only after all objects were read and [`Survey::permit`] allowed it.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::lifecycle::{self, Lifecycle, LifecycleNote, LifecycleState};
use super::managed_indices::{self, ManagedIndices};
use super::plan::{self, ObjectKind, PlannedObject, Want};
use super::report::{Change, ChangeOutcome, SetupReport};
use super::template_conflict::{self, TemplateConflict};
use super::{ServerInfo, SetupError, TargetNames, detect, diff, response};
use crate::config::IndexMode;
use crate::http::error_body::excerpt;
use crate::http::{Method, Transport};

/// State of an object in the cluster against the planned one.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectState {
    /// The cluster does not have it.
    Missing,
    /// It equals the planned one.
    Equal,
    /// Ours with other content: another version, or edited by hand.
    Differs(Value),
    /// It lacks our mark.
    Foreign(Value),
    /// It belongs to the operator, whatever its content.
    Users,
}

/// A step and the state of its object.
#[derive(Debug, Clone, PartialEq)]
pub struct SurveyedObject {
    /// What would be put.
    pub step: PlannedObject,
    /// The object's state in the cluster.
    pub found: ObjectState,
    /// `_seq_no` and `_primary_term` of an OpenSearch policy.
    pub(super) version: Option<(u64, u64)>,
}

/// A cluster's state compared with the plan.
#[derive(Debug, Clone)]
pub struct Survey<'a> {
    /// The cluster's family and version.
    pub server: ServerInfo,
    /// The names derived from the setting.
    pub names: TargetNames,
    /// Whether the cluster deletes old indices by itself.
    pub lifecycle: Lifecycle,
    /// The objects in the order of the plan.
    pub objects: Vec<SurveyedObject>,
    /// Templates with a higher priority than ours.
    pub conflicts: Vec<TemplateConflict>,
    /// Indices that OpenSearch manages by an older version of our policy.
    pub(super) managed_indices: ManagedIndices,
    want: Want<'a>,
}

/// Reads a cluster's state; writes nothing.
pub async fn survey<'a, T: Transport>(
    client: &T,
    want: &Want<'a>,
) -> Result<Survey<'a>, SetupError<T::Error>> {
    let names = TargetNames::of(want.target);
    let server = detect(client).await?;
    if want.parts.templates && want.index_mode == Some(IndexMode::Logsdb) && !server.has_logsdb() {
        return Err(SetupError::NoLogsdb { server });
    }
    let LifecycleState {
        lifecycle,
        is_there,
    } = lifecycle::inspect(client, server.family, want, &names).await?;
    let mut steps = plan::plan(&server, want, is_there);
    if lifecycle == Lifecycle::Hidden {
        steps.retain(|step| !matches!(step.kind, ObjectKind::IlmPolicy | ObjectKind::IsmPolicy));
    }
    let conflicts = template_conflict::find(client, &names, &steps).await?;
    let mut objects = Vec::with_capacity(steps.len());
    for step in steps {
        objects.push(inspect(client, step).await?);
    }
    let managed_indices = managed_indices::inspect(client, &names, &objects).await?;
    Ok(Survey {
        server,
        names,
        lifecycle,
        objects,
        conflicts,
        managed_indices,
        want: want.clone(),
    })
}

async fn inspect<T: Transport>(
    client: &T,
    step: PlannedObject,
) -> Result<SurveyedObject, SetupError<T::Error>> {
    let response = response::send(client, Method::Get, &step.path, None).await?;
    if response.status == 404 {
        return Ok(SurveyedObject {
            step,
            found: ObjectState::Missing,
            version: None,
        });
    }
    let body = response::json(Method::Get, &step.path, response)?;
    let current =
        step.kind
            .content(&step.name, &body)
            .ok_or_else(|| SetupError::Incomprehensible {
                request: response::request_line(Method::Get, &step.path),
                body: excerpt(body.to_string().as_bytes()),
            })?;
    let number = |key| body.get(key).and_then(Value::as_u64);
    let version = number("_seq_no").zip(number("_primary_term"));
    let found = if step.is_users {
        ObjectState::Users
    } else if diff::same(step.kind, current, step.kind.wanted(&step.body)) {
        ObjectState::Equal
    } else if step.kind.is_ours(current) {
        ObjectState::Differs(current.clone())
    } else {
        ObjectState::Foreign(current.clone())
    };
    Ok(SurveyedObject {
        step,
        found,
        version,
    })
}

impl SurveyedObject {
    /// The path for the PUT: an OpenSearch policy is replaced only in the version that was read.
    fn put(&self) -> String {
        let path = &self.step.path;
        match self.version {
            Some((sequence, term)) => {
                format!("{path}?if_seq_no={sequence}&if_primary_term={term}")
            }
            None => path.clone(),
        }
    }

    /// The outcome of applying this step.
    fn outcome(&self) -> ChangeOutcome {
        match self.found {
            ObjectState::Missing => ChangeOutcome::Created,
            ObjectState::Equal => ChangeOutcome::Unchanged,
            ObjectState::Differs(_) => ChangeOutcome::Updated,
            ObjectState::Foreign(_) => ChangeOutcome::Overwritten,
            ObjectState::Users => ChangeOutcome::Kept,
        }
    }

    /// Describes the object and its owner, for a refusal to overwrite it.
    fn whose(&self, theirs: &Value) -> String {
        let (kind, name) = (self.step.kind.as_str(), &self.step.name);
        let package = theirs
            .pointer("/_meta/package/name")
            .and_then(Value::as_str);
        match (plan::managed_by(theirs), package) {
            (Some(owner), Some(package)) => format!(
                "{kind} {name} (of {}: the integration {})",
                excerpt(owner.as_bytes()),
                excerpt(package.as_bytes())
            ),
            (Some(owner), None) => {
                format!("{kind} {name} (of {})", excerpt(owner.as_bytes()))
            }
            (None, _) => format!("{kind} {name}"),
        }
    }
}

impl Survey<'_> {
    /// Objects that setup does not overwrite without `force`.
    pub(crate) fn foreign(&self) -> Vec<String> {
        let foreign = self
            .objects
            .iter()
            .filter_map(|object| match &object.found {
                ObjectState::Foreign(theirs) => Some(object.whose(theirs)),
                _ => None,
            });
        foreign.collect()
    }

    /// Number of indices that OpenSearch manages by an older version of our policy.
    pub(crate) fn behind(&self) -> usize {
        self.managed_indices.behind.len()
    }

    /// The note about the life cycle, when that part is set up.
    fn lifecycle_note(&self) -> Option<LifecycleNote<'_>> {
        self.want.parts.lifecycle.then_some(LifecycleNote {
            family: self.server.family,
            lifecycle: self.lifecycle,
            target: self.want.target,
            retention: self.want.retention,
        })
    }

    /// Refuses to overwrite a foreign object without `force`, and to set up a life cycle whose state the credentials
    /// may not see.
    pub(crate) fn permit<E>(&self, force: bool) -> Result<(), SetupError<E>> {
        let objects = self.foreign();
        if !objects.is_empty() && !force {
            return Err(SetupError::Foreign { objects });
        }
        if self.lifecycle == Lifecycle::Hidden && self.want.parts.lifecycle {
            return Err(SetupError::LifecycleHidden);
        }
        Ok(())
    }

    /// Puts each object that is missing or differs; `force` also overwrites foreign objects.
    pub async fn apply<T: Transport>(
        self,
        client: &T,
        force: bool,
    ) -> Result<SetupReport, SetupError<T::Error>> {
        self.permit(force)?;
        let mut changes = Vec::with_capacity(self.objects.len());
        for object in &self.objects {
            let outcome = object.outcome();
            if !matches!(outcome, ChangeOutcome::Unchanged | ChangeOutcome::Kept) {
                let body = Bytes::from(object.step.body.to_string());
                response::accepted(client, Method::Put, &object.put(), Some(body)).await?;
            }
            changes.push(Change {
                kind: object.step.kind,
                name: object.step.name.clone(),
                outcome,
            });
        }
        let mut notes = self.notes();
        notes.push_str(
            &self
                .managed_indices
                .follow(client, &self.names.template)
                .await?,
        );
        Ok(SetupReport {
            server: self.server,
            names: self.names,
            changes,
            conflicts: self.conflicts,
            notes,
        })
    }

    /// The note for templates that are put without the policy that they name.
    fn without_policy(&self) -> String {
        let lifecycle = self.names.lifecycle();
        let template = &self.names.template;
        if self
            .objects
            .iter()
            .any(|object| object.step.name == lifecycle)
        {
            format!(
                "New indices get the life-cycle policy {template}, which `logweir setup --only lifecycle` puts, or the \
                 one that {template}@custom names.\n"
            )
        } else if self.lifecycle == Lifecycle::Hidden {
            "Life cycle: these credentials may not see whether there is one, so the templates name none; run setup \
             again with the privilege read_ilm.\n"
                .to_owned()
        } else {
            String::new()
        }
    }

    /// Notes about the templates, the life cycle and the conflicts.
    fn notes(&self) -> String {
        let mut out = String::new();
        let pattern = &self.names.pattern;
        if self.want.parts.templates {
            out.push_str(&if self.names.stream {
                format!(
                    "New data streams that match {pattern} get the templates; one that is there takes them at its \
                     next rollover.\n"
                )
            } else {
                format!("New indices that match {pattern} get the templates.\n")
            });
        }
        match self.lifecycle_note() {
            Some(note) => out.push_str(&note.to_string()),
            None => out.push_str(&self.without_policy()),
        }
        for TemplateConflict {
            index,
            template,
            priority,
        } in &self.conflicts
        {
            out.push_str(&format!(
                "Warning: {index} would not get our template but {}, whose priority is {priority}: lower that, or \
                 narrow its pattern.\n",
                excerpt(template.as_bytes())
            ));
        }
        out
    }
}

/// Shows what a run would do, object by object.
impl fmt::Display for Survey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.server.family, self.server.version)?;
        for SurveyedObject { step, found, .. } in &self.objects {
            let word = match found {
                ObjectState::Missing => "would be created",
                ObjectState::Equal => "unchanged",
                ObjectState::Differs(_) => "would be updated",
                ObjectState::Foreign(_) => "not logweir's",
                ObjectState::Users => "yours, kept",
            };
            writeln!(f, "  {word:<17} {} {}", step.kind.as_str(), step.name)?;
            if let ObjectState::Differs(current) | ObjectState::Foreign(current) = found {
                let wanted = step.kind.wanted(&step.body);
                f.write_str(&diff::lines(step.kind, current, wanted))?;
            }
        }
        f.write_str(&self.notes())?;
        write!(f, "{}", self.managed_indices)?;
        if let Err(error) = self.permit::<Infallible>(false) {
            writeln!(f, "A run would stop before it changes anything: {error}")?;
        }
        Ok(())
    }
}
