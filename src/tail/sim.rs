//! A file system in memory, for tests: deterministic, and with the faults that disks have at the worst moment.
//!
//! Owns: inodes with hard links, names, symbolic links, unlink while open, inodes used again at once, fsync and
//! what a power cut leaves, and errors on demand. Refuses to know: the tailer. Invariant: names and bytes under
//! the durable root survive a power cut only as far as fsync promised. The failure it guards against: a fault of a disk
//! that no test covers.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::io::Errno;

use super::fs::{FileKind, FileSystem, Holder, Metadata, Way};
use crate::clock::{Clock, ManualClock};
use crate::fail_points::{FailPoints, Fate, Step};

/// The operations that can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Op {
    Open,
    Read,
    ReadDir,
    Stat,
    Create,
    Write,
    Sync,
    Rename,
    SyncDir,
}

/// A truncation in the middle of a read: no read of a file is atomic, whatever a single call promises.
struct Split {
    inode: u64,
    /// It happens when the read has got this many bytes.
    after: usize,
    /// What the writer writes before the read goes on.
    then: Vec<u8>,
}

struct Fault {
    op: Op,
    path: String,
    error: Errno,
    times: usize,
}

#[derive(Debug, Clone)]
enum Name {
    Inode(u64),
    Link(PathBuf),
    Directory(u64),
}

struct Node {
    data: Vec<u8>,
    synced: Vec<u8>,
    links: u64,
    opens: usize,
    modified: i64,
    kind: FileKind,
    durable: bool,
    owner: u32,
    mode: u32,
}

/// What one system call did to names, whole or not at all.
type Change = Vec<(PathBuf, Option<u64>)>;

struct World {
    clock: ManualClock,
    nodes: HashMap<u64, Node>,
    names: BTreeMap<PathBuf, Name>,
    free: Vec<u64>,
    next: u64,
    /// Gives each change a time of its own, as nanoseconds do.
    tick: i64,
    locks: HashSet<PathBuf>,
    faults: Vec<Fault>,
    durable_root: PathBuf,
    durable: BTreeMap<PathBuf, u64>,
    /// Names under the root that were set or removed since the last fsync of their directory.
    journal: Vec<Change>,
    /// How many logs can be open at one time.
    descriptors: Option<usize>,
    /// Changes to the durable root until the process is dead.
    fuse: Option<usize>,
    bytes_read: usize,
    split: Option<Split>,
    points: FailPoints,
}

/// How long a slow step takes.
const LONG: Duration = Duration::from_secs(90);

/// The file system; clones are the same one.
#[derive(Clone)]
pub(crate) struct SimFs(Arc<Mutex<World>>);

/// An open file.
pub(crate) struct SimFile {
    fs: SimFs,
    inode: u64,
    path: PathBuf,
}

pub(crate) struct SimLock(SimFs, PathBuf);

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.fs.world();
        if let Some(node) = world.nodes.get_mut(&self.inode) {
            node.opens -= 1;
        }
        world.free_if_unused(self.inode);
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.0.world().locks.remove(&self.1);
    }
}

impl World {
    fn new_node(&mut self, kind: FileKind, durable: bool) -> u64 {
        // The inode that was freed last is used first, as on ext4: the worst case for code that trusts inodes.
        let inode = if durable { None } else { self.free.pop() }.unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let modified = self.stamp();
        let node = Node {
            data: vec![],
            synced: vec![],
            links: 0,
            opens: 0,
            modified,
            kind,
            durable,
            owner: 0,
            mode: 0o640,
        };
        self.nodes.insert(inode, node);
        inode
    }

    fn stamp(&mut self) -> i64 {
        self.tick += 1;
        self.clock.unix_millis() * 1_000_000 + self.tick
    }

    fn free_if_unused(&mut self, inode: u64) {
        let unused = |node: &Node| node.links == 0 && node.opens == 0 && !node.durable;
        if self.nodes.get(&inode).is_some_and(unused) {
            self.nodes.remove(&inode);
            self.free.push(inode);
        }
    }

    fn resolve(&self, path: &Path) -> io::Result<(PathBuf, Name)> {
        let mut path = path.to_owned();
        for _ in 0..8 {
            match self.names.get(&path) {
                None => return Err(ErrorKind::NotFound.into()),
                Some(Name::Link(target)) => path = target.clone(),
                Some(name) => return Ok((path, name.clone())),
            }
        }
        Err(Errno::LOOP.into())
    }

