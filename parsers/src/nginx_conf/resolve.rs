//! From levels to logs: nginx's inheritance (`ngx_http_log_merge_loc_conf`).
//!
//! A level with an `access_log` of its own, or with `off`, takes nothing from outside; one without takes
//! everything. A server for which neither its own level nor `http` says anything writes the log by default.
//! `off` beside other logs at one level wins (`ngx_http_log_handler`).

use std::collections::HashMap;

use super::access_log::tailable;
use super::walk::full_path;
use super::{
    AccessLog, COMBINED, ConfPosition, LogOptions, NginxConf, Reason, Settings, Tailable, Writer,
};

/// Kinds of blocks that take `access_log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelKind {
    Http,
    Server,
    /// `location`, and `if` and `limit_except` in it: levels whose requests are their server's.
    Nested,
}

/// One block that takes `access_log`.
pub(super) struct Level {
    pub(super) kind: LevelKind,
    /// The server it belongs to; none for `http`.
    pub(super) server: Option<usize>,
    pub(super) logs: Vec<OwnLog>,
    pub(super) off: Option<ConfPosition>,
}

/// An `access_log` as it is written at a level.
pub(super) struct OwnLog {
    pub(super) target: String,
    pub(super) format: String,
    pub(super) options: LogOptions,
    pub(super) place: ConfPosition,
}

impl Level {
    pub(super) fn new(kind: LevelKind, server: Option<usize>) -> Self {
        Level {
            kind,
            server,
            logs: Vec::new(),
            off: None,
        }
    }

    fn says_nothing(&self) -> bool {
        self.logs.is_empty() && self.off.is_none()
    }
}

pub(super) fn resolve(conf: &mut NginxConf, levels: Vec<Level>, settings: &Settings) {
    let silent: Vec<usize> = levels
        .iter()
        .filter(|level| level.kind == LevelKind::Server && level.says_nothing())
        .filter_map(|level| level.server)
        .collect();
    let by_default = levels.len();
    let http_is_silent = levels
        .iter()
        .filter(|level| level.kind == LevelKind::Http)
        .all(Level::says_nothing);

    let mut found = LevelLogs {
        by_path: HashMap::new(),
        logs: Vec::new(),
    };
    for (at, level) in levels.into_iter().enumerate() {
        let servers = match level.server {
            Some(server) => vec![server],
            None => silent.clone(),
        };
        let is_off = level.off.is_some();
        for OwnLog {
            target,
            format,
            options,
            place,
        } in level.logs
        {
            let servers = servers.clone();
            let writer = Writer {
                format,
                options,
                servers,
                level: at,
                place,
                by_default: false,
            };
            found.add(target, writer, is_off, settings);
        }
        if let Some(place) = level.off {
            let format = COMBINED.to_owned();
            let options = LogOptions::default();
            let writer = Writer {
                format,
                options,
                servers,
                level: at,
                place,
                by_default: false,
            };
            found.add("off".to_owned(), writer, true, settings);
        }
    }
    if http_is_silent && let Some(&first) = silent.first() {
        let writer = Writer {
            format: COMBINED.to_owned(),
            options: LogOptions::default(),
            place: conf.servers[first].place.clone(),
            servers: silent,
            level: by_default,
            by_default: true,
        };
        found.add(settings.default_log.clone(), writer, false, settings);
    }
    conf.logs = found.logs;
}

struct LevelLogs {
    /// By path, and whether the level is off: a log that is off here may be written from there.
    by_path: HashMap<(String, bool), usize>,
    logs: Vec<AccessLog>,
}

impl LevelLogs {
    fn add(&mut self, target: String, writer: Writer, is_off: bool, settings: &Settings) {
        let kind = match tailable(&target) {
            _ if is_off => Tailable::No(Reason::Off),
            Tailable::Yes if writer.options.gzip.is_some() => Tailable::Gzip,
            kind => kind,
        };
        let is_path = target != "off" && !target.is_empty() && !target.starts_with("syslog:");
        let path = if is_path {
            full_path(&settings.prefix, &target)
        } else {
            target
        };
        let key = (path, is_off);
        let Some(&at) = self.by_path.get(&key) else {
            let path = key.0.clone();
            self.by_path.insert(key, self.logs.len());
            self.logs.push(AccessLog {
                path,
                tailable: kind,
                writers: vec![writer],
            });
            return;
        };
        let log = &mut self.logs[at];
        // One file has one buffer: whoever asks for gzip makes the whole file so.
        if kind == Tailable::Gzip {
            log.tailable = kind;
        }
        log.writers.push(writer);
    }
}
