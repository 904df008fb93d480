//! `logweir check`: reports what `run` would do with this configuration on this machine, without doing it.
//!
//! Owns the order of the report. Invariant: it writes nothing and uses no network; where `run` would refuse to start, it exits
//! with the same code.

use std::collections::HashMap;

use logweir_parsers::nginx_conf::{COMBINED, ConfPosition};

use super::super::Exit;
use super::logs::{self, Followed, Used};
use super::needs::{self, Need};
use super::report::Report;
use super::{beside, doubles, extras, host, names, routes};
use crate::agent;
use crate::config::{
    DEFAULT_FILE, Elasticsearch as Cluster, IndexTarget, Loaded, PROMISE, Proxy, show_duration,
};
use crate::http::shown;
use crate::output::elasticsearch::Elasticsearch;

/// Data that records cannot do without; only its absence is a warning.
const GRAVE: [Need; 5] = [
    Need::Time,
    Need::Client,
    Need::Proof,
    Need::Forwarded,
    Need::Path,
];
/// The name of a better format for a log in nginx's predefined format.
const BETTER: &str = "logweir";

pub(super) fn describe(loaded: &Loaded, report: &mut Report) {
    configuration(loaded, report);
    routes::describe(&loaded.config.routes, report);
    extras::describe(&loaded.config, report);
    let followed = Followed::by(&loaded.config.logs);
    let used = logs::describe(loaded, &followed, report);
    beside::describe(loaded, report);
    if let Some(nginx) = &loaded.nginx {
        let left_out = logs::left_out(loaded, &followed);
        let doubled = doubles::find(nginx, |path| followed.is_followed(path));
        if !left_out.is_empty() || !doubled.is_empty() {
            report.section("other logs of nginx.conf");
        }
        left_out
            .iter()
            .for_each(|text| report.item("left out", text));
        doubled.iter().for_each(|text| report.warn(text));
    }
    let formats = loaded.nginx.iter().flat_map(|nginx| &nginx.formats);
    let places: HashMap<&str, &ConfPosition> = formats
        .map(|known| (known.name.as_str(), &known.position))
        .collect();
    for used in &used {
        let place = places.get(used.format.name.as_str()).copied();
        format(used, place, loaded, report);
    }
    if let Err(errors) = loaded.config.ready_to_run() {
        report.section("missing");
        errors
            .0
            .iter()
            .for_each(|problem| report.fail(Exit::Config, &problem.to_string()));
    }
}

fn configuration(loaded: &Loaded, report: &mut Report) {
    report.section("configuration");
    let config = &loaded.config;
    let of_nginx = loaded.nginx.as_ref().map_or(0, |nginx| nginx.files.len());
    let others = of_nginx + config.routes.documents.len() + config.enrich.files().count();
    match loaded.files.get(..loaded.files.len() - others) {
        Some([file, ..]) => report.item("file", &file.display().to_string()),
        _ => report.item(
            "file",
            &format!("none ({DEFAULT_FILE} is not there), so the defaults"),
        ),
    }
    if !loaded.variables.is_empty() {
        report.item("environment", &loaded.variables.join(", "));
    }
    match loaded.nginx.as_ref().map(|nginx| nginx.files.as_slice()) {
        Some([file]) => report.item("nginx.conf", file),
        Some([file, includes @ ..]) => {
            report.item(
                "nginx.conf",
                &format!("{file} and {} included", includes.len()),
            );
        }
        _ => report.item("nginx.conf", "none"),
    }
    if loaded.nginx.is_some() {
        let text = match config.discover {
            true => "all access logs of nginx.conf that no [[logs]] takes or excludes",
            false => "none, only those of [[logs]] are followed (discover)",
        };
        report.item("discovery", text);
    }
    let root = if names::is_root() {
        ", who may read all; the agent's own user may not"
    } else {
        ""
    };
    report.item("user", &format!("{}{root}", names::user()));
    host::name(loaded, report);
    host::data_dir(&config.data_dir, report);
    if config.elasticsearch.is_none() {
        let store = &config.store;
        let text = format!(
            "the store {} (no cluster is configured), kept for {} and up to {}",
            store.path.display(),
            show_duration(store.retention),
            store.disk_budget
        );
        report.item("output", &text);
    }
    if let Some(cluster) = &config.elasticsearch {
        let nodes: Vec<String> = cluster.nodes.iter().map(shown).collect();
        report.item("nodes", &nodes.join(", "));
        for (proxy, by) in by_proxy(cluster) {
            report.item(
                "proxy",
                &format!("{proxy} ({}), for {by}", proxy.named_by()),
            );
        }
        match &cluster.target {
            IndexTarget::Daily(pattern) => report.item("index", pattern.as_str()),
            IndexTarget::Stream(stream) => {
                report.item("data stream", stream.as_str());
                report.item("each line", PROMISE);
            }
        }
        if let Err(error) = Elasticsearch::connect(
            agent::output_settings(config, cluster),
            cluster.target.clone(),
        ) {
            report.fail(Exit::Config, &error.to_string());
        }
    }
    for note in &loaded.notes {
        match loaded.unread.contains(note) {
            true => report.fail(Exit::Permission, &note.to_string()),
            false => report.warn(&note.to_string()),
        }
    }
}