    /// How a path leads to a file, through links of whole paths.
    fn way(&self, path: &Path) -> io::Result<Way> {
        let (mut at, mut links) = (path.to_owned(), Vec::new());
        while let Some(Name::Link(target)) = self.names.get(&at) {
            links.push(self.holder(&at)?);
            at.clone_from(target);
        }
        Ok(Way {
            links,
            directory: self.holder(&at)?,
            real: at,
        })
    }

    fn holder(&self, path: &Path) -> io::Result<Holder> {
        let directory = path.parent().unwrap();
        let node = &self.nodes[&self.inode(directory)?];
        Ok(Holder {
            path: directory.to_owned(),
            owner: node.owner,
            mode: node.mode,
        })
    }

    fn inode(&self, path: &Path) -> io::Result<u64> {
        match self.resolve(path)?.1 {
            Name::Inode(inode) | Name::Directory(inode) => Ok(inode),
            Name::Link(_) => Err(ErrorKind::NotFound.into()),
        }
    }

    fn set(&mut self, path: &Path, name: Option<Name>) {
        let parent = path.parent().unwrap();
        assert!(
            matches!(self.names.get(parent), Some(Name::Directory(_))),
            "no directory {parent:?}"
        );
        if let Some(Name::Inode(inode)) = &name {
            self.nodes.get_mut(inode).unwrap().links += 1;
        }
        if path.starts_with(&self.durable_root) {
            let inode = match &name {
                Some(Name::Inode(inode)) => Some(*inode),
                _ => None,
            };
            self.journal.push(vec![(path.to_owned(), inode)]);
        }
        let old = match name {
            Some(name) => self.names.insert(path.to_owned(), name),
            None => self.names.remove(path),
        };
        if let Some(Name::Inode(inode)) = old {
            self.nodes.get_mut(&inode).unwrap().links -= 1;
            self.free_if_unused(inode);
        }
    }

    fn check(&mut self, op: Op, path: &Path) -> io::Result<()> {
        let durable = path.starts_with(&self.durable_root);
        if durable
            && matches!(
                op,
                Op::Create | Op::Write | Op::Sync | Op::Rename | Op::SyncDir
            )
        {
            let step = match op {
                Op::Create => Step::Create,
                Op::Write => Step::Write,
                Op::Sync => Step::Sync,
                Op::Rename => Step::Rename,
                _ => Step::SyncDirectory,
            };
            match self.points.pass(step) {
                Fate::Go => {}
                Fate::TakeLong => self.clock.advance(LONG),
                Fate::Fail | Fate::Die => return Err(Errno::IO.into()),
            }
            match &mut self.fuse {
                Some(0) => return Err(Errno::IO.into()),
                Some(left) => *left -= 1,
                None => {}
            }
        }
        let fault = self.faults.iter_mut().find(|fault| {
            fault.op == op && fault.times > 0 && path.to_string_lossy().contains(&fault.path)
        });
        match fault {
            Some(fault) => {
                fault.times -= 1;
                Err(fault.error.into())
            }
            None => Ok(()),
        }
    }

    fn copy(&self, inode: u64, buffer: &mut [u8], from: usize) -> usize {
        let data = &self.nodes[&inode].data;
        let from = from.min(data.len());
        let count = buffer.len().min(data.len() - from);
        buffer[..count].copy_from_slice(&data[from..from + count]);
        count
    }

    fn split(&mut self, split: Split) {
        let modified = self.stamp();
        if let Some(node) = self.nodes.get_mut(&split.inode) {
            node.data = split.then;
            node.modified = modified;
        }
    }

    fn metadata(&self, inode: u64) -> Metadata {
        let node = &self.nodes[&inode];
        Metadata {
            inode: (1, inode),
            size: node.data.len() as u64,
            modified: node.modified,
            links: node.links,
            kind: node.kind,
            owner: node.owner,
            group: 4,
            mode: node.mode,
        }
    }
}

