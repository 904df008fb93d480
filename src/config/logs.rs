//! The logs to follow, from `[[logs]]` or nginx.conf, and the formats of each.
//!
//! Owns the choice of the formats, and the division of a section: if its globs match logs that nginx.conf names, each of
//! these files becomes a [`Log`] of its own, beside one for the rest. Otherwise a file would not be tried with its own
//! format first and would not get the site of its own server. Refuses to know files and lines. Invariant: each log has at
//! least one format; `auto` includes combined, and tries a log's own formats before those of others.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use logweir_parsers::nginx_conf::{AccessLog, COMBINED, Reason, Tailable};
use logweir_parsers::{Escape, Format};

use super::fields::{self, Field, FieldValue, Unknown};
use super::formats::{self, NamedFormat, distinct};
use super::nginx::{Nginx, note};
use super::problem::{Fault, Problem, nearest};
use super::raw::Values;
use super::scope::Scope;
use super::settings::Section;
use super::tried::Formats;
use super::{Config, Note, silent};
use crate::framing::FramingSetting;
use crate::globs::{self, Globs};

/// Files of one kind.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// The name in each line's identity; None: the path of the live file.
    pub name: Option<String>,
    /// Globs of the live files.
    pub paths: Vec<String>,
    /// Globs to leave out.
    pub exclude: Vec<String>,
    /// Globs of rotated files whose names do not show that.
    pub rotated: Vec<String>,
    /// Globs of other folders with rotated files.
    pub rotated_dirs: Vec<String>,
    /// The formats in the order in which they are tried.
    pub formats: Formats,
    /// Whether `auto` is among the formats, so that [`Config::add_formats`] may add those of earlier starts.
    pub auto: bool,
    /// Extra fields of each record.
    pub fields: Vec<Field>,
    /// How its files are framed.
    pub framing: FramingSetting,
}

impl Config {
    /// Adds formats that were seen at an earlier start to those that `auto` tries besides a log's own. Each is
    /// a `log_format` directive; one that cannot be compiled any more becomes a note.
    pub(crate) fn add_formats(&mut self, directives: &[String]) -> Vec<Note> {
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
        // Usually all logs share one list.
        let mut lists: HashMap<*const NamedFormat, [Arc<[NamedFormat]>; 2]> = HashMap::new();
        for log in self.logs.iter_mut().filter(|log| log.auto) {
            let (_, shared) = log.formats.parts();
            // The old list is kept until the end, so that no other list gets its address.
            let [_, list] = lists.entry(shared.as_ptr()).or_insert_with(|| {
                let all = shared.iter().chain(&seen).cloned();
                [Arc::clone(shared), formats::for_any_log(all).into()]
            });
            let list = Arc::clone(list);
            log.formats.set_shared(list);
        }
        notes
    }

    /// The formats of these logs, each once.
    pub(crate) fn formats_of(&self, is_meant: impl Fn(&Log) -> bool) -> Vec<&NamedFormat> {
        let mut lists: HashSet<*const NamedFormat> = HashSet::new();
        let mut seen = HashSet::new();
        let mut formats = Vec::new();
        for log in self.logs.iter().filter(|log| is_meant(log)) {
            let (own, shared) = log.formats.parts();
            let is_new = lists.insert(shared.as_ptr());
            let shared = shared.iter().filter(|_| is_new);
            formats.extend(own.chain(shared).filter(|named| seen.insert(named.key())));
        }
        formats
    }
}

/// Why a log of nginx.conf cannot be followed; `None` if it can be followed or is off.
pub(crate) fn not_followed(log: &AccessLog) -> Option<String> {
    match log.tailable {
        // `silent` reports servers that log nothing on purpose.
        Tailable::Yes | Tailable::No(Reason::Off | Reason::Null) => None,
        Tailable::Gzip => Some(format!(
            "{} is written compressed and is not followed; take gzip off its access_log",
            log.path
        )),
        Tailable::No(reason) => Some(format!(
            "access_log {:?} cannot be followed: {}",
            log.path,
            reason.as_str()
        )),
    }
}

