//! Durable files of the state directory: one port to the disk, and one way to replace a file.
//!
//! Owns: every call that makes something durable (write, fsync, rename, fsync of a directory), and locks. Refuses to
//! know: what a file means. Invariant: after [`replace`] the new content is on stable storage, and at every instant before
//! a power cut leaves the old content or the new one, whole. The failure it guards against: an empty or torn file after a
//! crash, and a fault of a disk that no test can cause: tests replace the port by `sim::SimDisk`.

#[cfg(test)]
pub(crate) mod counted;
mod host;
#[cfg(test)]
pub(crate) mod sim;

use std::fmt;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

pub use host::HostDisk;
pub(crate) use host::read_at;

/// Permission bits of a file in the state directory: the content of logs is for users who may read logs.
const STATE_FILE: u32 = 0o640;

/// A file system that can make files durable.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Creates a directory and its missing parents, with these permission bits. The names of those that it creates are
    /// on stable storage when it returns; those of existing ones need not be.
    fn create_dir_all(&self, directory: &Path, mode: u32) -> io::Result<()>;
    /// Reads a small file whole.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The length of a file, in bytes.
    fn size(&self, path: &Path) -> io::Result<u64>;
    /// Opens a file for reading.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Opens a file for reading and appending. With `missing` a file that does not exist is created with these rights.
    fn append(&self, path: &Path, missing: Option<Rights<'_>>) -> io::Result<Box<dyn DiskFile>>;
    /// Creates an empty file, or empties the existing one, for writing.
    fn create(&self, path: &Path, rights: Rights<'_>) -> io::Result<Box<dyn DiskFile>>;
    /// Renames a file, replacing a file that has the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns when the names in a directory are on stable storage.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;
    /// Waits for the exclusive lock on a file, which is created if needed.
    fn lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<DiskLock>;
    /// Takes the exclusive lock on a file, which is created if needed; `None` while another process holds it.
    fn try_lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<Option<DiskLock>>;
}

/// An open file.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Its length, in bytes.
    fn size(&self) -> io::Result<u64>;
    /// Reads at an offset; returns fewer bytes than asked for only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes bytes at the end of the file.
    fn write_all(&self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when the file's bytes are on stable storage.
    fn sync(&self) -> io::Result<()>;
    /// Cuts the file to this length.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// An exclusive lock, held until it is dropped.
pub type DiskLock = Box<dyn Held>;

/// Holds a lock while it lives.
pub trait Held: fmt::Debug + Send + Sync {}

impl<T: fmt::Debug + Send + Sync> Held for T {}

/// The rights of a file that is created.
#[derive(Debug, Clone, Copy)]
pub struct Rights<'p> {
    /// Permission bits.
    pub mode: u32,
    /// Root gives the file the owner of this path, so that a command run as root does not lock the agent out.
    pub owner_of: Option<&'p Path>,
}

impl Rights<'_> {
    /// The rights of positions and the like: this process owns the file, and its group may read it.
    pub const STATE: Self = Self {
        mode: STATE_FILE,
        owner_of: None,
    };
}

/// Why a file cannot be made durable.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {source}", path.display())]
pub struct DiskError {
    /// The call that failed.
    pub action: &'static str,
    /// The path it was about.
    pub path: PathBuf,
    /// The error of the system.
    pub source: io::Error,
}

impl DiskError {
    /// An error of `action` on `path`.
    pub fn new(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// A file that is replaced as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Replaced<'p> {
    path: &'p Path,
    /// The suffix of its name until it is complete.
    unfinished: &'static str,
    /// The suffix under which the content before is kept.
    previous: Option<&'static str>,
    rights: Rights<'p>,
}

impl<'p> Replaced<'p> {
    /// A file of the state; until its new content is complete, that has `.new` behind its name.
    pub fn state(path: &'p Path) -> Self {
        Self {
            path,
            unfinished: ".new",
            previous: None,
            rights: Rights::STATE,
        }
    }

    /// Uses another suffix while the content is incomplete, and other rights.
    pub fn with(self, unfinished: &'static str, rights: Rights<'p>) -> Self {
        Self {
            unfinished,
            rights,
            ..self
        }
    }

    /// Keeps the content before in a file of its own, which has this suffix.
    pub fn keeping(self, previous: &'static str) -> Self {
        Self {
            previous: Some(previous),
            ..self
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }
}

/// Gives a file the content that `write` writes, durably and whole: it is written under another name, fsynced and renamed,
/// and then the directory is fsynced.
///
/// # Errors
/// When a step fails. The file then has the old content or the new one; where the content before is kept, it may
/// have no file under its own name, and the content before under the other.
pub fn replace(
    disk: &dyn Disk,
    file: Replaced<'_>,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), DiskError> {
    let unfinished = file.beside(file.unfinished);
    let new = disk
        .create(&unfinished, file.rights)
        .map_err(|source| DiskError::new("create", &unfinished, source))?;
    let mut out = BufWriter::new(Appender(&*new));
    let written = write(&mut out).and_then(|()| out.flush());
    // A write that failed is not tried again when the buffer is dropped.
    let _ = out.into_parts();
    written.map_err(|source| DiskError::new("write", &unfinished, source))?;
    new.sync()
        .map_err(|source| DiskError::new("fsync", &unfinished, source))?;
    if let Some(suffix) = file.previous {
        match disk.rename(file.path, &file.beside(suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(DiskError::new("rename", file.path, error));
            }
            _ => {}
        }
    }
    disk.rename(&unfinished, file.path)
        .map_err(|source| DiskError::new("rename", &unfinished, source))?;
    let directory = file.path.parent().unwrap_or(file.path);
    disk.sync_dir(directory)
        .map_err(|source| DiskError::new("fsync", directory, source))
}

/// Writes at the end of a file.
struct Appender<'f>(&'f dyn DiskFile);

impl Write for Appender<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write_all(bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a file from its beginning up to the length that it has now.
///
/// # Errors
/// When the length cannot be read.
pub fn reader(file: Box<dyn DiskFile>) -> io::Result<FileReader> {
    let end = file.size()?;
    Ok(FileReader {
        file,
        offset: 0,
        end,
    })
}

/// Reads a file; made by [`reader`].
#[derive(Debug)]
pub struct FileReader {
    file: Box<dyn DiskFile>,
    offset: u64,
    end: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
        let length = buffer.len().min(left);
        let count = self.file.read_at(&mut buffer[..length], self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
