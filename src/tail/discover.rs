//! Which files are logs: globs and excludes against the directories as they are now.
//!
//! Owns: the reading of glob patterns, the choice between a live log and a rotated file of one. Refuses to
//! know: contents and positions. Invariant: a scan depends on nothing but the directories (and the names of
//! logs known before), so it is right even if no event ever came. The failures it guards against: a rotated
//! file read as a log of its own, one file read twice under two names, and a pipe read as a file.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::fs::{FileSystem, Inode, Kind, Metadata};
use super::stem::{self, Compression};
use super::{LogSettings, Problem, TailError};
use crate::globs::Globs;

/// How deep `**` goes: links may form a circle.
const MAX_DEPTH: usize = 16;

/// What to look for.
pub(super) struct Discover {
    logs: Vec<LogPatterns>,
    /// The logs of paths without wildcards, by these: each is the name of its lines.
    named: HashMap<String, usize>,
    rotated_dirs: Vec<PathBuf>,
}

struct LogPatterns {
    patterns: Vec<Pattern>,
    exclude: Globs,
    name: Option<Arc<str>>,
}

struct Pattern {
    /// The part without wildcards.
    base: PathBuf,
    /// Directories below it.
    directories: Vec<Part>,
    file: Part,
}

enum Part {
    Literal(String),
    Glob(GlobMatcher),
    AnyDepth,
}

impl Part {
    fn matches(&self, name: &str) -> bool {
        match self {
            Part::Literal(literal) => literal == name,
            Part::Glob(glob) => glob.is_match(name),
            Part::AnyDepth => true,
        }
    }
}

/// A file that belongs to a log.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// Index into the settings.
    pub(super) log: usize,
    /// The names of the logs it may belong to; more than one only in a directory shared by rotated files.
    pub(super) names: Vec<Arc<str>>,
    /// nginx writes here now; else a rotated file.
    pub(super) live: bool,
    pub(super) compression: Option<Compression>,
}

/// The directories as they are now.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Live logs, each file once.
    pub(super) live: Vec<Candidate>,
    /// Rotated files: plain before compressed, oldest first.
    pub(super) siblings: Vec<Candidate>,
    /// Directories in which something may happen.
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) problems: Vec<Problem>,
    /// Something could not be looked at: there may be more files.
    pub(super) incomplete: bool,
    /// Live files without a lasting name.
    pub(super) dated: Vec<PathBuf>,
}

impl Discover {
    pub(super) fn new(logs: &[LogSettings], rotated_dirs: &[PathBuf]) -> Result<Self, TailError> {
        let logs = logs
            .iter()
            .map(|log| {
                Ok(LogPatterns {
                    patterns: log
                        .paths
                        .iter()
                        .map(|path| pattern(path))
                        .collect::<Result<_, _>>()?,
                    exclude: exclude(&log.exclude)?,
                    name: log.name.as_deref().map(Arc::from),
                })
            })
            .collect::<Result<Vec<LogPatterns>, _>>()?;
        let mut named = HashMap::new();
        for (at, log) in logs
            .iter()
            .enumerate()
            .filter(|(_, log)| log.name.is_none())
        {
            let literals = log.patterns.iter().filter_map(Pattern::literal);
            for path in literals.filter_map(|path| path.into_os_string().into_string().ok()) {
                named.entry(path).or_insert(at);
            }
        }
        Ok(Self {
            logs,
            named,
            rotated_dirs: rotated_dirs.to_vec(),
        })
    }

    /// The log to which lines of this name belong, by its index in the settings.
    pub(super) fn log_of(&self, name: &str) -> Option<usize> {
        if let Some(log) = self.named.get(name) {
            return Some(*log);
        }
        self.logs.iter().position(|log| match &log.name {
            Some(own) => **own == *name,
            None => {
                let path = Path::new(name);
                log.patterns.iter().any(|pattern| pattern.is_of(path))
            }
        })
    }

    /// Whether a path without wildcards of this log means the file at `path`: as it stands, as the name of a log that
    /// it may belong to, or as what it is a rotated file of.
    pub(super) fn is_named(&self, log: usize, path: &Path, names: &[Arc<str>]) -> bool {
        let patterns = self.logs.get(log).into_iter().flat_map(|log| &log.patterns);
        let mut literals = patterns.filter_map(Pattern::literal);
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        literals.any(|literal| {
            let live = literal.file_name().and_then(OsStr::to_str);
            literal == path
                || names.iter().any(|name| literal == Path::new(&**name))
                || live.is_some_and(|live| stem::rotated(live, file).is_some())
        })
    }

