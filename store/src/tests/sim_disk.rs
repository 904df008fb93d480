//! A disk in memory that loses what was not synced, and fails when it is asked to.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Component, Path};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::disk::Disk;
use crate::segment::Segment;

/// What a fault does to the call that meets it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// This call fails, and the next ones do not.
    Once,
    /// Each call fails from now on: the process was killed, or the power is gone.
    Dead,
}

#[derive(Clone)]
pub(super) struct SimDisk {
    tree: Arc<Mutex<Tree>>,
    /// Calls through this handle meet no fault and are not counted: those of the test itself.
    is_observer: bool,
}

struct Tree {
    nodes: Vec<Node>,
    locked: bool,
    calls: u64,
    fault: Option<(u64, Fault)>,
    dead: bool,
    random: u64,
}

enum Node {
    File { content: Vec<u8>, synced: Vec<u8> },
    Directory { names: Names, synced: Names },
}

type Names = BTreeMap<String, usize>;

pub(super) struct Lock(Arc<Mutex<Tree>>);

impl Drop for Lock {
    fn drop(&mut self) {
        self.0.lock().unwrap().locked = false;
    }
}

impl SimDisk {
    pub(super) fn new(seed: u64) -> Self {
        let root = Node::Directory {
            names: Names::new(),
            synced: Names::new(),
        };
        let tree = Tree {
            nodes: vec![root],
            locked: false,
            calls: 0,
            fault: None,
            dead: false,
            random: seed | 1,
        };
        Self {
            tree: Arc::new(Mutex::new(tree)),
            is_observer: false,
        }
    }

    /// A handle for looking at what is on the disk.
    pub(super) fn observer(&self) -> Self {
        Self {
            is_observer: true,
            ..self.clone()
        }
    }

    /// A call begins; an error is the fault that it meets.
    fn call(&self, tree: &mut Tree) -> io::Result<()> {
        if self.is_observer {
            Ok(())
        } else {
            tree.call()
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap()
    }

    /// The call with this number from now on meets a fault.
    pub(super) fn fail(&self, after: u64, fault: Fault) {
        let mut tree = self.tree();
        tree.fault = Some((tree.calls + after, fault));
    }

    /// Whether the process is dead.
    pub(super) fn is_dead(&self) -> bool {
        self.tree().dead
    }

    /// Another process starts.
    pub(super) fn revive(&self) {
        let mut tree = self.tree();
        tree.dead = false;
        tree.fault = None;
    }

    /// Of what was not synced, chance decides what is left.
    pub(super) fn cut_power(&self) {
        let mut tree = self.tree();
        for number in 0..tree.nodes.len() {
            let dice = tree.dice();
            match &mut tree.nodes[number] {
                Node::File { content, synced } => {
                    if dice.is_multiple_of(2) {
                        content.clone_from(synced);
                    } else {
                        let length = usize::try_from(dice >> 8).unwrap() % (content.len() + 1);
                        if content != synced {
                            content.truncate(length);
                        }
                    }
                    synced.clone_from(content);
                }
                Node::Directory { names, synced } => {
                    if dice.is_multiple_of(2) {
                        names.clone_from(synced);
                    }
                    synced.clone_from(names);
                }
            }
        }
    }

    /// Changes one byte of a file that ends with `suffix`, if there is one.
    pub(super) fn damage(&self, path: &Path, suffix: &str) -> bool {
        let mut tree = self.tree();
        let Some(directory) = tree.find(path) else {
            return false;
        };
        let Node::Directory { names, .. } = &tree.nodes[directory] else {
            return false;
        };
        let Some(file) = names.iter().find(|(name, _)| name.ends_with(suffix)) else {
            return false;
        };
        let file = *file.1;
        let dice = usize::try_from(tree.dice() >> 8).unwrap();
        let Node::File { content, synced } = &mut tree.nodes[file] else {
            return false;
        };
        let at = dice % content.len();
        content[at] ^= 0x10;
        synced.clone_from(content);
        true
    }
}

impl Tree {
    fn dice(&mut self) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random
    }

