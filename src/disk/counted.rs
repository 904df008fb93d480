//! Fail points of a disk: each step that makes something durable is counted, and may fail, wait or be the last.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;

use super::{Disk, DiskFile, DiskLock, Rights};
use crate::fail_points::{FailPoints, Step, StepAction};

/// The names of the steps of one user of the disk.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Creating a file; `None`: it is not counted.
    pub(crate) create: Option<Step>,
    pub(crate) write: Step,
    pub(crate) sync: Step,
    pub(crate) rename: Step,
    pub(crate) sync_dir: Step,
}

impl Steps {
    pub(crate) const POSITIONS: Self = Self {
        create: Some(Step::Create),
        write: Step::Write,
        sync: Step::Sync,
        rename: Step::Rename,
        sync_dir: Step::SyncDirectory,
    };
    pub(crate) const DEAD_LETTERS: Self = Self {
        create: None,
        write: Step::LetterWrite,
        sync: Step::LetterSync,
        rename: Step::LetterRename,
        sync_dir: Step::LetterSyncDirectory,
    };
}

/// Another disk, with its steps counted.
#[derive(Clone)]
pub(crate) struct CountedDisk {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) points: FailPoints,
    pub(crate) steps: Steps,
    /// Lets time pass in a step that takes long.
    pub(crate) take_long: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for CountedDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = formatter.debug_struct("CountedDisk");
        out.field("disk", &self.disk).finish_non_exhaustive()
    }
}

impl CountedDisk {
    fn pass(&self, step: Step) -> io::Result<()> {
        match self.points.pass(step) {
            StepAction::Proceed => {}
            StepAction::Delay => (self.take_long)(),
            StepAction::Fail | StepAction::Stop => return Err(ErrorKind::StorageFull.into()),
        }
        Ok(())
    }

    fn counted(&self, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        Box::new(CountedFile {
            disk: self.clone(),
            file,
        })
    }
}

impl Disk for CountedDisk {
    fn create_dir_all(&self, directory: &Path, mode: u32) -> io::Result<()> {
        self.disk.create_dir_all(directory, mode)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read(path)
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        self.disk.size(path)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.disk.open(path)
    }

    fn append(&self, path: &Path, missing: Option<Rights<'_>>) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.counted(self.disk.append(path, missing)?))
    }

    fn create(&self, path: &Path, rights: Rights<'_>) -> io::Result<Box<dyn DiskFile>> {
        if let Some(step) = self.steps.create {
            self.pass(step)?;
        }
        Ok(self.counted(self.disk.create(path, rights)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.pass(self.steps.rename)?;
        self.disk.rename(from, to)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.pass(self.steps.sync_dir)?;
        self.disk.sync_dir(directory)
    }

    fn lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<DiskLock> {
        self.disk.lock(path, rights)
    }

    fn try_lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<Option<DiskLock>> {
        self.disk.try_lock(path, rights)
    }
}

#[derive(Debug)]
struct CountedFile {
    disk: CountedDisk,
    file: Box<dyn DiskFile>,
}

impl DiskFile for CountedFile {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.disk.pass(self.disk.steps.write) {
            // A full disk takes a part of the bytes.
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.pass(self.disk.steps.sync)?;
        self.file.sync()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        if self.disk.points.is_dead() {
            return Err(ErrorKind::StorageFull.into());
        }
        self.file.truncate(length)
    }
}