/// The proxies, and the nodes that are reached by each.
fn by_proxy(cluster: &Cluster) -> Vec<(&Proxy, String)> {
    let mut found: Vec<(&Proxy, Vec<String>)> = Vec::new();
    for node in &cluster.nodes {
        let Some(proxy) = cluster.proxies.of(node) else {
            continue;
        };
        match found.iter_mut().find(|(known, _)| *known == proxy) {
            Some((_, nodes)) => nodes.push(shown(node)),
            None => found.push((proxy, vec![shown(node)])),
        }
    }
    let joined = found
        .into_iter()
        .map(|(proxy, nodes)| (proxy, nodes.join(", ")));
    joined.collect()
}

/// The data that a format lacks, and a better format.
fn format(used: &Used, place: Option<&ConfPosition>, loaded: &Loaded, report: &mut Report) {
    let format = &used.format.format;
    let is_forgeable = !format.warnings().is_empty();
    if used.needs.is_empty() && !is_forgeable {
        return;
    }
    report.section(&match place {
        Some(place) => format!("format {} ({place})", used.format.name),
        None if used.format.name.starts_with("format ") => used.format.name.clone(),
        None => format!("format {}", used.format.name),
    });
    report.item("used by", &used.logs.join(", "));
    let is_reported = |warning: &str| {
        let mut notes = loaded.notes.iter();
        notes.any(|note| note.text.ends_with(warning))
    };
    for need in &used.needs {
        let lack = format!("no {}", need.missing());
        if GRAVE.contains(need) && !is_reported(&lack) {
            report.warn(&lack);
        } else {
            report.item("lacks", need.missing());
        }
    }
    for warning in format.warnings().iter().map(ToString::to_string) {
        if !is_reported(&warning) {
            report.warn(&warning);
        }
    }
    let Some(better) = needs::better(format, &used.needs) else {
        return;
    };
    let (name, advice) = match place {
        Some(place) => (
            used.format.name.as_str(),
            format!("instead of the one at {place}:"),
        ),
        None if used.format.name == COMBINED => {
            let text =
                format!("in http {{ }}, and its name in access_log (access_log PATH {BETTER};):");
            (BETTER, text)
        }
        None => (
            BETTER,
            "in nginx.conf, with its name in access_log:".to_owned(),
        ),
    };
    report.item("better", &advice);
    report.paste(&needs::directive(name, &better));
    if !used.auto {
        report.item(
            "",
            "and the same in [[logs]] format, before the present one: format = [new, old]",
        );
    }
}
