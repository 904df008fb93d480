//! The two doors to the machine: environment and files. Everything else in this room is a pure function.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use globset::GlobBuilder;

/// No configuration, include, certificate or secret is larger; guards against a path like `/dev/zero`.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// The environment.
pub trait Env {
    /// All variables whose names are text; a value that is not text is made one with replacement characters.
    fn variables(&self) -> Vec<(String, String)>;

    /// The system's host name.
    fn host_name(&self) -> String;
}

/// Files to read.
pub trait Files {
    /// The content of a file of at most `limit` bytes.
    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_up_to(path, MAX_FILE)
    }

    /// The paths that match a pattern as glob(3) matches it (no braces, no `**`, a leading dot only where the
    /// pattern has one), sorted by their bytes. No match, or a folder that does not exist, is no error.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;

    /// Is there anything at this path?
    fn exists(&self, path: &Path) -> bool;
}

/// This process's environment and the real file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct System;

impl Env for System {
    fn variables(&self) -> Vec<(String, String)> {
        let text = |text: OsString| text.to_string_lossy().into_owned();
        std::env::vars_os()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    fn host_name(&self) -> String {
        gethostname::gethostname().to_string_lossy().into_owned()
    }
}

impl Files for System {
    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
        let file = fs::File::open(path)?;
        let metadata = file.metadata()?;
        // Opening a folder succeeds; reading it would fail with words that say less.
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // a vector that grows by itself would end up twice as large as a database
        let size = usize::try_from(metadata.len().min(limit)).unwrap_or(0);
        let mut content = Vec::with_capacity(size + 1);
        file.take(limit + 1).read_to_end(&mut content)?;
        if content.len() as u64 > limit {
            Err(io::ErrorKind::FileTooLarge.into())
        } else {
            Ok(content)
        }
    }

    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::from("/")];
        for part in pattern.split('/').filter(|part| !part.is_empty()) {
            if part.contains(['*', '?', '[']) {
                found = matching(&found, part)?;
            } else {
                found = found.into_iter().map(|folder| folder.join(part)).collect();
            }
        }
        found.retain(|path| path.symlink_metadata().is_ok());
        found.sort();
        Ok(found)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }
}

/// The entries of `folders` whose names match one part of a pattern.
fn matching(folders: &[PathBuf], part: &str) -> io::Result<Vec<PathBuf>> {
    // Braces mean nothing to glob(3), and a wildcard matches no `/` there.
    let part_without_braces = part.replace('{', "[{]").replace('}', "[}]");
    let glob = GlobBuilder::new(&part_without_braces)
        .literal_separator(true)
        .build()
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))?
        .compile_matcher();
    let mut found = Vec::new();
    for folder in folders {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        for entry in entries {
            let name = entry?.file_name();
            let hidden = name.as_encoded_bytes().starts_with(b".") && !part.starts_with('.');
            if !hidden && glob.is_match(&name) {
                found.push(folder.join(name));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn globs_match_as_the_c_library_does() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "b.conf",
            "a.conf",
            ".hidden.conf",
            "a.conf~",
            "{x}.conf",
            "sub/c.conf",
        ] {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let glob = |pattern: &str| {
            let found = System
                .glob(&format!("{}/{pattern}", folder.path().display()))
                .unwrap();
            let relative =
                |path: &PathBuf| path.strip_prefix(&folder).unwrap().display().to_string();
            found.iter().map(relative).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(glob("*.conf"), "a.conf b.conf {x}.conf");
        assert_eq!(glob(".*.conf"), ".hidden.conf");
        assert_eq!(glob("[ab].conf"), "a.conf b.conf");
        assert_eq!(glob("[!a].conf"), "b.conf");
        assert_eq!(glob("{x}*"), "{x}.conf");
        assert_eq!(glob("*/*.conf"), "sub/c.conf");
        assert_eq!(glob("**.conf"), "a.conf b.conf {x}.conf");
        assert_eq!(glob("absent/*.conf"), "");
        assert_eq!(glob("*/c.conf"), "sub/c.conf");
    }

    #[test]
    fn a_folder_and_an_endless_file_are_errors() {
        assert_eq!(
            System.read(Path::new("/")).unwrap_err().kind(),
            io::ErrorKind::IsADirectory
        );
        assert_eq!(
            System.read(Path::new("/dev/zero")).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
    }
}
