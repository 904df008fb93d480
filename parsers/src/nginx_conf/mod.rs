//! nginx.conf: which access logs it writes, in which format, for which servers.
//!
//! Owns the syntax of nginx's configuration (`src/core/ngx_conf_file.c`) and the meaning of the few
//! directives that make access logs (`src/http/modules/ngx_http_log_module.c`): `include`, `log_format`,
//! `access_log`, `server_name`, `listen` and the blocks they stand in. Refuses to know files: the caller
//! gives a [`ConfSource`]. Refuses to judge what nginx alone can judge; a directive it does not know is
//! stepped over.
//!
//! Invariant: reading never fails as a whole and always ends. Whatever is wrong becomes a [`Problem`]
//! with its file and line, beside everything that could still be understood; includes are bounded in
//! depth, number and bytes. It guards against an agent that follows half of the logs and does not say so.

mod access_log;
mod lua;
mod problem;
mod resolve;
pub(crate) mod token;
mod walk;

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::Escape;

pub use problem::{Problem, Wrong};

/// The format nginx predefines (`ngx_http_combined_fmt` in `ngx_http_log_module.c`).
pub const COMBINED: &str = "combined";

/// Where the text of nginx.conf and of its includes comes from.
pub trait ConfSource {
    /// The bytes of the file at `path`, or in a few words why they cannot be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The paths which match `pattern` as glob(3) matches it, sorted; none is no error.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// What nginx knows from its build and command line and not from its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path of nginx.conf; its folder is where relative includes are looked for.
    pub conf: String,
    /// `nginx -V`'s `--prefix`: where relative log paths begin.
    pub prefix: String,
    /// `nginx -V`'s `--http-log-path`: the log of a server for which no `access_log` is written anywhere.
    pub default_log: String,
}

/// A line of a configuration file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfPosition {
    /// The file.
    pub file: Arc<str>,
    /// Its line, from 1.
    pub line: u32,
}

impl fmt::Display for ConfPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One `log_format` of the http block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    /// Its name.
    pub name: String,
    /// How values are escaped.
    pub escape: Escape,
    /// The pieces, unquoted and joined.
    pub value: String,
    /// Where it stands.
    pub place: ConfPosition,
}

/// One `server` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The arguments of its `server_name` directives.
    pub names: Vec<String>,
    /// The first argument of each of its `listen` directives.
    pub listens: Vec<String>,
    /// Where it begins.
    pub place: ConfPosition,
}

impl Server {
    /// The first name that is a plain host name: no wildcard, no regular expression, not `_`, not empty,
    /// not `localhost` (nginx's own packages ship a server of that name which takes every host).
    /// A leading dot (`.example.com` stands for `example.com` and `*.example.com`) is taken off, as nginx
    /// does for `$server_name`.
    pub fn host(&self) -> Option<&str> {
        self.names
            .iter()
            .map(|name| name.strip_prefix('.').unwrap_or(name))
            .find(|name| {
                !matches!(*name, "" | "localhost")
                    && !name.starts_with(['~', '_', '$'])
                    && !name.contains(['*', '$', '"', '/'])
            })
    }
}

/// The options after an `access_log`'s format.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `buffer=`, in bytes; `gzip` alone means 64 KiB.
    pub buffer: Option<u64>,
    /// `gzip` and its level.
    pub gzip: Option<u8>,
    /// `flush=`.
    pub flush: Option<Duration>,
    /// `if=`: requests for which this is empty or `0` are not logged.
    pub condition: Option<String>,
}

/// One `access_log` directive, or the log that nginx writes where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Name of its format, in the `log_format`'s own spelling where there is such a format.
    pub format: String,
    /// The other options.
    pub options: LogOptions,
    /// The servers whose requests it gets, as indexes into [`NginxConf::servers`].
    pub servers: Vec<usize>,
    /// Writers of one level get the same requests: two of them in two files log each request twice.
    pub level: usize,
    /// Where the directive stands; for a log by default, where the first such server begins.
    pub place: ConfPosition,
    /// No directive says so: it is nginx's log by default.
    pub by_default: bool,
}