pub(super) fn read(
    sections: &[Values],
    nginx: Option<&Nginx>,
    discover: bool,
    problems: &mut Vec<Problem>,
    notes: &mut Vec<Note>,
) -> Vec<Log> {
    let mut seen = HashMap::new();
    let mut given = Vec::new();
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
                "must not be empty or contain control characters",
            );
        }
        let choices = written_formats(&mut scope, nginx, notes);
        let framing = scope.one_of(
            "framing",
            &FramingSetting::WORDS.map(|(_, setting)| setting),
        );
        let log = Log {
            framing: framing.unwrap_or_else(|| usual_framing(&paths)),
            name: name.map(|(name, _)| name),
            paths,
            exclude,
            rotated: absolute_globs(&mut scope, "rotated"),
            rotated_dirs: absolute_globs(&mut scope, "rotated_dirs"),
            auto: choices.iter().any(|choice| matches!(choice, Choice::Auto)),
            formats: Vec::new().into(),
            fields: fields::read(&mut scope),
        };
        given.push((log, choices, values));
    }
    let sections: Vec<&Log> = given.iter().map(|(log, ..)| log).collect();
    let mut taken = Taken::by(&sections, nginx);
    let mut logs = Vec::new();
    for (at, (log, choices, values)) in given.into_iter().enumerate() {
        let mut unknown = Unknown::default();
        let matched = std::mem::take(&mut taken.logs[at]);
        logs.extend(split(log, &choices, nginx, &matched, &mut unknown, notes));
        let given = values.given.get("fields");
        let origin = given.map_or(&values.origin, |given| &given.origin);
        notes.extend(unknown.notes(origin));
    }
    if let Some(nginx) = nginx.filter(|_| discover) {
        logs.extend(of_nginx(nginx, &taken.left, notes));
    }
    logs
}

/// Which logs of nginx.conf each section takes.
#[derive(Default)]
struct Taken<'n> {
    /// By section.
    logs: Vec<Vec<&'n AccessLog>>,
    /// The logs that no section takes or excludes.
    left: Vec<&'n AccessLog>,
}

impl<'n> Taken<'n> {
    fn by(sections: &[&Log], nginx: Option<&'n Nginx>) -> Self {
        let (mut paths, mut exclude) = (Globs::default(), Globs::default());
        for (at, log) in sections.iter().enumerate() {
            // An invalid glob was reported when it was read.
            log.paths.iter().for_each(|glob| _ = paths.add(glob, at));
            log.exclude
                .iter()
                .for_each(|glob| _ = exclude.add(glob, at));
        }
        let mut taken = Taken {
            logs: vec![Vec::new(); sections.len()],
            left: Vec::new(),
        };
        for log in nginx.iter().flat_map(|nginx| &nginx.conf.logs) {
            let left_out = exclude.owners(&log.path);
            let mut takers = paths.owners(&log.path);
            takers.retain(|at| left_out.binary_search(at).is_err());
            if takers.is_empty() && left_out.is_empty() {
                taken.left.push(log);
            }
            for at in takers {
                taken.logs[at].push(log);
            }
        }
        taken
    }
}

/// One of the values of `format`.
enum Choice {
    Auto,
    Format(NamedFormat),
}

/// The logs of nginx.conf that can be followed, with a note for each of the others.
fn of_nginx(nginx: &Nginx, left: &[&AccessLog], notes: &mut Vec<Note>) -> Vec<Log> {
    let mut logs = Vec::new();
    for log in left {
        if log.tailable == Tailable::Yes {
            logs.push(of_access_log(nginx, log));
        } else {
            notes.extend(not_followed_at(log));
        }
    }
    notes.extend(silent::note_of(&nginx.conf));
    for log in &nginx.conf.stream_logs {
        let text = format!(
            "{} is a log of stream connections, not of HTTP requests",
            log.path
        );
        notes.push(note(&log.position, text));
    }
    logs
}

fn not_followed_at(log: &AccessLog) -> Option<Note> {
    let writer = log.writers.first()?;
    Some(note(&writer.position, not_followed(log)?))
}

