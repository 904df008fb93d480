//! Puts the shipped templates into a cluster.
//!
//! This room owns what is put, under which names, and the rule what may be overwritten: a template that does not
//! carry `_meta.managed_by: logweir` is somebody else's and stays as it is, unless the operator insists. It refuses
//! to know how a cluster is reached: that is a [`Client`].
//!
//! Invariant: everything is looked at before anything is written, so a refusal leaves the cluster as it was; and a
//! second run with the same files changes nothing. It guards against the quiet clash of templates, in which the
//! documents arrive but their fields have the types of somebody else's template.

mod answer;
mod cluster;
mod detect;
mod error;
mod plan;
mod report;
#[cfg(test)]
mod tests;

use std::future::Future;

use bytes::Bytes;
use serde_json::Value;

use crate::config;

pub use self::detect::{Family, Target, detect};
pub use self::error::SetupError;
pub use self::plan::{Kind, Names, Step, plan};
pub use self::report::{Change, Outcome, Report};

/// The verbs that setup needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Create or replace.
    Put,
    /// Ask with a body or without a side effect.
    Post,
}

impl Method {
    /// As it stands in a request line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
            Self::Post => "POST",
        }
    }
}

/// What the cluster said, whatever the status.
#[derive(Debug, Clone)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body, usually JSON.
    pub body: Bytes,
}

/// A way to a cluster. An error is one of the way: a refusal by the cluster is an [`Answer`].
pub trait Client {
    /// Why no answer came.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Sends one request; `path` begins with `/` and may carry a query.
    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> impl Future<Output = Result<Answer, Self::Error>> + Send;
}

/// Puts the templates for the setting `index` (such as `nginx-access-%Y.%m.%d`) or `data_stream` into the cluster.
///
/// With `force`, a template of the same name that is not logweir's is overwritten.
pub async fn run<C: Client>(
    client: &C,
    place: &config::Target,
    force: bool,
) -> Result<Report, SetupError<C::Error>> {
    let names = Names::of(place);
    let target = detect(client).await?;
    let steps = plan(target.family, &names);

    let mut found = Vec::with_capacity(steps.len());
    for step in &steps {
        found.push(look(client, step).await?);
    }
    let foreign: Vec<String> = steps
        .iter()
        .zip(&found)
        .filter(|(_, found)| matches!(found, Found::Foreign))
        .map(|(step, _)| step.name.clone())
        .collect();
    if !foreign.is_empty() && !force {
        return Err(SetupError::Foreign { names: foreign });
    }

    let mut changes = Vec::with_capacity(steps.len());
    for (step, found) in steps.iter().zip(&found) {
        let outcome = match found {
            Found::Missing => Outcome::Created,
            Found::Equal => Outcome::Unchanged,
            Found::Older => Outcome::Updated,
            Found::Foreign => Outcome::Overwritten,
        };
        if outcome != Outcome::Unchanged {
            let body = Bytes::from(step.body.to_string());
            answer::accepted(client, step.method, &step.path, Some(body)).await?;
        }
        changes.push(Change {
            kind: step.kind,
            name: step.name.clone(),
            outcome,
        });
    }
    let shadowed = shadowed(client, &names).await?;
    Ok(Report {
        target,
        names,
        changes,
        shadowed,
    })
}

/// What stands in the cluster under a step's name.
enum Found {
    Missing,
    /// What we would put.
    Equal,
    /// Ours, with another content: of another version, or edited by hand.
    Older,
    /// Without our `_meta`.
    Foreign,
}

async fn look<C: Client>(client: &C, step: &Step) -> Result<Found, SetupError<C::Error>> {
    let answer = answer::request(client, Method::Get, &step.path, None).await?;
    if answer.status == 404 {
        return Ok(Found::Missing);
    }
    let body = answer::judge(Method::Get, &step.path, answer)?;
    let current = step
        .kind
        .content(&body)
        .ok_or_else(|| SetupError::Incomprehensible {
            request: answer::name(Method::Get, &step.path),
            body: answer::excerpt(body.to_string().as_bytes()),
        })?;
    Ok(match current {
        current if same(current, &step.body) => Found::Equal,
        current if plan::is_ours(current) => Found::Older,
        _ => Found::Foreign,
    })
}

/// Whether the cluster holds exactly what we would put, but for what servers add by themselves: dates, and the
/// defaults of `data_stream`.
fn same(current: &Value, wanted: &Value) -> bool {
    let (Some(current), Some(wanted)) = (current.as_object(), wanted.as_object()) else {
        return false;
    };
    let by_server = |key: &str| key.starts_with("created_date") || key.starts_with("modified_date");
    let holds = |key: &str, value: &Value| match (key, current.get(key), value) {
        ("data_stream", Some(Value::Object(current)), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| current.get(key) == Some(value)),
        (_, current, value) => current == Some(value),
    };
    wanted.iter().all(|(key, value)| holds(key, value))
        && current
            .keys()
            .all(|key| wanted.contains_key(key) || by_server(key))
}

/// Asks which template a new index would get; true when it would not be ours. The pattern of a template with a higher
/// priority wins without a word when the index is created.
async fn shadowed<C: Client>(client: &C, names: &Names) -> Result<bool, SetupError<C::Error>> {
    let path = format!("/_index_template/_simulate_index/{}", names.example);
    let body = answer::accepted(client, Method::Post, &path, None).await?;
    let losers = body
        .get("overlapping")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    Ok(losers
        .filter_map(|loser| loser.get("name"))
        .any(|name| name.as_str() == Some(names.template.as_str())))
}
