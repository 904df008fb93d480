//! Formats of nginx.conf that cannot be used, for the logs that are written in them.
//!
//! Owns the report of such a log. Invariant: it reports the format that nginx writes, so it never suggests improving another
//! one, such as the predefined format that the agent tries instead.

use std::collections::{BTreeSet, HashMap};

use logweir_parsers::nginx_conf::{LogFormat, NginxConf, Tailable};
use logweir_parsers::{Format, FormatError};

use super::super::terminal;
use super::report::Report;
use crate::config::Log;
use crate::tail::LogFile;

/// A format that cannot be compiled.
struct BadFormat<'n> {
    format: &'n LogFormat,
    error: FormatError,
}

/// All formats that cannot be compiled.
#[derive(Default)]
pub(super) struct Rejected<'n> {
    formats: Vec<BadFormat<'n>>,
    /// Their indices, by the logs that are written in them, as globs.
    by_path: HashMap<String, Vec<usize>>,
}

impl<'n> Rejected<'n> {
    pub(super) fn of(nginx: Option<&'n NginxConf>) -> Self {
        let Some(nginx) = nginx else {
            return Self::default();
        };
        let mut rejected = Self::default();
        let mut places = HashMap::new();
        for format in &nginx.formats {
            if let Err(error) = Format::compile(&format.value, format.escape) {
                places.insert(format.name.as_str(), rejected.formats.len());
                rejected.formats.push(BadFormat { format, error });
            }
        }
        let logs = nginx.logs.iter();
        for log in logs.filter(|log| log.tailable == Tailable::Yes) {
            let names = log.writers.iter().map(|writer| writer.format.as_str());
            let mut at: Vec<usize> = names.filter_map(|name| places.get(name).copied()).collect();
            at.sort_unstable();
            at.dedup();
            if !at.is_empty() {
                rejected.by_path.insert(globset::escape(&log.path), at);
            }
        }
        rejected
    }

    /// Reports the rejected formats that this log is written in, if it takes its formats from nginx.conf. Returns whether
    /// there are any.
    pub(super) fn report_for(&self, log: &Log, live: &[&LogFile], report: &mut Report) -> bool {
        if self.formats.is_empty() || !log.auto {
            return false;
        }
        let files = live.iter().filter_map(|file| file.path.to_str());
        let paths = log.paths.iter().cloned().chain(files.map(globset::escape));
        let of_it: BTreeSet<usize> = paths
            .filter_map(|path| self.by_path.get(&path))
            .flatten()
            .copied()
            .collect();
        for at in &of_it {
            self.formats[*at].report(report);
        }
        !of_it.is_empty()
    }
}

impl BadFormat<'_> {
    fn report(&self, report: &mut Report) {
        let LogFormat { name, position, .. } = self.format;
        report.warn(&format!(
            "nginx writes it in log_format {name} ({position}), which cannot be used: {}; until that is changed, lines \
             that match no other format are indexed as unparsed lines",
            self.error
        ));
        let source = self.error.source().as_bytes();
        report.paste(&terminal::with_caret(source, self.error.offset(), ""));
    }
}
