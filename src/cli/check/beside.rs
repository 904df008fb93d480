//! The files beside the live logs: which count as rotated, which not, and why.
//!
//! Owns how they are told. Invariant: the judgement is the tailer's own, from the positions saved last; of each log, and of
//! what is nobody's, at most [`SHOWN`] files are told one by one, the others as a number, so that years of rotated files
//! do not hide what matters.

use std::collections::BTreeMap;

use super::super::Exit;
use super::report::{Report, count};
use crate::agent;
use crate::config::Loaded;
use crate::tail::fs::HostFs;
use crate::tail::{OtherFile, other_files};

/// Files told one by one.
const SHOWN: usize = 10;

/// Says all about the files beside the logs.
pub(super) fn describe(loaded: &Loaded, report: &mut Report) {
    let (logs, rotated_dirs) = agent::log_settings(&loaded.config);
    let others = match other_files(&logs, &rotated_dirs, &loaded.config.data_dir, &HostFs) {
        Ok(others) => others,
        Err(error) => return report.fail(Exit::Config, &error.to_string()),
    };
    let mut of_logs: BTreeMap<&str, Vec<&OtherFile>> = BTreeMap::new();
    let mut of_nobody = Vec::new();
    for other in &others {
        match &other.log {
            Some(log) => of_logs.entry(log).or_default().push(other),
            None => of_nobody.push(other),
        }
    }
    if others.is_empty() {
        return;
    }
    report.section("files beside the logs");
    for (log, files) in &of_logs {
        tell("rotated", &format!(" of {log}"), files, report);
    }
    tell("left alone", "", &of_nobody, report);
}

fn tell(what: &str, of_log: &str, files: &[&OtherFile], report: &mut Report) {
    for file in files.iter().take(SHOWN) {
        let text = format!("{}{of_log}: {}", file.path.display(), file.why);
        report.item(what, &text);
    }
    if files.len() > SHOWN {
        let more = count(files.len() - SHOWN, "more file");
        report.item(what, &format!("{more}{of_log}"));
    }
}
