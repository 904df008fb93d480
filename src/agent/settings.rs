//! The settings of each module, made from the one configuration.

use std::path::Path;
use std::time::Duration;

use logweir_store::Limits;
use rustix::process::geteuid;

use super::descriptors;
use crate::config::{Batches, Config, DataStream, Elasticsearch, Log, Poll, Store};
use crate::framing::FramingSetting;
use crate::http::ConnectionSettings;
use crate::output::{elasticsearch as output, store};
use crate::tail::fs::{HostFs, is_silent};
use crate::{pipeline, record, tail};

/// Bytes read from a log at once; with the batch buffers they are most of the agent's memory.
const READ_BYTES: usize = 256 * 1024;

/// The tailer's settings of the logs, and the folders of rotated files.
pub(crate) fn logs(config: &Config) -> (Vec<tail::LogSettings>, Vec<String>) {
    let logs = config.logs.iter().map(|log| tail::LogSettings {
        paths: log.paths.clone(),
        exclude: log.exclude.clone(),
        rotated: log.rotated.clone(),
        name: log.name.clone(),
        framing: log.framing,
    });
    let mut rotated_dirs: Vec<String> = config
        .logs
        .iter()
        .flat_map(|log| log.rotated_dirs.iter().cloned())
        .collect();
    rotated_dirs.sort();
    rotated_dirs.dedup();
    (logs.collect(), rotated_dirs)
}

/// The users whose links the tailer follows.
pub(crate) fn links(config: &Config) -> tail::Links {
    let nginx = config.nginx_user.as_deref();
    tail::Links {
        always: config.follow_all_links,
        own: geteuid().as_raw(),
        nginx: nginx.and_then(|name| tail::user_id(&HostFs, name)),
    }
}

/// `output` is the name of the output whose positions are kept; without a name none are. Older lines than `retention` are
/// not read.
pub(super) fn tail(
    config: &Config,
    output: Option<String>,
    retention: Option<Duration>,
) -> tail::Settings {
    let (logs, rotated_dirs) = logs(config);
    tail::Settings {
        host: config.host.clone(),
        data_dir: config.data_dir.clone(),
        logs,
        rotated_dirs,
        history: config.history,
        retention,
        max_line_bytes: config.max_line_bytes.as_usize(),
        read_bytes: READ_BYTES,
        held_open_bytes: config.held_open_bytes.get(),
        links: links(config),
        open_files: descriptors::for_logs(config.batches.max_in_flight).max(1),
        output,
    }
}

/// `data_stream` is the one that is written into documents; older lines than `retention` get none.
pub(super) fn record(
    config: &Config,
    data_stream: Option<DataStream>,
    host: &str,
    retention: Option<Duration>,
) -> record::Settings {
    let log = |log: &Log| record::LogSettings {
        formats: log.formats.clone(),
        fields: log.fields.clone(),
        pods: log.framing != FramingSetting::Raw,
    };
    record::Settings {
        data_stream,
        host: host.to_owned(),
        trusted_proxies: config.trusted_proxies.clone(),
        keep_original: config.keep_original,
        retention,
        routes: config.routes.clone(),
        privacy: config.privacy.clone(),
        enrich: config.enrich.clone(),
        logs: config.logs.iter().map(log).collect(),
    }
}

/// The store's settings.
pub(super) fn store(store: &Store) -> store::Settings {
    let retention = u32::try_from(store.retention.as_secs()).unwrap_or(u32::MAX);
    store::Settings {
        path: store.path.clone(),
        limits: Limits {
            retention: Some(retention),
            disk_budget: Some(store.disk_budget.get()),
            memory: store.memory.as_usize(),
        },
    }
}

/// The settings of batches, with another greatest age where the output asks for one.
pub(super) fn pipeline(
    config: &Config,
    once: bool,
    flush_interval: Option<Duration>,
) -> pipeline::Settings {
    let Batches {
        batch_bytes,
        batch_count,
        flush_interval: configured,
        max_in_flight,
    } = config.batches;
    pipeline::Settings {
        batch_bytes: batch_bytes.as_usize(),
        batch_count,
        flush_interval: flush_interval.unwrap_or(configured),
        max_in_flight,
        reconcile_interval: config.reconcile_interval,
        shutdown_timeout: config.shutdown_timeout,
        once,
    }
}

/// The settings of the output to a cluster.
pub(crate) fn output(config: &Config, cluster: &Elasticsearch) -> output::Settings {
    output::Settings {
        connection: ConnectionSettings::of_cluster(cluster),
        batch_bytes: config.batches.batch_bytes.as_usize(),
        max_in_flight: config.batches.max_in_flight,
        dead_letter_bytes: config.dead_letter_bytes.get(),
        ..output::Settings::new(cluster.nodes.clone(), config.data_dir.clone())
    }
}

/// Whether files are polled instead of waiting for events.
pub(super) fn poll<'p>(config: &Config, directories: impl IntoIterator<Item = &'p Path>) -> bool {
    match config.poll {
        Poll::Always => true,
        Poll::Never => false,
        Poll::Auto => directories.into_iter().any(is_silent),
    }
}
