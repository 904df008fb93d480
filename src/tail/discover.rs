//! Finds the files that are logs: applies the globs and excludes to the present directories.
//!
//! Owns: the choice, by name alone, between a live log, a rotated file of one, and any other file. Refuses to know:
//! contents and positions. Invariant: a scan depends only on the directories (and the names of logs known before), so
//! it is right even if no event ever came. The failures it guards against: a rotated file is read as a log of its own,
//! one file is read twice under two names, and a pipe is read as a file.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::descriptor_slots::is_shortage;
use super::fs::{FileKind, FileSystem, Inode, Metadata, Way};
use super::leaf::{Leaf, Leaves};
use super::likely::Likely;
use super::links::Refusal;
use super::pattern::{Part, Pattern};
use super::stem::{self, Compression};
use super::{Links, LogSettings, Problem, TailError};
use crate::globs::Globs;

/// The maximum depth of `**`: links may form a circle.
const MAX_DEPTH: usize = 16;

/// What to look for.
pub(super) struct Discover {
    logs: Vec<LogPatterns>,
    /// The logs with names that the settings fix, by `name` or by a path without wildcards.
    named: HashMap<String, usize>,
    /// The logs with a wildcard in a path; the settings do not fix the names of their files.
    globbed: Vec<usize>,
    rotated_dirs: Vec<(String, Pattern)>,
    links: Links,
    /// The globs of `rotated`, each once: all logs of one `[[logs]]` have the same.
    declared: BTreeMap<String, Declared>,
}

/// A glob of `rotated`, and the logs that have it, in ascending order.
struct Declared {
    pattern: Pattern,
    logs: Vec<usize>,
}

pub(super) struct LogPatterns {
    patterns: Vec<Pattern>,
    exclude: Globs,
    name: Option<Arc<str>>,
}

/// Why a file belongs to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FoundBy {
    /// A path without wildcards names it: a permanent name.
    Path,
    /// A glob matches it: it could also be a rotated file of another log.
    Glob,
    /// The table of rotated names.
    Table,
    /// `rotated` of its `[[logs]]`.
    Declared,
    /// Its first line.
    Content,
}

/// A file that belongs to a log.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) path: PathBuf,
    pub(super) metadata: Metadata,
    /// Index into the settings.
    pub(super) log: usize,
    /// The names of the logs it may belong to; more than one only for rotated files with an ambiguous name.
    pub(super) names: Vec<Arc<str>>,
    /// Whether nginx writes to it now; otherwise it is a rotated file.
    pub(super) live: bool,
    pub(super) by: FoundBy,
    pub(super) compression: Option<Compression>,
    /// The users whose files count, if it was found beside the target of a link that leads only to files of these
    /// users; otherwise `None`.
    pub(super) owners: Option<Arc<[u32]>>,
}

impl Candidate {
    /// Why the file is not read because of the way its path led there; `None` if it is read.
    pub(super) fn refused(&self, links: &Links, way: &Way, file: &Metadata) -> Option<Refusal> {
        let owners = self.owners.as_deref();
        links.refuse(way, file, owners)
    }

    /// Whether only its content can show that it is a log of its own.
    pub(super) fn is_tentative(&self) -> bool {
        self.live && self.by == FoundBy::Glob
    }

    /// Whether its name shows that it belongs to this log and to no other.
    pub(super) fn is_of_alone(&self, name: &Arc<str>) -> bool {
        *self.names == [Arc::clone(name)]
    }
}

/// The directories at the time of the scan.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Live logs, each file once.
    pub(super) live: Vec<Candidate>,
    /// Rotated files: plain before compressed, oldest first.
    pub(super) siblings: Vec<Candidate>,
    /// Directories to watch for changes.
    pub(super) directories: BTreeSet<PathBuf>,
    pub(super) problems: Vec<Problem>,
    /// Something could not be examined, so there may be more files.
    pub(super) incomplete: bool,
    /// Files that only a glob found and that have a date in their name: no log keeps such a name for long.
    pub(super) dated: Vec<PathBuf>,
    /// The names in each directory in which rotated files are looked for.
    listings: BTreeMap<PathBuf, Arc<Vec<String>>>,
}

