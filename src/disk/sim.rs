//! A disk in memory, for tests: deterministic, and with the faults that disks have at the worst moment.
//!
//! Owns: what fsync has made durable, what a power cut leaves, and errors on demand. Refuses to know: who uses it.
//! Invariant: names and bytes survive a power cut only as far as fsync promised. The failure it guards against: a fault of
//! a disk that no test covers.

#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::{Disk, DiskFile, DiskLock, Rights};

/// The operations that can be made to fail; the first group are those on logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    ReadDir,
    Stat,
    Open,
    Read,
    Create,
    Write,
    Sync,
    Truncate,
    Rename,
    SyncDir,
}

impl Op {
    /// Whether it changes the disk.
    fn is_change(self) -> bool {
        !matches!(self, Op::ReadDir | Op::Stat | Op::Open | Op::Read)
    }
}

#[derive(Debug)]
struct Fault {
    op: Op,
    path: String,
    error: Errno,
    /// It leaves out this many operations.
    skip: usize,
    times: usize,
}

/// The faults that a test has ordered; clones are the same ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    /// After `skip` more of `op` on a path that contains `path` the next `times` of them fail.
    pub(crate) fn add(&self, op: Op, path: &str, error: Errno, skip: usize, times: usize) {
        lock(&self.0).push(Fault {
            op,
            path: path.to_owned(),
            error,
            skip,
            times,
        });
    }

    /// Whether this operation works.
    pub(crate) fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        let mut faults = lock(&self.0);
        let fault = faults.iter_mut().find(|fault| {
            fault.op == op && fault.times > 0 && path.to_string_lossy().contains(&fault.path)
        });
        match fault {
            Some(Fault { skip: 1.., .. }) | None => {
                if let Some(fault) = fault {
                    fault.skip -= 1;
                }
                Ok(())
            }
            Some(fault) => {
                fault.times -= 1;
                Err(fault.error.into())
            }
        }
    }

    fn clear(&self) {
        lock(&self.0).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    File(usize),
    Directory,
}

#[derive(Debug, Default)]
struct Node {
    data: Vec<u8>,
    synced: Vec<u8>,
}

impl Node {
    /// Loses what was not fsynced, but for a part of it, `torn` in 256.
    fn lose_power(&mut self, torn: u8) {
        let part = |length: usize| length * usize::from(torn) / 256;
        if let Some(appended) = self.data.strip_prefix(&self.synced[..]) {
            self.data.truncate(self.synced.len() + part(appended.len()));
        } else if self.synced.starts_with(&self.data) && torn == 0 {
            self.data.clone_from(&self.synced);
        } else if !self.synced.starts_with(&self.data) {
            self.data.truncate(part(self.data.len()));
        }
        self.synced.clone_from(&self.data);
    }
}

/// The effect of one system call on names, which happens wholly or not at all.
type Change = Vec<(PathBuf, Option<Name>)>;

#[derive(Debug, Default)]
struct World {
    nodes: Vec<Node>,
    names: BTreeMap<PathBuf, Name>,
    durable: BTreeMap<PathBuf, Name>,
    /// Names that were set or removed since the last fsync of their directory.
    journal: Vec<Change>,
    locks: HashSet<PathBuf>,
    /// Changes until the process is dead.
    fuse: Option<usize>,
}