    /// Reads the directories. `known` tells the paths of logs seen before.
    pub(super) fn scan<F: FileSystem>(&self, fs: &F, known: &HashSet<Arc<str>>) -> Scan {
        let mut walk = Walk {
            fs,
            known,
            scan: Scan::default(),
            listings: BTreeMap::new(),
            stems: HashMap::new(),
            first_names: HashMap::new(),
        };
        let mut leaves = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            for pattern in &log.patterns {
                let mut directories = Vec::new();
                walk.expand(
                    pattern.base.clone(),
                    &pattern.directories,
                    0,
                    &mut directories,
                );
                // Where rotated files of many logs lie no log is live.
                directories.retain(|directory| !self.rotated_dirs.contains(directory));
                for directory in directories {
                    walk.log_directory(index, log, &directory, &pattern.file);
                    leaves.push((index, log, directory, &pattern.file));
                }
            }
        }
        for directory in &self.rotated_dirs {
            walk.rotated_directory(directory, &leaves);
        }
        walk.finish()
    }
}

struct Walk<'a, F> {
    fs: &'a F,
    known: &'a HashSet<Arc<str>>,
    scan: Scan,
    listings: BTreeMap<PathBuf, Arc<Vec<String>>>,
    /// By directory: the places in its listing of the names that are, or may be rotated files of, a live name.
    stems: HashMap<PathBuf, HashMap<String, Vec<usize>>>,
    /// A directory reached by two paths is one: its files keep the first path as their name.
    first_names: HashMap<Inode, PathBuf>,
}

