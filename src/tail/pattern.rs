//! Patterns of paths: literal parts, globs and `**`.
//!
//! Owns: how a configured path with wildcards is read. Refuses to know: which files exist, and what a log is.
//! Invariant: a pattern whose parts are all literal always means the same one path, even if the path was escaped for
//! that (`globset::escape`). The failure it guards against: a path from nginx.conf that contains a `[` is taken for a
//! pattern.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use globset::GlobMatcher;

use super::TailError;
use crate::globs;

/// An absolute path with wildcards.
pub(super) struct Pattern {
    /// The part without wildcards.
    pub(super) base: PathBuf,
    /// Directories below it.
    pub(super) directories: Vec<Part>,
    pub(super) file: Part,
}

/// One component of a path.
pub(super) enum Part {
    Literal(String),
    Glob {
        /// Every match begins with this text.
        head: String,
        glob: GlobMatcher,
    },
    /// `**`: any number of directories.
    AnyDepth,
}

impl Part {
    /// As in a shell, a wildcard does not match a name that begins with a dot, unless the pattern begins with one: such
    /// names belong to temporary files of rsync and editors.
    pub(super) fn matches(&self, name: &str) -> bool {
        match self {
            Part::Literal(literal) => literal == name,
            Part::Glob { head, glob } => {
                (head.starts_with('.') || !is_hidden(name)) && glob.is_match(name)
            }
            Part::AnyDepth => !is_hidden(name),
        }
    }
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.')
}

impl Pattern {
    /// A pattern of files.
    pub(super) fn of_files(text: &str) -> Result<Self, TailError> {
        let pattern = Self::parse(text, text)?;
        if text.ends_with('/') || matches!(pattern.file, Part::AnyDepth) {
            return Err(bad(
                text,
                "it names directories; add a pattern for the files, such as `*access.log`",
            ));
        }
        Ok(pattern)
    }

    /// A pattern of directories: it matches every file in them.
    pub(super) fn of_directories(text: &str) -> Result<Self, TailError> {
        Self::parse(&format!("{}/*", text.trim_end_matches('/')), text)
    }

    fn parse(path: &str, whole: &str) -> Result<Self, TailError> {
        if !path.starts_with('/') {
            return Err(bad(whole, "the path must be absolute"));
        }
        let mut parts = Vec::new();
        for component in Path::new(path).components() {
            match component {
                Component::Normal(part) => {
                    let part = part
                        .to_str()
                        .ok_or_else(|| bad(whole, "the path is no UTF-8"))?;
                    parts.push(if part == "**" {
                        Part::AnyDepth
                    } else if let Some(literal) = literal(part) {
                        Part::Literal(literal)
                    } else {
                        Part::Glob {
                            head: globs::head(part).0,
                            glob: glob(part, whole)?,
                        }
                    });
                }
                Component::ParentDir => {
                    return Err(bad(whole, "`..` is not understood in a pattern"));
                }
                Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
            }
        }
        let file = parts.pop().ok_or_else(|| bad(whole, "it names no file"))?;
        let literals = parts
            .iter()
            .take_while(|part| matches!(part, Part::Literal(_)))
            .count();
        let directories = parts.split_off(literals);
        let mut base = PathBuf::from("/");
        for part in parts {
            if let Part::Literal(name) = part {
                base.push(name);
            }
        }
        Ok(Self {
            base,
            directories,
            file,
        })
    }

    /// Whether it means one path and has no wildcard.
    pub(super) fn is_literal(&self) -> bool {
        self.directories.is_empty() && matches!(self.file, Part::Literal(_))
    }

    /// The one path that it means.
    pub(super) fn literal(&self) -> Option<String> {
        match &self.file {
            Part::Literal(file) if self.directories.is_empty() => {
                Some(self.base.join(file).to_str()?.to_owned())
            }
            _ => None,
        }
    }

    /// Whether a path matches this pattern.
    pub(super) fn is_of(&self, path: &Path) -> bool {
        fn lead(parts: &[Part], directories: &[&str]) -> bool {
            match (parts.split_first(), directories.split_first()) {
                (None, first) => first.is_none(),
                (Some((Part::AnyDepth, rest)), first) => {
                    let below = first.filter(|(directory, _)| !is_hidden(directory));
                    lead(rest, directories) || below.is_some_and(|(_, below)| lead(parts, below))
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

/// One glob; `whole` is the setting that contains it.
fn glob(text: &str, whole: &str) -> Result<GlobMatcher, TailError> {
    globs::compile(text)
        .map(|glob| glob.compile_matcher())
        .map_err(|source| bad(whole, &source.to_string()))
}

/// The name that a glob without wildcards means: `globset::escape` puts each special character into brackets.
fn literal(part: &str) -> Option<String> {
    let mut name = String::with_capacity(part.len());
    let mut rest = part.chars();
    while let Some(char) = rest.next() {
        match char {
            '[' => {
                let escaped = rest.next().filter(|char| *char != '!' && *char != '^')?;
                if rest.next() != Some(']') {
                    return None;
                }
                name.push(escaped);
            }
            '*' | '?' | '{' | '}' | '\\' => return None,
            char => name.push(char),
        }
    }
    Some(name)
}

fn bad(whole: &str, reason: &str) -> TailError {
    TailError::Glob {
        glob: whole.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_escaped_path_is_a_literal_one() {
        for path in [
            "/logs/access.log",
            "/logs/[shop].log",
            "/logs/a*b{c}?.log",
            "/logs/x]y.log",
        ] {
            let pattern = Pattern::of_files(&globset::escape(path)).unwrap();
            assert!(pattern.is_literal(), "{path}");
            assert_eq!(pattern.literal().as_deref(), Some(path));
            assert!(pattern.is_of(Path::new(path)), "{path}");
        }
        for path in [
            "/logs/*.log",
            "/logs/[ab].log",
            "/logs/[!a].log",
            "/*/a.log",
        ] {
            assert!(!Pattern::of_files(path).unwrap().is_literal(), "{path}");
        }
    }

    #[test]
    fn a_wildcard_matches_no_hidden_name() {
        let is_of = |pattern, path| Pattern::of_files(pattern).unwrap().is_of(Path::new(path));
        for pattern in ["/logs/*", "/logs/**/*", "/logs/?access.log*", "/logs/[.a]*"] {
            assert!(!is_of(pattern, "/logs/.access.log.Xy12"), "{pattern}");
        }
        assert!(is_of("/logs/.*", "/logs/.access.log.Xy12"));
        assert!(is_of("/logs/**/*.log", "/logs/a/b/c.log"));
        assert!(is_of("/logs/**/*.log", "/logs/c.log"));
        assert!(!is_of("/logs/**/*.log", "/logs/.snapshot/c.log"));
        assert!(is_of("/logs/.snapshot/*.log", "/logs/.snapshot/c.log"));
    }

    #[test]
    fn a_pattern_of_directories_matches_the_files_in_them() {
        for text in ["/logs/old", "/logs/old/"] {
            let pattern = Pattern::of_directories(text).unwrap();
            assert!(pattern.is_of(Path::new("/logs/old/a")));
            assert!(!pattern.is_of(Path::new("/logs/old/a/b")));
        }
        let pattern = Pattern::of_directories("/logs/*/").unwrap();
        assert!(pattern.is_of(Path::new("/logs/2026-11/a")));
        assert!(!pattern.is_of(Path::new("/logs/a")));
    }
}