impl Scan {
    /// Files of the directories, and of `further` ones, that no name explains; and whether there may be more that could
    /// not be listed because of a shortage of descriptors.
    pub(super) fn others<F: FileSystem>(
        &self,
        fs: &F,
        further: impl IntoIterator<Item = PathBuf>,
    ) -> (Vec<PathBuf>, bool) {
        let explained: HashSet<&Path> = (self.live.iter().chain(&self.siblings))
            .map(|candidate| candidate.path.as_path())
            .collect();
        let mut listings = self.listings.clone();
        let mut is_short = false;
        for directory in further {
            listings.entry(directory).or_insert_with_key(|directory| {
                let names = fs.read_dir(directory);
                is_short |= names.as_ref().is_err_and(is_shortage);
                let names = names.unwrap_or_default();
                let names = names.into_iter().filter_map(|name| name.into_string().ok());
                Arc::new(names.collect())
            });
        }
        let paths = listings
            .iter()
            .flat_map(|(directory, names)| names.iter().map(|name| directory.join(name)));
        let others = paths.filter(|path| !explained.contains(path.as_path()));
        (others.collect(), is_short)
    }
}

impl Discover {
    pub(super) fn new(
        logs: &[LogSettings],
        rotated_dirs: &[String],
        links: &Links,
    ) -> Result<Self, TailError> {
        let mut declared: BTreeMap<String, Declared> = BTreeMap::new();
        for (index, log) in logs.iter().enumerate() {
            for text in &log.rotated {
                match declared.get_mut(text) {
                    Some(declared) => declared.logs.push(index),
                    None => {
                        let pattern = Pattern::of_files(text)?;
                        let logs = vec![index];
                        declared.insert(text.clone(), Declared { pattern, logs });
                    }
                }
            }
        }
        let logs: Vec<LogPatterns> = logs
            .iter()
            .map(|log| {
                Ok(LogPatterns {
                    patterns: patterns(&log.paths)?,
                    exclude: exclude(&log.exclude)?,
                    name: log.name.as_deref().map(Arc::from),
                })
            })
            .collect::<Result<_, TailError>>()?;
        let rotated_dirs = rotated_dirs
            .iter()
            .map(|text| Ok((text.clone(), Pattern::of_directories(text)?)))
            .collect::<Result<_, TailError>>()?;
        let mut named = HashMap::new();
        for (index, log) in logs.iter().enumerate() {
            let names = match &log.name {
                Some(name) => vec![name.to_string()],
                None => log.patterns.iter().filter_map(Pattern::literal).collect(),
            };
            for name in names {
                named.entry(name).or_insert(index);
            }
        }
        let has_wildcard = |log: &LogPatterns| !log.patterns.iter().all(Pattern::is_literal);
        let globbed = (0..logs.len()).filter(|at| has_wildcard(&logs[*at]));
        Ok(Self {
            globbed: globbed.collect(),
            logs,
            named,
            rotated_dirs,
            links: links.clone(),
            declared,
        })
    }

    /// The log to which lines of this name belong, by its index in the settings.
    pub(super) fn log_of(&self, name: &str) -> Option<usize> {
        self.named.get(name).copied().or_else(|| {
            let path = Path::new(name);
            let is_of = |log: &LogPatterns| log.patterns.iter().any(|pattern| pattern.is_of(path));
            let mut globbed = self.globbed.iter().copied();
            globbed.find(|at| self.logs[*at].name.is_none() && is_of(&self.logs[*at]))
        })
    }

    /// Whether the settings fix this name of a log, so that the content of its files cannot assign them to another log.
    pub(super) fn fixes(&self, name: &str) -> bool {
        self.named.contains_key(name)
    }