impl<F: FileSystem> Walk<'_, F> {
    fn expand(&mut self, at: PathBuf, parts: &[Part], depth: usize, found: &mut Vec<PathBuf>) {
        let metadata = match self.fs.metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(&at, &error),
        };
        if metadata.kind != Kind::Directory || depth > MAX_DEPTH {
            return;
        }
        let Some((part, rest)) = parts.split_first() else {
            let first = self.first_names.entry(metadata.inode).or_insert(at).clone();
            if !found.contains(&first) {
                found.push(first);
            }
            return;
        };
        match part {
            Part::Literal(name) => self.expand(at.join(name), rest, depth + 1, found),
            Part::Glob(glob) => {
                for name in self.list(&at).iter().filter(|name| glob.is_match(name)) {
                    self.expand(at.join(name), rest, depth + 1, found);
                }
            }
            Part::AnyDepth => {
                self.expand(at.clone(), rest, depth + 1, found);
                for name in self.list(&at).iter() {
                    self.expand(at.join(name), parts, depth + 1, found);
                }
            }
        }
    }

    /// The names in a directory, sorted; read once a scan.
    fn list(&mut self, directory: &Path) -> Arc<Vec<String>> {
        self.scan.directories.insert(directory.to_owned());
        if let Some(listing) = self.listings.get(directory) {
            return Arc::clone(listing);
        }
        let mut names = match self.fs.read_dir(directory) {
            // A name that is no UTF-8 cannot be matched by a pattern, which is.
            Ok(names) => names
                .into_iter()
                .filter_map(|name| name.into_string().ok())
                .collect(),
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    self.problem(directory, &error);
                }
                Vec::new()
            }
        };
        names.sort_unstable();
        let names = Arc::new(names);
        self.listings
            .insert(directory.to_owned(), Arc::clone(&names));
        names
    }

    /// The names in a directory that a pattern can mean, live or rotated: of one without wildcards few of many.
    fn related<'n>(
        &mut self,
        directory: &Path,
        names: &'n [String],
        file: &Part,
    ) -> Vec<&'n String> {
        let Part::Literal(live) = file else {
            return names.iter().collect();
        };
        let stems = self.stems.entry(directory.to_owned()).or_insert_with(|| {
            let mut stems: HashMap<String, Vec<usize>> = HashMap::new();
            for (at, name) in names.iter().enumerate() {
                stems.entry(name.clone()).or_default().push(at);
                for reading in stem::readings(name) {
                    stems.entry(reading.stem()).or_default().push(at);
                }
            }
            stems
        });
        let mut related = stems.get(live).cloned().unwrap_or_default();
        related.dedup();
        related.into_iter().filter_map(|at| names.get(at)).collect()
    }

    fn log_directory(&mut self, index: usize, log: &LogPatterns, directory: &Path, file: &Part) {
        let names = self.list(directory);
        for name in self.related(directory, &names, file) {
            let path = directory.join(name);
            if log.excludes(&path) {
                continue;
            }
            if let Some((stem, compression)) = self.sibling_of(directory, &names, file, name) {
                let log_name = log.name_of(&directory.join(stem));
                self.push(index, vec![log_name], path, false, compression);
            } else if file.matches(name) {
                if log.name.is_none() && stem::carries_date(name) {
                    self.scan.problems.push(Problem::new(
                        &path,
                        "carries a date in its name: give its [[logs]] a `name`, so that its lines keep their \
                         identity from day to day"
                            .to_owned(),
                    ));
                    self.scan.dated.push(path);
                    continue;
                }
                let log_name = log.name_of(&path);
                self.push(index, vec![log_name], path, true, None);
            }
        }
    }

    fn sibling_of(
        &self,
        directory: &Path,
        names: &[String],
        file: &Part,
        name: &str,
    ) -> Option<(String, Option<Compression>)> {
        stem::readings(name).find_map(|reading| {
            let stem = reading.stem();
            let is_known = || {
                names.binary_search(&stem).is_ok()
                    || directory
                        .join(&stem)
                        .to_str()
                        .is_some_and(|path| self.known.contains(path))
            };
            // `web.1.log` may be a log of its own, as long as no `web.log` is known.
            (file.matches(&stem) && (!reading.is_infix() || is_known()))
                .then_some((stem, reading.compression))
        })
    }

    /// A directory in which rotated files of several logs lie side by side (logrotate's `olddir`).
    fn rotated_directory(
        &mut self,
        directory: &Path,
        leaves: &[(usize, &LogPatterns, PathBuf, &Part)],
    ) {
        for name in self.list(directory).iter() {
            let path = directory.join(name);
            let mut found: Option<(usize, Option<Compression>)> = None;
            let mut log_names: Vec<Arc<str>> = Vec::new();
            for (index, log, home, file) in leaves {
                if log.excludes(&path) {
                    continue;
                }
                let names = self.list(home);
                let Some((stem, compression)) = self.sibling_of(home, &names, file, name) else {
                    continue;
                };
                found.get_or_insert((*index, compression));
                let log_name = log.name_of(&home.join(stem));
                if !log_names.contains(&log_name) {
                    log_names.push(log_name);
                }
            }
            if let Some((index, compression)) = found {
                self.push(index, log_names, path, false, compression);
            }
        }
    }

    fn push(
        &mut self,
        log: usize,
        names: Vec<Arc<str>>,
        path: PathBuf,
        live: bool,
        compression: Option<Compression>,
    ) {
        let metadata = match self.fs.metadata(&path) {
            Ok(metadata) => metadata,
            // Gone since the listing, or a link to nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(&path, &error),
        };
        match metadata.kind {
            Kind::File => {}
            Kind::Directory => return,
            kind => {
                if live {
                    self.scan.problems.push(Problem::new(
                        &path,
                        format!(
                            "is {}, not a file: nginx's container image links its logs to the console; let nginx \
                             write to a file on a volume that both share",
                            kind.word()
                        ),
                    ));
                }
                return;
            }
        }
        let candidate = Candidate {
            path,
            metadata,
            log,
            names,
            live,
            compression,
        };
        if live {
            // Changes of a file are told to the directory it is really in.
            if let Ok(real) = self.fs.canonicalize(&candidate.path)
                && let Some(parent) = real.parent()
            {
                self.scan.directories.insert(parent.to_owned());
            }
            self.scan.live.push(candidate);
        } else {
            self.scan.siblings.push(candidate);
        }
    }

    fn problem(&mut self, path: &Path, error: &io::Error) {
        self.scan.incomplete = true;
        self.scan.problems.push(Problem::io(self.fs, path, error));
    }

    fn finish(mut self) -> Scan {
        let fs = self.fs;
        // One file by two names is one log: the name that is no link stays when the link goes.
        self.scan
            .live
            .sort_by_cached_key(|candidate| fs.is_symlink(&candidate.path));
        let mut seen: HashSet<Inode> = HashSet::new();
        self.scan
            .live
            .retain(|candidate| seen.insert(candidate.metadata.inode));
        self.scan.siblings.sort_by_cached_key(|candidate| {
            (
                candidate.compression.is_some(),
                candidate.metadata.modified,
                candidate.path.clone(),
            )
        });
        self.scan
            .siblings
            .retain(|candidate| seen.insert(candidate.metadata.inode));
        self.keep_one_live_of_dated_names();
        self.scan
    }

    /// Of the files of a log whose live name carries a date, the newest is live, the others are rotated.
    fn keep_one_live_of_dated_names(&mut self) {
        let mut newest: HashMap<Arc<str>, (i64, PathBuf)> = HashMap::new();
        let dated = |candidate: &Candidate| {
            candidate
                .path
                .file_name()
                .and_then(OsStr::to_str)
                .is_some_and(stem::carries_date)
        };
        for candidate in self.scan.live.iter().filter(|candidate| dated(candidate)) {
            let rank = (candidate.metadata.modified, candidate.path.clone());
            let best = newest
                .entry(Arc::clone(&candidate.names[0]))
                .or_insert_with(|| rank.clone());
            if *best < rank {
                *best = rank;
            }
        }
        if newest.is_empty() {
            return;
        }
        let (live, rotated): (Vec<_>, Vec<_>) = std::mem::take(&mut self.scan.live)
            .into_iter()
            .partition(|candidate| {
                !dated(candidate)
                    || newest
                        .get(&candidate.names[0])
                        .is_some_and(|best| best.1 == candidate.path)
            });
        self.scan.live = live;
        let rotated = rotated.into_iter().map(|candidate| Candidate {
            live: false,
            ..candidate
        });
        self.scan.siblings.splice(0..0, rotated);
    }
}

