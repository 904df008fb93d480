//! Explains which files in the directories of logs count as rotated, which do not, and why, for `logweir check`.
//!
//! Owns: the reasons and their text. Refuses to know: how `check` prints them. Invariant: nothing is written and no
//! lock is taken, so that it runs beside an agent; the answer depends on the positions that were saved last. The
//! failure it guards against: an operator learns only from missing documents that a file is not read.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use logweir_parsers::error_log;

use super::checkpoint::{self, Checkpoint, CheckpointEntry};
use super::discover::{Discover, FoundBy};
use super::file_reader::holds;
use super::fs::{FileKind, FileSystem};
use super::gzip::{Gzip, first_line};
use super::identity::{Position, beginning, stream_id};
use super::stem;
use super::{Links, LogSettings, TailError};

/// The reason for a file whose name is in the table.
const BY_NAME: &str = "by its name";

/// A file that is not a live log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherFile {
    /// Its path.
    pub path: PathBuf,
    /// The log whose rotated file it is; `None` if it belongs to no log.
    pub log: Option<String>,
    /// The reason.
    pub why: String,
}

impl OtherFile {
    /// Whether its name alone identifies its log.
    pub(crate) fn is_by_name(&self) -> bool {
        self.why == BY_NAME
    }
}

/// Examines all files in the directories in which rotated files are looked for, except the live logs.
///
/// # Errors
///
/// A pattern that cannot be used.
pub(crate) fn other_files<F: FileSystem>(
    logs: &[LogSettings],
    rotated_dirs: &[String],
    data_dir: &Path,
    links: &Links,
    fs: &F,
) -> Result<Vec<OtherFile>, TailError> {
    let discover = Discover::new(logs, rotated_dirs, links)?;
    let saved = saved(fs, data_dir);
    let known = saved.as_ref().map(|saved| {
        let logs = saved.header.logs.iter();
        logs.map(|log| Arc::from(log.as_str())).collect()
    });
    let scan = discover.scan(fs, &known.unwrap_or_default());
    let mut others: Vec<OtherFile> = (scan.siblings.iter())
        .map(|sibling| {
            let names: Vec<&str> = sibling.names.iter().map(|name| &**name).collect();
            let why = match sibling.by {
                FoundBy::Declared => "`rotated` names it",
                _ => BY_NAME,
            };
            OtherFile {
                path: sibling.path.clone(),
                log: Some(names.join(" or ")),
                why: why.to_owned(),
            }
        })
        .collect();
    let positions = saved.as_ref().map(Positions::new);
    let mut paths: BTreeSet<PathBuf> = scan.others(fs, []).0.into_iter().collect();
    // The content of a file that only a glob takes for live may show that it is a rotated file.
    let tentative = scan.live.iter().filter(|live| live.is_tentative());
    let tentative: BTreeSet<PathBuf> = tentative.map(|live| live.path.clone()).collect();
    paths.extend(tentative.iter().cloned());
    for path in paths {
        let Some((log, why)) = whose(fs, &discover, positions.as_ref(), &path) else {
            continue;
        };
        if tentative.contains(&path) && log.as_deref().is_none_or(|log| Path::new(log) == path) {
            continue;
        }
        others.push(OtherFile { path, log, why });
    }
    others.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(others)
}

/// The newest positions that can be read.
fn saved<F: FileSystem>(fs: &F, data_dir: &Path) -> Option<Checkpoint> {
    let read = |name: &str| {
        let bytes = fs.disk().read(&data_dir.join("run").join(name)).ok()?;
        checkpoint::decode(&bytes).ok()
    };
    ["checkpoint", "checkpoint.previous"]
        .into_iter()
        .filter_map(read)
        .max_by_key(|saved| saved.header.generation)
}

/// The saved positions by the first lines of their files.
struct Positions<'c> {
    host: &'c str,
    by_beginning: HashMap<u64, Vec<&'c CheckpointEntry>>,
}