    /// Whether a path without wildcards of this log means the file at `path`: it is that path, or the name of a log
    /// that the file may belong to, or the file is a rotated file of it.
    pub(super) fn is_named(&self, log: usize, path: &Path, names: &[Arc<str>]) -> bool {
        let patterns = self.logs.get(log).into_iter().flat_map(|log| &log.patterns);
        let mut literals = patterns.filter_map(Pattern::literal);
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        literals.any(|literal| {
            let literal = Path::new(&literal);
            let live = literal.file_name().and_then(OsStr::to_str);
            literal == path
                || names.iter().any(|name| literal == Path::new(&**name))
                || live.is_some_and(|live| stem::rotated(live, file).is_some())
        })
    }

    /// Whether the settings exclude this file of a log.
    pub(super) fn excludes(&self, log: usize, path: &Path) -> bool {
        self.logs.get(log).is_some_and(|log| log.excludes(path))
    }

    /// Reads the directories. `known` contains the names of the logs that were seen before.
    pub(super) fn scan<F: FileSystem>(&self, fs: &F, known: &HashSet<Arc<str>>) -> Scan {
        let mut walk = Walk {
            fs,
            known,
            discover: self,
            scan: Scan::default(),
            listings: BTreeMap::new(),
            stems: HashMap::new(),
            first_names: HashMap::new(),
        };
        let rotated_dirs = walk.rotated_dirs(&self.rotated_dirs);
        let only_rotated: HashSet<&PathBuf> = rotated_dirs.iter().collect();
        let mut leaves = Vec::new();
        for (index, log) in self.logs.iter().enumerate() {
            for pattern in &log.patterns {
                let mut directories = walk.directories_of(pattern);
                if !pattern.is_literal() {
                    // In a directory for the rotated files of many logs no log is live, unless a path without wildcards
                    // names it.
                    let found = !directories.is_empty();
                    directories.retain(|directory| !only_rotated.contains(directory));
                    if found && directories.is_empty() {
                        walk.has_no_live_directory(&pattern.base);
                    }
                }
                for directory in directories {
                    walk.log_directory(index, pattern, &directory);
                    leaves.push(Leaf {
                        index,
                        log,
                        directory,
                        file: &pattern.file,
                    });
                }
            }
        }
        let leaves = Leaves::new(leaves);
        for directory in &rotated_dirs {
            walk.rotated_directory(directory, &leaves);
        }
        walk.targets_of_links();
        walk.declared();
        walk.finish()
    }
}

struct Walk<'a, F> {
    fs: &'a F,
    known: &'a HashSet<Arc<str>>,
    discover: &'a Discover,
    scan: Scan,
    listings: BTreeMap<PathBuf, Arc<Vec<String>>>,
    /// By directory and live name: the indices of the names in its listing that equal the live name or may be rotated
    /// from it.
    stems: HashMap<PathBuf, BTreeMap<String, Vec<usize>>>,
    /// Two paths to one directory count as one: its files keep the first path as their name.
    first_names: HashMap<Inode, PathBuf>,
}

