//! The ports to the machine: environment and files. The rest of this module consists of pure functions.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use globset::GlobBuilder;
use rustix::process::{getegid, geteuid, getgroups};

/// Size limit of configurations, includes, certificates and secrets; guards against a path like `/dev/zero`.
pub(super) const MAX_FILE: u64 = 64 << 20;

/// The environment.
pub(crate) trait Env {
    /// All variables whose names are text; a value that is not text is made one with replacement characters.
    fn variables(&self) -> Vec<(String, String)>;

    /// The system's host name.
    fn host_name(&self) -> String;
}

/// Files to read.
pub(crate) trait Files {
    /// The content of a file of at most `limit` bytes.
    fn read_up_to(&self, path: &Path, limit: u64) -> io::Result<Vec<u8>>;

    /// The content of a file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.read_up_to(path, MAX_FILE)
    }

    /// The paths that match a pattern as glob(3) matches it (no braces, no `**`, a leading dot only where the
    /// pattern has one), sorted by their bytes. No match, or a folder that does not exist, is no error.
    fn glob(&self, pattern: &str) -> io::Result<Vec<PathBuf>>;

    /// Whether the path exists.
    fn exists(&self, path: &Path) -> bool;

    /// The other users that may read the file at this path.
    fn readers(&self, path: &Path) -> io::Result<Readers>;
}

/// The readers of a file by its permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    /// This user, root, and at most a group that this user is in.
    Own,
    /// A group that this user is not in.
    Group {
        /// The permission bits.
        mode: u32,
        /// Its number.
        group: u32,
    },
    /// Every user of the host.
    Everybody {
        /// The permission bits.
        mode: u32,
    },
}

impl Readers {
    /// Decides by the file's permission bits and group. `is_reachable`: whether every user may pass the folders above.
    /// `own`: the groups of this user; if the user is root, they do not include those of the agent.
    fn of(mode: u32, group: u32, is_reachable: bool, own: &[u32], is_root: bool) -> Self {
        const GROUP_MAY_READ: u32 = 0o040;
        const OTHERS_MAY_READ: u32 = 0o004;
        if mode & OTHERS_MAY_READ != 0 && is_reachable {
            Readers::Everybody { mode }
        } else if mode & GROUP_MAY_READ != 0 && !is_root && !own.contains(&group) {
            Readers::Group { mode, group }
        } else {
            Readers::Own
        }
    }
}

/// This process's environment and the real file system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct System;

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
        // Opening a folder succeeds; reading it would fail with a less helpful message.
        if metadata.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // a growing vector would end up twice as large as the database
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
        let mut there = Vec::new();
        for path in found {
            match path.symlink_metadata() {
                Ok(_) => there.push(path),
                // An inaccessible folder is not absent: its servers would be missing without a message.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
                Err(_) => {}
            }
        }
        there.sort();
        Ok(there)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn readers(&self, path: &Path) -> io::Result<Readers> {
        // for a link, the target and the folders above it count
        let path = fs::canonicalize(path)?;
        let metadata = fs::metadata(&path)?;
        let others_may_pass = |folder: &Path| {
            let metadata = fs::metadata(folder);
            metadata.is_ok_and(|metadata| metadata.mode() & 0o001 != 0)
        };
        let is_reachable = path.ancestors().skip(1).all(others_may_pass);
        let groups = getgroups().unwrap_or_default();
        let own: Vec<u32> = groups
            .into_iter()
            .chain([getegid()])
            .map(rustix::process::Gid::as_raw)
            .collect();
        Ok(Readers::of(
            metadata.mode() & 0o7777,
            metadata.gid(),
            is_reachable,
            &own,
            geteuid().is_root(),
        ))
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
    fn mode_group_and_folders_decide_who_can_read_a_file() {
        let of = |mode, is_reachable, is_root| Readers::of(mode, 7, is_reachable, &[1, 2], is_root);
        let everybody = |mode| Readers::Everybody { mode };
        let group = |mode| Readers::Group { mode, group: 7 };
        assert_eq!(of(0o644, true, false), everybody(0o644));
        assert_eq!(of(0o604, true, true), everybody(0o604));
        assert_eq!(of(0o644, false, false), group(0o644));
        assert_eq!(of(0o640, true, false), group(0o640));
        assert_eq!(of(0o640, true, true), Readers::Own);
        assert_eq!(of(0o600, true, false), Readers::Own);
        assert_eq!(Readers::of(0o640, 2, true, &[1, 2], false), Readers::Own);
    }

    #[test]
    fn a_file_in_a_closed_folder_is_read_by_nobody_else() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("key"), folder.path().join("link"));
        fs::write(&file, "secret").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let set = |path: &Path, mode| {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&file, 0o604);
        set(folder.path(), 0o700);
        assert_eq!(System.readers(&file).unwrap(), Readers::Own);
        set(folder.path(), 0o711);
        for path in [&file, &link] {
            let readers = System.readers(path).unwrap();
            assert_eq!(readers, Readers::Everybody { mode: 0o604 });
        }
        assert!(System.readers(Path::new("/no/such/file")).is_err());
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