/// One log and everyone who writes into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The full path; as it is written when it is no path (`off`, `syslog:…`).
    pub path: String,
    /// Can it be followed?
    pub tailable: Tailable,
    /// Who writes into it, at least one.
    pub writers: Vec<Writer>,
}

/// Whether a log can be followed as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tailable {
    /// A plain file.
    Yes,
    /// A file of gzip members, one for each flush of nginx's buffer.
    Gzip,
    /// No file to follow.
    No(Reason),
}

/// Why a log cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `off`, or beside an `off` of the same level, which wins.
    Off,
    /// Sent to a syslog server.
    Syslog,
    /// The path holds variables; see [`AccessLog::glob`].
    Variables,
    /// nginx's standard output or error: `/dev/stdout`, `/proc/self/fd/1`, an empty path.
    Stream,
    /// `/dev/null`.
    Null,
}

impl Reason {
    /// The reason and the way out, after "cannot be followed: ".
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Off => "logging is off here",
            Reason::Syslog => "it goes to syslog; add a second access_log that names a file",
            Reason::Variables => {
                "its path holds variables; name the files with a glob under [[logs]]"
            }
            Reason::Stream => {
                "it is nginx's own output stream; write it to a file in a folder shared with the agent"
            }
            Reason::Null => "it is /dev/null",
        }
    }
}

impl AccessLog {
    /// A glob for a path with variables: each variable is a `*`. None for other paths.
    pub fn glob(&self) -> Option<String> {
        (self.tailable == Tailable::No(Reason::Variables))
            .then(|| access_log::variables_as_stars(&self.path))
    }

    /// The servers whose requests are in this log, each once.
    pub fn servers(&self) -> Vec<usize> {
        let mut servers: Vec<usize> = self
            .writers
            .iter()
            .flat_map(|writer| writer.servers.iter().copied())
            .collect();
        servers.sort_unstable();
        servers.dedup();
        servers
    }
}

/// An `access_log` of a `stream` block: connections, not HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLog {
    /// Its path as written.
    pub path: String,
    /// Where it stands.
    pub place: ConfPosition,
}

/// What a configuration says about access logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NginxConf {
    /// The `log_format`s, in order; [`COMBINED`] is not among them.
    pub formats: Vec<LogFormat>,
    /// The access logs of the http block, each path once, in order of appearance; a path that is off at one
    /// level and written from another is there twice.
    pub logs: Vec<AccessLog>,
    /// The `server` blocks of the http block, in order.
    pub servers: Vec<Server>,
    /// Logs of `stream` blocks, which hold no HTTP requests.
    pub stream_logs: Vec<StreamLog>,
    /// The user that its workers run as (`user`); None where nobody says so.
    pub user: Option<String>,
    /// Every file that was read, nginx.conf first, each once.
    pub files: Vec<String>,
    /// The patterns of includes: a new file that matches one belongs to the configuration.
    pub patterns: Vec<String>,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

impl NginxConf {
    /// The format called `name`; like nginx, without regard to case. None for [`COMBINED`] and the unknown.
    pub fn format(&self, name: &str) -> Option<&LogFormat> {
        self.formats
            .iter()
            .find(|format| format.name.eq_ignore_ascii_case(name))
    }

    /// The one site whose requests are in this log: its server's name, when all its servers agree on it.
    pub fn host_of(&self, log: &AccessLog) -> Option<&str> {
        let mut hosts = log
            .servers()
            .into_iter()
            .map(|at| self.servers.get(at)?.host());
        let first = hosts.next()??;
        hosts.all(|host| host == Some(first)).then_some(first)
    }
}

/// Reads the configuration at `settings.conf` with all its includes.
pub fn read(settings: &Settings, source: &dyn ConfSource) -> NginxConf {
    walk::walk(settings, source)
}