impl<F: FileSystem> Walk<'_, F> {
    fn directories_of(&mut self, pattern: &Pattern) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.expand(pattern.base.clone(), &pattern.directories, 0, &mut found);
        let mut seen = HashSet::new();
        found.retain(|directory| seen.insert(directory.clone()));
        found
    }

    fn expand(&mut self, at: PathBuf, parts: &[Part], depth: usize, found: &mut Vec<PathBuf>) {
        let metadata = match self.fs.metadata(&at) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(&at, &error),
        };
        if metadata.kind != FileKind::Directory || depth > MAX_DEPTH {
            return;
        }
        let Some((part, rest)) = parts.split_first() else {
            let first = self.first_names.entry(metadata.inode).or_insert(at).clone();
            return found.push(first);
        };
        match part {
            Part::Literal(name) => self.expand(at.join(name), rest, depth + 1, found),
            Part::Glob { .. } => {
                for name in self.list(&at).iter().filter(|name| part.matches(name)) {
                    self.expand(at.join(name), rest, depth + 1, found);
                }
            }
            Part::AnyDepth => {
                self.expand(at.clone(), rest, depth + 1, found);
                for name in self.list(&at).iter().filter(|name| part.matches(name)) {
                    self.expand(at.join(name), parts, depth + 1, found);
                }
            }
        }
    }

    /// The names in a directory, sorted; it is read once per scan.
    fn list(&mut self, directory: &Path) -> Arc<Vec<String>> {
        self.scan.directories.insert(directory.to_owned());
        if let Some(listing) = self.listings.get(directory) {
            return Arc::clone(listing);
        }
        let mut names = match self.fs.read_dir(directory) {
            // A pattern is UTF-8, so a name that is not cannot match it.
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

    /// The names in a directory in which rotated files with any name are looked for.
    fn list_to_search(&mut self, directory: &Path) -> Arc<Vec<String>> {
        let names = self.list(directory);
        self.scan
            .listings
            .insert(directory.to_owned(), Arc::clone(&names));
        names
    }

    /// The names in a directory that can match a pattern, live or rotated. They are few if its beginning is known.
    fn related<'n>(
        &mut self,
        directory: &Path,
        names: &'n [String],
        file: &Part,
    ) -> Vec<&'n String> {
        let (head, is_whole) = match file {
            Part::Literal(name) => (name, true),
            Part::Glob { head, .. } if !head.is_empty() => (head, false),
            Part::Glob { .. } | Part::AnyDepth => return names.iter().collect(),
        };
        let stems = self.stems.entry(directory.to_owned()).or_insert_with(|| {
            let mut stems: BTreeMap<String, Vec<usize>> = BTreeMap::new();
            for (at, name) in names.iter().enumerate() {
                stems.entry(name.clone()).or_default().push(at);
                for reading in stem::readings(name) {
                    stems.entry(reading.stem()).or_default().push(at);
                }
            }
            stems
        });
        let mut related: Vec<usize> = stems
            .range(head.clone()..)
            .take_while(|(stem, _)| match is_whole {
                true => *stem == head,
                false => stem.starts_with(head.as_str()),
            })
            .flat_map(|(_, indices)| indices.iter().copied())
            .collect();
        related.sort_unstable();
        related.dedup();
        related.into_iter().filter_map(|at| names.get(at)).collect()
    }

    fn rotated_dirs(&mut self, patterns: &[(String, Pattern)]) -> Vec<PathBuf> {
        let (mut all, mut seen) = (Vec::new(), HashSet::new());
        for (text, pattern) in patterns {
            let found = self.directories_of(pattern);
            if found.is_empty() {
                self.scan.problems.push(Problem::new(
                    Path::new(text),
                    "is in rotated_dirs and matches no directory now: rotated files there are not found; \
                     correct it, or create the directory"
                        .to_owned(),
                ));
            }
            all.extend(found.into_iter().filter(|found| seen.insert(found.clone())));
        }
        all
    }

    fn has_no_live_directory(&mut self, base: &Path) {
        self.scan.problems.push(Problem::new(
            base,
            "holds no directory for live logs of a pattern in paths, because rotated_dirs takes all of them: no log \
             of it is followed; let rotated_dirs match the directories of rotated files alone"
                .to_owned(),
        ));
    }

    fn log_directory(&mut self, index: usize, pattern: &Pattern, directory: &Path) {
        let Some(log) = self.discover.logs.get(index) else {
            return;
        };
        let names = self.list_to_search(directory);
        for name in self.related(directory, &names, &pattern.file) {
            let path = directory.join(name);
            if log.excludes(&path) {
                continue;
            }
            if let Some((stem, compression)) =
                self.sibling_of(directory, &names, &pattern.file, name)
            {
                let log_name = log.name_of(&directory.join(stem));
                self.push(index, vec![log_name], path, FoundBy::Table, compression);
            } else if pattern.file.matches(name) {
                let by = if pattern.is_literal() {
                    FoundBy::Path
                } else if self.is_declared(&path) {
                    continue;
                } else {
                    FoundBy::Glob
                };
                if by == FoundBy::Glob && log.name.is_none() && stem::carries_date(name) {
                    self.scan.dated.push(path);
                    continue;
                }
                let log_name = log.name_of(&path);
                self.push(index, vec![log_name], path, by, None);
            }
        }
    }

    fn is_declared(&self, path: &Path) -> bool {
        let mut declared = self.discover.declared.values();
        declared.any(|declared| declared.pattern.is_of(path))
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

    /// A directory that contains the rotated files of several logs (logrotate's `olddir`).
    fn rotated_directory(&mut self, directory: &Path, leaves: &Leaves<'_>) {
        for name in self.list_to_search(directory).iter() {
            let path = directory.join(name);
            let mut found: Option<(usize, Option<Compression>)> = None;
            let mut log_names: Vec<Arc<str>> = Vec::new();
            for leaf in leaves.of(name) {
                if leaf.log.excludes(&path) {
                    continue;
                }
                let names = self.list(&leaf.directory);
                let sibling = self.sibling_of(&leaf.directory, &names, leaf.file, name);
                let Some((stem, compression)) = sibling else {
                    continue;
                };
                found.get_or_insert((leaf.index, compression));
                let log_name = leaf.log.name_of(&leaf.directory.join(stem));
                if !log_names.contains(&log_name) {
                    log_names.push(log_name);
                }
            }
            if let Some((index, compression)) = found {
                self.push(index, log_names, path, FoundBy::Table, compression);
            }
        }
    }

    /// A live log may be a link: then its rotated files are beside its target.
    fn targets_of_links(&mut self) {
        let links = &self.discover.links;
        let live: Vec<_> = (self.scan.live.iter())
            .filter(|candidate| self.fs.is_symlink(&candidate.path))
            .filter_map(|candidate| {
                // The target of the link is read once, because it may change.
                let (way, file) = self.fs.trace(&candidate.path).ok()?;
                if candidate.refused(links, &way, &file).is_some() {
                    return None;
                }
                let owners = links.owners(&way, 1).map(Arc::from);
                let name = Arc::clone(&candidate.names[0]);
                Some((candidate.log, name, way.real, owners))
            })
            .collect();
        for (index, log_name, target, owners) in live {
            let (Some(directory), Some(file)) = (target.parent(), target.file_name()) else {
                continue;
            };
            let (Some(file), Some(log)) = (file.to_str(), self.discover.logs.get(index)) else {
                continue;
            };
            let names = self.list_to_search(directory);
            for name in self.related(directory, &names, &Part::Literal(file.to_owned())) {
                let path = directory.join(name);
                if let Some(rotated) = stem::rotated(file, name)
                    && !log.excludes(&path)
                {
                    let names = vec![Arc::clone(&log_name)];
                    let before = self.scan.siblings.len();
                    self.push(index, names, path, FoundBy::Table, rotated.compression);
                    for sibling in &mut self.scan.siblings[before..] {
                        sibling.owners.clone_from(&owners);
                    }
                }
            }
        }
    }

    /// Files that the settings declare as rotated files, whatever their names are.
    fn declared(&mut self) {
        let discover = self.discover;
        for Declared { pattern, logs } in discover.declared.values() {
            let names = Likely::new(self.names_of(logs));
            for directory in self.directories_of(pattern) {
                for name in self.list_to_search(&directory).iter() {
                    let path = directory.join(name);
                    let excluded = |log: &usize| discover.excludes(*log, &path);
                    if pattern.file.matches(name) && !logs.iter().all(excluded) {
                        let compression = stem::compression(name);
                        let names = names.of(&path);
                        let log = names.first().and_then(|name| discover.log_of(name));
                        let log = log.unwrap_or(logs[0]);
                        self.push(log, names, path, FoundBy::Declared, compression);
                    }
                }
            }
        }
    }

    /// The names of all logs of these sections that were ever seen, or that the settings fix.
    fn names_of(&self, logs: &[usize]) -> Vec<Arc<str>> {
        let of_these = |name: &&Arc<str>| {
            let log = self.discover.log_of(name);
            log.is_some_and(|log| logs.binary_search(&log).is_ok())
        };
        let live = self.scan.live.iter().flat_map(|live| &live.names);
        let fixed = (self.discover.named.iter())
            .filter(|(_, log)| logs.binary_search(log).is_ok())
            .map(|(name, _)| Arc::from(name.as_str()));
        let mut names: Vec<Arc<str>> = live
            .chain(self.known)
            .filter(of_these)
            .cloned()
            .chain(fixed)
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn push(
        &mut self,
        log: usize,
        names: Vec<Arc<str>>,
        path: PathBuf,
        by: FoundBy,
        compression: Option<Compression>,
    ) {
        let metadata = match self.fs.metadata(&path) {
            Ok(metadata) => metadata,
            // It was deleted since the listing, or is a link without a target.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.problem(&path, &error),
        };
        let live = matches!(by, FoundBy::Path | FoundBy::Glob);
        match metadata.kind {
            FileKind::File => {}
            kind => {
                // A wide glob also finds directories; a directory with the name of a log is where nginx would write.
                let is_reported = kind != FileKind::Directory
                    || by == FoundBy::Path
                    || path.extension().is_some_and(|extension| extension == "log");
                if live && is_reported {
                    let text = format!("is {}, not a file: {}", kind.word(), kind.hint());
                    let problem = Problem::new(&path, text);
                    self.scan
                        .problems
                        .push(problem.leaving(super::Leaves::Input));
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
            by,
            compression,
            owners: None,
        };
        if live {
            // Events of a file are sent for the directory that it is really in.
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

    /// Drops names that are links, if the file has a better name and another user may have made the link.
    fn drop_refused_doubles(&mut self) {
        let mut names: HashMap<Inode, usize> = HashMap::new();
        for candidate in self.scan.live.iter().chain(&self.scan.siblings) {
            *names.entry(candidate.metadata.inode).or_default() += 1;
        }
        let (fs, links) = (self.fs, &self.discover.links);
        let mut keep = |candidate: &Candidate| {
            let left = names.get_mut(&candidate.metadata.inode);
            let Some(left) = left.filter(|left| **left > 1) else {
                return true;
            };
            let traced = fs.trace(&candidate.path).ok();
            let refused = traced.and_then(|(way, file)| candidate.refused(links, &way, &file));
            *left -= usize::from(refused.is_some());
            refused.is_none()
        };
        self.scan.live.retain(&mut keep);
        self.scan.siblings.retain(keep);
    }

    fn finish(mut self) -> Scan {
        self.drop_refused_doubles();
        let fs = self.fs;
        // One file with two names is one log. The name that is not a link is kept, because it remains when the link is
        // deleted. If two [[logs]] match, the one that names the file comes before the one with a glob for it.
        self.scan.live.sort_by_cached_key(|candidate| {
            (
                fs.is_symlink(&candidate.path),
                candidate.by == FoundBy::Glob,
            )
        });
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
        // Another [[logs]] may name it.
        let live: HashSet<&Path> = (self.scan.live.iter())
            .map(|candidate| candidate.path.as_path())
            .collect();
        self.scan
            .dated
            .retain(|path| !live.contains(path.as_path()));
        self.keep_one_live_of_dated_names();
        self.scan
    }

    /// If the live name of a log has a date, its newest file is live and the others are rotated. A path without
    /// wildcards means only the file that it names.
    fn keep_one_live_of_dated_names(&mut self) {
        let mut newest: HashMap<Arc<str>, (i64, PathBuf)> = HashMap::new();
        let dated = |candidate: &Candidate| {
            let name = candidate.path.file_name().and_then(OsStr::to_str);
            candidate.by == FoundBy::Glob && name.is_some_and(stem::carries_date)
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

impl LogPatterns {
    pub(super) fn name_of(&self, live: &Path) -> Arc<str> {
        self.name
            .clone()
            .unwrap_or_else(|| live.to_string_lossy().into())
    }

    pub(super) fn excludes(&self, path: &Path) -> bool {
        path.to_str().is_some_and(|path| self.exclude.matches(path))
    }
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

fn patterns(texts: &[String]) -> Result<Vec<Pattern>, TailError> {
    texts.iter().map(|text| Pattern::of_files(text)).collect()
}
