//! `logweir check --connect`: each node, then the cluster as a whole.
//!
//! Owns what is asked and how the answers are put. Invariant: it only reads; each message names the node and
//! the one setting to change. It guards against an agent that is found to be mute the day after.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::super::Exit;
use super::report::Report;
use crate::agent;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Elasticsearch as Cluster};
use crate::output::elasticsearch::{Answer, Auth, Elasticsearch, Method, TemplateState, shown};
use crate::setup::{self, SetupError};

/// A difference of clocks from which on records of "the last minute" are missed.
const CLOCKS_APART: Duration = Duration::from_secs(30);
/// How the cluster says no to those it does not know, and to those who may not.
const UNAUTHORIZED: u16 = 401;

pub(super) async fn describe(config: &Config, cluster: &Cluster, report: &mut Report) {
    let settings = agent::output_settings(config, cluster);
    let mut answering = 0;
    for node in &settings.nodes {
        report.section(&format!("node {}", shown(node)));
        let mut alone = settings.clone();
        alone.nodes = vec![node.clone()];
        // a wrong setting was told by the check that needs no network
        if let Ok(node) = Elasticsearch::connect(alone) {
            match self::node(&node, cluster, report).await {
                Ok(()) => answering += 1,
                Err(text) => report.fail(Exit::Unavailable, &text),
            }
        }
    }
    if answering > 0
        && let Ok(output) = Elasticsearch::connect(settings)
    {
        report.section("cluster");
        template(&output, cluster, report).await;
        durability(&output, cluster, report).await;
    }
}

/// One node; the error is why it will not do.
async fn node(node: &Elasticsearch, cluster: &Cluster, report: &mut Report) -> Result<(), String> {
    let clock = SystemClock::new();
    let answer = node
        .request(Method::Get, "", None)
        .await
        .map_err(|error| error.to_string())?;
    report.item("answers", &format!("after {} ms", clock.now().as_millis()));
    if answer.status == UNAUTHORIZED {
        return Err(unauthorized(cluster));
    }
    match setup::detect(node).await {
        Ok(target) => report.item("is", &format!("{} {}", target.family, target.version)),
        Err(SetupError::Refused {
            status: UNAUTHORIZED,
            ..
        }) => return Err(unauthorized(cluster)),
        // `run` does not need to know
        Err(SetupError::Refused { status: 403, .. }) => {
            report.item("is", "not told to these credentials");
        }
        Err(error) => return Err(error.to_string()),
    }
    if !(200..300).contains(&answer.status) {
        let text = format!(
            "answered with {}, which is no fault; asked otherwise",
            answer.status
        );
        report.item("GET /", &text);
    }
    match cluster.auth {
        Auth::None => report.item("credentials", "none set, none asked for"),
        _ => report.item(
            "credentials",
            &format!("{}, accepted", cluster.auth.setting()),
        ),
    }
    clocks(&answer, clock.unix_millis(), report);
    Ok(())
}

fn unauthorized(cluster: &Cluster) -> String {
    format!(
        "authentication refused (401); check {} in [elasticsearch]",
        cluster.auth.setting()
    )
}

/// Compares the clocks, where something on the way tells its own.
fn clocks(answer: &Answer, here_millis: i64, report: &mut Report) {
    let date = answer
        .date
        .as_deref()
        .and_then(|date| DateTime::parse_from_rfc2822(date).ok());
    let Some(date) = date else { return };
    let seconds = here_millis / 1000 - date.timestamp();
    let word = if seconds < 0 { "behind" } else { "ahead of" };
    let apart = seconds.unsigned_abs();
    if apart >= CLOCKS_APART.as_secs() {
        report.warn(&format!(
            "this host's clock is {apart} s {word} the node's; let both keep time by NTP"
        ));
    } else {
        report.item("clock", &format!("{apart} s apart"));
    }
}

async fn template(output: &Elasticsearch, cluster: &Cluster, report: &mut Report) {
    let name = cluster.target.template();
    let for_stream = cluster.target.stream().is_some();
    match output.check_template(&name, for_stream).await {
        TemplateState::Present => report.item("template", &format!("{name}, there")),
        TemplateState::Missing => {
            report.item("template", &format!("{name}, missing"));
            report.fail(
                Exit::Unavailable,
                "the index template is missing and run would wait for it: logweir setup puts it there",
            );
        }
        TemplateState::NotForStreams => {
            report.item(
                "template",
                &format!("{name}, there, but it makes no data streams"),
            );
            report.fail(
                Exit::Unavailable,
                "run would wait for a template that does: logweir setup puts it there",
            );
        }
        TemplateState::Unknown(reason) => report.warn(&format!(
            "the template {name} may be there or not: {reason}; run goes on without asking"
        )),
        TemplateState::Unreachable(reason) => report.fail(Exit::Unavailable, &reason),
    }
}

/// Warns of indices whose writes a power cut may take back after they were acknowledged.
async fn durability(output: &Elasticsearch, cluster: &Cluster, report: &mut Report) {
    const SETTING: &str = "index.translog.durability";
    let path = format!(
        "{}/_settings/{SETTING}?flat_settings=true",
        cluster.target.all()
    );
    // without the right to look, or without an index, there is nothing to say
    let Ok(Answer {
        status: 200, body, ..
    }) = output.request(Method::Get, &path, None).await
    else {
        return;
    };
    let Ok(Value::Object(indices)) = serde_json::from_slice(&body) else {
        return;
    };
    let is_async = |index: &&Value| {
        index
            .get("settings")
            .and_then(|settings| settings.get(SETTING))
            .and_then(Value::as_str)
            == Some("async")
    };
    let count = indices.values().filter(is_async).count();
    if count > 0 {
        report.warn(&format!(
            "{count} of {} indices have {SETTING} = async: what they acknowledged may be lost when a node loses \
             power; set it to request",
            indices.len()
        ));
    }
}
