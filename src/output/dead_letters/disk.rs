//! The steps after which dead letters are durable: a port with the host's implementation behind it.
//!
//! Owns: every call that changes the directory of dead letters for good. Refuses to know: entries.
//! Invariant: the file changes through this port alone, so that a test can let each step fail, or let the
//! power fail before or after it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What changes the disk.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// Writes bytes at the end of a file.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Returns when a file's bytes are on stable storage.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Takes away what stands behind `length`.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
    /// Gives a file another name, replacing what bore it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns when a directory's names are on stable storage.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// The host's disk.
#[derive(Debug)]
pub(super) struct HostDisk;

impl Disk for HostDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        file.set_len(length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}
