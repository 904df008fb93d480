//! nginx.conf as a source of defaults: found, read, its formats compiled.
//!
//! Owns the guess of the values that only `nginx -V` shows (prefix and default log). Refuses to fail because of
//! nginx.conf: a problem in it becomes a note, since the agent must keep running while somebody edits the file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use logweir_parsers::Format;
use logweir_parsers::nginx_conf::{
    self, AccessLog, COMBINED, ConfSource, LogFormat, NginxConf, Settings, Wrong,
};

use super::Note;
use super::formats::{NamedFormat, for_any_log, well_known};
use super::ports::Files;
use super::problem::{Origin, nearest};
use super::scope::{Scope, unreadable};

/// The content of nginx.conf, ready for use.
pub(super) struct Nginx {
    pub(super) conf: NginxConf,
    /// Its formats that compile, by name.
    formats: HashMap<String, NamedFormat>,
    /// Problems in it, except unreadable parts.
    pub(super) notes: Vec<Note>,
    /// Its parts that exist but are unreadable.
    unread: Vec<Note>,
    /// The formats to try besides a log's own: all of them, and combined.
    pub(super) shared: Arc<[NamedFormat]>,
    /// The formats to try on a log that nginx.conf does not name: all of them, and the well-known ones.
    pub(super) for_others: Arc<[NamedFormat]>,
}

/// Reads the file that is set, or the default one if it exists. `unread` receives the parts that exist but are
/// unreadable.
pub(super) fn read(
    top: &mut Scope<'_>,
    files: &dyn Files,
    unread: &mut Vec<Note>,
) -> Option<Nginx> {
    let written = top.written("nginx_conf").map(|given| given.origin.clone());
    let path = top.path("nginx_conf")?;
    // Checked first, because an absent default file is not reported, but a wrong setting is an error.
    if let Err(error) = files.read(&path) {
        let fault = unreadable(&path, &error);
        match written {
            Some(origin) => top.fault("nginx_conf", origin, fault),
            None if error.kind() == std::io::ErrorKind::NotFound => {}
            None => unread.push(Note {
                origin: Origin::Nowhere,
                text: fault.to_string(),
            }),
        }
        return None;
    }
    let conf = path.to_str().and_then(|path| parse(path, files))?;
    let mut notes = Vec::new();
    let mut parts_unread = Vec::new();
    for problem in &conf.problems {
        let note = note(&problem.position, problem.wrong.to_string());
        match is_unread(&problem.wrong, files) {
            true => parts_unread.push(note),
            false => notes.push(note),
        }
    }
    unread.extend(parts_unread.iter().cloned());
    let mut formats = Vec::new();
    for LogFormat {
        name,
        escape,
        value,
        position,
    } in &conf.formats
    {
        match Format::compile(value, *escape) {
            Ok(format) => formats.push(NamedFormat {
                name: name.clone(),
                format,
            }),
            Err(error) => {
                let text = format!("log_format {name} cannot be used: {error}");
                notes.push(note(position, text));
            }
        }
    }
    let by_name = formats
        .iter()
        .map(|format| (format.name.clone(), format.clone()));
    Some(Nginx {
        conf,
        notes,
        unread: parts_unread,
        formats: by_name.collect(),
        shared: for_any_log(formats.iter().cloned().chain([NamedFormat::combined()])).into(),
        // These problems have another source.
        for_others: for_any_log(formats.into_iter().chain(well_known())).into(),
    })
}

/// Whether the file exists but is unreadable. nginx itself does not start when an included file is missing.
fn is_unread(wrong: &Wrong, files: &dyn Files) -> bool {
    let Wrong::Unreadable { path, .. } = wrong else {
        return false;
    };
    let is_there = |error: std::io::Error| error.kind() != std::io::ErrorKind::NotFound;
    files.read(Path::new(path)).is_err_and(is_there) || files.glob(path).is_err_and(is_there)
}

pub(super) fn note(position: &nginx_conf::ConfPosition, text: String) -> Note {
    let line = usize::try_from(position.line).unwrap_or(usize::MAX);
    Note {
        origin: Origin::File {
            path: Path::new(&*position.file).into(),
            line,
        },
        text,
    }
}

