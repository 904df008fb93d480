//! Resolves levels to logs by nginx's inheritance (`ngx_http_log_merge_loc_conf`).
//!
//! A level with an `access_log` of its own, or with `off`, inherits nothing; a level without one inherits everything.
//! If neither a server's own level nor `http` has a directive, the server writes the default log. `off` beside other
//! logs at one level takes precedence (`ngx_http_log_handler`).

use std::collections::HashMap;

use super::access_log::tailable;
use super::walk::full_path;
use super::{
    AccessLog, COMBINED, ConfPosition, LogOptions, NginxConf, Reason, Settings, Tailable, Writer,
};

/// Kinds of blocks that allow `access_log`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelKind {
    Http,
    Server,
    /// `location`, and `if` and `limit_except` in it: levels that handle requests of their server.
    Nested,
}

/// One block that allows `access_log`.
pub(super) struct Level {
    pub(super) kind: LevelKind,
    /// The server that it belongs to; `None` for `http`.
    pub(super) server: Option<usize>,
    pub(super) logs: Vec<OwnLog>,
    pub(super) off: Option<ConfPosition>,
}

/// An `access_log` as written at a level.
pub(super) struct OwnLog {
    pub(super) target: String,
    pub(super) format: String,
    pub(super) options: LogOptions,
    pub(super) position: ConfPosition,
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

    fn is_unset(&self) -> bool {
        self.logs.is_empty() && self.off.is_none()
    }
}

pub(super) fn resolve(conf: &mut NginxConf, levels: Vec<Level>, settings: &Settings) {
    let silent: Vec<usize> = levels
        .iter()
        .filter(|level| level.kind == LevelKind::Server && level.is_unset())
        .filter_map(|level| level.server)
        .collect();
    let by_default = levels.len();
    let http_is_silent = levels
        .iter()
        .filter(|level| level.kind == LevelKind::Http)
        .all(Level::is_unset);

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
            position,
        } in level.logs
        {
            let servers = servers.clone();
            let writer = Writer {
                format,
                options,
                servers,
                level: at,
                position,
                by_default: false,
            };
            found.add(target, writer, is_off, settings);
        }
        if let Some(position) = level.off {
            let format = COMBINED.to_owned();
            let options = LogOptions::default();
            let writer = Writer {
                format,
                options,
                servers,
                level: at,
                position,
                by_default: false,
            };
            found.add("off".to_owned(), writer, true, settings);
        }
    }
    if http_is_silent && let Some(&first) = silent.first() {
        let writer = Writer {
            format: COMBINED.to_owned(),
            options: LogOptions::default(),
            position: conf.servers[first].position.clone(),
            servers: silent,
            level: by_default,
            by_default: true,
        };
        found.add(settings.default_log.clone(), writer, false, settings);
    }
    conf.logs = found.logs;
}

struct LevelLogs {
    /// By path, and whether the level is off: a log that is off at one level may be written at another.
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
        // A file has one buffer, so one writer with gzip makes the whole file gzip.
        if kind == Tailable::Gzip {
            log.tailable = kind;
        }
        log.writers.push(writer);
    }
}
