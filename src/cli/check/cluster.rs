//! The cluster as a whole, asked through any node: templates, life cycle, privileges, clock, durability.
//!
//! Owns the meaning of the findings for an operator. Invariant: it only reads. Something that the agent's key may not see is
//! reported, but is no failure, since the agent needs fewer privileges than its operator.

#[cfg(test)]
mod tests;

use std::time::Duration;

use serde_json::Value;

use super::super::{Exit, setup::want};
use super::report::Report;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Elasticsearch as Cluster};
use crate::http::{Method, Transport};
use crate::setup::{
    self, Lifecycle, ObjectKind, ObjectState, Parts, Privileges, SetupError, Survey, SurveyedObject,
};

/// A difference of clocks from which on records of "the last minute" are missed.
const CLOCKS_APART: Duration = Duration::from_secs(30);

/// Reports all findings.
pub(super) async fn describe<T: Transport>(
    client: &T,
    config: &Config,
    cluster: &Cluster,
    report: &mut Report,
) {
    let want = want(config, &cluster.target, Parts::ALL);
    match setup::survey(client, &want).await {
        Ok(survey) => {
            templates(&survey, report);
            life_cycle(&survey, report);
            privileges(client, &survey, report).await;
        }
        Err(SetupError::Refused {
            request,
            status: 403,
            ..
        }) => report.warn(&format!(
            "these credentials may not see what is in the cluster ({request} is forbidden), so whether run can write \
             there is unknown: `logweir setup --print roles` prints the role of the agent"
        )),
        Err(error) => report.fail(Exit::Unavailable, &error.to_string()),
    }
    // credentials that may not ask for the time may still write
    if let Ok(Some(there)) = setup::cluster_time(client).await {
        let here = SystemClock::new().unix_millis() / 1000;
        clocks(here - there, "cluster", report);
    }
    durability(client, cluster, report).await;
}

/// Reports the lead of this host's clock over another.
pub(super) fn clocks(seconds: i64, whose: &str, report: &mut Report) {
    let word = if seconds < 0 { "behind" } else { "ahead of" };
    let apart = seconds.unsigned_abs();
    if apart >= CLOCKS_APART.as_secs() {
        report.warn(&format!(
            "this host's clock is {apart} s {word} the {whose}'s; synchronise both clocks by NTP"
        ));
    } else {
        report.item("clock", &format!("{apart} s apart"));
    }
}

fn templates(survey: &Survey<'_>, report: &mut Report) {
    let name = &survey.names.template;
    let is_main = |object: &&SurveyedObject| {
        object.step.kind == ObjectKind::IndexTemplate && object.step.name == *name
    };
    let main = survey.objects.iter().find(is_main);
    match main.map(|object| &object.found) {
        Some(ObjectState::Missing) => {
            report.item("template", &format!("{name}, missing"));
            report.fail(
                Exit::Unavailable,
                "the index template is missing and run would wait for it: logweir setup puts it there",
            );
            return;
        }
        Some(ObjectState::Differs(theirs) | ObjectState::Foreign(theirs))
            if survey.names.stream && theirs.get("data_stream").is_none() =>
        {
            report.item(
                "template",
                &format!("{name}, there, but it makes no data streams"),
            );
            report.fail(
                Exit::Unavailable,
                "run would wait for a template that does: logweir setup puts it there",
            );
            return;
        }
        Some(ObjectState::Equal) => report.item("template", &format!("{name}, there")),
        _ => report.item("template", &format!("{name}, there, but see below")),
    }
    for object in &survey.objects {
        if matches!(
            object.step.kind,
            ObjectKind::ComponentTemplate | ObjectKind::IndexTemplate
        ) {
            difference(object, report);
        }
    }
    for conflict in &survey.conflicts {
        report.warn(&format!(
            "{} would not get our template but {}, whose priority is {}, so fields may have other types: lower that, \
             or narrow its pattern",
            conflict.index, conflict.template, conflict.priority
        ));
    }
}

/// Reports an object that differs from that of this version.
fn difference(object: &SurveyedObject, report: &mut Report) {
    let what = format!("the {} {}", object.step.kind.as_str(), object.step.name);
    match object.found {
        ObjectState::Equal | ObjectState::Users => {}
        ObjectState::Missing => report.warn(&format!("{what} is missing: logweir setup puts it there")),
        ObjectState::Differs(_) => report.warn(&format!(
            "{what} is not as this version puts it: logweir setup --dry-run shows the difference, logweir setup puts \
             it right"
        )),
        ObjectState::Foreign(_) => report.warn(&format!(
            "{what} was not put by logweir, so its content is unknown: logweir setup --dry-run shows the difference; \
             choose another name by `index` or `data_stream`, or replace it by logweir setup --force"
        )),
    }
}

