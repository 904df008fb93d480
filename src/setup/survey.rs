//! Looks at everything before anything is written.

use std::convert::Infallible;
use std::fmt;

use bytes::Bytes;
use serde_json::Value;

use super::followers::{self, Followers};
use super::lifecycle::{self, Lifecycle, Looked, Told};
use super::plan::{self, Kind, Step, Want};
use super::report::{Change, Outcome, Report};
use super::shadow::{self, Shadow};
use super::{Client, Method, Names, SetupError, Target, answer, detect, diff};
use crate::config::IndexMode;

/// What stands in the cluster under a step's name.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Nothing.
    Missing,
    /// What we would put.
    Equal,
    /// Ours, with another content: of another version, or edited by hand.
    Differs(Value),
    /// Without our mark.
    Foreign(Value),
    /// The operator's own, whatever it says.
    Users,
}

/// A step and what it meets.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What would be put.
    pub step: Step,
    /// What is there.
    pub found: Found,
    /// Of a policy of OpenSearch, its `_seq_no` and `_primary_term`.
    pub(super) version: Option<(u64, u64)>,
}

/// What a cluster has, against what would be put.
#[derive(Debug, Clone)]
pub struct Survey<'a> {
    /// The cluster.
    pub target: Target,
    /// The names that follow the setting.
    pub names: Names,
    /// Whether it deletes what is old by itself.
    pub lifecycle: Lifecycle,
    /// Each object, in the order in which they are put.
    pub objects: Vec<Object>,
    /// Templates that take our indices away from ours.
    pub shadows: Vec<Shadow>,
    /// Indices that OpenSearch manages by our policy, and not by its present version.
    pub(super) followers: Followers,
    want: Want<'a>,
}

/// Looks at a cluster; writes nothing.
pub async fn survey<'a, C: Client>(
    client: &C,
    want: &Want<'a>,
) -> Result<Survey<'a>, SetupError<C::Error>> {
    let names = Names::of(want.place);
    let target = detect(client).await?;
    if want.parts.templates && want.index_mode == Some(IndexMode::Logsdb) && !target.has_logsdb() {
        return Err(SetupError::NoLogsdb { target });
    }
    let Looked {
        lifecycle,
        is_there,
    } = lifecycle::look(client, target.family, want, &names).await?;
    let mut steps = plan::plan(&target, want, is_there);
    if lifecycle == Lifecycle::NotTold {
        steps.retain(|step| !matches!(step.kind, Kind::IlmPolicy | Kind::IsmPolicy));
    }
    let shadows = shadow::find(client, &names, &steps).await?;
    let mut objects = Vec::with_capacity(steps.len());
    for step in steps {
        objects.push(look(client, step).await?);
    }
    let followers = followers::look(client, &names, &objects).await?;
    Ok(Survey {
        target,
        names,
        lifecycle,
        objects,
        shadows,
        followers,
        want: want.clone(),
    })
}

async fn look<C: Client>(client: &C, step: Step) -> Result<Object, SetupError<C::Error>> {
    let answer = answer::request(client, Method::Get, &step.path, None).await?;
    if answer.status == 404 {
        return Ok(Object {
            step,
            found: Found::Missing,
            version: None,
        });
    }
    let body = answer::judge(Method::Get, &step.path, answer)?;
    let current =
        step.kind
            .content(&step.name, &body)
            .ok_or_else(|| SetupError::Incomprehensible {
                request: answer::name(Method::Get, &step.path),
                body: answer::excerpt(body.to_string().as_bytes()),
            })?;
    let number = |key| body.get(key).and_then(Value::as_u64);
    let version = number("_seq_no").zip(number("_primary_term"));
    let found = if step.is_users {
        Found::Users
    } else if diff::same(step.kind, current, step.kind.wanted(&step.body)) {
        Found::Equal
    } else if step.kind.is_ours(current) {
        Found::Differs(current.clone())
    } else {
        Found::Foreign(current.clone())
    };
    Ok(Object {
        step,
        found,
        version,
    })
}

impl Object {
    /// Where it is put: a policy of OpenSearch is replaced only as the version that was seen.
    fn put(&self) -> String {
        let path = &self.step.path;
        match self.version {
            Some((sequence, term)) => {
                format!("{path}?if_seq_no={sequence}&if_primary_term={term}")
            }
            None => path.clone(),
        }
    }

    /// What would become of it, or became.
    fn outcome(&self) -> Outcome {
        match self.found {
            Found::Missing => Outcome::Created,
            Found::Equal => Outcome::Unchanged,
            Found::Differs(_) => Outcome::Updated,
            Found::Foreign(_) => Outcome::Overwritten,
            Found::Users => Outcome::Kept,
        }
    }

