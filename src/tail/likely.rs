//! The log to which a rotated file probably belongs, by its path.
//!
//! Owns: the order of likelihood: first the table of rotated names, then the longest log name within the file's name,
//! then the directory. Refuses to know: files and contents. Invariant: the time of an answer depends on the length of
//! the path and on the number of logs in the answer, not on the number of all logs, which may be thousands. The failure
//! it guards against: a scan of many logs that takes minutes.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::stem;

/// The names of logs, indexed by the parts of a path.
pub(super) struct Likely {
    names: Vec<Arc<str>>,
    by_file: NameIndex,
    /// By the name without its extension.
    by_stem: NameIndex,
    stem_lengths: BTreeSet<usize>,
    by_home: HashMap<PathBuf, Vec<usize>>,
}

/// Indices into the list of names: of all names with one text, and of those in one directory.
#[derive(Default)]
struct NameIndex {
    anywhere: HashMap<String, Vec<usize>>,
    at_home: HashMap<PathBuf, Vec<usize>>,
}

impl NameIndex {
    fn add(&mut self, text: &str, home: &Path, at: usize) {
        let anywhere = self.anywhere.entry(text.to_owned()).or_default();
        anywhere.push(at);
        self.at_home.entry(home.join(text)).or_default().push(at);
    }

    /// The names with any of these texts: in one of these directories, or otherwise anywhere.
    fn of(&self, texts: &[&str], homes: &[&Path]) -> Vec<usize> {
        let known = |text: &&&str| self.anywhere.contains_key(**text);
        let texts: Vec<&str> = texts.iter().filter(known).copied().collect();
        let near = (texts.iter())
            .flat_map(|text| homes.iter().map(move |home| home.join(text)))
            .filter_map(|path| self.at_home.get(&path));
        let near: Vec<usize> = near.flatten().copied().collect();
        if near.is_empty() {
            let anywhere = texts.iter().filter_map(|text| self.anywhere.get(*text));
            return anywhere.flatten().copied().collect();
        }
        near
    }
}

impl Likely {
    pub(super) fn new(names: Vec<Arc<str>>) -> Self {
        let mut likely = Self {
            names: Vec::new(),
            by_file: NameIndex::default(),
            by_stem: NameIndex::default(),
            stem_lengths: BTreeSet::new(),
            by_home: HashMap::new(),
        };
        for (at, name) in names.iter().enumerate() {
            let live = Path::new(&**name);
            let home = live.parent().unwrap_or(Path::new(""));
            let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned);
            if let Some(file) = text(live.file_name()) {
                likely.by_file.add(&file, home, at);
            }
            if let Some(stem) = text(live.file_stem()) {
                likely.stem_lengths.insert(stem.len());
                likely.by_stem.add(&stem, home, at);
            }
            likely.by_home.entry(home.to_owned()).or_default().push(at);
        }
        likely.names = names;
        likely
    }

    /// The names of the logs to which the file at `path` may belong, in order of likelihood.
    pub(super) fn of(&self, path: &Path) -> Vec<Arc<str>> {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // The name of a log need not be a path: then every file counts as near.
        let homes: Vec<&Path> = path.ancestors().chain([Path::new("")]).collect();
        let stems: Vec<String> = stem::readings(file).map(|reading| reading.stem()).collect();
        let stems: Vec<&str> = stems.iter().map(String::as_str).collect();
        let mut found = self.by_file.of(&stems, &homes);
        let mut lengths = self.stem_lengths.iter().rev();
        while found.is_empty()
            && let Some(length) = lengths.next()
        {
            let within = (0..file.len()).filter_map(|at| file.get(at..at + length));
            let within: Vec<&str> = within.collect();
            found = self.by_stem.of(&within, &homes);
        }
        if found.is_empty() {
            let near = homes.iter().filter_map(|home| self.by_home.get(*home));
            found = near.flatten().copied().collect();
        }
        if found.is_empty() {
            return self.names.clone();
        }
        found.sort_unstable();
        found.dedup();
        let names = found.into_iter().filter_map(|at| self.names.get(at));
        names.cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    /// Computes the same answer by a comparison with each name.
    fn by_comparison(names: &[Arc<str>], path: &Path) -> Vec<Arc<str>> {
        let file = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let rank = |name: &Arc<str>| {
            let live = Path::new(&**name);
            let live_file = live.file_name().and_then(OsStr::to_str).unwrap_or_default();
            let stem = live.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let by_name = if stem::rotated(live_file, file).is_some() {
                usize::MAX
            } else if !stem.is_empty() && file.contains(stem) {
                stem.len()
            } else {
                0
            };
            let near = live.parent().is_some_and(|home| path.starts_with(home));
            (by_name, near)
        };
        let best = names.iter().map(rank).max();
        let found = names.iter().filter(|name| Some(rank(name)) == best);
        found.cloned().collect()
    }

    #[test]
    fn the_table_precedes_the_longest_name_and_that_precedes_the_directory() {
        let names = ["/a/web.log", "/b/web.log", "/b/web-shop.log", "/c/x"];
        let likely = Likely::new(names.map(Arc::from).to_vec());
        let of = |path: &str| {
            let found = likely.of(Path::new(path));
            found
                .iter()
                .map(|name| name.to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(of("/old/web.log.1"), ["/a/web.log", "/b/web.log"]);
        assert_eq!(of("/b/old/web.log.1"), ["/b/web.log"]);
        assert_eq!(of("/a/my-web-shop.bak"), ["/b/web-shop.log"]);
        assert_eq!(of("/a/web.bak"), ["/a/web.log"]);
        assert_eq!(of("/c/q"), ["/c/x"]);
        assert_eq!(of("/q"), names);
    }

    proptest! {
        #[test]
        fn the_answer_is_that_of_a_comparison_with_each_name(
            names in proptest::collection::btree_set("(/[ab]){0,2}/?[abü]{1,3}(\\.log)?", 0..8),
            path in "(/[ab]){0,3}/[abü.]{0,5}(\\.log)?(\\.1|-20261123)?(\\.gz)?",
        ) {
            let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(name.as_str())).collect();
            let path = Path::new(&path);
            prop_assert_eq!(Likely::new(names.clone()).of(path), by_comparison(&names, path));
        }
    }
}