impl SimFs {
    pub(crate) fn new(clock: &ManualClock, durable_root: &str) -> Self {
        let mut world = World {
            clock: clock.clone(),
            nodes: HashMap::new(),
            names: BTreeMap::new(),
            free: vec![],
            next: 100,
            tick: 0,
            locks: HashSet::new(),
            faults: vec![],
            durable_root: durable_root.into(),
            durable: BTreeMap::new(),
            journal: vec![],
            descriptors: None,
            fuse: None,
            bytes_read: 0,
            split: None,
            points: FailPoints::default(),
        };
        let root = world.new_node(FileKind::Directory, false);
        world.names.insert("/".into(), Name::Directory(root));
        Self(Arc::new(Mutex::new(world)))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Appends, and makes the file if needed; gives its inode.
    pub(crate) fn append(&self, path: &str, bytes: &[u8]) -> u64 {
        let inode = self.touch(path);
        self.append_inode(inode, bytes);
        inode
    }

    /// Opens as a writer does: follows links, and makes the file if there is none.
    pub(crate) fn touch(&self, path: &str) -> u64 {
        let mut world = self.world();
        if let Ok(inode) = world.inode(Path::new(path)) {
            return inode;
        }
        let durable = Path::new(path).starts_with(&world.durable_root);
        let inode = world.new_node(FileKind::File, durable);
        world.set(Path::new(path), Some(Name::Inode(inode)));
        inode
    }

    /// What a writer with the file open does, whatever its name is.
    pub(crate) fn append_inode(&self, inode: u64, bytes: &[u8]) {
        let mut world = self.world();
        let modified = world.stamp();
        if let Some(node) = world.nodes.get_mut(&inode) {
            node.data.extend_from_slice(bytes);
            node.modified = modified;
        }
    }

    /// A writer opens (+1) or closes (-1) the file.
    pub(crate) fn hold(&self, inode: u64, open: bool) {
        let mut world = self.world();
        if let Some(node) = world.nodes.get_mut(&inode) {
            if open {
                node.opens += 1;
            } else {
                node.opens -= 1;
            }
        }
        world.free_if_unused(inode);
    }

    pub(crate) fn truncate(&self, path: &str, size: usize) {
        let mut world = self.world();
        let modified = world.stamp();
        if let Ok(inode) = world.inode(Path::new(path)) {
            let node = world.nodes.get_mut(&inode).unwrap();
            node.data.truncate(size);
            node.modified = modified;
        }
    }

    /// The next read of more than `after` bytes of this file finds it emptied, and `then` written to it, when it
    /// has got `after` of them.
    pub(crate) fn truncate_in_read(&self, path: &str, after: usize, then: &[u8]) {
        let mut world = self.world();
        let inode = world.inode(Path::new(path)).unwrap();
        world.split = Some(Split {
            inode,
            after,
            then: then.to_vec(),
        });
    }

    /// If no such read came, it happens now, between two reads.
    pub(crate) fn truncate_at_last(&self) {
        let mut world = self.world();
        if let Some(split) = world.split.take() {
            world.split(split);
        }
    }

    pub(crate) fn mv(&self, from: &str, to: &str) -> bool {
        self.rename(Path::new(from), Path::new(to)).is_ok()
    }

    pub(crate) fn cp(&self, from: &str, to: &str) {
        let bytes = self.content(from);
        self.rm(to);
        self.append(to, &bytes);
    }

    /// Does what gzip does: writes a compressed file beside the plain one, and then deletes that; gives its bytes.
    pub(crate) fn gzip(&self, from: &str, to: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(&self.content(from)).unwrap();
        let bytes = encoder.finish().unwrap();
        self.rm(to);
        self.append(to, &bytes);
        self.rm(from);
        bytes
    }

    /// Bytes that positioned reads returned so far.
    pub(crate) fn bytes_read(&self) -> usize {
        self.world().bytes_read
    }

    pub(crate) fn rm(&self, path: &str) {
        let mut world = self.world();
        if world.names.contains_key(Path::new(path)) {
            world.set(Path::new(path), None);
        }
    }

    pub(crate) fn ln(&self, from: &str, to: &str) {
        let mut world = self.world();
        let inode = world.inode(Path::new(from)).unwrap();
        world.set(Path::new(to), Some(Name::Inode(inode)));
    }

    pub(crate) fn symlink(&self, target: &str, path: &str) {
        self.world()
            .set(Path::new(path), Some(Name::Link(target.into())));
    }

    pub(crate) fn mkfifo(&self, path: &str) {
        let mut world = self.world();
        let inode = world.new_node(FileKind::Pipe, false);
        world.set(Path::new(path), Some(Name::Inode(inode)));
    }

    pub(crate) fn mkdir(&self, path: &str) {
        self.create_dir_all(Path::new(path)).unwrap();
    }

    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        self.read(Path::new(path)).unwrap_or_default()
    }