fn life_cycle(survey: &Survey<'_>, report: &mut Report) {
    const LABEL: &str = "life cycle";
    match survey.lifecycle {
        Lifecycle::Unwanted => report.item(LABEL, "none needed: `retention` is not set"),
        Lifecycle::Hidden => report.item(LABEL, "hidden from these credentials"),
        Lifecycle::Absent => report.warn(
            "`retention` is set, but this cluster deletes nothing by itself: run logweir prune once a day",
        ),
        Lifecycle::LeftOver => report.warn(
            "`retention` is not set, but a policy that logweir put deletes old indices: logweir setup --dry-run shows \
             how to end that",
        ),
        Lifecycle::Running | Lifecycle::Stopped => {
            let is_policy =
                |object: &&SurveyedObject| matches!(object.step.kind, ObjectKind::IlmPolicy | ObjectKind::IsmPolicy);
            if let Some(policy) = survey.objects.iter().find(is_policy) {
                let behind = survey.behind();
                if policy.found == ObjectState::Equal {
                    report.item(LABEL, &format!("{}, there", policy.step.name));
                    if behind > 0 {
                        report.warn(&format!(
                            "indices that follow an older version of the life-cycle policy: {behind}; logweir setup \
                             makes them follow the present one",
                        ));
                    }
                }
                difference(policy, report);
            }
            if survey.lifecycle == Lifecycle::Stopped {
                report.warn(
                    "index life-cycle management is stopped in this cluster, so nothing is deleted: \
                     POST /_ilm/start starts it",
                );
            }
        }
    }
}

async fn privileges<T: Transport>(client: &T, survey: &Survey<'_>, report: &mut Report) {
    const LABEL: &str = "privileges";
    match setup::privileges(client, &survey.server, &survey.names).await {
        Ok(Privileges::Enough) => report.item(LABEL, "those that run needs"),
        Ok(Privileges::Missing(missing)) => report.fail(
            Exit::Permission,
            &format!(
                "these credentials lack {}: `logweir setup --print roles` prints the role that has them",
                missing.join(", ")
            ),
        ),
        Ok(Privileges::Roles { user, roles }) => report.item(
            LABEL,
            &format!(
                "user {user} with the roles {}; OpenSearch does not show what they allow",
                roles.join(", ")
            ),
        ),
        Ok(Privileges::Off) => report.item(LABEL, "not asked for: security is off in this cluster"),
        Err(error) => report.item(LABEL, &format!("unknown: {error}")),
    }
}

/// Reports whether a power cut may lose acknowledged documents. The agent needs no privilege for that setting.
async fn durability<T: Transport>(client: &T, cluster: &Cluster, report: &mut Report) {
    const LABEL: &str = "durability";
    const SETTING: &str = "index.translog.durability";
    let all = cluster.target.all();
    let path = format!("/{all}/_settings/{SETTING}?flat_settings=true");
    let response = match client.request(Method::Get, &path, &[], None).await {
        Ok(response) => response,
        Err(error) => return report.item(LABEL, &format!("unknown: {error}")),
    };
    let indices = match (response.status, serde_json::from_slice(&response.body)) {
        (200, Ok(Value::Object(indices))) => indices,
        (404, _) => return report.item(LABEL, &format!("no index {all} exists yet")),
        (403, _) => {
            return report.item(
                LABEL,
                &format!(
                    "unknown: {SETTING} is visible only with the privilege view_index_metadata (OpenSearch: \
                     indices:monitor/settings/get) on {all}"
                ),
            );
        }
        (status, _) => {
            return report.item(
                LABEL,
                &format!("unknown: the response to GET {path} has status {status}"),
            );
        }
    };
    let is_async = |index: &&Value| {
        index
            .get("settings")
            .and_then(|settings| settings.get(SETTING))
            .and_then(Value::as_str)
            == Some("async")
    };
    // only indices that have the setting are listed; the default is `request`
    match indices.values().filter(is_async).count() {
        0 => report.item(LABEL, &format!("no index of {all} has {SETTING} = async")),
        count => report.warn(&format!(
            "indices with {SETTING} = async: {count}; acknowledged documents may be lost when a node loses power, \
             set it to request"
        )),
    }
}
