//! The disk as the store sees it: a port with the host's implementation behind it.
//!
//! Owns every system call on the store's directory. Refuses to know manifests and segments. Invariant: no other part of the
//! writer touches `std::fs`, so that a test can fail each call and cut the power between any two.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use crate::segment::Segment;

/// Calls of the writer to the operating system.
pub trait Disk: Clone + Send + 'static {
    /// Holds an exclusive lock until dropped.
    type Lock: Send + 'static;

    /// Takes the lock of a store; `None` while another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Self::Lock>>;
    /// Makes a directory in one that is there; one that is there already is no error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, in any order.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Reads a file whole.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Makes a file or replaces its content, and returns when the bytes are on stable storage.
    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Gives a file or directory another name, and replaces a file that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns when the names in a directory are on stable storage.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// Removes a file; one that is not there is no error.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it; one that is not there is no error.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Opens a segment.
    fn open(&self, path: &Path) -> io::Result<Segment>;
}

/// The host's disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

/// For the agent's user and group alone: the store holds what the logs hold.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

impl Disk for HostDisk {
    type Lock = File;

    fn lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            made => made,
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(FILE_MODE)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        missing_is_done(fs::remove_file(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        missing_is_done(fs::remove_dir_all(path))
    }

    fn open(&self, path: &Path) -> io::Result<Segment> {
        Segment::open(File::open(path)?)
    }
}

fn missing_is_done(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
