//! Sets of path patterns: finds the patterns that match a path.
//!
//! Owns the syntax `*`, `?`, `[…]`, `{a,b}` and `**` of the settings and the tailer: `*` stops at a `/`, and a pattern without
//! a `/` matches the file name. Refuses to know files. Invariant: a pattern is compiled at most once, and most patterns never:
//! plain paths, and paths with one `*` at the end, are in tables. It guards against a check that compiles each pattern for
//! each log of nginx.conf, which took minutes with some thousand servers.

use std::collections::{BTreeSet, HashMap};

use globset::{Glob, GlobBuilder, GlobMatcher};

/// Compiles one pattern.
///
/// # Errors
///
/// A pattern that means nothing, such as one with an open bracket.
pub(crate) fn compile(pattern: &str) -> Result<Glob, globset::Error> {
    #[cfg(test)]
    tests::COMPILED.with(|compiled| compiled.set(compiled.get() + 1));
    GlobBuilder::new(pattern).literal_separator(true).build()
}

/// Patterns, each with the number of its owner.
#[derive(Debug, Default)]
pub(crate) struct Globs {
    paths: Table,
    names: Table,
}

/// Patterns of one kind: about whole paths, or about names.
#[derive(Debug, Default)]
struct Table {
    literals: HashMap<String, Vec<usize>>,
    /// The texts before a `*` at the end, and their lengths.
    heads: HashMap<String, Vec<usize>>,
    lengths: BTreeSet<usize>,
    others: Vec<Other>,
}

#[derive(Debug)]
struct Other {
    /// Every match begins so.
    head: String,
    glob: GlobMatcher,
    owner: usize,
}

impl Globs {
    /// Adds a pattern of `owner`.
    ///
    /// # Errors
    ///
    /// A pattern that means nothing.
    pub(crate) fn add(&mut self, pattern: &str, owner: usize) -> Result<(), globset::Error> {
        let table = if pattern.contains('/') {
            &mut self.paths
        } else {
            &mut self.names
        };
        match head(pattern) {
            (literal, "") => table.literals.entry(literal).or_default().push(owner),
            (head, "*") => {
                table.lengths.insert(head.len());
                table.heads.entry(head).or_default().push(owner);
            }
            (head, _) => {
                let glob = compile(pattern)?.compile_matcher();
                table.others.push(Other { head, glob, owner });
            }
        }
        Ok(())
    }

    /// Whether any pattern matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        !self.owners(path).is_empty()
    }

    /// Whether a pattern without wildcards is this very path.
    pub(crate) fn names(&self, path: &str) -> bool {
        self.paths.literals.contains_key(path)
    }

    /// The owners of patterns that match, in ascending order, each once.
    pub(crate) fn owners(&self, path: &str) -> Vec<usize> {
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut owners = Vec::new();
        self.paths.owners(path, &mut owners);
        self.names.owners(name, &mut owners);
        owners.sort_unstable();
        owners.dedup();
        owners
    }
}

impl Table {
    fn owners(&self, text: &str, owners: &mut Vec<usize>) {
        owners.extend(self.literals.get(text).into_iter().flatten());
        for length in self
            .lengths
            .iter()
            .take_while(|length| **length <= text.len())
        {
            let Some((head, rest)) = text.split_at_checked(*length) else {
                continue;
            };
            if !rest.contains('/') {
                owners.extend(self.heads.get(head).into_iter().flatten());
            }
        }
        let matching = self
            .others
            .iter()
            .filter(|other| text.starts_with(&other.head) && other.glob.is_match(text));
        owners.extend(matching.map(|other| other.owner));
    }
}

/// The text that a pattern begins with, and the rest from its first wildcard on. A bracket around one character, which
/// is how [`globset::escape`] writes a special one, stands for that character.
pub(crate) fn head(pattern: &str) -> (String, &str) {
    let mut head = String::new();
    let mut rest = pattern;
    while let Some(char) = rest.chars().next() {
        let (char, length) = match char {
            '[' => {
                let mut inside = rest[1..].chars();
                match (inside.next(), inside.next()) {
                    (Some(char), Some(']')) if !matches!(char, '!' | '^') => {
                        (char, char.len_utf8() + 2)
                    }
                    _ => break,
                }
            }
            '*' | '?' | '{' | '}' | '\\' => break,
            char => (char, char.len_utf8()),
        };
        head.push(char);
        rest = &rest[length..];
    }
    (head, rest)
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        /// How many patterns this thread has compiled.
        pub(crate) static COMPILED: Cell<usize> = const { Cell::new(0) };
    }

    #[test]
    fn plain_paths_are_found_without_compiling_any() {
        let before = COMPILED.get();
        let mut globs = Globs::default();
        for at in 0..1000 {
            let path = globset::escape(&format!("/var/log/[{at}]*{{}}.log"));
            globs.add(&path, at).unwrap();
            globs.add(&format!("{path}.*"), at).unwrap();
        }
        assert_eq!(globs.owners("/var/log/[7]*{}.log"), [7]);
        assert_eq!(globs.owners("/var/log/[7]*{}.log.1"), [7]);
        assert_eq!(globs.owners("/var/log/[7]*{}.log.1/x"), [0; 0]);
        assert_eq!(globs.owners("/var/log/7*{}.log"), [0; 0]);
        assert_eq!(COMPILED.get(), before);
        globs.add("/var/log/*.log", 2000).unwrap();
        globs.add("*.gz", 3000).unwrap();
        assert_eq!(globs.owners("/var/log/[7]*{}.log"), [7, 2000]);
        assert_eq!(globs.owners("/var/log/[7]*{}.log.gz"), [7, 3000]);
        assert_eq!(COMPILED.get(), before + 2);
    }

    proptest! {
        #[test]
        fn the_tables_answer_as_the_globs_would(
            patterns in proptest::collection::vec("/?[ab/*?.{},\\[\\]!ü-]{0,6}", 0..6),
            path in "/[ab/.ü]{0,6}",
        ) {
            let name = path.rsplit('/').next().unwrap();
            let mut globs = Globs::default();
            let mut expected = Vec::new();
            for (owner, pattern) in patterns.iter().enumerate() {
                let Ok(glob) = GlobBuilder::new(pattern).literal_separator(true).build() else {
                    prop_assert!(globs.add(pattern, owner).is_err(), "{}", pattern);
                    continue;
                };
                globs.add(pattern, owner).unwrap();
                let text = if pattern.contains('/') { path.as_str() } else { name };
                if glob.compile_matcher().is_match(text) {
                    expected.push(owner);
                }
            }
            prop_assert_eq!(globs.owners(&path), expected);
        }
    }
}