impl World {
    fn inode(&self, path: &Path) -> io::Result<usize> {
        match self.names.get(path) {
            Some(Name::File(inode)) => Ok(*inode),
            Some(Name::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn node(&mut self, path: &Path) -> io::Result<&mut Node> {
        let inode = self.inode(path)?;
        Ok(&mut self.nodes[inode])
    }

    fn apply(&mut self, change: Change) -> io::Result<()> {
        for (path, name) in &change {
            let parent = path.parent().unwrap();
            if self.names.get(parent) != Some(&Name::Directory) {
                return Err(ErrorKind::NotFound.into());
            }
            set(&mut self.names, path.clone(), *name);
        }
        self.journal.push(change);
        Ok(())
    }

    fn make_file(&mut self, path: &Path) -> io::Result<usize> {
        let inode = self.nodes.len();
        self.nodes.push(Node::default());
        self.apply(vec![(path.to_owned(), Some(Name::File(inode)))])?;
        Ok(inode)
    }
}

fn set(names: &mut BTreeMap<PathBuf, Name>, path: PathBuf, name: Option<Name>) {
    match name {
        Some(name) => names.insert(path, name),
        None => names.remove(&path),
    };
}

/// The disk; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct SimDisk {
    world: Arc<Mutex<World>>,
    faults: Faults,
}

impl SimDisk {
    /// A disk with one empty directory, `root`.
    pub(crate) fn new(root: &str) -> Self {
        let mut world = World::default();
        let directories = Path::new(root).ancestors();
        world.names = directories
            .map(|path| (path.to_owned(), Name::Directory))
            .collect();
        world.durable = world.names.clone();
        Self {
            world: Arc::new(Mutex::new(world)),
            faults: Faults::default(),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        if op.is_change() {
            match &mut self.world().fuse {
                Some(0) => return Err(Errno::IO.into()),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        self.faults.check(op, path)
    }

    /// The faults, for another simulation that shares them.
    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.faults.clear();
        self.world().fuse = None;
    }

    /// After `steps` more changes nothing works: the process dies between two system calls.
    pub(crate) fn die_after(&self, steps: usize) {
        self.world().fuse = Some(steps);
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.world().names.contains_key(Path::new(path))
    }

    /// The content of a file; empty where there is none.
    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        let mut world = self.world();
        let node = world.node(Path::new(path));
        node.map(|node| node.data.clone()).unwrap_or_default()
    }

    /// The content that a power cut would leave at the least.
    pub(crate) fn durable(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.world();
        match world.durable.get(Path::new(path))? {
            Name::File(inode) => Some(world.nodes[*inode].synced.clone()),
            Name::Directory => None,
        }
    }

    /// Writes a whole file, as an operator does, long before any power cut.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        let mut world = self.world();
        let path = Path::new(path);
        let inode = match world.inode(path) {
            Ok(inode) => inode,
            Err(_) => world.make_file(path).unwrap(),
        };
        world.nodes[inode] = Node {
            data: bytes.to_vec(),
            synced: bytes.to_vec(),
        };
    }

    pub(crate) fn rm(&self, path: &str) {
        self.world().apply(vec![(path.into(), None)]).unwrap();
    }

    /// The machine loses power: of the names changed since the last fsync of a directory the first `kept` survive (a
    /// journal keeps the order), of bytes never fsynced only a part, `torn` in 256.
    pub(crate) fn power_cut(&self, kept: usize, torn: u8) {
        let mut world = self.world();
        let World {
            nodes,
            names,
            durable,
            journal,
            ..
        } = &mut *world;
        for (path, name) in journal.drain(..).take(kept).flatten() {
            set(durable, path, name);
        }
        // The content of a directory is gone with its name.
        let whole = |path: &Path| {
            let mut above = path.ancestors().skip(1);
            above.all(|path| durable.get(path) == Some(&Name::Directory))
        };
        *names = durable.clone();
        names.retain(|path, _| whole(path));
        durable.clone_from(names);
        for name in names.values() {
            if let Name::File(inode) = name {
                nodes[*inode].lose_power(torn);
            }
        }
    }
}

impl Disk for SimDisk {
    fn create_dir_all(&self, directory: &Path, _: u32) -> io::Result<()> {
        let missing: Vec<_> = (directory.ancestors())
            .take_while(|path| !self.world().names.contains_key(*path))
            .collect();
        for path in missing.into_iter().rev() {
            self.world()
                .apply(vec![(path.to_owned(), Some(Name::Directory))])?;
            self.sync_dir(path.parent().unwrap())?;
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check(Op::Read, path)?;
        Ok(self.world().node(path)?.data.clone())
    }

    fn size(&self, path: &Path) -> io::Result<u64> {
        Ok(self.world().node(path)?.data.len() as u64)
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.check(Op::Open, path)?;
        let inode = self.world().inode(path)?;
        Ok(self.file(inode, path))
    }

    fn append(&self, path: &Path, missing: Option<Rights<'_>>) -> io::Result<Box<dyn DiskFile>> {
        let found = self.world().inode(path);
        match (found, missing) {
            (Ok(_), _) => self.open(path),
            (Err(_), Some(rights)) => self.create(path, rights),
            (Err(error), None) => Err(error),
        }
    }

    fn create(&self, path: &Path, _: Rights<'_>) -> io::Result<Box<dyn DiskFile>> {
        self.check(Op::Create, path)?;
        let mut world = self.world();
        let inode = match world.inode(path) {
            Ok(inode) => {
                world.nodes[inode].data.clear();
                inode
            }
            Err(_) => world.make_file(path)?,
        };
        Ok(self.file(inode, path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.check(Op::Rename, from)?;
        let mut world = self.world();
        let name = *world.names.get(from).ok_or(ErrorKind::NotFound)?;
        world.apply(vec![(to.to_owned(), Some(name)), (from.to_owned(), None)])
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        self.check(Op::SyncDir, directory)?;
        let mut world = self.world();
        let journal = std::mem::take(&mut world.journal);
        for change in journal {
            // A rename stays within one directory here.
            if change[0].0.parent() == Some(directory) {
                for (path, name) in change {
                    set(&mut world.durable, path, name);
                }
            } else {
                world.journal.push(change);
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path, rights: Rights<'_>) -> io::Result<DiskLock> {
        // Everything runs on one thread, so waiting would never end.
        self.try_lock(path, rights)?.ok_or(Errno::DEADLK.into())
    }

    fn try_lock(&self, path: &Path, _: Rights<'_>) -> io::Result<Option<DiskLock>> {
        let is_free = self.world().locks.insert(path.to_owned());
        Ok(is_free.then(|| Box::new(SimLock(self.clone(), path.to_owned())) as DiskLock))
    }
}

impl SimDisk {
    fn file(&self, inode: usize, path: &Path) -> Box<dyn DiskFile> {
        Box::new(SimFile {
            disk: self.clone(),
            inode,
            path: path.to_owned(),
        })
    }
}

/// Held until dropped.
#[derive(Debug)]
struct SimLock(SimDisk, PathBuf);

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.world().locks.remove(&self.1);
    }
}

/// An open file.
#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    inode: usize,
    path: PathBuf,
}

impl DiskFile for SimFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.world().nodes[self.inode].data.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.disk.check(Op::Read, &self.path)?;
        let world = self.disk.world();
        let data = &world.nodes[self.inode].data;
        let rest = &data[usize::try_from(offset).unwrap().min(data.len())..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_all(&self, bytes: &[u8]) -> io::Result<()> {
        let checked = self.disk.check(Op::Write, &self.path);
        // A full disk takes a part of the bytes.
        let taken = match checked {
            Ok(()) => bytes,
            Err(_) => &bytes[..bytes.len() / 2],
        };
        let mut world = self.disk.world();
        world.nodes[self.inode].data.extend_from_slice(taken);
        checked
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.check(Op::Sync, &self.path)?;
        let mut world = self.disk.world();
        let node = &mut world.nodes[self.inode];
        node.synced.clone_from(&node.data);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.disk.check(Op::Truncate, &self.path)?;
        let length = usize::try_from(length).unwrap();
        self.disk.world().nodes[self.inode].data.truncate(length);
        Ok(())
    }
}
