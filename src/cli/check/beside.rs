//! The files beside the live logs: which count as rotated, which do not, and why.
//!
//! Owns the report of these files. Invariant: the classification is the tailer's own, from the positions saved last. For each
//! log, and for files without a log, it lists at most [`SHOWN`] files, for at most [`SHOWN_LOGS`] logs, and counts the others,
//! so that years of rotated files or thousands of logs do not hide the important ones.

use std::collections::BTreeMap;

use super::super::Exit;
use super::report::{Report, count};
use crate::agent;
use crate::config::Loaded;
use crate::tail::fs::HostFs;
use crate::tail::{OtherFile, other_files};

/// Most files that are listed.
const SHOWN: usize = 10;

/// Most logs whose files are listed.
const SHOWN_LOGS: usize = 20;

/// Says all about the files beside the logs.
pub(super) fn describe(loaded: &Loaded, report: &mut Report) {
    let (logs, rotated_dirs) = agent::log_settings(&loaded.config);
    match other_files(
        &logs,
        &rotated_dirs,
        &loaded.config.data_dir,
        &agent::link_settings(&loaded.config),
        &HostFs,
    ) {
        Ok(others) => list(&others, report),
        Err(error) => report.fail(Exit::Config, &error.to_string()),
    }
}

fn list(others: &[OtherFile], report: &mut Report) {
    let mut of_logs: BTreeMap<&str, Vec<&OtherFile>> = BTreeMap::new();
    let mut of_nobody = Vec::new();
    for other in others {
        match &other.log {
            Some(log) => of_logs.entry(log).or_default().push(other),
            None => of_nobody.push(other),
        }
    }
    if others.is_empty() {
        return;
    }
    report.section("files beside the logs");
    // A file classified by its name alone is the least surprising one.
    let mut of_logs: Vec<(&str, Vec<&OtherFile>)> = of_logs.into_iter().collect();
    of_logs.sort_by_key(|(_, files)| files.iter().all(|file| file.is_by_name()));
    for (log, files) in of_logs.iter().take(SHOWN_LOGS) {
        tell("rotated", &format!(" of {log}"), files, report);
    }
    if let Some(rest) = of_logs.get(SHOWN_LOGS..).filter(|rest| !rest.is_empty()) {
        let files = rest.iter().map(|(_, files)| files.len()).sum();
        let text = format!(
            "{} of {}",
            count(files, "more file"),
            count(rest.len(), "more log")
        );
        report.item("rotated", &text);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn other(log: Option<usize>, file: usize, why: &str) -> OtherFile {
        OtherFile {
            path: format!("/logs/{}.{file}", log.unwrap_or_default()).into(),
            log: log.map(|log| format!("/logs/{log}")),
            why: why.to_owned(),
        }
    }

    #[test]
    fn thousands_of_rotated_files_do_not_hide_the_important_ones() {
        let mut others: Vec<OtherFile> = (0..1000)
            .flat_map(|log| (0..12).map(move |file| other(Some(log), file, "by its name")))
            .collect();
        others.push(other(Some(999), 99, "it holds what was read"));
        others.extend((0..500).map(|file| other(None, file, "no")));
        let mut report = Report::default();
        list(&others, &mut report);
        let (text, _) = report.so_far();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 1 + SHOWN_LOGS * (SHOWN + 1) + 1 + SHOWN + 1);
        assert!(text.contains("more files of /logs/999\n"), "{text}");
        assert!(text.contains("rotated     11760 more files of 980 more logs\n"));
        assert!(text.ends_with("left alone  490 more files\n"), "{text}");
    }
}
