//! The logs as `run` would find them now: files, permissions, formats, and the clients of the last lines.
//!
//! Owns the report of each log. Invariant: the files are those of the tailer's own search, and the checked format is the one
//! that matches the log's last lines.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use logweir_parsers::nginx_conf::Tailable;
use logweir_parsers::{Escape, error_log};

use super::super::Exit;
use super::names;
use super::needs::{self, Need};
use super::rejected::Rejected;
use super::report::{Report, count, size};
use super::sample::{self, Proxy, Sample};
use crate::agent;
use crate::config::{FieldValue, Loaded, Log, NamedFormat, not_followed};
use crate::framing::{FramingSetting, LineFraming};
use crate::globs::Globs;
use crate::tail::fs::{HostFs, is_console};
use crate::tail::{LogFile, Problem, survey};

/// The field with the site of a request.
const SITE: &str = "url.domain";

/// Bytes at a file's beginning that identify its kind.
const BEGINNING_BYTES: u64 = 256;

/// A format that logs are written in, and the data that these logs need from it.
pub(super) struct Used {
    pub(super) format: NamedFormat,
    /// Paths of the logs.
    pub(super) logs: Vec<String>,
    /// Whether all of them take their formats from nginx.conf.
    pub(super) auto: bool,
    pub(super) needs: Vec<Need>,
}

/// Finds the logs of a file. It is built once, because there may be thousands of logs and files.
pub(super) struct Followed {
    paths: Globs,
    exclude: Globs,
}

impl Followed {
    pub(super) fn by(logs: &[Log]) -> Self {
        let (mut paths, mut exclude) = (Globs::default(), Globs::default());
        for (at, log) in logs.iter().enumerate() {
            // The configuration has checked that they are valid globs.
            log.paths.iter().for_each(|glob| _ = paths.add(glob, at));
            let globs = log.exclude.iter();
            globs.for_each(|glob| _ = exclude.add(glob, at));
        }
        Self { paths, exclude }
    }

    /// The indices of the logs that include the file at this path.
    fn takers(&self, path: &str) -> Vec<usize> {
        let mut takers = self.paths.owners(path);
        if !takers.is_empty() {
            let left_out = self.exclude.owners(path);
            takers.retain(|at| left_out.binary_search(at).is_err());
        }
        takers
    }

    /// Whether a path without wildcards names the file.
    fn names(&self, path: &str) -> bool {
        self.paths.names(path)
    }

    pub(super) fn is_followed(&self, path: &str) -> bool {
        !self.takers(path).is_empty()
    }
}

/// The files that the survey found for a log.
#[derive(Default, Clone)]
struct LogFiles<'s> {
    live: Vec<&'s LogFile>,
    rotated: Vec<&'s LogFile>,
    problems: Vec<&'s Problem>,
}

/// Reports everything about the logs; returns the formats in use.
pub(super) fn describe(loaded: &Loaded, followed: &Followed, report: &mut Report) -> Vec<Used> {
    let (settings, rotated_dirs) = agent::log_settings(&loaded.config);
    let survey = match survey(
        &settings,
        &rotated_dirs,
        &agent::link_settings(&loaded.config),
        &HostFs,
    ) {
        Ok(survey) => survey,
        Err(error) => {
            report.section("logs");
            report.fail(Exit::Config, &error.to_string());
            return Vec::new();
        }
    };
    let paths = survey.files.iter().map(|file| file.path.as_path());
    if let Some(advice) = agent::root::needless(paths, &loaded.config.data_dir) {
        report.warn(&advice);
    }
    let mut found = vec![LogFiles::default(); loaded.config.logs.len()];
    for file in &survey.files {
        let found = &mut found[file.log];
        match file.live {
            true => found.live.push(file),
            false => found.rotated.push(file),
        }
    }
    let mut rest = Vec::new();
    for problem in &survey.problems {
        let takers = problem.path.to_str().map(|path| followed.takers(path));
        let takers = takers.unwrap_or_default();
        if takers.is_empty() {
            rest.push(problem);
        }
        for at in takers {
            found[at].problems.push(problem);
        }
    }
    let mut look = Look {
        loaded,
        followed,
        rejected: Rejected::of(loaded.nginx.as_ref()),
        readable: 0,
        denied: 0,
        used: Vec::new(),
        by_format: HashMap::new(),
    };
    for (log, found) in loaded.config.logs.iter().zip(&found) {
        look.log(log, found, report);
    }
    let Look {
        readable,
        denied,
        used,
        ..
    } = look;
    if !rest.is_empty() {
        report.section("in the way");
    }
    let closed = rest
        .iter()
        .filter(|problem| is_closed(&problem.path))
        .count();
    let denied = denied + closed;
    for problem in &rest {
        tell(problem, report);
    }
    if readable == 0 && denied > 0 {
        let user = names::user();
        report.fail(
            Exit::Permission,
            &format!("the user {user} may read none of the logs"),
        );
    }
    used
}

