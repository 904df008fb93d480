//! The steps that make dead letters durable: a port, and its implementation for the host.
//!
//! Owns every call that changes the directory of dead letters durably. Refuses to know entries. Invariant: the file
//! changes through this port alone, so that a test can make each step fail, or the power fail before or after it.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

/// What changes the disk.
pub(super) trait Disk: std::fmt::Debug + Send + Sync {
    /// Writes bytes at the end of a file.
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()>;
    /// Returns when a file's bytes are on stable storage.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Truncates a file to `length`.
    fn cut(&self, file: &File, length: u64) -> io::Result<()>;
    /// Renames a file, replacing a file that has the new name.
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

/// The host's disk, with its steps counted.
#[cfg(test)]
#[derive(Debug)]
pub(super) struct CountedDisk(pub(super) crate::fail_points::FailPoints);

#[cfg(test)]
impl CountedDisk {
    fn pass(&self, step: crate::fail_points::Step) -> io::Result<()> {
        use crate::fail_points::Fate;
        match self.0.pass(step) {
            Fate::Go => Ok(()),
            Fate::Fail | Fate::Die => Err(io::ErrorKind::StorageFull.into()),
            Fate::TakeLong => {
                // on its own thread, so that the other threads run meanwhile
                (0..1_000).for_each(|_| std::thread::yield_now());
                Ok(())
            }
        }
    }
}

#[cfg(test)]
impl Disk for CountedDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.pass(crate::fail_points::Step::LetterWrite) {
            // a full disk takes a part of the bytes
            file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        HostDisk.write(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        self.pass(crate::fail_points::Step::LetterSync)?;
        HostDisk.sync(file)
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        if self.0.is_dead() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        HostDisk.cut(file, length)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(crate::fail_points::Step::LetterRename)?;
        HostDisk.rename(from, to)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.pass(crate::fail_points::Step::LetterSyncDirectory)?;
        HostDisk.sync_directory(directory)
    }
}
