//! Access to the state directory: only its owner and its group have it.
//!
//! Owns the permission bits of files and folders that earlier versions, or a person, made wider than the agent makes
//! them; new ones are created with narrow bits where they are made. Refuses to know what is in them. Invariant: only the
//! agent's own files lose rights, no file gains any, and a folder that others use too stays as it is.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::process::geteuid;

/// The permission bits that group and others must not have on a folder, and on a file.
const FOLDER_TOO_WIDE: u32 = 0o027;
const FILE_TOO_WIDE: u32 = 0o137;
/// The sticky bit: everybody may create and rename their own files here (/tmp).
const STICKY: u32 = 0o1000;

/// What the agent puts into the state directory (docs/STATE.md).
const FOLDERS: [&str; 2] = ["run", "dead-letters"];
const FILES: [&str; 3] = ["identity", "assignments.json", "formats.json"];
/// Entries that a file system may have created there.
const NOT_OURS: [&str; 1] = ["lost+found"];

/// Removes excessive rights; returns a warning for each that stays. The directory must exist, and the agent must have
/// its lock.
pub(super) fn tighten(data_dir: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for folder in FOLDERS {
        let folder = data_dir.join(folder);
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        paths.extend(entries.map(|entry| entry.path()));
        paths.push(folder);
    }
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten();
    paths.extend(
        entries
            .map(|entry| entry.path())
            .filter(|path| is_own_file(path)),
    );
    let mut warnings: Vec<String> = paths.iter().filter_map(|path| narrow(path)).collect();
    warnings.extend(match too_wide(data_dir) {
        None if is_ours_alone(data_dir) => narrow(data_dir),
        warning => warning,
    });
    warnings
}

/// Why the directory itself stays open to others, where `run` does not change that.
pub(crate) fn too_wide(data_dir: &Path) -> Option<String> {
    let metadata = fs::metadata(data_dir).ok()?;
    let is_wide = metadata.mode() & FOLDER_TOO_WIDE != 0;
    (is_wide && !is_ours_alone(data_dir)).then(|| warning(data_dir, metadata.mode(), "chmod 0750"))
}

fn warning(path: &Path, mode: u32, command: &str) -> String {
    format!(
        "{} is open to other users of this host (mode {:04o}): {command} {}",
        path.display(),
        mode & 0o7777,
        path.display()
    )
}

/// Whether a folder is this user's and holds nothing but the agent's state.
fn is_ours_alone(data_dir: &Path) -> bool {
    let user = geteuid();
    let is_ours = fs::symlink_metadata(data_dir).is_ok_and(|metadata| {
        let may_change = user.is_root() || metadata.uid() == user.as_raw();
        may_change && metadata.is_dir() && metadata.mode() & STICKY == 0
    });
    let is_known = |path: PathBuf| {
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        FOLDERS.contains(&name) || NOT_OURS.contains(&name) || is_own_file(&path)
    };
    is_ours
        && fs::read_dir(data_dir).is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|entry| is_known(entry.path())))
        })
}

/// Whether this is one of the files, or its name while it is written or after it was damaged.
fn is_own_file(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    FILES.iter().any(|file| {
        let end = name.strip_prefix(file);
        matches!(end, Some("" | ".new" | ".damaged"))
    })
}

/// Removes the rights of group and others; returns a warning when that fails.
fn narrow(path: &Path) -> Option<String> {
    let metadata = fs::symlink_metadata(path).ok()?;
    let (too_wide, command) = match (metadata.is_dir(), metadata.is_file()) {
        (true, _) => (FOLDER_TOO_WIDE, "chmod 0750"),
        (_, true) => (FILE_TOO_WIDE, "chmod 0640"),
        // a link may lead to somebody else's file
        _ => return None,
    };
    if metadata.mode() & too_wide == 0 {
        return None;
    }
    let change = || -> io::Result<()> {
        let file = open(path)?;
        let metadata = file.metadata()?;
        // a file with a second name may be somebody else's, even /etc/passwd
        if metadata.is_file() && metadata.nlink() > 1 {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        file.set_permissions(Permissions::from_mode(metadata.mode() & 0o7777 & !too_wide))
    };
    change()
        .err()
        .map(|_| warning(path, metadata.mode(), command))
}

fn open(path: &Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    /// A state directory as an agent makes it under umask 0 without this.
    fn wide() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["run", "dead-letters"] {
            fs::create_dir(folder.path().join(name)).unwrap();
            set(&folder.path().join(name), 0o777);
        }
        for name in [
            "run/lock",
            "run/checkpoint",
            "dead-letters/dead-letters.ndjson",
            "identity",
            "formats.json.damaged",
        ] {
            fs::write(folder.path().join(name), "").unwrap();
            set(&folder.path().join(name), 0o666);
        }
        set(folder.path(), 0o2755);
        folder
    }

    #[test]
    fn the_agents_own_files_lose_excess_rights() {
        let folder = wide();
        assert_eq!(tighten(folder.path()), [""; 0]);
        assert_eq!(mode(folder.path()), 0o2750);
        for (name, expected) in [
            ("run", 0o750),
            ("dead-letters", 0o750),
            ("run/lock", 0o640),
            ("run/checkpoint", 0o640),
            ("dead-letters/dead-letters.ndjson", 0o640),
            ("identity", 0o640),
            ("formats.json.damaged", 0o640),
        ] {
            assert_eq!(mode(&folder.path().join(name)), expected, "{name}");
        }
        // narrower rights stay
        set(&folder.path().join("identity"), 0o600);
        set(folder.path(), 0o700);
        assert_eq!(tighten(folder.path()), [""; 0]);
        assert_eq!(mode(&folder.path().join("identity")), 0o600);
        assert_eq!(mode(folder.path()), 0o700);
    }

    #[test]
    fn a_folder_with_foreign_files_stays_and_causes_a_warning() {
        let folder = wide();
        let others = folder.path().join("notes.txt");
        fs::write(&others, "").unwrap();
        set(&others, 0o666);
        let warnings = tighten(folder.path());
        let [warning] = warnings.as_slice() else {
            unreachable!("{warnings:?}");
        };
        let path = folder.path().display();
        assert_eq!(
            *warning,
            format!("{path} is open to other users of this host (mode 2755): chmod 0750 {path}")
        );
        assert_eq!((mode(folder.path()), mode(&others)), (0o2755, 0o666));
        assert_eq!(mode(&folder.path().join("run/checkpoint")), 0o640);
        fs::remove_file(&others).unwrap();
        set(folder.path(), 0o1777);
        assert_eq!(
            tighten(folder.path()).len(),
            1,
            "a sticky one is somebody's /tmp"
        );
    }

    #[test]
    fn links_and_second_names_do_not_change_foreign_files() {
        let folder = wide();
        let elsewhere = tempfile::tempdir().unwrap();
        let precious = elsewhere.path().join("passwd");
        fs::write(&precious, "").unwrap();
        set(&precious, 0o644);
        std::os::unix::fs::symlink(&precious, folder.path().join("run/link")).unwrap();
        fs::hard_link(&precious, folder.path().join("run/second")).unwrap();
        let warnings = tighten(folder.path());
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].contains("run/second"), "{warnings:?}");
        assert_eq!(mode(&precious), 0o644);
    }
}