/// Reports unreadable files, whose lines would be missing without a message.
fn tell(problem: &Problem, report: &mut Report) {
    match is_closed(&problem.path) {
        true => report.fail(Exit::Permission, &problem.to_string()),
        false => report.warn(&problem.to_string()),
    }
}

/// Whether a folder or file exists but may not be read.
fn is_closed(path: &Path) -> bool {
    let error = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => std::fs::read_dir(path).err(),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// The findings so far.
struct Look<'a> {
    loaded: &'a Loaded,
    followed: &'a Followed,
    rejected: Rejected<'a>,
    readable: usize,
    denied: usize,
    used: Vec<Used>,
    /// Indices into `used`, by the text and the escaping of a format.
    by_format: HashMap<(&'a str, Escape), usize>,
}

impl<'a> Look<'a> {
    fn log(&mut self, log: &'a Log, found: &LogFiles<'_>, report: &mut Report) {
        let paths = log.paths.join(", ");
        report.section(&match &log.name {
            Some(name) => format!("log {name:?}: {paths}"),
            None => format!("log {paths}"),
        });
        report.item("formats", &log.formats.shown());
        if log.framing != FramingSetting::Raw {
            report.item("framing", log.framing.word());
        }
        for field in &log.fields {
            match &field.value {
                FieldValue::Constant(site) if field.name == SITE => report.item("site", site),
                _ => report.item("field", &field.to_string()),
            }
        }
        let LogFiles {
            live,
            rotated,
            problems,
        } = found;
        let is_rejected = self.rejected.report_for(log, live, report);
        for problem in problems {
            self.denied += usize::from(is_closed(&problem.path));
            tell(problem, report);
        }
        if live.is_empty() && problems.is_empty() {
            report.warn("no such file yet; it is followed once it exists");
        }
        let mut samples = 0;
        for file in live {
            if let Some(sample) = self.file(log, file, report) {
                samples += 1;
                self.judge(log, Some(&sample), is_rejected, report);
            }
        }
        if samples == 0 {
            self.judge(log, None, is_rejected, report);
        }
        if !rotated.is_empty() {
            let bytes = rotated.iter().map(|file| file.metadata.size).sum();
            let history = if self.loaded.config.history.is_zero() {
                "; the first start reads none of them, unless history is set"
            } else {
                "; the first start reads those within history"
            };
            let text = format!("{}, {}{history}", count(rotated.len(), "file"), size(bytes));
            report.item("rotated", &text);
        }
    }

    /// Reports one live file; returns its last lines if it is readable.
    fn file(&mut self, log: &Log, file: &LogFile, report: &mut Report) -> Option<Sample> {
        let what = format!("{}, {}", file.path.display(), size(file.metadata.size));
        if is_console(&file.path) {
            report.item("live", &what);
            report.warn(
                "is a link to the console: nginx's container image makes it; let nginx write to a file on a volume \
                 that both share",
            );
            return None;
        }
        if let Err(error) = File::open(&file.path) {
            report.item("live", &what);
            if error.kind() == ErrorKind::PermissionDenied {
                self.denied += 1;
            }
            let advice = names::who_may_read(&file.path);
            let text = format!("cannot be read by {}: {error}{advice}", names::user());
            match error.kind() {
                ErrorKind::PermissionDenied => report.fail(Exit::Permission, &text),
                _ => report.warn(&text),
            }
            return None;
        }
        self.readable += 1;
        if self.is_error_log(file) {
            report.item("live", &what);
            report.warn(&format!(
                "{} is an error log of nginx by its first line and is not followed; give paths that leave it out, or \
                 exclude = [\"*error.log*\"]",
                file.path.display()
            ));
            return None;
        }
        let framing = LineFraming::of(log.framing, &first_line(&file.path));
        let sample = match sample::take(&file.path, &log.formats, framing) {
            Ok(sample) => sample,
            Err(error) => {
                report.item("live", &what);
                report.warn(&format!("cannot be read: {error}"));
                return None;
            }
        };
        let read_as = match framing.is_cri() {
            true => ", read as cri",
            false => "",
        };
        let by = taken(&sample, log);
        report.item("live", &format!("{what}, readable{read_as}{by}"));
        if sample.is_docker_json && log.framing != FramingSetting::Raw {
            report.warn(&format!(
                "{} is written by Docker's json-file driver, which is not CRI: its lines are indexed unparsed; the \
                 container runtime must be containerd or CRI-O, or let nginx write to a file on a shared volume",
                file.path.display()
            ));
        }
        if sample.odd() > 0 {
            report.warn(&format!(
                "{} of the last {} lines fit no format: logweir check --parse {} explains them",
                sample.odd(),
                sample.lines,
                file.path.display()
            ));
        }
        (sample.lines > 0).then_some(sample)
    }

    /// Whether a file that only a glob finds begins like an error log. The tailer uses the same check.
    fn is_error_log(&self, file: &LogFile) -> bool {
        let mut beginning = Vec::new();
        let read = File::open(&file.path)
            .and_then(|open| open.take(BEGINNING_BYTES).read_to_end(&mut beginning));
        let path = file.path.to_str();
        read.is_ok()
            && error_log::is_line(&beginning)
            && path.is_none_or(|path| !self.followed.names(path))
    }

    /// Notes the format that a log is written in, and the data that the log needs from it. If the format that nginx uses
    /// for the log is rejected, no improvement of another format is suggested.
    fn judge(
        &mut self,
        log: &'a Log,
        sample: Option<&Sample>,
        is_rejected: bool,
        report: &mut Report,
    ) {
        let main = sample.map_or_else(|| log.formats.expected(), Sample::main_format);
        let Some(named) = log.formats.get(main) else {
            return;
        };
        let trusted = &self.loaded.config.trusted_proxies;
        let proxy = sample.and_then(|sample| sample.proxy);
        let forwarded = !trusted.is_empty() || proxy.is_some();
        let site = log.fields.iter().all(|field| field.name != SITE);
        let needs = needs::of(&named.format, &log.fields, forwarded, site);
        if let Some(proxy) = proxy
            && let Some(text) = of_proxy(proxy, proxy.is_trusted(trusted), &needs)
        {
            report.warn(&text);
        }
        if is_rejected {
            return;
        }
        let path = log.paths.join(", ");
        let next = self.used.len();
        let at = *self.by_format.entry(named.key()).or_insert(next);
        match self.used.get_mut(at) {
            Some(used) => {
                // The live files of one log are adjacent.
                if used.logs.last() != Some(&path) {
                    used.logs.push(path);
                }
                used.auto &= log.auto;
                used.needs.extend(needs);
                used.needs.sort();
                used.needs.dedup();
            }
            None => {
                let format = named.clone();
                self.used.push(Used {
                    format,
                    logs: vec![path],
                    auto: log.auto,
                    needs,
                });
            }
        }
    }
}

/// The beginning of a file's first line.
fn first_line(path: &Path) -> Vec<u8> {
    let mut beginning = Vec::new();
    let read =
        File::open(path).and_then(|open| open.take(BEGINNING_BYTES).read_to_end(&mut beginning));
    let end = memchr::memchr(b'\n', &beginning);
    match (read, end) {
        (Err(_), _) => Vec::new(),
        (Ok(_), end) => beginning[..end.unwrap_or(beginning.len())].to_vec(),
    }
}

/// The formats that match the last lines.
fn taken(sample: &Sample, log: &Log) -> String {
    if sample.lines == 0 {
        return ", no complete line yet".to_owned();
    }
    let by: Vec<String> = log
        .formats
        .iter()
        .zip(&sample.taken)
        .filter(|(_, lines)| **lines > 0)
        .map(|(named, lines)| format!("{lines} by {}", named.name))
        .collect();
    match by.len() {
        0 => format!(", last {} lines by no format", sample.lines),
        _ => format!(", last {} lines: {}", sample.lines, by.join(", ")),
    }
}

/// The advice about one peer that sends nearly all requests.
fn of_proxy(proxy: Proxy, is_trusted: bool, needs: &[Need]) -> Option<String> {
    let address = match proxy {
        Proxy::Address(address) => address,
        Proxy::Socket => {
            return Some(
                "nearly all requests come through a Unix socket, so nobody's address is known: use nginx's real_ip \
                 module (set_real_ip_from unix:; real_ip_header X-Forwarded-For;)"
                    .to_owned(),
            );
        }
    };
    let proxy = format!("nearly all requests come from {address}, which looks like a proxy:");
    let is_logged = !needs.contains(&Need::Forwarded);
    match (is_logged, is_trusted) {
        (true, true) => None,
        (true, false) => Some(format!("{proxy} set trusted_proxies = [\"{address}\"]")),
        (false, _) => Some(format!(
            "{proxy} add $http_x_forwarded_for to the log_format (below) and set trusted_proxies = [\"{address}\"], \
             or use nginx's real_ip module (set_real_ip_from {address}; real_ip_header X-Forwarded-For;)"
        )),
    }
}

/// Logs of nginx.conf that are not followed and not yet reported.
pub(super) fn left_out(loaded: &Loaded, followed: &Followed) -> Vec<String> {
    let Some(nginx) = &loaded.nginx else {
        return Vec::new();
    };
    let told: HashSet<&str> = loaded.notes.iter().map(|note| note.text.as_str()).collect();
    let mut found = Vec::new();
    for log in &nginx.logs {
        let why = match (log.tailable, not_followed(log)) {
            (Tailable::Yes, _) if followed.is_followed(&log.path) => continue,
            (Tailable::Yes, _) if loaded.config.discover => {
                format!("{:?}: excluded by an exclude of [[logs]]", log.path)
            }
            (Tailable::Yes, _) => format!(
                "{:?}: no [[logs]] includes it; with discover = true it is followed too",
                log.path
            ),
            (_, Some(why)) if !told.contains(why.as_str()) => why,
            _ => continue,
        };
        let place = log.writers.first().map(|writer| &writer.position);
        let place = place.map(|place| format!(" ({place})"));
        found.push(format!("{why}{}", place.unwrap_or_default()));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::globs::tests::COMPILED;

    #[test]
    fn the_logs_of_thousands_of_files_are_found_without_compiling_patterns_again() {
        let conf: String = (0..3000)
            .map(|at| format!("server {{ access_log /logs/s{at}.log; }}\n"))
            .collect();
        let conf = format!("http {{\n{conf}}}");
        let machine = crate::config::tests::text("").with("/etc/nginx/nginx.conf", conf);
        let loaded = machine.load().unwrap();
        let before = COMPILED.get();
        let followed = Followed::by(&loaded.config.logs);
        let nginx = loaded.nginx.as_ref().unwrap();
        assert!(nginx.logs.iter().all(|log| followed.is_followed(&log.path)));
        assert_eq!(left_out(&loaded, &followed), [""; 0]);
        assert_eq!(COMPILED.get(), before);
    }

    #[test]
    fn a_proxy_is_reported_with_a_hint() {
        let proxy = Proxy::Address("10.0.0.7".parse().unwrap());
        assert_eq!(of_proxy(proxy, true, &[]), None);
        let untrusted = of_proxy(proxy, false, &[]).unwrap();
        assert!(
            untrusted.ends_with("set trusted_proxies = [\"10.0.0.7\"]"),
            "{untrusted}"
        );
        let unlogged = of_proxy(proxy, true, &[Need::Forwarded]).unwrap();
        assert!(unlogged.contains("add $http_x_forwarded_for"), "{unlogged}");
        assert!(
            of_proxy(Proxy::Socket, false, &[])
                .unwrap()
                .contains("unix:")
        );
    }
}