    /// Writes a whole file, as an operator does, long before any power cut.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.truncate(path, 0);
        let inode = self.append(path, bytes);
        if let Some(node) = self.world().nodes.get_mut(&inode) {
            node.synced = bytes.to_vec();
        }
    }

    pub(crate) fn chmod(&self, path: &str, mode: u32) {
        let mut world = self.world();
        let inode = world.inode(Path::new(path)).unwrap();
        world.nodes.get_mut(&inode).unwrap().mode = mode;
    }

    pub(crate) fn chown(&self, path: &str, owner: u32) {
        let mut world = self.world();
        let inode = world.inode(Path::new(path)).unwrap();
        world.nodes.get_mut(&inode).unwrap().owner = owner;
    }

    /// From now on only so many logs can be open at one time, including those of writers.
    pub(crate) fn limit_descriptors(&self, limit: Option<usize>) {
        self.world().descriptors = limit;
    }

    pub(crate) fn exists(&self, path: &str) -> bool {
        self.world().inode(Path::new(path)).is_ok()
    }

    /// The contents that can still be read: those with a name under `directory`, and those that the tailer holds open
    /// (`held` counts the writers' own handles).
    pub(crate) fn reachable(&self, directory: &str, held: &HashMap<u64, usize>) -> Vec<Vec<u8>> {
        let world = self.world();
        let mut inodes: HashSet<u64> = HashSet::new();
        for (path, name) in &world.names {
            if let Name::Inode(inode) = name
                && path.starts_with(directory)
            {
                inodes.insert(*inode);
            }
        }
        for (inode, node) in &world.nodes {
            let by_writers = held.get(inode).copied().unwrap_or(0);
            if node.kind == FileKind::File && !node.durable && node.opens > by_writers {
                inodes.insert(*inode);
            }
        }
        inodes
            .into_iter()
            .map(|inode| world.nodes[&inode].data.clone())
            .collect()
    }

    pub(crate) fn data(&self, inode: u64) -> Vec<u8> {
        self.world()
            .nodes
            .get(&inode)
            .map(|node| node.data.clone())
            .unwrap_or_default()
    }

    pub(crate) fn names(&self, directory: &str) -> Vec<String> {
        let world = self.world();
        let inside = |path: &&PathBuf| path.parent() == Some(Path::new(directory));
        world
            .names
            .keys()
            .filter(inside)
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    /// The next `times` of `op` on a path that contains `path` fail.
    pub(crate) fn fail(&self, op: Op, path: &str, error: Errno, times: usize) {
        self.world().faults.push(Fault {
            op,
            path: path.to_owned(),
            error,
            times,
        });
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        let mut world = self.world();
        world.faults.clear();
        world.fuse = None;
    }

    /// The changes of the durable root are counted here.
    pub(crate) fn count_steps(&self, points: &FailPoints) {
        self.world().points = points.clone();
    }

    /// After `steps` more changes of the durable root nothing works there: the process dies in a save.
    pub(crate) fn die_after(&self, steps: usize) {
        self.world().fuse = Some(steps);
    }

    /// The part of a file that a power cut would leave at the least.
    pub(crate) fn durable(&self, path: &str) -> Option<Vec<u8>> {
        let world = self.world();
        let inode = world.durable.get(Path::new(path))?;
        Some(world.nodes[inode].synced.clone())
    }

    /// The machine loses power: of the names changed since the last fsync of a directory the first `kept`
    /// survive (a journal keeps the order), of bytes never fsynced only a part, `torn` in 256.
    pub(crate) fn power_cut(&self, kept: usize, torn: u8) {
        let mut world = self.world();
        let kept = kept.min(world.journal.len());
        let journal: Vec<_> = world.journal.drain(..).collect();
        for (path, inode) in journal.into_iter().take(kept).flatten() {
            match inode {
                Some(inode) => world.durable.insert(path, inode),
                None => world.durable.remove(&path),
            };
        }
        let root = world.durable_root.clone();
        world
            .names
            .retain(|path, name| !path.starts_with(&root) || matches!(name, Name::Directory(_)));
        let durable = world.durable.clone();
        for (path, inode) in durable {
            world.names.insert(path, Name::Inode(inode));
            let node = world.nodes.get_mut(&inode).unwrap();
            node.links = 1;
            if node.data != node.synced {
                let length = node.data.len() * usize::from(torn) / 256;
                node.data.truncate(length);
                node.synced = node.data.clone();
            }
        }
    }
}

impl FileSystem for SimFs {
    type File = SimFile;
    type Lock = SimLock;

    fn open(&self, path: &Path) -> io::Result<(SimFile, Way)> {
        let mut world = self.world();
        world.check(Op::Open, path)?;
        let inode = world.inode(path)?;
        let way = world.way(path)?;
        let opens = world.nodes.values().filter(|node| !node.durable);
        let opens: usize = opens.map(|node| node.opens).sum();
        if world.descriptors.is_some_and(|limit| opens >= limit) {
            return Err(Errno::MFILE.into());
        }
        world.nodes.get_mut(&inode).unwrap().opens += 1;
        let file = SimFile {
            fs: self.clone(),
            inode,
            path: path.to_owned(),
        };
        Ok((file, way))
    }

