//! `logweir setup`: puts templates, life cycle and dashboards into the cluster and Kibana.

pub(super) mod dashboards;

use clap::ValueEnum;

use self::dashboards::Dashboards;
use super::terminal::{self, complain, say};
use super::{Common, Exit, SetupArgs, load};
use crate::config::{Config, IndexTarget, Kibana};
use crate::http::{HttpClient, HttpError};
use crate::setup::kibana::SavedObjects;
use crate::setup::{self, Family, Parts, SetupError, Want};

/// A part of a setup that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Component {
    /// Index templates and their components.
    Templates,
    /// The policy that deletes indices older than `retention`.
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
    if config.elasticsearch.is_none() && (parts.templates || parts.lifecycle) {
        complain!(
            "there is no cluster to set up: add a section [elasticsearch] with nodes = [\"https://HOST:9200\"]"
        );
        return Exit::Config;
    }
    if config.kibana.is_none() && args.only.contains(&Component::Kibana) {
        complain!(
            "there is no Kibana to set up: add a section [kibana] with url = \"https://HOST:5601\"; \
             `logweir setup --print kibana` prints the file to import by hand"
        );
        return Exit::Config;
    }
    let kibana = config.kibana.as_ref().filter(|_| asked(Component::Kibana));
    let done = super::block_on(async {
        match put(config, parts, kibana, args).await {
            Ok(()) => Exit::Ok,
            Err((text, exit)) => {
                complain!("{text}");
                exit
            }
        }
    });
    if done == Exit::Ok && config.kibana.is_none() && asked(Component::Kibana) {
        say!(
            "No dashboards: there is no section [kibana]. `logweir setup --print kibana` prints the file to import by \
             hand."
        );
    }
    done
}

/// Surveys everything, then puts it.
async fn put(
    config: &Config,
    parts: Parts,
    kibana: Option<&Kibana>,
    args: &SetupArgs,
) -> Result<(), (String, Exit)> {
    let target = target(config).ok_or_else(|| (String::new(), Exit::Internal))?;
    let want = want(config, &target, parts);
    let describe = |error: SetupError<HttpError>| (error.to_string(), exit(&error));
    let cluster = config
        .elasticsearch
        .as_ref()
        .filter(|_| parts.templates || parts.lifecycle);
    let cluster = match cluster {
        Some(cluster) => {
            let client = HttpClient::of_cluster(cluster)
                .map_err(|error| (error.to_string(), Exit::Config))?;
            let survey = setup::survey(&client, &want).await.map_err(describe)?;
            Some((client, survey))
        }
        None => None,
    };
    let dashboards = match kibana {
        Some(kibana) => Some(Dashboards::inspect(kibana, &target).await?),
        None => None,
    };
    if args.dry_run {
        if let Some((_, survey)) = &cluster {
            terminal::print(&survey.to_string());
        }
        if let Some(dashboards) = &dashboards {
            terminal::print(&dashboards.would());
        }
        terminal::print("Nothing was changed.\n");
        return Ok(());
    }
    if let Some((_, survey)) = &cluster {
        survey.permit(args.force).map_err(describe)?;
    }
    if let Some(dashboards) = &dashboards {
        dashboards.permit(args.force)?;
    }
    if let Some((client, survey)) = cluster {
        let report = survey.apply(&client, args.force).await.map_err(describe)?;
        terminal::print(&report.to_string());
    }
    if let Some(dashboards) = dashboards {
        terminal::print(&dashboards.import(args.force).await?);
    }
    Ok(())
}

/// The target of records, or the default one.
pub(super) fn target(config: &Config) -> Option<IndexTarget> {
    match &config.elasticsearch {
        Some(cluster) => Some(cluster.target.clone()),
        None => IndexTarget::default_target(),
    }
}

/// The settings of the setup.
pub(super) fn want<'a>(config: &Config, target: &'a IndexTarget, parts: Parts) -> Want<'a> {
    let cluster = config.elasticsearch.as_ref();
    Want {
        target,
        retention: config.retention,
        index_mode: cluster.and_then(|cluster| cluster.index_mode),
        parts,
    }
}

/// The exit code for a failed request to the cluster.
pub(super) fn exit(error: &SetupError<HttpError>) -> Exit {
    match error {
        SetupError::Refused {
            status: 401 | 403, ..
        }
        | SetupError::LifecycleHidden => Exit::Permission,
        SetupError::Foreign { .. } | SetupError::NoLogsdb { .. } => Exit::Config,
        _ => Exit::Unavailable,
    }
}

/// The variants of `--print`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Print {
    /// Everything but the file of dashboards.
    All,
    /// Requests for Elasticsearch 8.7 and later.
    Elasticsearch,
    /// Requests for Elasticsearch before 8.7.
    #[value(name = "elasticsearch-7")]
    Elasticsearch7,
    /// Requests for OpenSearch.
    Opensearch,
    /// The file of dashboards, to import into Kibana or OpenSearch Dashboards.
    Kibana,
    /// The least-privilege roles of agent, setup and prune, for both.
    Roles,
}

fn print(config: &Config, parts: Parts, what: Print) -> Exit {
    let Some(target) = target(config) else {
        return Exit::Internal;
    };
    if what == Print::Kibana {
        let kibana = config.kibana.as_ref();
        let space = kibana.and_then(|kibana| kibana.space.as_deref());
        terminal::print(&SavedObjects::of(&target, space).ndjson());
        return Exit::Ok;
    }
    let want = want(config, &target, parts);
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
            let requests = setup::requests(&setup::ServerInfo { family, version }, &want);
            out.push_str(&format!("#### {title}\n\n{requests}"));
        }
    }
    if is(Print::Roles) {
        for family in [Family::Elasticsearch, Family::OpenSearch] {
            let roles = setup::roles(family, &target, config.kibana.as_ref());
            out.push_str(&format!("#### Roles in {family}\n\n{roles}"));
        }
    }
    if what == Print::All {
        out.push_str(
            "#### Dashboards\n\n# `logweir setup --print kibana` prints the file to import under Stack Management, \
             Saved Objects.\n",
        );
    }
    say!("{}", out.trim_end());
    Exit::Ok
}
