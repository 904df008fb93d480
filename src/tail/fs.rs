//! The file system as the tailer sees it: a port with the host's implementation behind it.
//!
//! Owns: every system call on log files; those on the state directory use [`Disk`]. Refuses to know: logs, lines and
//! checkpoints. Invariant: no other part of `tail` uses `std::fs`, so that the simulated file system (`sim`) can
//! replace it, and tests run thousands of rotations and crashes without a disk. The failure it guards against: a fault
//! that no test can cause.

mod walk;

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use crate::disk::{self, Disk, HostDisk};

/// The kind of file that a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum FileKind {
    /// A regular file, the only kind that has positions.
    File,
    /// A directory.
    Directory,
    /// A pipe or FIFO.
    Pipe,
    /// A terminal, `/dev/null` and the like.
    Device,
    /// A socket.
    Socket,
}

impl FileKind {
    /// Its name in a message.
    pub(crate) fn word(self) -> &'static str {
        match self {
            FileKind::File => "a file",
            FileKind::Directory => "a directory",
            FileKind::Pipe => "a pipe",
            FileKind::Device => "a device",
            FileKind::Socket => "a socket",
        }
    }

    /// What to do when it is found in place of a log.
    pub(crate) fn hint(self) -> &'static str {
        match self {
            FileKind::Directory => {
                "remove it, so that nginx can write its log there, or name the files in it in paths of [[logs]]"
            }
            _ => {
                "nginx's container image links its logs to the console; let nginx write to a file on a volume that \
                 both share"
            }
        }
    }
}

/// Where the content of a file is: device and inode. It is exact while the file is held open, and only a hint
/// afterwards, because inodes are reused.
pub(crate) type Inode = (u64, u64);

/// The metadata of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Device and inode.
    pub inode: Inode,
    /// Length in bytes.
    pub size: u64,
    /// Last modification, nanoseconds since the Unix epoch.
    pub modified: i64,
    /// The number of its names; 0 when it was deleted while open.
    pub links: u64,
    /// Its kind.
    pub kind: FileKind,
    /// The user who owns it.
    pub owner: u32,
    /// The group that owns it, for the message to a user who may not read the file.
    pub group: u32,
    /// Permission bits: whether that group may read it.
    pub mode: u32,
}

/// A directory that contains a name on the way to a file: users who may write to it decide where that name leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    /// Its path without links.
    pub path: PathBuf,
    /// The user who owns it.
    pub owner: u32,
    /// Permission bits.
    pub mode: u32,
}

/// How a path led to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// The directories of the symbolic links that were followed.
    pub links: Vec<Holder>,
    /// The directory that contains the file's own name.
    pub directory: Holder,
    /// The path without links.
    pub real: PathBuf,
}

/// All calls of the tailer to the operating system.
pub(crate) trait FileSystem: Clone + Send + 'static {
    /// An open file.
    type File: Send + Sync + 'static;

    /// Opens for reading, and returns how the path led to this file; never waits (a pipe may have no writer yet).
    fn open(&self, path: &Path) -> io::Result<(Self::File, Way)>;
    /// Returns how a path leads to a file, and the file's metadata; needs no permission to read the file.
    fn trace(&self, path: &Path) -> io::Result<(Way, Metadata)>;
    /// Reads at an offset; returns fewer bytes than requested only at the end of the file. A read is not atomic: the
    /// file may change while it is read.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// The metadata of the file at a path, links followed.
    fn metadata(&self, path: &Path) -> io::Result<Metadata>;
    /// The metadata of an open file, whatever its present name is.
    fn metadata_of(&self, file: &Self::File) -> io::Result<Metadata>;
    /// Whether the path's last part is a symbolic link.
    fn is_symlink(&self, path: &Path) -> bool;
    /// The path with all links resolved.
    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf>;
    /// The names in a directory, in any order.
    fn read_dir(&self, directory: &Path) -> io::Result<Vec<OsString>>;

    /// Reads all of a small system file such as `/etc/passwd`.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The disk of the state directory.
    fn disk(&self) -> Arc<dyn Disk>;
}

/// Whether a log is a link to standard output or error, or to another open file of a process, through any number of
/// links. Read here, these would be the agent's own files and not nginx's, and may be regular files.
pub(crate) fn is_console(path: &Path) -> bool {
    let Ok(target) = std::fs::read_link(path) else {
        return false;
    };
    let by_name = ["/dev/stdout", "/dev/stderr", "/dev/fd", "/proc/self/fd"]
        .iter()
        .any(|console| target.starts_with(console));
    // `/proc/1/fd`, `/proc/thread-self/fd`
    let is_of_process = |link: &Holder| link.path.starts_with("/proc") && link.path.ends_with("fd");
    by_name || (HostFs.trace(path)).is_ok_and(|(way, _)| way.links.iter().any(is_of_process))
}

