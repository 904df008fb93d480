//! The logs to follow: `[[logs]]`, or what nginx.conf says, and the formats of each.
//!
//! Invariant: each log has at least one format, `auto` has combined among them, and tries a log's own formats
//! before those of others. A section whose globs match
//! logs that nginx.conf names is split, one [`Log`] for each of those files and one for the rest: only so
//! each file is tried with its own format first and gets the site of its own server.

use std::collections::HashMap;
use std::ops::Range;
use std::path::PathBuf;

use globset::{Glob, GlobBuilder, GlobMatcher};
use logweir_parsers::nginx_conf::{AccessLog, COMBINED, Tailable};
use logweir_parsers::{Escape, Format};

use super::fields::{self, Field, FieldValue, Unknown};
use super::formats::{self, NamedFormat, push_new};
use super::nginx::{Nginx, note};
use super::problem::{Fault, Problem, nearest};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;
use super::{Config, Note};

/// Files of one kind.
#[derive(Debug, Clone)]
pub struct Log {
    /// The name in each line's identity; None: the live file's path.
    pub name: Option<String>,
    /// Globs of the live files.
    pub paths: Vec<String>,
    /// Globs to leave out.
    pub exclude: Vec<String>,
    /// Other folders of rotated files.
    pub rotated_dirs: Vec<PathBuf>,
    /// Tried in this order.
    pub formats: Vec<NamedFormat>,
    /// `auto` is among the formats: those seen before may be added, see [`Config::add_formats`].
    pub auto: bool,
    /// Of `formats`, those that `auto` adds to what the log names, from specific to general.
    pub others: Range<usize>,
    /// Further fields of each record.
    pub fields: Vec<Field>,
}

impl Log {
    /// The format that lines are expected in while none was seen: the first that the log names, or combined.
    pub fn expected_format(&self) -> usize {
        let combined = NamedFormat::combined();
        let names_none = self.others.contains(&0);
        let mut formats = self.formats.iter();
        formats
            .position(|format| !names_none || format.is_same(&combined))
            .unwrap_or(0)
    }
}

impl Config {
    /// Adds formats that were seen at an earlier start to those that `auto` tries besides a log's own. Each is
    /// a `log_format` directive; one that cannot be compiled any more becomes a note.
    pub fn add_formats(&mut self, directives: &[String]) -> Vec<Note> {
        let mut notes = Vec::new();
        let mut seen = Vec::new();
        for text in directives {
            let name = text
                .split_whitespace()
                .nth(1)
                .unwrap_or("format")
                .to_owned();
            match Format::from_directive(text, Escape::Default) {
                Ok(format) => seen.push(NamedFormat { name, format }),
                Err(error) => notes.push(Note {
                    origin: super::Origin::Nowhere,
                    text: format!("format {name}, seen before, cannot be used: {error}"),
                }),
            }
        }
        let seen = formats::for_any_log(seen);
        for log in self.logs.iter_mut().filter(|log| log.auto) {
            let behind = log.formats.split_off(log.others.end);
            let is_new = |format: &&NamedFormat| !behind.iter().any(|known| known.is_same(format));
            push_new(&mut log.formats, seen.iter().filter(is_new).cloned());
            log.others.end = log.formats.len();
            formats::sort(&mut log.formats[log.others.clone()]);
            log.formats.extend(behind);
        }
        notes
    }
}

