//! The disk of this host.
//!
//! Owns: the system calls behind the port. Refuses to know: why they are made. Invariant: each function is one call that
//! a test can replace.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _, fchown,
};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::{Disk, DiskFile, DiskLock, Rights};

/// The disk of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostDisk;

impl Disk for HostDisk {
    fn create_dir_all(&self, directory: &Path, mode: u32) -> io::Result<()> {
        let missing: Vec<_> = (directory.ancestors())
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists())
            .collect();
        DirBuilder::new()
            .recursive(true)
            .mode(mode)
            .create(directory)?;
        for path in missing.into_iter().rev() {
            match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => self.sync_dir(parent)?,
                _ => self.sync_dir(Path::new("."))?,
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(std::fs::metadata(path)?.len())
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(HostFile(File::open(path)?)))
    }

    fn append(&self, path: &Path, missing: Option<Rights<'_>>) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let file = match missing {
            Some(rights) => open(options.create(true), path, rights)?,
            None => options.open(path)?,
        };
        Ok(Box::new(HostFile(file)))
    }

    fn create(&self, path: &Path, rights: Rights<'_>) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        Ok(Box::new(HostFile(open(&mut options, path, rights)?)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }

    fn lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<DiskLock> {
        let file = open_lock(path, rights)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Box::new(file))
    }

    fn try_lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<Option<DiskLock>> {
        let file = open_lock(path, rights)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// An open file.
#[derive(Debug)]
struct HostFile(File);

impl DiskFile for HostFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_at(&self.0, buffer, offset)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.0).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

/// Fills the buffer from an offset of the file; returns fewer bytes only at its end.
pub(crate) fn read_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn open_lock(path: &Path, rights: Rights<'_>) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    open(&mut options, path, rights)
}

fn open(options: &mut OpenOptions, path: &Path, rights: Rights<'_>) -> io::Result<File> {
    let file = options.mode(rights.mode).open(path)?;
    let Some(owner_of) = rights.owner_of else {
        return Ok(file);
    };
    let (owner, now) = (std::fs::metadata(owner_of)?, file.metadata()?);
    if (now.uid(), now.gid()) != (owner.uid(), owner.gid()) && rustix::process::geteuid().is_root()
    {
        fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(file)
}
