//! Reads nginx.conf: which access logs nginx writes, in which format, for which servers.
//!
//! Owns the syntax of nginx's configuration (`src/core/ngx_conf_file.c`) and the meaning of the few directives that
//! define access logs (`src/http/modules/ngx_http_log_module.c`): `include`, `log_format`, `access_log`, `server_name`,
//! `listen` and the blocks that contain them. Refuses to know files: the caller supplies a [`ConfSource`]. Refuses to
//! check anything else that nginx checks: it skips a directive that it does not know.
//!
//! Invariant: reading never fails as a whole and always ends. Each error becomes a [`Problem`] with its file and line,
//! and everything else is still read; includes are bounded in depth, number and bytes. So an agent never follows only
//! some of the logs without a message.

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

/// The format that nginx predefines (`ngx_http_combined_fmt` in `ngx_http_log_module.c`).
pub const COMBINED: &str = "combined";

/// Supplies the text of nginx.conf and of its includes.
pub trait ConfSource {
    /// The bytes of the file at `path`, or a short reason why it cannot be read.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// The paths that match `pattern` as in glob(3), sorted; an empty list is not an error.
    fn glob(&self, pattern: &str) -> Result<Vec<String>, String>;
}

/// Settings of nginx from its build and command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Path of nginx.conf; relative includes are looked up in its folder.
    pub conf: String,
    /// `nginx -V`'s `--prefix`: the base of relative log paths.
    pub prefix: String,
    /// `nginx -V`'s `--http-log-path`: the log of a server without any `access_log` at its own or an outer level.
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
    /// The position of the directive.
    pub position: ConfPosition,
}

/// One `server` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The arguments of its `server_name` directives.
    pub names: Vec<String>,
    /// The first argument of each of its `listen` directives.
    pub listens: Vec<String>,
    /// The position at which it begins.
    pub position: ConfPosition,
}

impl Server {
    /// The first name that is a plain host name: no wildcard, no regular expression, not `_`, not empty, not
    /// `localhost` (nginx's own packages ship a server of that name that accepts every host). A leading dot
    /// (`.example.com` means `example.com` and `*.example.com`) is removed, as nginx does for `$server_name`.
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

/// One `access_log` directive, or the default log that nginx writes if there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// Name of its format, spelled as in its `log_format` if there is one.
    pub format: String,
    /// The other options.
    pub options: LogOptions,
    /// The servers whose requests it logs, as indexes into [`NginxConf::servers`].
    pub servers: Vec<usize>,
    /// Writers of one level log the same requests: two of them with two files log each request twice.
    pub level: usize,
    /// The position of the directive; for a default log, that of the first such server.
    pub position: ConfPosition,
    /// Whether this is nginx's default log, without a directive.
    pub by_default: bool,
}

/// One log and all its writers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessLog {
    /// The full path; the text as written if it is not a path (`off`, `syslog:…`).
    pub path: String,
    /// Whether and how it can be followed.
    pub tailable: Tailable,
    /// The writers, at least one.
    pub writers: Vec<Writer>,
}

/// Whether a log can be followed as a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tailable {
    /// A plain file.
    Yes,
    /// A file of gzip members, one for each flush of nginx's buffer.
    Gzip,
    /// Not a file that can be followed.
    No(Reason),
}

/// Why a log cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// `off`, or a log beside an `off` of the same level, which takes precedence.
    Off,
    /// Sent to a syslog server.
    Syslog,
    /// The path contains variables; see [`AccessLog::glob`].
    Variables,
    /// nginx's standard output or error: `/dev/stdout`, `/proc/self/fd/1`, an empty path.
    Stream,
    /// `/dev/null`.
    Null,
}

impl Reason {
    /// The reason and the hint, after "cannot be followed: ".
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
    /// A glob for a path with variables: each variable is a `*`. `None` for other paths.
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

/// An `access_log` of a `stream` block: it logs connections, not HTTP requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamLog {
    /// Its path as written.
    pub path: String,
    /// The position of the directive.
    pub position: ConfPosition,
}

/// The access logs of a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NginxConf {
    /// The `log_format`s in order, without [`COMBINED`].
    pub formats: Vec<LogFormat>,
    /// The access logs of the http block, each path once, in order of appearance. A path that is off at one level and
    /// written at another occurs twice.
    pub logs: Vec<AccessLog>,
    /// The `server` blocks of the http block, in order.
    pub servers: Vec<Server>,
    /// Logs of `stream` blocks, which contain no HTTP requests.
    pub stream_logs: Vec<StreamLog>,
    /// The user of the worker processes (`user`); `None` if it is not set.
    pub user: Option<String>,
    /// Every file that was read, nginx.conf first, each once.
    pub files: Vec<String>,
    /// The patterns of includes: a new file that matches one is part of the configuration.
    pub patterns: Vec<String>,
    /// The errors.
    pub problems: Vec<Problem>,
}

impl NginxConf {
    /// The format called `name`; like nginx, ignores case. `None` for [`COMBINED`] and unknown names.
    pub fn format(&self, name: &str) -> Option<&LogFormat> {
        self.formats
            .iter()
            .find(|format| format.name.eq_ignore_ascii_case(name))
    }

    /// The site whose requests are in this log: the server name, if all its servers have the same one.
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