pub(super) fn read(
    sections: &[Values],
    nginx: Option<&Nginx>,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Vec<Log> {
    if sections.is_empty() {
        return nginx
            .map(|nginx| of_nginx(nginx, notes))
            .unwrap_or_default();
    }
    let mut seen = HashMap::new();
    let mut logs = Vec::new();
    for (at, values) in sections.iter().enumerate() {
        let mut scope = Scope::of_list(Section::Logs, at, values, problems);
        let paths = paths(&mut scope, &mut seen);
        let exclude: Vec<String> = globs(&mut scope, "exclude");
        let name = scope.text("name");
        if let Some((name, origin)) = &name
            && (name.is_empty() || name.chars().any(char::is_control))
        {
            scope.bad(
                "name",
                origin.clone(),
                name,
                "must not be empty nor hold control characters",
            );
        }
        let formats = written_formats(&mut scope, notes);
        let log = Log {
            name: name.map(|(name, _)| name),
            paths,
            exclude,
            rotated_dirs: rotated_dirs(&mut scope),
            auto: formats.iter().any(|format| matches!(format, Choice::Auto)),
            others: 0..0,
            formats: Vec::new(),
            fields: fields::read(&mut scope),
        };
        let mut unknown = Unknown::default();
        logs.extend(split(log, &formats, nginx, &mut unknown));
        let given = values.given.get("fields");
        let origin = given.map_or(&values.origin, |given| &given.origin);
        notes.extend(unknown.notes(origin));
    }
    logs
}

/// One of the values of `format`.
enum Choice {
    Auto,
    Format(NamedFormat),
}

/// Every log of nginx.conf that can be followed; a note for each other one.
fn of_nginx(nginx: &Nginx, notes: &mut Vec<Note>) -> Vec<Log> {
    let mut logs = Vec::new();
    for log in &nginx.conf.logs {
        let Some(writer) = log.writers.first() else {
            continue;
        };
        match log.tailable {
            Tailable::Yes => logs.push(of_access_log(nginx, log)),
            Tailable::Gzip => {
                let text = format!(
                    "{} is written compressed and is not followed; take gzip off its access_log",
                    log.path
                );
                notes.push(note(&writer.place, text));
            }
            Tailable::No(nginx_reason) => {
                if nginx_reason != logweir_parsers::nginx_conf::Reason::Off {
                    let text = format!(
                        "access_log {:?} cannot be followed: {}",
                        log.path,
                        nginx_reason.as_str()
                    );
                    notes.push(note(&writer.place, text));
                }
            }
        }
    }
    for log in &nginx.conf.stream_logs {
        let text = format!(
            "{} is a log of stream connections, not of HTTP requests",
            log.path
        );
        notes.push(note(&log.place, text));
    }
    logs
}

fn of_access_log(nginx: &Nginx, log: &AccessLog) -> Log {
    let whole = Log {
        name: None,
        paths: vec![globset::escape(&log.path)],
        exclude: Vec::new(),
        rotated_dirs: Vec::new(),
        formats: Vec::new(),
        auto: true,
        others: 0..0,
        fields: Vec::new(),
    };
    one_of_nginx(
        whole,
        &[Choice::Auto],
        nginx,
        &[log],
        &mut Unknown::default(),
    )
}

/// Fills in formats and site of a log whose files are those of nginx's `logs`.
fn one_of_nginx(
    mut log: Log,
    choices: &[Choice],
    nginx: &Nginx,
    logs: &[&AccessLog],
    unknown: &mut Unknown,
) -> Log {
    let mut own = Vec::new();
    for access_log in logs {
        push_new(&mut own, nginx.formats_of(access_log));
    }
    (log.formats, log.others) = chosen(choices, &own, Some(nginx));
    let is_site = |field: &Field| {
        field.name == "url.domain" && matches!(field.value, FieldValue::Constant(_))
    };
    let tells_site = log.fields.iter().any(is_site);
    let telling = if log.auto { &own } else { &log.formats };
    unknown.look(&log.fields, telling);
    let mut sites = logs.iter().map(|log| nginx.site_of(log, telling));
    if let Some(Some(site)) = sites.next()
        && !tells_site
        && sites.all(|other| other == Some(site))
    {
        log.fields.push(Field::constant("url.domain", site));
    }
    log
}

/// The formats, and which of them `auto` adds to those that the log names.
fn chosen(
    choices: &[Choice],
    own: &[NamedFormat],
    nginx: Option<&Nginx>,
) -> (Vec<NamedFormat>, Range<usize>) {
    let mut formats = Vec::new();
    let mut others = 0..0;
    for choice in choices {
        match choice {
            Choice::Format(format) => push_new(&mut formats, [format.clone()]),
            Choice::Auto => {
                let is_named = !own.is_empty();
                let mut own = own.to_vec();
                formats::sort(&mut own);
                push_new(&mut formats, own);
                let from = formats.len();
                let known = nginx.into_iter().flat_map(|nginx| &nginx.formats);
                let mut more: Vec<NamedFormat> = known.cloned().collect();
                if is_named {
                    more.push(NamedFormat::combined());
                } else {
                    // it comes from elsewhere
                    more.extend(formats::well_known());
                }
                let more = formats::for_any_log(more);
                push_new(&mut formats, more);
                if others.is_empty() {
                    others = from..formats.len();
                }
            }
        }
    }
    (formats, others)
}

fn split(log: Log, choices: &[Choice], nginx: Option<&Nginx>, unknown: &mut Unknown) -> Vec<Log> {
    let matched: Vec<&AccessLog> = nginx.map(|nginx| matched(&log, nginx)).unwrap_or_default();
    let Some(nginx) = nginx.filter(|_| !matched.is_empty()) else {
        let (formats, others) = chosen(choices, &[], nginx);
        unknown.look(&log.fields, &formats);
        return vec![Log {
            formats,
            others,
            ..log
        }];
    };
    // Files of one name are one log, however many there are.
    if log.name.is_some() {
        return vec![one_of_nginx(log, choices, nginx, &matched, unknown)];
    }
    let mut logs = Vec::new();
    let mut rest = log.clone();
    for access_log in matched {
        let path = globset::escape(&access_log.path);
        if rest.paths.contains(&access_log.path) {
            rest.paths.retain(|literal| *literal != access_log.path);
        }
        // Its rotated files belong to it too, wherever the glob is wide enough to match them.
        rest.exclude
            .extend(["", ".*", "-*"].map(|tail| format!("{path}{tail}")));
        let alone = Log {
            paths: vec![path],
            ..log.clone()
        };
        logs.push(one_of_nginx(alone, choices, nginx, &[access_log], unknown));
    }
    if !rest.paths.is_empty() {
        (rest.formats, rest.others) = chosen(choices, &[], Some(nginx));
        unknown.look(&rest.fields, &rest.formats);
        logs.push(rest);
    }
    logs
}

/// The logs of nginx.conf whose files this section takes.
fn matched<'n>(log: &Log, nginx: &'n Nginx) -> Vec<&'n AccessLog> {
    let globs = |texts: &[String]| -> Vec<(GlobMatcher, bool)> {
        texts
            .iter()
            .filter_map(|text| Some((compile(text).ok()?.compile_matcher(), text.contains('/'))))
            .collect()
    };
    let (paths, exclude) = (globs(&log.paths), globs(&log.exclude));
    let hits = |globs: &[(GlobMatcher, bool)], path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        globs
            .iter()
            .any(|(glob, whole)| glob.is_match(if *whole { path } else { name }))
    };
    let logs = nginx
        .conf
        .logs
        .iter()
        .filter(|log| log.tailable == Tailable::Yes);
    logs.filter(|log| hits(&paths, &log.path) && !hits(&exclude, &log.path))
        .collect()
}

