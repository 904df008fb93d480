//! The configuration: TOML text, environment and secret files become one validated `Config`.
//!
//! Owns the table of settings (`settings`), the sources of values and their validation. Refuses to know how other modules
//! use them. It works in two steps: `raw` finds the values with their positions, the rest validates them; no other module
//! validates again. Invariant: `load` returns either a complete `Config` or all problems at once. It guards against an
//! agent that starts with settings that its operator did not write.

mod auth;
mod batches;
mod credentials;
mod data_stream;
mod elasticsearch;
mod enrich;
mod exposed;
mod fields;
mod fingerprint;
mod formats;
mod http;
mod index_pattern;
mod index_target;
mod kibana;
pub(crate) mod lacks;
mod logs;
mod nginx;
mod ports;
mod privacy;
mod problem;
mod proxy;
mod raw;
#[cfg(test)]
mod reference;
mod routes;
mod scope;
mod section;
pub(crate) mod settings;
mod silent;
mod store;
mod tried;
mod units;

#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use logweir_parsers::nginx_conf::NginxConf;

pub use auth::{Auth, ClientCertificate};
pub use batches::Batches;
pub use data_stream::{DataStream, DataStreamError, PROMISE};
pub(crate) use elasticsearch::Elasticsearch;
pub use elasticsearch::IndexMode;
#[cfg(test)]
pub(crate) use fields::is_own;
pub(crate) use fields::variable_of;
pub use fields::{Field, FieldType, FieldValue};
pub use fingerprint::Fingerprint;
pub use formats::NamedFormat;
pub(crate) use formats::{for_any_log, well_known};
pub use index_pattern::{IndexPattern, IndexPatternError, Period};
pub use index_target::IndexTarget;
pub use kibana::Kibana;
pub(crate) use logs::{Log, not_followed};
pub(crate) use ports::{Env, Files, System};
pub use privacy::{AddressRule, HashKey, Privacy};
pub(crate) use problem::{ConfigErrors, Fault, Origin, Problem, nearest};
pub use proxy::{Proxies, Proxy};
pub use routes::{Methods, Route, RouteKind, Routes, Segment, Template, TemplateError};
pub(crate) use store::Store;
pub use tried::Formats;
pub use units::Bytes;
pub(crate) use units::{parse_duration, show_duration};

use crate::enrich::Enrich;
use raw::Raw;
use scope::{Scope, unreadable};
use settings::Section;

/// The file that is read by default.
pub(crate) const DEFAULT_FILE: &str = "/etc/logweir/logweir.toml";

/// The validated configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// The host's name, part of each line's identity.
    pub host: String,
    /// The directory of positions and dead letters.
    pub data_dir: PathBuf,
    /// How far back rotated files are read at the first start.
    pub history: Duration,
    /// Age from which lines are not indexed any more; None: never.
    pub retention: Option<Duration>,
    /// The proxies whose X-Forwarded-For is trusted.
    pub trusted_proxies: Vec<IpNet>,
    /// Keep each whole line.
    pub keep_original: bool,
    /// A longer line is cut.
    pub max_line_bytes: Bytes,
    /// Disk space of deleted logs that are held open while they are unread.
    pub held_open_bytes: Bytes,
    /// The interval between scans of the folders.
    pub reconcile_interval: Duration,
    /// Whether to wait for file events or to poll.
    pub poll: Poll,
    /// Whether links are followed regardless of who owns them.
    pub follow_all_links: bool,
    /// The name of the user of nginx's workers, if nginx.conf has it.
    pub nginx_user: Option<String>,
    /// How long a stop may take.
    pub shutdown_timeout: Duration,
    /// Size at which the dead-letter file is full.
    pub dead_letter_bytes: Bytes,
    /// Logs of nginx.conf that no `[[logs]]` takes are among [`Config::logs`].
    pub discover: bool,
    /// The logs to follow; see [`Config::ready_to_run`].
    pub logs: Vec<Log>,
    /// The APIs by name.
    pub routes: Routes,
    /// The rules of privacy.
    pub privacy: Privacy,
    /// The sources of enrichment.
    pub enrich: Enrich,
    /// The limits of batches.
    pub batches: Batches,
    /// The cluster; None without such a section.
    pub elasticsearch: Option<Elasticsearch>,
    /// The embedded store, which is used without a cluster.
    pub store: Store,
    /// Where `setup` puts the dashboards; None without such a section.
    pub kibana: Option<Kibana>,
    /// Address of the agent's own pages.
    pub http_listen: SocketAddr,
    /// Names by which requests to them may call this host, besides its own, `localhost` and addresses.
    pub http_allowed_hosts: Vec<String>,
    /// Least level of the agent's own log lines.
    pub log_level: LogLevel,
    /// Their style.
    pub log_format: LogStyle,
}