fn of_access_log(nginx: &Nginx, log: &AccessLog) -> Log {
    let whole = Log {
        name: None,
        paths: vec![globset::escape(&log.path)],
        exclude: Vec::new(),
        rotated: Vec::new(),
        rotated_dirs: Vec::new(),
        formats: Vec::new().into(),
        auto: true,
        fields: Vec::new(),
        framing: FramingSetting::Raw,
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
    let own = logs.iter().flat_map(|log| nginx.formats_of(log));
    let own = distinct(own);
    log.formats = chosen(choices, &own, Some(nginx));
    let is_site = |field: &Field| {
        field.name == "url.domain" && matches!(field.value, FieldValue::Constant(_))
    };
    let tells_site = log.fields.iter().any(is_site);
    let telling = if log.auto {
        own
    } else {
        log.formats.iter().cloned().collect()
    };
    unknown.look(&log.fields, telling.iter());
    let mut sites = logs.iter().map(|log| nginx.site_of(log, &telling));
    if let Some(Some(site)) = sites.next()
        && !tells_site
        && sites.all(|other| other == Some(site))
    {
        log.fields.push(Field::constant("url.domain", site));
    }
    log
}

/// The formats that `choices` name; `own` are the formats of the log itself.
fn chosen(choices: &[Choice], own: &[NamedFormat], nginx: Option<&Nginx>) -> Formats {
    let named = |choices: &[Choice]| -> Vec<NamedFormat> {
        let formats = choices.iter().filter_map(|choice| match choice {
            Choice::Format(format) => Some(format.clone()),
            Choice::Auto => None,
        });
        formats.collect()
    };
    let is_auto = |choice: &Choice| matches!(choice, Choice::Auto);
    let Some(auto) = choices.iter().position(is_auto) else {
        return named(choices).into();
    };
    let mut own = own.to_vec();
    formats::sort(&mut own);
    let shared = match nginx {
        Some(nginx) if own.is_empty() => Arc::clone(&nginx.for_others),
        Some(nginx) => Arc::clone(&nginx.shared),
        None => formats::for_any_log(formats::well_known()).into(),
    };
    let first = named(&choices[..auto]).into_iter().chain(own);
    Formats::new(first, shared, named(&choices[auto..]))
}

/// A log for each of nginx's logs that the section takes, and one for the rest.
fn split(
    mut log: Log,
    choices: &[Choice],
    nginx: Option<&Nginx>,
    matched: &[&AccessLog],
    unknown: &mut Unknown,
    notes: &mut Vec<Note>,
) -> Vec<Log> {
    let (matched, compressed): (Vec<&AccessLog>, Vec<&AccessLog>) = matched
        .iter()
        .filter(|log| matches!(log.tailable, Tailable::Yes | Tailable::Gzip))
        .partition(|log| log.tailable == Tailable::Yes);
    // An empty file does not show yet whether nginx writes gzip into it.
    leave_out(&mut log, &compressed, &[""]);
    notes.extend(compressed.into_iter().filter_map(not_followed_at));
    let Some(nginx) = nginx.filter(|_| !matched.is_empty()) else {
        let formats = chosen(choices, &[], nginx);
        unknown.look(&log.fields, all(&formats).iter().copied());
        return match log.paths.is_empty() {
            true => Vec::new(),
            false => vec![Log { formats, ..log }],
        };
    };
    // All files with one configured name are one log.
    if log.name.is_some() {
        // A file that nginx.conf names counts as named, not as found by a glob.
        let known: HashSet<&String> = log.paths.iter().collect();
        let literal = matched.iter().map(|log| globset::escape(&log.path));
        let mut paths: Vec<String> = literal.filter(|path| !known.contains(path)).collect();
        paths.append(&mut log.paths);
        log.paths = paths;
        return vec![one_of_nginx(log, choices, nginx, &matched, unknown)];
    }
    let mut logs = Vec::new();
    for access_log in &matched {
        let alone = Log {
            name: None,
            paths: vec![globset::escape(&access_log.path)],
            exclude: log.exclude.clone(),
            rotated: log.rotated.clone(),
            rotated_dirs: log.rotated_dirs.clone(),
            formats: Vec::new().into(),
            auto: log.auto,
            fields: log.fields.clone(),
            framing: log.framing,
        };
        logs.push(one_of_nginx(alone, choices, nginx, &[access_log], unknown));
    }
    let mut rest = log;
    // Its rotated files belong to it too, if the glob matches them.
    leave_out(&mut rest, &matched, &["", ".*", "-*"]);
    if !rest.paths.is_empty() {
        rest.formats = chosen(choices, &[], Some(nginx));
        unknown.look(&rest.fields, all(&rest.formats).iter().copied());
        logs.push(rest);
    }
    logs
}

fn all(formats: &Formats) -> Vec<&NamedFormat> {
    formats.iter().collect()
}

/// Takes these files, with each of these ends, out of a log.
fn leave_out(log: &mut Log, files: &[&AccessLog], ends: &[&str]) {
    let literal: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    log.paths.retain(|path| !literal.contains(path.as_str()));
    for file in files {
        let path = globset::escape(&file.path);
        log.exclude
            .extend(ends.iter().map(|end| format!("{path}{end}")));
    }
}

fn paths(scope: &mut Scope<'_>, seen: &mut HashMap<String, String>) -> Vec<String> {
    let list = globs_with_origin(scope, "paths");
    if list.is_empty() && scope.list("paths").is_empty() {
        let origin = scope
            .written("paths")
            .map_or(scope.origin(), |given| given.origin.clone());
        let hint = "name the files, as in paths = [\"/var/log/nginx/*access.log\"]";
        scope.fault("paths", origin, Fault::Missing { hint });
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
            let hint = "keep it in one [[logs]]; its formats can be a list";
            scope.fault("paths", origin, Fault::Conflict { other, hint });
        } else {
            paths.push(path);
        }
    }
    paths
}