    /// A call begins; an error is the fault that it meets.
    fn call(&mut self) -> io::Result<()> {
        self.calls += 1;
        let failed = || io::Error::new(ErrorKind::StorageFull, "the disk is full");
        if self.dead {
            return Err(failed());
        }
        if let Some((at, fault)) = self.fault
            && at <= self.calls
        {
            self.fault = None;
            self.dead = fault == Fault::Dead;
            return Err(failed());
        }
        Ok(())
    }

    fn find(&self, path: &Path) -> Option<usize> {
        path.components().try_fold(0, |at, part| {
            let Component::Normal(name) = part else {
                return Some(at);
            };
            match &self.nodes[at] {
                Node::Directory { names, .. } => names.get(name.to_str()?).copied(),
                Node::File { .. } => None,
            }
        })
    }

    fn existing(&self, path: &Path) -> io::Result<usize> {
        self.find(path).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn names(&mut self, directory: &Path) -> io::Result<&mut Names> {
        let at = self.existing(directory)?;
        match &mut self.nodes[at] {
            Node::Directory { names, .. } => Ok(names),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn link(&mut self, path: &Path, node: usize) -> io::Result<()> {
        let names = self.names(path.parent().unwrap())?;
        names.insert(name_of(path), node);
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

impl Disk for SimDisk {
    type Lock = Lock;

    fn lock(&self, _: &Path) -> io::Result<Option<Lock>> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        let was_locked = std::mem::replace(&mut tree.locked, true);
        Ok((!was_locked).then(|| Lock(Arc::clone(&self.tree))))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        if tree.find(path).is_none() {
            tree.existing(path.parent().unwrap())?;
            tree.nodes.push(Node::Directory {
                names: Names::new(),
                synced: Names::new(),
            });
            let node = tree.nodes.len() - 1;
            tree.link(path, node)?;
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        Ok(tree.names(path)?.keys().cloned().collect())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        let at = tree.existing(path)?;
        match &tree.nodes[at] {
            Node::File { content, .. } => Ok(content.clone()),
            Node::Directory { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        let at = match tree.find(path) {
            Some(at) => at,
            None => {
                tree.nodes.push(Node::File {
                    content: Vec::new(),
                    synced: Vec::new(),
                });
                let node = tree.nodes.len() - 1;
                tree.link(path, node)?;
                node
            }
        };
        let half = bytes.len() / 2;
        for (end, is_synced) in [
            (0, false),
            (half, false),
            (bytes.len(), false),
            (bytes.len(), true),
        ] {
            if let Node::File { content, synced } = &mut tree.nodes[at] {
                *content = bytes[..end].to_vec();
                if is_synced {
                    synced.clone_from(content);
                }
            }
            self.call(&mut tree)?;
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        let at = tree.existing(from)?;
        tree.names(from.parent().unwrap())?.remove(&name_of(from));
        tree.link(to, at)?;
        // it may fail after it had its effect
        self.call(&mut tree)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        let at = tree.existing(path)?;
        if let Node::Directory { names, synced } = &mut tree.nodes[at] {
            synced.clone_from(names);
        }
        self.call(&mut tree)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        tree.names(path.parent().unwrap())?.remove(&name_of(path));
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut tree = self.tree();
        self.call(&mut tree)?;
        if let Some(at) = tree.find(path) {
            // some of it is removed before the call fails
            if let Node::Directory { names, .. } = &mut tree.nodes[at] {
                names.pop_first();
            }
            self.call(&mut tree)?;
            tree.names(path.parent().unwrap())?.remove(&name_of(path));
        }
        Ok(())
    }

    fn open(&self, path: &Path) -> io::Result<Segment> {
        Segment::from_bytes(self.read(path)?)
    }
}