impl Pattern {
    /// The one path that it means, if it has no wildcard.
    fn literal(&self) -> Option<PathBuf> {
        match &self.file {
            Part::Literal(file) if self.directories.is_empty() => Some(self.base.join(file)),
            _ => None,
        }
    }

    /// Whether a path is one that this pattern means.
    fn is_of(&self, path: &Path) -> bool {
        fn lead(parts: &[Part], directories: &[&str]) -> bool {
            match (parts.split_first(), directories.split_first()) {
                (None, first) => first.is_none(),
                (Some((Part::AnyDepth, rest)), _) => {
                    (0..=directories.len()).any(|depth| lead(rest, &directories[depth..]))
                }
                (Some((part, rest)), Some((directory, below))) => {
                    part.matches(directory) && lead(rest, below)
                }
                (Some(_), None) => false,
            }
        }
        let below = path.strip_prefix(&self.base).ok();
        let names: Option<Vec<&str>> =
            below.and_then(|below| below.iter().map(OsStr::to_str).collect());
        names.is_some_and(|names| {
            names.split_last().is_some_and(|(file, directories)| {
                self.file.matches(file) && lead(&self.directories, directories)
            })
        })
    }
}

impl LogPatterns {
    fn name_of(&self, live: &Path) -> Arc<str> {
        self.name
            .clone()
            .unwrap_or_else(|| live.to_string_lossy().into())
    }

    fn excludes(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.exclude.matches(path))
    }
}

fn glob(text: &str, whole: &str) -> Result<GlobMatcher, TailError> {
    GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|source| TailError::Glob {
            glob: whole.to_owned(),
            reason: source.to_string(),
        })
}

fn exclude(texts: &[String]) -> Result<Globs, TailError> {
    let mut globs = Globs::default();
    for text in texts {
        globs.add(text, 0).map_err(|source| TailError::Glob {
            glob: text.clone(),
            reason: source.to_string(),
        })?;
    }
    Ok(globs)
}

fn pattern(text: &str) -> Result<Pattern, TailError> {
    let bad = |reason: &str| TailError::Glob {
        glob: text.to_owned(),
        reason: reason.to_owned(),
    };
    if !text.starts_with('/') {
        return Err(bad("the path must be absolute"));
    }
    let mut base = PathBuf::from("/");
    let mut parts = Vec::new();
    for component in Path::new(text).components() {
        match component {
            Component::Normal(part) => {
                let part = part.to_str().ok_or_else(|| bad("the path is no UTF-8"))?;
                parts.push(if part == "**" {
                    Part::AnyDepth
                } else if part.contains(['*', '?', '[', '{', '\\']) {
                    Part::Glob(glob(part, text)?)
                } else {
                    Part::Literal(part.to_owned())
                });
            }
            Component::ParentDir => return Err(bad("`..` is not understood in a pattern")),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    let file = parts.pop().ok_or_else(|| bad("it names no file"))?;
    if text.ends_with('/') || matches!(file, Part::AnyDepth) {
        return Err(bad(
            "it names directories; add a pattern for the files, such as `*access.log`",
        ));
    }
    let literal = parts
        .iter()
        .take_while(|part| matches!(part, Part::Literal(_)))
        .count();
    let directories = parts.split_off(literal);
    for part in parts {
        if let Part::Literal(name) = part {
            base.push(name);
        }
    }
    Ok(Pattern {
        base,
        directories,
        file,
    })
}