/// Whether a directory's file system sends no events for writes of other machines, or of the host outside a container's
/// virtual machine: NFS, SMB, 9p, FUSE (magic numbers: linux/magic.h). A file system that cannot be determined counts
/// as sending events.
pub(crate) fn is_silent(directory: &Path) -> bool {
    const NFS: u64 = 0x6969;
    const SMB: [u64; 3] = [0x517b, 0xff53_4d42, 0xfe53_4d42];
    const NINE_P: u64 = 0x0102_1997;
    const FUSE: u64 = 0x6573_5546;
    rustix::fs::statfs(directory).is_ok_and(|about| {
        // The type has another width on other platforms; the low 32 bits are the number.
        #[allow(clippy::useless_conversion)]
        let magic = u64::from_ne_bytes(i64::from(about.f_type).to_ne_bytes()) & 0xffff_ffff;
        magic == NFS || magic == NINE_P || magic == FUSE || SMB.contains(&magic)
    })
}

/// The host's file system.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct HostFs;

impl FileSystem for HostFs {
    type File = File;

    fn open(&self, path: &Path) -> io::Result<(File, Way)> {
        // NONBLOCK: the file may have become a FIFO since its metadata were read, and its open would hang.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let (file, way) = walk::walk(path, flags)?;
        Ok((file.into(), way))
    }

    fn trace(&self, path: &Path) -> io::Result<(Way, Metadata)> {
        let (file, way) = walk::walk(path, OFlags::PATH)?;
        Ok((way, describe(&File::from(file).metadata()?)))
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        disk::read_at(file, buffer, offset)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut metadata = describe(&std::fs::metadata(path)?);
        if is_console(path) {
            metadata.kind = FileKind::Device;
        }
        Ok(metadata)
    }

    fn metadata_of(&self, file: &File) -> io::Result<Metadata> {
        Ok(describe(&file.metadata()?))
    }

    fn is_symlink(&self, path: &Path) -> bool {
        path.is_symlink()
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        std::fs::canonicalize(path)
    }

    fn read_dir(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        std::fs::read_dir(directory)?
            .map(|entry| Ok(entry?.file_name()))
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn disk(&self) -> Arc<dyn Disk> {
        Arc::new(HostDisk)
    }
}

fn describe(metadata: &std::fs::Metadata) -> Metadata {
    let kind = metadata.file_type();
    let kind = if kind.is_file() {
        FileKind::File
    } else if kind.is_dir() {
        FileKind::Directory
    } else if kind.is_fifo() {
        FileKind::Pipe
    } else if kind.is_socket() {
        FileKind::Socket
    } else {
        FileKind::Device
    };
    Metadata {
        inode: (metadata.dev(), metadata.ino()),
        size: metadata.len(),
        modified: metadata
            .mtime()
            .saturating_mul(1_000_000_000)
            .saturating_add(metadata.mtime_nsec()),
        links: metadata.nlink(),
        kind,
        owner: metadata.uid(),
        group: metadata.gid(),
        mode: metadata.mode() & 0o7777,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_file_system_counts_as_silent() {
        assert!(!is_silent(Path::new("/proc")));
        assert!(!is_silent(Path::new("/no/such/place")));
    }

    /// The standard output of a test run may be a regular file.
    #[test]
    fn a_link_to_the_console_is_never_a_log() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("access.log");
        std::os::unix::fs::symlink("/dev/stdout", &link).unwrap();
        assert_eq!(HostFs.metadata(&link).unwrap().kind, FileKind::Device);
        let file = directory.path().join("real.log");
        std::fs::write(&file, "a\n").unwrap();
        assert_eq!(HostFs.metadata(&file).unwrap().kind, FileKind::File);

        use std::os::fd::AsRawFd as _;
        let open = File::open(&file).unwrap();
        let (process, number) = (std::process::id(), open.as_raw_fd());
        let deep = "../".repeat(directory.path().components().count());
        for (name, target, kind) in [
            (
                "of-this-process",
                format!("/proc/self/fd/{number}"),
                FileKind::Device,
            ),
            (
                "of-a-process",
                format!("/proc/{process}/fd/{number}"),
                FileKind::Device,
            ),
            (
                "of-a-thread",
                format!("/proc/thread-self/fd/{number}"),
                FileKind::Device,
            ),
            (
                "relative",
                format!("{deep}proc/self/fd/{number}"),
                FileKind::Device,
            ),
            ("chain", "of-a-process".to_owned(), FileKind::Device),
            ("chain-to-file", "real.log".to_owned(), FileKind::File),
        ] {
            let link = directory.path().join(name);
            std::os::unix::fs::symlink(target, &link).unwrap();
            assert_eq!(HostFs.metadata(&link).unwrap().kind, kind, "{name}");
        }
    }
}