fn compile(glob: &str) -> Result<Glob, globset::Error> {
    GlobBuilder::new(glob).literal_separator(true).build()
}

fn paths(scope: &mut Scope<'_>, seen: &mut HashMap<String, String>) -> Vec<String> {
    let list = globs_with_origin(scope, "paths");
    if list.is_empty() && scope.list("paths").is_empty() {
        let origin = scope
            .written("paths")
            .map_or(scope.origin(), |given| given.origin.clone());
        let way_out = "name the files, as in paths = [\"/var/log/nginx/*access.log\"]";
        scope.fault("paths", origin, Fault::Missing { way_out });
    }
    let mut paths = Vec::new();
    for (path, origin) in list {
        let why = if !path.starts_with('/') {
            Some("is not absolute; write the whole path from / on")
        } else if path.split('/').any(|part| part == "..") {
            Some("holds \"..\"; write the path without it")
        } else if path.ends_with('/') || path.ends_with("/**") {
            Some("names a folder; write a glob for its files, as in \"/var/log/nginx/*access.log\"")
        } else if matches!(&*path, "/dev/stdout" | "/dev/stderr") || path.starts_with("/proc/") {
            Some("is a stream and cannot be followed; let nginx write to a file in a shared folder")
        } else {
            None
        };
        if let Some(why) = why {
            scope.bad("paths", origin, &path, why);
        } else if let Some(other) = seen.insert(path.clone(), origin.to_string()) {
            let other = format!("the same path ({other})");
            let way_out = "keep it in one [[logs]]; its formats can be a list";
            scope.fault("paths", origin, Fault::Conflict { other, way_out });
        } else {
            paths.push(path);
        }
    }
    paths
}

fn globs(scope: &mut Scope<'_>, name: &str) -> Vec<String> {
    globs_with_origin(scope, name)
        .into_iter()
        .map(|(glob, _)| glob)
        .collect()
}

fn globs_with_origin(scope: &mut Scope<'_>, name: &str) -> Vec<(String, super::Origin)> {
    let mut globs = Vec::new();
    for (glob, origin) in scope.list(name) {
        match compile(&glob) {
            Ok(_) => globs.push((glob, origin)),
            Err(error) => scope.bad(name, origin, &glob, format!("is no glob: {}", error.kind())),
        }
    }
    globs
}

fn rotated_dirs(scope: &mut Scope<'_>) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    for (folder, origin) in scope.list("rotated_dirs") {
        if folder.starts_with('/') {
            folders.push(PathBuf::from(folder));
        } else {
            scope.bad(
                "rotated_dirs",
                origin,
                &folder,
                "is not absolute; write the whole path from / on",
            );
        }
    }
    folders
}

fn written_formats(scope: &mut Scope<'_>, notes: &mut Vec<Note>) -> Vec<Choice> {
    let words = [
        ("default", Escape::Default),
        ("json", Escape::Json),
        ("none", Escape::None),
    ];
    let escape = scope.one_of("escape", &words, Escape::Default);
    let list = scope.list("format");
    if list.is_empty()
        && let Some(given) = scope.written("format")
    {
        let why = "names no format; write \"auto\" or a log_format as in nginx.conf".to_owned();
        scope.fault(
            "format",
            given.origin.clone(),
            Fault::BadValue { value: None, why },
        );
    }
    let mut choices = Vec::new();
    for (at, (text, origin)) in list.into_iter().enumerate() {
        let is_word = text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        match &*text {
            "auto" => choices.push(Choice::Auto),
            COMBINED => choices.push(Choice::Format(NamedFormat::combined())),
            _ if is_word => {
                let why = match nearest(&text, ["auto", COMBINED]) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => "is no format; write auto, combined or the whole text of a log_format"
                        .to_owned(),
                };
                scope.bad("format", origin, &text, why);
            }
            _ => match Format::from_directive(&text, escape) {
                Ok(format) => {
                    for warning in format.warnings() {
                        notes.push(Note {
                            origin: origin.clone(),
                            text: format!("format: {warning}"),
                        });
                    }
                    let name = format!("format {}", at + 1);
                    choices.push(Choice::Format(NamedFormat { name, format }));
                }
                Err(error) => scope.fault("format", origin, Fault::Format(Box::new(error))),
            },
        }
    }
    choices
}