    /// What it is, for a message that refuses to overwrite it.
    fn whose(&self, theirs: &Value) -> String {
        let (kind, name) = (self.step.kind.as_str(), &self.step.name);
        let package = theirs
            .pointer("/_meta/package/name")
            .and_then(Value::as_str);
        match (plan::managed_by(theirs), package) {
            (Some(owner), Some(package)) => format!(
                "{kind} {name} (of {}: the integration {})",
                answer::excerpt(owner.as_bytes()),
                answer::excerpt(package.as_bytes())
            ),
            (Some(owner), None) => {
                format!("{kind} {name} (of {})", answer::excerpt(owner.as_bytes()))
            }
            (None, _) => format!("{kind} {name}"),
        }
    }
}

impl Survey<'_> {
    /// What would not be overwritten.
    pub fn foreign(&self) -> Vec<String> {
        let foreign = self
            .objects
            .iter()
            .filter_map(|object| match &object.found {
                Found::Foreign(theirs) => Some(object.whose(theirs)),
                _ => None,
            });
        foreign.collect()
    }

    /// How many indices that OpenSearch manages by our policy do not follow its present version.
    pub fn behind(&self) -> usize {
        self.followers.behind.len()
    }

    /// What to know about the life cycle.
    fn told(&self) -> Option<Told<'_>> {
        self.want.parts.lifecycle.then_some(Told {
            family: self.target.family,
            lifecycle: self.lifecycle,
            place: self.want.place,
            retention: self.want.retention,
        })
    }

    /// Refuses what must not be put: over what is not ours, without `force`, and where a life cycle is wanted and
    /// cannot be seen.
    pub fn permit<E>(&self, force: bool) -> Result<(), SetupError<E>> {
        let objects = self.foreign();
        if !objects.is_empty() && !force {
            return Err(SetupError::Foreign { objects });
        }
        if self.lifecycle == Lifecycle::NotTold && self.want.parts.lifecycle {
            return Err(SetupError::LifecycleNotTold);
        }
        Ok(())
    }

    /// Puts what is missing or differs; with `force` what is not ours, too.
    pub async fn apply<C: Client>(
        self,
        client: &C,
        force: bool,
    ) -> Result<Report, SetupError<C::Error>> {
        self.permit(force)?;
        let mut changes = Vec::with_capacity(self.objects.len());
        for object in &self.objects {
            let outcome = object.outcome();
            if !matches!(outcome, Outcome::Unchanged | Outcome::Kept) {
                let body = Bytes::from(object.step.body.to_string());
                answer::accepted(client, Method::Put, &object.put(), Some(body)).await?;
            }
            changes.push(Change {
                kind: object.step.kind,
                name: object.step.name.clone(),
                outcome,
            });
        }
        let mut notes = self.notes();
        notes.push_str(&self.followers.follow(client, &self.names.template).await?);
        Ok(Report {
            target: self.target,
            names: self.names,
            changes,
            shadows: self.shadows,
            notes,
        })
    }

    /// What to know where templates are put without the policy that they name.
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
        } else if self.lifecycle == Lifecycle::NotTold {
            "Life cycle: these credentials may not see whether there is one, so the templates name none; run setup \
             again with the privilege read_ilm.\n"
                .to_owned()
        } else {
            String::new()
        }
    }

    /// What to know besides the objects.
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
        match self.told() {
            Some(told) => out.push_str(&told.to_string()),
            None => out.push_str(&self.without_policy()),
        }
        for Shadow {
            index,
            template,
            priority,
        } in &self.shadows
        {
            out.push_str(&format!(
                "Warning: {index} would not get our template but {}, whose priority is {priority}: lower that, or \
                 narrow its pattern.\n",
                answer::excerpt(template.as_bytes())
            ));
        }
        out
    }
}

/// What a run would do, object by object.
impl fmt::Display for Survey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {}", self.target.family, self.target.version)?;
        for Object { step, found, .. } in &self.objects {
            let word = match found {
                Found::Missing => "would be created",
                Found::Equal => "unchanged",
                Found::Differs(_) => "would be updated",
                Found::Foreign(_) => "not logweir's",
                Found::Users => "yours, kept",
            };
            writeln!(f, "  {word:<17} {} {}", step.kind.as_str(), step.name)?;
            if let Found::Differs(current) | Found::Foreign(current) = found {
                let wanted = step.kind.wanted(&step.body);
                f.write_str(&diff::lines(step.kind, current, wanted))?;
            }
        }
        f.write_str(&self.notes())?;
        write!(f, "{}", self.followers)?;
        if let Err(error) = self.permit::<Infallible>(false) {
            writeln!(f, "A run would stop before it changes anything: {error}")?;
        }
        Ok(())
    }
}
