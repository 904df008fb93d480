//! Walks a path one name at a time, so that the caller learns which directories decided where it leads.
//!
//! Owns: the system calls of the walk. Refuses to know: which links are followed. Invariant: each step starts from the
//! directory that the previous step opened, so that no part of the path can be replaced between its check and its use.
//! The failure it guards against: a link is checked as one thing and followed as another.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, fstatfs, openat, readlinkat};
use rustix::io::Errno;

use super::{Holder, Way};

/// The maximum number of links, as in the kernel (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// linux/magic.h
const PROC: u64 = 0x9fa0;

/// A directory on the way is only traversed, so no read permission for it is needed.
const PASS: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

/// Opens the target of `path` with `flags`; never a link itself.
pub(super) fn walk(path: &Path, flags: OFlags) -> io::Result<(OwnedFd, Way)> {
    let mut directory = openat(CWD, "/", PASS, Mode::empty())?;
    let mut real = PathBuf::from("/");
    let mut rest = names(path);
    let mut links = Vec::new();
    while let Some(name) = rest.pop() {
        let is_last = rest.is_empty();
        let flags = match is_last {
            true => flags | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            false => PASS,
        };
        let opened = openat(&directory, &name, flags, Mode::empty());
        // With PATH a link itself is opened.
        let opened = opened.and_then(|opened| match is_last && is_link(&opened)? {
            true => Err(Errno::LOOP),
            false => Ok(opened),
        });
        let error = match opened {
            Ok(file) if is_last => {
                let directory = holder(&directory, &real)?;
                real.push(&name);
                let way = Way {
                    links,
                    directory,
                    real,
                };
                return Ok((file, way));
            }
            Ok(next) => {
                directory = next;
                step(&mut real, &name);
                continue;
            }
            Err(error) => error,
        };
        if !matches!(error, Errno::LOOP | Errno::NOTDIR) {
            return Err(error.into());
        }
        let target = match readlinkat(&directory, &name, Vec::new()) {
            Ok(target) => PathBuf::from(OsString::from_vec(target.into_bytes())),
            // It is not a link.
            Err(Errno::INVAL) => return Err(error.into()),
            Err(error) => return Err(error.into()),
        };
        if links.len() == MAX_LINKS {
            return Err(Errno::LOOP.into());
        }
        links.push(holder(&directory, &real)?);
        if !is_last && is_proc(&directory) {
            // The target text of such a link is only for people: that of `/proc/7/root` is `/`, but the link leads to
            // the root of another container.
            directory = openat(&directory, &name, PASS - OFlags::NOFOLLOW, Mode::empty())?;
            real.push(&name);
            continue;
        }
        if target.is_absolute() {
            directory = openat(CWD, "/", PASS, Mode::empty())?;
            real = PathBuf::from("/");
        }
        rest.extend(names(&target));
    }
    Err(Errno::ISDIR.into())
}

/// The names of a path, the first one last.
fn names(path: &Path) -> Vec<OsString> {
    let names = path.components().rev().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    });
    names.map(OsStr::to_owned).collect()
}

fn step(real: &mut PathBuf, name: &OsStr) {
    if name == ".." {
        real.pop();
    } else {
        real.push(name);
    }
}

fn holder(directory: &OwnedFd, path: &Path) -> io::Result<Holder> {
    let about = fstat(directory)?;
    Ok(Holder {
        path: path.to_owned(),
        owner: about.st_uid,
        mode: about.st_mode & 0o7777,
    })
}

fn is_link(file: &OwnedFd) -> rustix::io::Result<bool> {
    Ok(FileType::from_raw_mode(fstat(file)?.st_mode) == FileType::Symlink)
}

fn is_proc(directory: &OwnedFd) -> bool {
    fstatfs(directory).is_ok_and(|about| {
        // The type has another width on other platforms.
        #[allow(clippy::useless_conversion)]
        let magic = i64::from(about.f_type);
        u64::try_from(magic) == Ok(PROC)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK);

    fn inode(file: &OwnedFd) -> u64 {
        fstat(file).unwrap().st_ino
    }

    #[test]
    fn the_walk_leads_where_the_kernel_does_and_names_the_directories_of_links() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("data/deep")).unwrap();
        fs::create_dir_all(root.join("logs")).unwrap();
        fs::write(root.join("data/access.log"), "x\n").unwrap();
        symlink("../data/deep/..//./access.log", root.join("logs/relative")).unwrap();
        symlink(root.join("logs/relative"), root.join("logs/absolute")).unwrap();
        symlink("data", root.join("directory")).unwrap();
        fs::set_permissions(root.join("logs"), fs::Permissions::from_mode(0o775)).unwrap();
        for (path, links) in [
            ("data/access.log", vec![]),
            ("logs/relative", vec!["logs"]),
            ("logs/absolute", vec!["logs", "logs"]),
            ("directory/access.log", vec![""]),
            ("logs/../directory/deep/../access.log", vec![""]),
        ] {
            let (file, way) = walk(&root.join(path), READ).unwrap();
            let expected = fs::metadata(root.join(path)).unwrap();
            assert_eq!(inode(&file), expected.ino(), "{path}");
            assert_eq!(way.real, root.join("data/access.log"), "{path}");
            assert_eq!(way.directory.path, root.join("data"), "{path}");
            let holders: Vec<&Path> = way.links.iter().map(|holder| &*holder.path).collect();
            let links: Vec<PathBuf> = links.iter().map(|link| root.join(link)).collect();
            let links: Vec<PathBuf> = links.iter().map(|l| l.components().collect()).collect();
            assert_eq!(holders, links, "{path}");
        }
        let (_, way) = walk(&root.join("logs/relative"), OFlags::PATH).unwrap();
        assert_eq!(way.links[0].mode, 0o775);
        assert_eq!(way.real, root.join("data/access.log"));
    }

    #[test]
    fn a_path_that_leads_nowhere_is_an_error_and_does_not_hang() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        symlink("circle", root.join("circle")).unwrap();
        symlink("nowhere", root.join("dangling")).unwrap();
        fs::write(root.join("file"), "").unwrap();
        let error = |path: &str| walk(&root.join(path), READ).unwrap_err().raw_os_error();
        assert_eq!(error("circle"), Some(Errno::LOOP.raw_os_error()));
        assert_eq!(error("dangling"), Some(Errno::NOENT.raw_os_error()));
        assert_eq!(error("file/x"), Some(Errno::NOTDIR.raw_os_error()));
        assert_eq!(error("gone"), Some(Errno::NOENT.raw_os_error()));
        rustix::fs::mknodat(
            CWD,
            root.join("pipe"),
            FileType::Fifo,
            Mode::RUSR | Mode::WUSR,
            0,
        )
        .unwrap();
        walk(&root.join("pipe"), READ).unwrap();
    }

    #[test]
    fn the_root_of_another_process_is_entered_as_the_kernel_does() {
        let (file, _) = walk(Path::new("/proc/self/root/proc/self/stat"), READ).unwrap();
        drop(file);
    }
}
