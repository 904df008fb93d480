//! `logweir check --connect`: each node, then the cluster as a whole.
//!
//! Owns the requests and the form of the findings. Invariant: it only reads; each message names the node and the one setting
//! to change. It guards against an agent that turns out to deliver nothing a day later.

use chrono::DateTime;

use super::super::Exit;
use super::report::Report;
use crate::clock::{Clock, SystemClock};
use crate::config::Auth;
use crate::config::{Config, Elasticsearch as Cluster};
use crate::http::{
    Backoff, ConnectionSettings, HttpClient, Method, Service, Transport as _, shown,
};
use crate::setup::{self, SetupError};

pub(super) async fn describe(config: &Config, cluster: &Cluster, report: &mut Report) {
    let mut settings = ConnectionSettings::of_cluster(cluster);
    let client = |settings: &ConnectionSettings| {
        HttpClient::new(settings, Service::Cluster, Backoff::default())
    };
    let mut answering = Vec::new();
    for address in &settings.nodes {
        report.section(&format!("node {}", shown(address)));
        let proxy = settings.proxies.of(address);
        let proxy = proxy.map(|proxy| format!("{proxy} ({})", proxy.named_by()));
        report.item("proxy", proxy.as_deref().unwrap_or("none"));
        let mut alone = settings.clone();
        alone.nodes = vec![address.clone()];
        // the offline check has already reported a wrong setting
        if let Ok(node) = client(&alone) {
            match self::node(&node, cluster, report).await {
                Ok(()) => answering.push(address.clone()),
                Err(text) => report.fail(Exit::Unavailable, &text),
            }
        }
    }
    if answering.is_empty() {
        return;
    }
    settings.nodes = answering;
    if let Ok(client) = client(&settings) {
        report.section("cluster");
        super::cluster::describe(&client, config, cluster, report).await;
    }
}

/// Checks one node; the error is why it cannot be used.
async fn node(node: &HttpClient, cluster: &Cluster, report: &mut Report) -> Result<(), String> {
    let clock = SystemClock::new();
    let response = node
        .request(Method::Get, "", &[], None)
        .await
        .map_err(|error| error.to_string())?;
    report.item("answers", &format!("after {} ms", clock.now().as_millis()));
    match setup::detect(node).await {
        Ok(server) => report.item("is", &format!("{} {}", server.family, server.version)),
        Err(SetupError::Refused {
            status: 401,
            reason,
            ..
        }) => {
            let setting = cluster.auth.setting();
            return Err(format!(
                "authentication refused (401 {reason}); check {setting} in [elasticsearch]"
            ));
        }
        // `run` does not need to know
        Err(SetupError::Refused { status: 403, .. }) => {
            report.item("is", "hidden from these credentials");
        }
        Err(error) => return Err(error.to_string()),
    }
    if !(200..300).contains(&response.status) {
        let text = format!(
            "status {}, which is no fault; another request is sent instead",
            response.status
        );
        report.item("GET /", &text);
    }
    match cluster.auth {
        Auth::None => report.item("credentials", "none set, none required"),
        _ => report.item(
            "credentials",
            &format!("{}, accepted", cluster.auth.setting()),
        ),
    }
    if let Some(date) = response
        .date
        .as_deref()
        .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
    {
        super::cluster::clocks(
            clock.unix_millis() / 1000 - date.timestamp(),
            "node",
            report,
        );
    }
    Ok(())
}
