//! Lists the files that a tailer with these settings would read, without reading any.
//!
//! Owns: nothing; it shows what `discover` finds, so that a command can show beforehand what `run` will do. Refuses to
//! know: positions and contents. Invariant: the answer is that of the tailer, except for logs that are only in a saved
//! position. The failure it guards against: `check` and `run` disagree.

use std::collections::HashSet;
use std::path::PathBuf;

use super::discover::Discover;
use super::fs::{FileSystem, Metadata};
use super::search::dated_file;
use super::{Links, LogSettings, Problem, TailError};

/// A file that belongs to a log.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    /// Its path.
    pub path: PathBuf,
    /// Index into the settings.
    pub log: usize,
    /// Whether nginx writes to it now; otherwise it is a rotated file.
    pub live: bool,
    /// Its metadata.
    pub metadata: Metadata,
}

/// All that was found.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    /// Live logs first, then rotated files; each file once.
    pub files: Vec<LogFile>,
    /// The problems.
    pub problems: Vec<Problem>,
}

/// Reads the directories in their present state.
///
/// # Errors
///
/// A pattern that cannot be used.
pub(crate) fn survey<F: FileSystem>(
    logs: &[LogSettings],
    rotated_dirs: &[String],
    links: &Links,
    fs: &F,
) -> Result<Survey, TailError> {
    let scan = Discover::new(logs, rotated_dirs, links)?.scan(fs, &HashSet::new());
    let mut refused = Vec::new();
    let files = scan
        .live
        .into_iter()
        .chain(scan.siblings)
        .filter(|candidate| {
            // A file that cannot be examined is reported by the caller, who tries to read it.
            let traced = fs.trace(&candidate.path).ok();
            match traced.and_then(|(way, file)| candidate.refused(links, &way, &file)) {
                Some(why) => {
                    refused.push(Problem::new(&candidate.path, why.text(fs)));
                    false
                }
                None => true,
            }
        })
        .map(|candidate| LogFile {
            path: candidate.path,
            log: candidate.log,
            live: candidate.live,
            metadata: candidate.metadata,
        });
    let files = files.collect();
    let dated = scan.dated.iter().map(|path| dated_file(path));
    let problems = scan.problems.into_iter().chain(refused).chain(dated);
    Ok(Survey {
        files,
        problems: problems.collect(),
    })
}
