//! A file system in memory, for tests: the logs of a host, as other processes write, rename and delete them.
//!
//! Owns: inodes with hard links, names, symbolic links, unlink while open, and inodes that are reused at once. Refuses
//! to know: the tailer, and the state directory, which is on a simulated disk (`disk::sim`). Invariant: a test is
//! deterministic. The failure it guards against: a change of a file, at any moment, that no test covers.

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
use crate::disk::Disk;
use crate::disk::counted::{CountedDisk, Steps};
pub(crate) use crate::disk::sim::Op;
use crate::disk::sim::SimDisk;
use crate::fail_points::FailPoints;

/// A truncation in the middle of a read: no read of a file is atomic, whatever the guarantees of a single call are.
struct Split {
    inode: u64,
    /// It happens when the read has returned this many bytes.
    after: usize,
    /// The bytes that the writer writes before the read continues.
    then: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Name {
    Inode(u64),
    Link(PathBuf),
    Directory(u64),
}

struct Node {
    data: Vec<u8>,
    links: u64,
    opens: usize,
    modified: i64,
    kind: FileKind,
    owner: u32,
    mode: u32,
}

struct World {
    clock: ManualClock,
    nodes: HashMap<u64, Node>,
    names: BTreeMap<PathBuf, Name>,
    free: Vec<u64>,
    next: u64,
    /// Gives each change a time of its own, like a clock with nanoseconds.
    tick: i64,
    /// How many logs can be open at one time.
    descriptors: Option<usize>,
    bytes_read: usize,
    split: Option<Split>,
    points: Option<FailPoints>,
}

/// How long a slow step takes.
const LONG: Duration = Duration::from_secs(90);

/// The file system; clones are the same one.
#[derive(Clone)]
pub(crate) struct SimFs {
    world: Arc<Mutex<World>>,
    /// Where the state directory is.
    pub(crate) disk: SimDisk,
}

/// An open file.
pub(crate) struct SimFile {
    fs: SimFs,
    inode: u64,
    path: PathBuf,
}

impl Drop for SimFile {
    fn drop(&mut self) {
        let mut world = self.fs.world();
        if let Some(node) = world.nodes.get_mut(&self.inode) {
            node.opens -= 1;
        }
        world.free_if_unused(self.inode);
    }
}

impl World {
    fn new_node(&mut self, kind: FileKind) -> u64 {
        // The inode that was freed last is used first, as on ext4: the worst case for code that trusts inodes.
        let inode = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next
        });
        let modified = self.stamp();
        let node = Node {
            data: vec![],
            links: 0,
            opens: 0,
            modified,
            kind,
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
        let unused = |node: &Node| node.links == 0 && node.opens == 0;
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
        let old = match name {
            Some(name) => self.names.insert(path.to_owned(), name),
            None => self.names.remove(path),
        };
        if let Some(Name::Inode(inode)) = old {
            self.nodes.get_mut(&inode).unwrap().links -= 1;
            self.free_if_unused(inode);
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
    pub(crate) fn new(clock: &ManualClock, state: &str) -> Self {
        let mut world = World {
            clock: clock.clone(),
            nodes: HashMap::new(),
            names: BTreeMap::new(),
            free: vec![],
            next: 100,
            tick: 0,
            descriptors: None,
            bytes_read: 0,
            split: None,
            points: None,
        };
        let root = world.new_node(FileKind::Directory);
        world.names.insert("/".into(), Name::Directory(root));
        Self {
            world: Arc::new(Mutex::new(world)),
            disk: SimDisk::new(state),
        }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Appends, and creates the file if needed; returns its inode.
    pub(crate) fn append(&self, path: &str, bytes: &[u8]) -> u64 {
        let inode = self.touch(path);
        self.append_inode(inode, bytes);
        inode
    }

    /// Opens like a writer: follows links, and creates the file if there is none.
    pub(crate) fn touch(&self, path: &str) -> u64 {
        let mut world = self.world();
        if let Ok(inode) = world.inode(Path::new(path)) {
            return inode;
        }
        let inode = world.new_node(FileKind::File);
        world.set(Path::new(path), Some(Name::Inode(inode)));
        inode
    }

    /// Appends like a writer that has the file open, whatever its name is.
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

    /// Truncates this file during its next read of more than `after` bytes, when `after` of them were returned, and
    /// writes `then` to it.
    pub(crate) fn truncate_in_read(&self, path: &str, after: usize, then: &[u8]) {
        let mut world = self.world();
        let inode = world.inode(Path::new(path)).unwrap();
        world.split = Some(Split {
            inode,
            after,
            then: then.to_vec(),
        });
    }

    /// If no such read came, truncates the file now, between two reads.
    pub(crate) fn truncate_at_last(&self) {
        let mut world = self.world();
        if let Some(split) = world.split.take() {
            world.split(split);
        }
    }

    pub(crate) fn mv(&self, from: &str, to: &str) -> bool {
        let mut world = self.world();
        let Some(name) = world.names.get(Path::new(from)).cloned() else {
            return false;
        };
        world.set(Path::new(to), Some(name));
        world.set(Path::new(from), None);
        true
    }

    pub(crate) fn cp(&self, from: &str, to: &str) {
        let bytes = self.content(from);
        self.rm(to);
        self.append(to, &bytes);
    }

    /// Writes a compressed file beside the plain one and then deletes that, like gzip; returns the compressed bytes.
    pub(crate) fn gzip(&self, from: &str, to: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(vec![], flate2::Compression::fast());
        encoder.write_all(&self.content(from)).unwrap();
        let bytes = encoder.finish().unwrap();
        self.rm(to);
        self.append(to, &bytes);
        self.rm(from);
        bytes
    }

    /// Bytes that positioned reads have returned so far.
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
        let inode = world.new_node(FileKind::Pipe);
        world.set(Path::new(path), Some(Name::Inode(inode)));
    }

    pub(crate) fn mkdir(&self, path: &str) {
        let mut world = self.world();
        for directory in Path::new(path).ancestors() {
            if !world.names.contains_key(directory) {
                let inode = world.new_node(FileKind::Directory);
                world
                    .names
                    .insert(directory.to_owned(), Name::Directory(inode));
            }
        }
    }

    pub(crate) fn content(&self, path: &str) -> Vec<u8> {
        self.read(Path::new(path)).unwrap_or_default()
    }

    /// Writes a whole file.
    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        self.truncate(path, 0);
        self.append(path, bytes);
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

    /// Limits the number of logs that can be open at the same time, including those of writers.
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
            if node.kind == FileKind::File && node.opens > by_writers {
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

    /// Makes the next `times` of `op` on a path that contains `path` fail, of a log or of the state.
    pub(crate) fn fail(&self, op: Op, path: &str, error: Errno, times: usize) {
        self.disk.faults().add(op, path, error, 0, times);
    }

    /// Ends all faults.
    pub(crate) fn heal(&self) {
        self.disk.heal();
    }

    /// Counts here the steps that make the state durable.
    pub(crate) fn count_steps(&self, points: &FailPoints) {
        self.world().points = Some(points.clone());
    }

    fn check(&self, op: Op, path: &Path) -> io::Result<()> {
        self.disk.faults().check(op, path)
    }
}

impl FileSystem for SimFs {
    type File = SimFile;

    fn open(&self, path: &Path) -> io::Result<(SimFile, Way)> {
        self.check(Op::Open, path)?;
        let mut world = self.world();
        let inode = world.inode(path)?;
        let way = world.way(path)?;
        let opens: usize = world.nodes.values().map(|node| node.opens).sum();
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
        self.check(Op::Stat, path)?;
        let world = self.world();
        let inode = world.inode(path)?;
        Ok((world.way(path)?, world.metadata(inode)))
    }

    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.check(Op::Read, &file.path)?;
        let mut world = self.world();
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
        self.check(Op::Stat, path)?;
        let world = self.world();
        Ok(world.metadata(world.inode(path)?))
    }

    fn metadata_of(&self, file: &SimFile) -> io::Result<Metadata> {
        self.check(Op::Stat, &file.path)?;
        let world = self.world();
        Ok(world.metadata(file.inode))
    }

    fn is_symlink(&self, path: &Path) -> bool {
        matches!(self.world().names.get(path), Some(Name::Link(_)))
    }

    fn canonicalize(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(self.world().resolve(path)?.0)
    }

    fn read_dir(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.check(Op::ReadDir, directory)?;
        let world = self.world();
        let (directory, _) = world.resolve(directory)?;
        let inside = |path: &&PathBuf| path.parent() == Some(&directory);
        Ok(world
            .names
            .keys()
            .filter(inside)
            .map(|path| path.file_name().unwrap().into())
            .collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.check(Op::Read, path)?;
        let world = self.world();
        let inode = world.inode(path)?;
        Ok(world.nodes[&inode].data.clone())
    }

    fn disk(&self) -> Arc<dyn Disk> {
        let disk = Arc::new(self.disk.clone());
        let world = self.world();
        let Some(points) = world.points.clone() else {
            return disk;
        };
        let clock = world.clock.clone();
        Arc::new(CountedDisk {
            disk,
            points,
            steps: Steps::POSITIONS,
            take_long: Arc::new(move || clock.advance(LONG)),
        })
    }
}
