//! The logs as `run` would find them now: files, rights, formats, and whose requests the last lines hold.
//!
//! Owns what is said of each log. Invariant: the files are those that the tailer's own search finds, and the
//! format that is judged is the one which takes the log's last lines.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use globset::GlobBuilder;
use logweir_parsers::nginx_conf::{Reason, Tailable};

use super::super::Exit;
use super::names;
use super::needs::{self, Need};
use super::report::{Report, count, size};
use super::sample::{self, Proxy, Sample};
use crate::agent;
use crate::config::{FieldValue, Loaded, Log, NamedFormat};
use crate::tail::fs::{HostFs, is_console};
use crate::tail::{LogFile, Problem, Survey, survey};

/// The field that says whose site a request was for.
const SITE: &str = "url.domain";

/// A format that logs are written in, and what these logs want of it.
pub(super) struct Used {
    pub(super) format: NamedFormat,
    /// Paths of the logs.
    pub(super) logs: Vec<String>,
    /// Whether all of them take their formats from nginx.conf.
    pub(super) auto: bool,
    pub(super) needs: Vec<Need>,
}

/// Says all about the logs; gives the formats in use.
pub(super) fn describe(loaded: &Loaded, report: &mut Report) -> Vec<Used> {
    let (settings, rotated_dirs) = agent::log_settings(&loaded.config);
    let survey = match survey(&settings, &rotated_dirs, &HostFs) {
        Ok(survey) => survey,
        Err(error) => {
            report.section("logs");
            report.fail(Exit::Config, &error.to_string());
            return Vec::new();
        }
    };
    let mut used = Vec::new();
    let mut look = Look {
        loaded,
        survey: &survey,
        readable: 0,
        denied: 0,
        used: &mut used,
    };
    for (index, log) in loaded.config.logs.iter().enumerate() {
        look.log(index, log, report);
    }
    let (readable, denied) = (look.readable, look.denied);
    let of_no_log = |problem: &&Problem| {
        !problem
            .path
            .to_str()
            .is_some_and(|path| is_followed(&loaded.config.logs, path))
    };
    let rest: Vec<&Problem> = survey.problems.iter().filter(of_no_log).collect();
    if !rest.is_empty() {
        report.section("in the way");
    }
    let closed = rest
        .iter()
        .filter(|problem| is_closed(&problem.path))
        .count();
    let denied = denied + closed;
    rest.iter()
        .for_each(|problem| report.warn(&problem.to_string()));
    if readable == 0 && denied > 0 {
        let user = names::user();
        report.fail(
            Exit::Permission,
            &format!("the user {user} may read none of the logs"),
        );
    }
    used
}

/// Whether a folder or file is there and must not be read.
fn is_closed(path: &Path) -> bool {
    let error = match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => std::fs::read_dir(path).err(),
        Ok(_) => None,
        Err(error) => Some(error),
    };
    error.is_some_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

/// What was seen on the way through the logs.
struct Look<'a> {
    loaded: &'a Loaded,
    survey: &'a Survey,
    readable: usize,
    denied: usize,
    used: &'a mut Vec<Used>,
}

impl Look<'_> {
    fn log(&mut self, index: usize, log: &Log, report: &mut Report) {
        let paths = log.paths.join(", ");
        report.section(&match &log.name {
            Some(name) => format!("log {name:?}: {paths}"),
            None => format!("log {paths}"),
        });
        let formats: Vec<&str> = log
            .formats
            .iter()
            .map(|named| named.name.as_str())
            .collect();
        report.item("formats", &formats.join(", "));
        for field in &log.fields {
            match &field.value {
                FieldValue::Constant(site) if field.name == SITE => report.item("site", site),
                _ => report.item("field", &field.to_string()),
            }
        }
        let files = || self.survey.files.iter().filter(|file| file.log == index);
        let live: Vec<&LogFile> = files().filter(|file| file.live).collect();
        let rotated: Vec<&LogFile> = files().filter(|file| !file.live).collect();
        let problems = self.survey.problems.iter().filter(|problem| {
            let path = problem.path.to_str();
            path.is_some_and(|path| is_followed(std::slice::from_ref(log), path))
        });
        let problems: Vec<&Problem> = problems.collect();
        for problem in &problems {
            self.denied += usize::from(is_closed(&problem.path));
            if self.survey.dated.contains(&problem.path) {
                report.fail(Exit::Config, &problem.to_string());
            } else {
                report.warn(&problem.to_string());
            }
        }
        if live.is_empty() && problems.is_empty() {
            report.warn("no such file now; it is followed once it is there");
        }
        let mut samples = 0;
        for file in live {
            if let Some(sample) = self.file(log, file, report) {
                samples += 1;
                self.judge(log, Some(&sample), report);
            }
        }
        if samples == 0 {
            self.judge(log, None, report);
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

    /// One live file; its last lines, when it can be read.
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
            report.warn(&format!(
                "cannot be read by {}: {error}{advice}",
                names::user()
            ));
            return None;
        }
        self.readable += 1;
        let sample = match sample::take(&file.path, &log.formats) {
            Ok(sample) => sample,
            Err(error) => {
                report.item("live", &what);
                report.warn(&format!("cannot be read: {error}"));
                return None;
            }
        };
        report.item("live", &format!("{what}, readable{}", taken(&sample, log)));
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

    /// Notes the format that a log is written in, and what the log needs of it.
    fn judge(&mut self, log: &Log, sample: Option<&Sample>, report: &mut Report) {
        let main = sample.map_or(0, Sample::main_format);
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
        let path = log.paths.join(", ");
        match self.used.iter_mut().find(|used| used.format.is_same(named)) {
            Some(used) => {
                if !used.logs.contains(&path) {
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

/// Which formats take the last lines.
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

/// What to do about one peer that sends nearly everything.
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

/// Whether a configured log takes the file at this path.
pub(super) fn is_followed(logs: &[Log], path: &str) -> bool {
    let hits = |glob: &String, text: &str| {
        let glob = GlobBuilder::new(glob).literal_separator(true).build();
        glob.is_ok_and(|glob| glob.compile_matcher().is_match(text))
    };
    let name = Path::new(path)
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or(path);
    logs.iter().any(|log| {
        log.paths.iter().any(|glob| hits(glob, path))
            && !log
                .exclude
                .iter()
                .any(|glob| hits(glob, if glob.contains('/') { path } else { name }))
    })
}

/// Logs of nginx.conf that are not followed, where nothing said so yet.
pub(super) fn left_out(loaded: &Loaded) -> Vec<String> {
    let Some(nginx) = &loaded.nginx else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for log in &nginx.logs {
        let why = match log.tailable {
            Tailable::Yes if is_followed(&loaded.config.logs, &log.path) => continue,
            Tailable::Yes => "no [[logs]] takes it",
            Tailable::Gzip => "it is written compressed; take gzip off its access_log",
            Tailable::No(Reason::Off | Reason::Null) => continue,
            Tailable::No(reason) => reason.as_str(),
        };
        if loaded
            .notes
            .iter()
            .any(|note| note.text.contains(&log.path))
        {
            continue;
        }
        let place = log
            .writers
            .first()
            .map(|writer| format!(" ({})", writer.place));
        found.push(format!(
            "{:?}{}: {why}",
            log.path,
            place.unwrap_or_default()
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_proxy_is_named_with_the_way_out() {
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