impl Nginx {
    /// The `log_format` of this name.
    ///
    /// # Errors
    ///
    /// Why there is no usable one.
    pub(super) fn format(&self, name: &str) -> Result<NamedFormat, String> {
        if let Some(format) = self.formats.get(name) {
            return Ok(format.clone());
        }
        let file = self.conf.files.first().map_or("nginx.conf", String::as_str);
        let defined = || self.conf.formats.iter().map(|format| format.name.as_str());
        if defined().any(|known| known == name) {
            return Err(format!("this log_format of {file} cannot be used"));
        }
        let names: Vec<&str> = defined().collect();
        let mut there_are = match names.as_slice() {
            [] => "which defines none".to_owned(),
            names => format!("which defines {}", names.join(", ")),
        };
        if let Some(part) = self.unread.first() {
            there_are += &format!(", as far as it can be read ({})", part.text);
        }
        Err(
            match nearest(name, ["auto", COMBINED].into_iter().chain(defined())) {
                Some(near) => {
                    format!("is no log_format of {file}, {there_are}; did you mean {near:?}?")
                }
                None => format!("is no log_format of {file}, {there_are}"),
            },
        )
    }

    /// A log's own formats, in the order of its writers.
    pub(super) fn formats_of(&self, log: &AccessLog) -> Vec<NamedFormat> {
        let mut own: Vec<NamedFormat> = Vec::new();
        for writer in &log.writers {
            let format = if writer.format == COMBINED {
                Some(NamedFormat::combined())
            } else {
                self.formats.get(&writer.format).cloned()
            };
            own.extend(format.filter(|format| !own.iter().any(|known| known.is_same(format))));
        }
        own
    }

    /// The log's site, if its lines do not contain it.
    pub(super) fn site_of(&self, log: &AccessLog, formats: &[NamedFormat]) -> Option<&str> {
        let tells = |format: &NamedFormat| {
            let names = ["host", "http_host", "server_name"];
            format
                .format
                .fields()
                .iter()
                .any(|field| names.contains(&field.name()))
        };
        if formats.iter().any(tells) {
            None
        } else {
            self.conf.host_of(log)
        }
    }
}

/// A nginx.conf in a folder `conf` belongs to a build with nginx's own layout, PREFIX/conf/nginx.conf (`auto/options` in
/// nginx's source; OpenResty too). Distributions keep it elsewhere and log to `/var/log/nginx`. Their prefix matters for
/// relative log paths only. Since nginx creates its logs, the right prefix is the one under which most logs exist.
fn parse(conf: &str, files: &dyn Files) -> Option<NginxConf> {
    let source = Adapter(files);
    let folder = Path::new(conf).parent()?.to_str()?;
    let read = |prefix: &str, default_log: &str| {
        let settings = Settings {
            conf: conf.to_owned(),
            prefix: prefix.to_owned(),
            default_log: default_log.to_owned(),
        };
        nginx_conf::read(&settings, &source)
    };
    if let Some(prefix) = folder.strip_suffix("/conf") {
        return Some(read(prefix, "logs/access.log"));
    }
    // Debian and Red Hat; nginx.org's packages; Alpine.
    let prefixes = ["/usr/share/nginx", folder, "/var/lib/nginx"];
    let read = |prefix: &str| read(prefix, "/var/log/nginx/access.log");
    let first = read(prefixes[0]);
    let is_relative = |log: &AccessLog| log.path.starts_with(&format!("{}/", prefixes[0]));
    if !first.logs.iter().any(is_relative) {
        return Some(first);
    }
    let there = |conf: &NginxConf| {
        conf.logs
            .iter()
            .filter(|log| files.exists(Path::new(&log.path)))
            .count()
    };
    let others = prefixes[1..].iter().map(|prefix| read(prefix));
    Some(others.fold(first, |best, other| {
        if there(&other) > there(&best) {
            other
        } else {
            best
        }
    }))
}

/// Gives the nginx.conf reader access to the files of this machine.
struct Adapter<'f>(&'f dyn Files);

impl ConfSource for Adapter<'_> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0
            .read(Path::new(path))
            .map_err(|error| error.to_string())
    }

    fn glob(&self, pattern: &str) -> Result<Vec<String>, String> {
        let paths = self.0.glob(pattern).map_err(|error| error.to_string())?;
        Ok(paths
            .into_iter()
            .filter_map(|path| path.into_os_string().into_string().ok())
            .collect())
    }
}
