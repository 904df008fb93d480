//! `logweir setup`: puts templates, life cycle and dashboards where they belong.

use clap::ValueEnum;

use super::{Common, Exit, SetupArgs, load};
use crate::agent;
use crate::config::{Config, Elasticsearch as Cluster, Target};
use crate::output::elasticsearch::{Elasticsearch, OutputError};
use crate::setup::{self, Family, Parts, SetupError, Want};

/// A part of a setup that can be asked for by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Component {
    /// Index templates and their components.
    Templates,
    /// The policy that deletes what is older than `retention`.
    Lifecycle,
    /// Data view, saved searches and dashboards.
    Kibana,
}

pub(super) fn run(common: &Common, args: &SetupArgs) -> Exit {
    let loaded = match load(common) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    let config = &loaded.config;
    let asked = |component| args.only.is_empty() || args.only.contains(&component);
    let parts = Parts {
        templates: asked(Component::Templates),
        lifecycle: asked(Component::Lifecycle),
    };
    if let Some(what) = args.print {
        return print(config, parts, what);
    }
    if parts.templates || parts.lifecycle {
        return match &config.elasticsearch {
            Some(cluster) => super::block_on(put(config, cluster, parts, args)),
            None => {
                eprintln!(
                    "there is no cluster to set up: add a section [elasticsearch] with nodes = [\"https://HOST:9200\"]"
                );
                Exit::Config
            }
        };
    }
    Exit::Ok
}

async fn put(config: &Config, cluster: &Cluster, parts: Parts, args: &SetupArgs) -> Exit {
    let output = match Elasticsearch::connect(agent::output_settings(config, cluster)) {
        Ok(output) => output,
        Err(error) => {
            eprintln!("{error}");
            return Exit::Config;
        }
    };
    let want = want(config, &cluster.target, parts);
    let done = match setup::survey(&*output, &want).await {
        Ok(survey) if args.dry_run => Ok(survey.to_string()),
        Ok(survey) => survey
            .apply(&*output, args.force)
            .await
            .map(|report| report.to_string()),
        Err(error) => Err(error),
    };
    match done {
        Ok(text) => {
            for line in text.lines() {
                super::terminal::print(&format!("{}\n", super::terminal::safe(line)));
            }
            Exit::Ok
        }
        Err(error) => {
            eprintln!("{error}");
            exit(&error)
        }
    }
}

/// What the configuration asks for.
pub(super) fn want<'a>(config: &Config, place: &'a Target, parts: Parts) -> Want<'a> {
    let cluster = config.elasticsearch.as_ref();
    Want {
        place,
        retention: config.retention,
        index_mode: cluster.and_then(|cluster| cluster.index_mode),
        parts,
    }
}

/// What a failed request to the cluster means for whoever started us.
pub(super) fn exit(error: &SetupError<OutputError>) -> Exit {
    match error {
        SetupError::Refused {
            status: 401 | 403, ..
        }
        | SetupError::LifecycleNotTold => Exit::Permission,
        SetupError::Foreign { .. } | SetupError::NoLogsdb { .. } => Exit::Config,
        _ => Exit::Unavailable,
    }
}

/// What `--print` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Print {
    /// Everything.
    All,
    /// Requests for Elasticsearch 8.7 and later.
    Elasticsearch,
    /// Requests for Elasticsearch before 8.7.
    #[value(name = "elasticsearch-7")]
    Elasticsearch7,
    /// Requests for OpenSearch.
    Opensearch,
    /// The least-privilege roles of agent, setup and prune, for both.
    Roles,
}

fn print(config: &Config, parts: Parts, what: Print) -> Exit {
    let place = match &config.elasticsearch {
        Some(cluster) => Some(cluster.target.clone()),
        None => Target::default_place(),
    };
    let Some(place) = place else {
        return Exit::Internal;
    };
    let want = want(config, &place, parts);
    let is = |which| what == which || what == Print::All;
    let mut out = String::new();
    for (which, family, version, title) in [
        (
            Print::Elasticsearch,
            Family::Elasticsearch,
            "9.0.0",
            "Elasticsearch 8.7 and later",
        ),
        (
            Print::Elasticsearch7,
            Family::Elasticsearch,
            "7.17.0",
            "Elasticsearch before 8.7",
        ),
        (Print::Opensearch, Family::OpenSearch, "3.0.0", "OpenSearch"),
    ] {
        if is(which) {
            let version = version.to_owned();
            let requests = setup::requests(&setup::Target { family, version }, &want);
            out.push_str(&format!("#### {title}\n\n{requests}"));
        }
    }
    if is(Print::Roles) {
        for family in [Family::Elasticsearch, Family::OpenSearch] {
            let roles = setup::roles(family, &place);
            out.push_str(&format!("#### Roles in {family}\n\n{roles}"));
        }
    }
    super::terminal::print(out.trim_end());
    super::terminal::print("\n");
    Exit::Ok
}