/// Where kubelet keeps the logs of pods, and links to them.
const POD_LOGS: [&str; 2] = ["/var/log/pods/", "/var/log/containers/"];

/// The framing of a log that does not set it. Only files of kubelet may be framed, so that no other log is read
/// differently than by earlier versions.
fn usual_framing(paths: &[String]) -> FramingSetting {
    let is_of_pods = |path: &String| POD_LOGS.iter().any(|folder| path.starts_with(folder));
    match paths.iter().any(is_of_pods) {
        true => FramingSetting::Auto,
        false => FramingSetting::Raw,
    }
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
        match globs::compile(&glob) {
            Ok(_) => globs.push((glob, origin)),
            Err(error) => scope.bad(name, origin, &glob, format!("is no glob: {}", error.kind())),
        }
    }
    globs
}

/// Globs of rotated files, or of folders of them.
fn absolute_globs(scope: &mut Scope<'_>, name: &str) -> Vec<String> {
    let mut globs = Vec::new();
    for (glob, origin) in globs_with_origin(scope, name) {
        let why = if !glob.starts_with('/') {
            "is not absolute; write the whole path from / on"
        } else if glob.split('/').any(|part| part == "..") {
            "holds \"..\"; write the path without it"
        } else {
            globs.push(glob);
            continue;
        };
        scope.bad(name, origin, &glob, why);
    }
    globs
}

/// The `log_format` of this name in nginx.conf, or an error with the fix.
fn named(name: &str, nginx: Option<&Nginx>) -> Result<NamedFormat, String> {
    const WRITE: &str =
        "write auto, combined, a name that nginx.conf defines, or the whole text of a log_format";
    match nginx {
        Some(nginx) => nginx.format(name).map_err(|why| format!("{why}; {WRITE}")),
        None => Err(match nearest(name, ["auto", COMBINED]) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!(
                "is no format, and no nginx.conf was read that could define it (nginx_conf); {WRITE}"
            ),
        }),
    }
}

fn written_formats(
    scope: &mut Scope<'_>,
    nginx: Option<&Nginx>,
    notes: &mut Vec<Note>,
) -> Vec<Choice> {
    let escapes = [Escape::Default, Escape::Json, Escape::None];
    let escape = scope.one_of("escape", &escapes).unwrap_or_default();
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
            name if is_word || nginx.is_some_and(|nginx| nginx.format(name).is_ok()) => {
                match named(name, nginx) {
                    Ok(format) => choices.push(Choice::Format(format)),
                    Err(why) => scope.bad("format", origin, &text, why),
                }
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