    fn trace(&self, path: &Path) -> io::Result<(Way, Metadata)> {
        let mut world = self.world();
        world.check(Op::Stat, path)?;
        let inode = world.inode(path)?;
        Ok((world.way(path)?, world.metadata(inode)))
    }

    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.world();
        world.check(Op::Read, &file.path)?;
        let from = usize::try_from(offset).unwrap();
        let mut count = world.copy(file.inode, buffer, from);
        let happens = |split: &mut Split| split.inode == file.inode && split.after < count;
        if let Some(split) = world.split.take_if(happens) {
            let after = split.after;
            world.split(split);
            count = after + world.copy(file.inode, &mut buffer[after..], from + after);
        }
        world.bytes_read += count;
        Ok(count)
    }

    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        let mut world = self.world();
        world.check(Op::Stat, path)?;
        Ok(world.metadata(world.inode(path)?))
    }

    fn metadata_of(&self, file: &SimFile) -> io::Result<Metadata> {
        let mut world = self.world();
        world.check(Op::Stat, &file.path)?;
        Ok(world.metadata(file.inode))
    }

    fn is_symlink(&self, path: &Path) -> bool {
        matches!(self.world().names.get(path), Some(Name::Link(_)))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.world().resolve(path)?.0)
    }

    fn read_dir(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let mut world = self.world();
        world.check(Op::ReadDir, directory)?;
        let (directory, _) = world.resolve(directory)?;
        let inside = |path: &&PathBuf| path.parent() == Some(&directory);
        Ok(world
            .names
            .keys()
            .filter(inside)
            .map(|path| path.file_name().unwrap().into())
            .collect())
    }

    fn create_dir_all(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.world();
        for directory in directory.ancestors() {
            if !world.names.contains_key(directory) {
                let inode = world.new_node(FileKind::Directory, false);
                world
                    .names
                    .insert(directory.to_owned(), Name::Directory(inode));
            }
        }
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut world = self.world();
        world.check(Op::Read, path)?;
        let inode = world.inode(path)?;
        Ok(world.nodes[&inode].data.clone())
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut world = self.world();
        world.check(Op::Create, path)?;
        let inode = match world.inode(path) {
            Ok(inode) => {
                world.nodes.get_mut(&inode).unwrap().data.clear();
                inode
            }
            Err(_) => {
                let durable = path.starts_with(&world.durable_root);
                let inode = world.new_node(FileKind::File, durable);
                world.set(path, Some(Name::Inode(inode)));
                inode
            }
        };
        world.nodes.get_mut(&inode).unwrap().opens += 1;
        Ok(SimFile {
            fs: self.clone(),
            inode,
            path: path.to_owned(),
        })
    }

    fn write_all(&self, file: &SimFile, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.world();
        let checked = world.check(Op::Write, &file.path);
        // A full disk takes a part of the bytes.
        let taken = if checked.is_ok() {
            bytes.len()
        } else {
            bytes.len() / 2
        };
        world
            .nodes
            .get_mut(&file.inode)
            .unwrap()
            .data
            .extend_from_slice(&bytes[..taken]);
        checked
    }

    fn sync(&self, file: &SimFile) -> io::Result<()> {
        let mut world = self.world();
        world.check(Op::Sync, &file.path)?;
        let node = world.nodes.get_mut(&file.inode).unwrap();
        node.synced = node.data.clone();
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.check(Op::Rename, from)?;
        let name = world.names.get(from).cloned().ok_or(ErrorKind::NotFound)?;
        world.set(to, Some(name));
        world.set(from, None);
        if from.starts_with(&world.durable_root) {
            let removal = world.journal.pop().unwrap();
            world.journal.last_mut().unwrap().extend(removal);
        }
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut world = self.world();
        world.check(Op::SyncDir, directory)?;
        let journal = std::mem::take(&mut world.journal);
        for change in journal {
            // The state's renames stay within one directory.
            if change[0].0.parent() != Some(directory) {
                world.journal.push(change);
                continue;
            }
            for (path, inode) in change {
                match inode {
                    Some(inode) => world.durable.insert(path, inode),
                    None => world.durable.remove(&path),
                };
            }
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Option<SimLock>> {
        let mut world = self.world();
        Ok(world
            .locks
            .insert(path.to_owned())
            .then(|| SimLock(self.clone(), path.to_owned())))
    }
}