/// Whether to poll files instead of waiting for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Poll {
    /// Where the file system gives no events.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

/// Levels of the agent's own log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogLevel {
    /// Data was lost.
    Error,
    /// Something that an operator should look at.
    Warn,
    /// Starts, stops and reloads of the agent.
    Info,
    /// Each file, request, retry and reload.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// Their names, from few lines to many.
    pub(crate) const WORDS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];
    const LEVELS: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The level with this name.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        let mut levels = Self::WORDS.into_iter().zip(Self::LEVELS);
        levels
            .find(|(known, _)| *known == word)
            .map(|(_, level)| level)
    }
}

/// How the agent's own log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogStyle {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A note: information that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The origin.
    pub origin: Origin,
    /// The text.
    pub text: String,
}

impl Note {
    /// A note about a source whose earlier content stays in use.
    fn of_kept(problem: Problem) -> Self {
        let Problem { origin, key, fault } = problem;
        let text = format!("{key}: {fault}; the old one stays");
        Self { origin, text }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.text)
    }
}

/// A configuration with notes and sources.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Notes for the operator.
    pub notes: Vec<Note>,
    /// The notes about parts of nginx.conf that exist but are unreadable, so that logs and formats may be missing.
    pub unread: Vec<Note>,
    /// The content of nginx.conf, if it was readable.
    pub nginx: Option<NginxConf>,
    /// The files that it depends on: a change in one of them is a reason to load again.
    pub files: Vec<PathBuf>,
    /// The environment's variables among its sources.
    pub variables: Vec<String>,
    /// `host` is set, and not the system's name.
    pub host_is_set: bool,
    /// Patterns of nginx's includes: a new file that matches one of them is a reason too.
    pub patterns: Vec<String>,
    own: OwnConfig,
}

/// logweir's own settings: the file, if there is one, with its values and those of the environment.
#[derive(Debug, Clone)]
struct OwnConfig {
    file: Option<PathBuf>,
    raw: Raw,
}

/// Where the configuration sends documents.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'c> {
    /// To a cluster.
    Cluster(&'c Elasticsearch),
    /// To the embedded store.
    Store(&'c Store),
}

impl Config {
    /// Where documents go.
    pub(crate) fn destination(&self) -> Destination<'_> {
        match &self.elasticsearch {
            Some(cluster) => Destination::Cluster(cluster),
            None => Destination::Store(&self.store),
        }
    }

    /// Checks that there is a log, which `run` needs besides a valid configuration.
    ///
    /// # Errors
    ///
    /// There is none. The message shows what to write.
    pub(crate) fn ready_to_run(&self) -> Result<(), ConfigErrors> {
        if !self.logs.is_empty() {
            return Ok(());
        }
        Err(ConfigErrors(vec![missing(
            "logs",
            "nginx.conf names no log that can be followed, or cannot be read, or discover is false: add a section \
             [[logs]] with paths = [\"/var/log/nginx/access.log\"], or set nginx_conf",
        )]))
    }
}

fn missing(key: &str, hint: &'static str) -> Problem {
    Problem {
        origin: Origin::Nowhere,
        key: key.to_owned(),
        fault: Fault::Missing { hint },
    }
}

/// Linux allows 64 bytes, DNS 255.
const MAX_HOST: usize = 255;

/// Reads a configuration: the file named `source`, or [`DEFAULT_FILE`] if it exists. The environment overrides it.
///
/// # Errors
///
/// All problems at once. An absent named file is a problem.
pub(crate) fn load(
    source: Option<&Path>,
    env: &dyn Env,
    files: &dyn Files,
) -> Result<Loaded, ConfigErrors> {
    finish(own(source, env, files)?, env, files, None)
}

/// Reads the address of the agent's own pages alone, so that a running agent is found whatever else is wrong with the
/// configuration now.
///
/// # Errors
///
/// The address is wrong, or the file cannot be read.
pub(crate) fn listen(
    source: Option<&Path>,
    env: &dyn Env,
    files: &dyn Files,
) -> Result<SocketAddr, ConfigErrors> {
    let OwnConfig { mut raw, .. } = own(source, env, files)?;
    let mut problems = std::mem::take(&mut raw.problems);
    let values = raw.sections.get(&Section::Http);
    let mut http = Scope::new(Section::Http, values, &mut problems);
    let listen = http::listen(&mut http);
    let about_listen = |problem: &Problem| problem.key == "http.listen";
    match listen {
        Some(listen) if !problems.iter().any(about_listen) => Ok(listen),
        _ => {
            problems.retain(about_listen);
            Err(ConfigErrors(problems))
        }
    }
}

