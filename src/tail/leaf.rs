//! Finds the directories of live logs by the names that their files may have.
//!
//! Owns: an index. Refuses to know: the file system. Invariant: the time to look up a name does not grow with the
//! number of logs whose names are fixed. The failure it guards against: each of thousands of logs is compared with each
//! of thousands of rotated files.

use std::collections::HashMap;
use std::path::PathBuf;

use super::discover::LogPatterns;
use super::pattern::Part;
use super::stem;

/// A directory in which files that match a pattern are logs.
pub(super) struct Leaf<'a> {
    pub(super) index: usize,
    pub(super) log: &'a LogPatterns,
    pub(super) directory: PathBuf,
    pub(super) file: &'a Part,
}

/// All of these directories, indexed by the names of their files: there may be thousands of both.
pub(super) struct Leaves<'a> {
    all: Vec<Leaf<'a>>,
    literal: HashMap<&'a str, Vec<usize>>,
    globs: Vec<(usize, &'a str)>,
}

impl<'a> Leaves<'a> {
    pub(super) fn new(all: Vec<Leaf<'a>>) -> Self {
        let mut literal: HashMap<&str, Vec<usize>> = HashMap::new();
        let mut globs = Vec::new();
        for (at, leaf) in all.iter().enumerate() {
            match leaf.file {
                Part::Literal(name) => literal.entry(name).or_default().push(at),
                Part::Glob { head, .. } => globs.push((at, head.as_str())),
                Part::AnyDepth => globs.push((at, "")),
            }
        }
        Self {
            all,
            literal,
            globs,
        }
    }

    /// The directories in which a file with this name may be a rotated file of a log, in order.
    pub(super) fn of(&self, name: &str) -> impl Iterator<Item = &Leaf<'a>> {
        let mut found: Vec<usize> = Vec::new();
        for stem in stem::readings(name).map(|reading| reading.stem()) {
            found.extend(self.literal.get(stem.as_str()).into_iter().flatten());
            let globs = self.globs.iter().filter(|(_, head)| stem.starts_with(head));
            found.extend(globs.map(|(at, _)| at));
        }
        found.sort_unstable();
        found.dedup();
        found.into_iter().filter_map(|at| self.all.get(at))
    }
}