impl<'c> Positions<'c> {
    fn new(saved: &'c Checkpoint) -> Self {
        let mut by_beginning: HashMap<u64, Vec<&CheckpointEntry>> = HashMap::new();
        for entry in &saved.entries {
            if let Some(beginning) = entry.beginning {
                by_beginning.entry(beginning).or_default().push(entry);
            }
        }
        Self {
            host: &saved.header.host,
            by_beginning,
        }
    }

    fn of(&self, line: &[u8]) -> impl Iterator<Item = &'c CheckpointEntry> {
        let alike = self.by_beginning.get(&beginning(line));
        (alike.into_iter().flatten().copied())
            .filter(|entry| stream_id(self.host, &entry.log, line) == entry.stream)
    }
}

/// The log of a file whose name identifies none, and the reason; `None` if it is not a file.
fn whose<F: FileSystem>(
    fs: &F,
    discover: &Discover,
    positions: Option<&Positions<'_>>,
    path: &Path,
) -> Option<(Option<String>, String)> {
    let metadata = fs.metadata(path).ok()?;
    if metadata.kind != FileKind::File {
        return None;
    }
    let no = |why: &str| Some((None, why.to_owned()));
    let name = path.file_name()?.to_str()?;
    if !matches!(
        stem::compression(name),
        None | Some(stem::Compression::Gzip)
    ) {
        return no("it is compressed in a format that cannot be read");
    }
    let alike = match entries_like(fs, positions, path) {
        Ok(alike) => alike,
        Err(error) => return no(&format!("it cannot be read: {error}")),
    };
    let Some(Alike {
        line,
        alike,
        holding,
    }) = alike
    else {
        return no("it has no complete line");
    };
    let excluded = |entry: &&CheckpointEntry| {
        let log = discover.log_of(&entry.log);
        log.is_none_or(|log| discover.excludes(log, path))
    };
    if let Some(entry) = holding.iter().find(|entry| !excluded(entry)) {
        let why = format!(
            "it holds what was read of that log, to byte {}",
            entry.offset
        );
        return Some((Some(entry.log.clone()), why));
    }
    if alike.is_empty() && error_log::is_line(&line) {
        return no("it is an error log of nginx by its first line");
    }
    match (alike.first(), stem::carries_date(name)) {
        (Some(entry), _) if excluded(entry) => no("exclude leaves it out"),
        (Some(entry), _) => no(&format!(
            "it begins like a file of {}, but does not hold what was read of that",
            entry.log
        )),
        (None, true) => no(
            "its name has a date, but is not that of a log with the date behind it, and it begins like no file \
             that was read; `rotated` in [[logs]] can name it",
        ),
        (None, false) => no(
            "its name is not that of a rotated log, and it begins like no file that was read; `rotated` in \
             [[logs]] can name it",
        ),
    }
}

/// A file's first line, the positions of files with the same beginning, and those of them that the file contains.
struct Alike<'c> {
    line: Vec<u8>,
    alike: Vec<&'c CheckpointEntry>,
    holding: Vec<&'c CheckpointEntry>,
}

/// The positions that match a file; `None` without a complete line.
fn entries_like<'c, F: FileSystem>(
    fs: &F,
    positions: Option<&Positions<'c>>,
    path: &Path,
) -> io::Result<Option<Alike<'c>>> {
    let file = Arc::new(fs.open(path)?.0);
    let mut magic = [0; 2];
    let compressed = fs.read_at(&file, &mut magic, 0)? == 2 && magic == [0x1f, 0x8b];
    let Some(line) = first_line(fs, &file, compressed)? else {
        return Ok(None);
    };
    let alike: Vec<&CheckpointEntry> = positions
        .map(|positions| positions.of(&line).collect())
        .unwrap_or_default();
    let mut holding = Vec::new();
    for entry in &alike {
        let position = Position {
            offset: entry.offset,
            marker: entry.marker,
        };
        let holds = match compressed {
            true => Gzip::holds(fs.clone(), Arc::clone(&file), position)? == Some(true),
            false => holds(fs, &*file, position)?,
        };
        if holds {
            holding.push(*entry);
        }
    }
    Ok(Some(Alike {
        line,
        alike,
        holding,
    }))
}