/// Reads logweir's own settings: the file, and the environment, which overrides it.
fn own(source: Option<&Path>, env: &dyn Env, files: &dyn Files) -> Result<OwnConfig, ConfigErrors> {
    let path = source.unwrap_or(Path::new(DEFAULT_FILE));
    let whole = Origin::File {
        path: path.into(),
        line: 0,
    };
    let alone = |fault| {
        ConfigErrors(vec![Problem {
            origin: whole.clone(),
            key: String::new(),
            fault,
        }])
    };
    let mut file = None;
    let mut raw = match files.read(path) {
        Ok(content) => {
            file = Some(path.to_owned());
            let text = String::from_utf8(content)
                .map_err(|_| alone(Fault::Syntax("the file is not UTF-8".to_owned())))?;
            Raw::of_text(&text, path)
        }
        Err(error) if source.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            Raw::default()
        }
        // After a failed mount the agent must not start with other settings.
        Err(error) => return Err(alone(unreadable(path, &error))),
    };
    raw.environment(env.variables());
    for values in raw.sections.values_mut() {
        credentials::environment_first(values);
    }
    Ok(OwnConfig { file, raw })
}

/// Reads again the files that others change: nginx.conf, OpenAPI documents, databases. logweir's own settings are those of
/// `before`, since somebody may be editing them. A document or database that cannot be used now is kept as in `before`,
/// with a note, because new formats of nginx must not wait for it.
///
/// # Errors
///
/// As of [`load`], without the problems of logweir's own settings.
pub(crate) fn follow(
    before: &Loaded,
    env: &dyn Env,
    files: &dyn Files,
) -> Result<Loaded, ConfigErrors> {
    finish(before.own.clone(), env, files, Some(&before.config))
}

fn finish(
    mut own: OwnConfig,
    env: &dyn Env,
    files: &dyn Files,
    before: Option<&Config>,
) -> Result<Loaded, ConfigErrors> {
    let raw = &mut own.raw;
    let mut problems = std::mem::take(&mut raw.problems);
    let mut notes = Vec::new();
    let mut unread = Vec::new();
    let checked = check(
        raw,
        env,
        files,
        before,
        &mut problems,
        &mut notes,
        &mut unread,
    );
    notes.extend(exposed::notes(raw, files));
    // An unreadable value is not also reported as missing.
    let written: HashSet<String> = problems
        .iter()
        .filter(|problem| !matches!(problem.fault, Fault::Missing { .. }))
        .map(|problem| problem.key.clone())
        .collect();
    problems.retain(|problem| {
        let doubled =
            matches!(problem.fault, Fault::Missing { .. }) && written.contains(&problem.key);
        !doubled && !raw.is_noise(problem)
    });
    problems.sort_by(|a, b| a.origin.cmp(&b.origin));
    match checked {
        Some((config, nginx)) if problems.is_empty() => {
            let conf = nginx.as_ref();
            let mut read: Vec<PathBuf> = own.file.iter().cloned().collect();
            let documents = config.routes.documents.iter();
            let enrichment = config.enrich.files().map(|(_, about)| &about.path);
            read.extend(conf.iter().flat_map(|conf| &conf.files).map(PathBuf::from));
            read.extend(documents.cloned());
            read.extend(enrichment.cloned());
            let patterns = conf.map(|conf| conf.patterns.clone()).unwrap_or_default();
            Ok(Loaded {
                config,
                notes,
                unread,
                nginx,
                files: read,
                variables: raw.variables(),
                host_is_set: raw.sets(Section::Top, "host"),
                patterns,
                own,
            })
        }
        _ => Err(ConfigErrors(problems)),
    }
}

fn check(
    raw: &Raw,
    env: &dyn Env,
    files: &dyn Files,
    before: Option<&Config>,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
    unread: &mut Vec<Note>,
) -> Option<(Config, Option<NginxConf>)> {
    let section = |section| raw.sections.get(&section);
    let mut top = Scope::new(Section::Top, section(Section::Top), problems);
    let host = host(&mut top, env);
    let data_dir = top.path("data_dir");
    let discover = top.written("discover").map(|_| top.bool("discover"));
    let history = top.duration("history");
    let retention = top.duration("retention");
    let trusted_proxies = trusted_proxies(&mut top);
    let keep_original = top.bool("keep_original");
    let max_line_bytes = top.bytes("max_line_bytes");
    let held_open_bytes = top.bytes("held_open_bytes");
    let reconcile_interval = top.duration("reconcile_interval");
    let poll = top.one_of("poll", &[Poll::Auto, Poll::Always, Poll::Never]);
    let follow_all_links = top.one_of("follow_links", &[false, true]);
    let shutdown_timeout = top.duration("shutdown_timeout");
    let dead_letter_bytes = top.bytes("dead_letter_bytes");
    let nginx = nginx::read(&mut top, files, unread);
    notes.extend(unread.iter().cloned());
    notes.extend(nginx.iter().flat_map(|nginx| nginx.notes.iter().cloned()));

    let earlier = top.problems().len();
    let routes = routes::read(raw, &mut top, files, notes);
    let routes_before = before.map(|before| &before.routes);
    let routes = or_before(routes, routes_before, earlier, top.problems(), notes);

    let sections = raw.list(Section::Logs);
    let discover = discover.unwrap_or(sections.is_empty());
    let logs = logs::read(sections, nginx.as_ref(), discover, problems, notes);
    notes.extend(lacks::notes(&logs, nginx.as_ref()));
    let privacy = privacy::read(raw, &logs, files, problems);
    let enrich_before = before.map(|before| &before.enrich);
    let enrich = enrich::read(raw, &logs, files, enrich_before, problems, notes);
    let batches = batches::read(section(Section::Elasticsearch), problems);
    let elasticsearch = section(Section::Elasticsearch)
        .map(|values| elasticsearch::read(values, env, files, problems, notes));

    let cluster = section(Section::Elasticsearch);
    let store = section(Section::Store);
    let store = store::read(store, cluster, data_dir.as_deref(), problems);

    let kibana = section(Section::Kibana).map(|values| {
        let cluster = elasticsearch.as_ref().and_then(Option::as_ref);
        kibana::read(values, cluster, env, files, problems, notes)
    });

    let mut http = Scope::new(Section::Http, section(Section::Http), problems);
    let http_listen = http::listen(&mut http);
    let http_allowed_hosts = http::allowed_hosts(&mut http);

    let mut log = Scope::new(Section::Log, section(Section::Log), problems);
    let log_level = log.one_of("level", &LogLevel::LEVELS);
    let log_format = log.one_of("format", &[LogStyle::Text, LogStyle::Json]);

    let elasticsearch = match elasticsearch {
        Some(read) => Some(read?),
        None => None,
    };
    let kibana = match kibana {
        Some(read) => Some(read?),
        None => None,
    };
    let is_faulty = |key: &str| problems.iter().any(|problem| problem.key == key);
    let batches = batches?;
    if max_line_bytes? > batches.batch_bytes
        && !is_faulty("max_line_bytes")
        && !is_faulty("elasticsearch.batch_bytes")
    {
        let mut top = Scope::new(Section::Top, section(Section::Top), problems);
        let origin = top
            .written("max_line_bytes")
            .map_or(Origin::Nowhere, |given| given.origin.clone());
        let other = format!("elasticsearch.batch_bytes ({})", batches.batch_bytes);
        let hint = "a line must fit into a batch; lower the one or raise the other";
        top.fault("max_line_bytes", origin, Fault::Conflict { other, hint });
    }
    let config = Config {
        host,
        data_dir: data_dir?,
        history: history?,
        retention,
        trusted_proxies,
        keep_original,
        max_line_bytes: max_line_bytes?,
        held_open_bytes: held_open_bytes?,
        reconcile_interval: reconcile_interval?,
        poll: poll?,
        follow_all_links: follow_all_links?,
        nginx_user: nginx.as_ref().and_then(|nginx| nginx.conf.user.clone()),
        shutdown_timeout: shutdown_timeout?,
        dead_letter_bytes: dead_letter_bytes?,
        discover,
        logs,
        routes,
        privacy,
        enrich,
        batches,
        elasticsearch,
        store: store?,
        kibana,
        http_listen: http_listen?,
        http_allowed_hosts,
        log_level: log_level?,
        log_format: log_format?,
    };
    Some((config, nginx.map(|nginx| nginx.conf)))
}

/// Returns what was read now. If there are more problems than the `earlier` ones, they become notes, and the value from
/// `before` is returned.
fn or_before<T: Clone>(
    now: T,
    before: Option<&T>,
    earlier: usize,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> T {
    match before {
        Some(before) if problems.len() > earlier => {
            notes.extend(problems.drain(earlier..).map(Note::of_kept));
            before.clone()
        }
        _ => now,
    }
}

fn host(top: &mut Scope<'_>, env: &dyn Env) -> String {
    let (host, origin) = match top.text("host") {
        Some(written) => written,
        None => (env.host_name(), Origin::Nowhere),
    };
    let why = if host.is_empty() {
        "the host has no name; set one, as in host = \"web-07\""
    } else if host.len() > MAX_HOST || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
        "must be at most 255 bytes without blanks and control characters"
    } else {
        return host;
    };
    top.bad("host", origin, &host, why);
    host
}

fn trusted_proxies(top: &mut Scope<'_>) -> Vec<IpNet> {
    let mut nets = Vec::new();
    for (text, origin) in top.list("trusted_proxies") {
        let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
        match text.parse::<IpNet>().ok().or_else(address) {
            Some(net) => nets.push(net.trunc()),
            None => {
                let why = "is no address or CIDR; write it as in \"10.0.0.0/8\" or \"fd00::/8\"";
                top.bad("trusted_proxies", origin, &text, why);
            }
        }
    }
    nets
}
