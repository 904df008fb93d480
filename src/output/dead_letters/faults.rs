#![allow(clippy::unwrap_used, clippy::expect_used)]
//! Each durable step fails, once or for a while, or the machine dies before or after it and loses what was not
//! fsynced: an entry whose append returned `Ok` is there afterwards, unless a rewrite dropped it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Mutex;

use super::*;
use tempfile::TempDir;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Write,
    Sync,
    Cut,
    Rename,
    SyncDirectory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// It fails this many times.
    Error(usize),
    /// Nothing happens from here on.
    CrashBefore,
    /// It happens, but no later step.
    CrashAfter,
}

#[derive(Debug, Default)]
struct Durable {
    /// By inode.
    contents: HashMap<u64, Vec<u8>>,
    names: BTreeMap<std::ffi::OsString, u64>,
    /// The directory's own name.
    directory: bool,
}

/// The host's disk with a fault; it remembers what fsync made durable.
#[derive(Debug)]
struct FaultyDisk {
    directory: PathBuf,
    fault: Mutex<Option<(Step, usize, How)>>,
    dead: Mutex<bool>,
    durable: Mutex<Durable>,
}

impl FaultyDisk {
    fn step(
        &self,
        step: Step,
        act: impl FnOnce() -> io::Result<()>,
        partly: impl FnOnce(),
    ) -> io::Result<()> {
        let failed = || Err(io::Error::from(io::ErrorKind::StorageFull));
        if *self.dead.lock().unwrap() {
            return failed();
        }
        let mut fault = self.fault.lock().unwrap();
        let how = match &mut *fault {
            Some((at, skip, how)) if *at == step && *skip == 0 => *how,
            Some((at, skip, _)) if *at == step => {
                *skip -= 1;
                return act();
            }
            _ => return act(),
        };
        match how {
            How::Error(times) => {
                *fault = (times > 1).then_some((step, 0, How::Error(times - 1)));
                partly();
                failed()
            }
            How::CrashBefore => {
                *self.dead.lock().unwrap() = true;
                partly();
                failed()
            }
            How::CrashAfter => {
                act()?;
                *self.dead.lock().unwrap() = true;
                failed()
            }
        }
    }

    /// Keeps what fsync made durable, and a part of the rest.
    fn power_cut(&self, torn: usize) {
        *self.dead.lock().unwrap() = false;
        *self.fault.lock().unwrap() = None;
        let mut durable = self.durable.lock().unwrap();
        let mut left = BTreeMap::new();
        for (name, inode) in &durable.names {
            let path = self.directory.join(name);
            let mut content = durable.contents.get(inode).cloned().unwrap_or_default();
            let now = std::fs::metadata(&path)
                .ok()
                .filter(|now| now.ino() == *inode)
                .map(|_| std::fs::read(&path).unwrap());
            if let Some(now) = now
                && now.starts_with(&content)
            {
                let more = (now.len() - content.len()) * torn / 256;
                content = now[..content.len() + more].to_vec();
            }
            left.insert(name.clone(), content);
        }
        let _ = std::fs::remove_dir_all(&self.directory);
        let there = durable.directory;
        *durable = Durable::default();
        if there {
            std::fs::create_dir(&self.directory).unwrap();
            for (name, content) in left {
                let path = self.directory.join(&name);
                std::fs::write(&path, &content).unwrap();
                let inode = std::fs::metadata(&path).unwrap().ino();
                durable.contents.insert(inode, content);
                durable.names.insert(name, inode);
            }
            durable.directory = true;
        }
    }
}

impl Disk for FaultyDisk {
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        let mut half = file.try_clone().unwrap();
        self.step(
            Step::Write,
            || file.write_all(bytes),
            // A full disk takes a part.
            || half.write_all(&bytes[..bytes.len() / 2]).unwrap(),
        )
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        let act = || {
            let metadata = file.metadata()?;
            let mut content = vec![0; usize::try_from(metadata.len()).unwrap()];
            // A file that is only written to cannot be read through its handle.
            let handle = File::open(format!(
                "/proc/self/fd/{}",
                std::os::fd::AsRawFd::as_raw_fd(file)
            ))?;
            handle.read_exact_at(&mut content, 0)?;
            let mut durable = self.durable.lock().unwrap();
            durable.contents.insert(metadata.ino(), content);
            Ok(())
        };
        self.step(Step::Sync, act, || {})
    }

    fn cut(&self, file: &File, length: u64) -> io::Result<()> {
        self.step(Step::Cut, || file.set_len(length), || {})
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step(Step::Rename, || std::fs::rename(from, to), || {})
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let act = || {
            let mut durable = self.durable.lock().unwrap();
            if directory != self.directory {
                durable.directory = self.directory.is_dir();
                return Ok(());
            }
            durable.names = std::fs::read_dir(directory)?
                .map(|entry| {
                    entry.map(|entry| (entry.file_name(), entry.metadata().unwrap().ino()))
                })
                .collect::<io::Result<_>>()?;
            Ok(())
        };
        self.step(Step::SyncDirectory, act, || {})
    }
}

fn entry(id: usize, kind: EntryKind) -> Entry {
    let id = format!("{id:04}");
    let reason = Rejection {
        kind: "index_closed_exception".into(),
        text: "closed".into(),
        status: 400,
    };
    Entry::new(kind, 0, ("day", &id), b"{\"n\":1}\n", None, reason)
}

/// Appends and rewrites with one fault, then a power cut, then more of the same.
fn live(step: Step, skip: usize, how: How, torn: usize) {
    let data_dir = TempDir::new().unwrap();
    let disk = Arc::new(FaultyDisk {
        directory: data_dir.path().join(DIRECTORY),
        fault: Mutex::new(Some((step, skip, how))),
        dead: Mutex::new(false),
        durable: Mutex::new(Durable::default()),
    });
    let file = DeadLetters {
        disk: Arc::clone(&disk) as Arc<dyn Disk>,
        ..DeadLetters::new(data_dir.path(), 1 << 20)
    };
    // Entries that are durable; the file may hold more.
    let mut settled = BTreeSet::new();
    let case = format!("{step:?} {skip} {how:?} {torn}");
    for round in 0..2 {
        for batch in 0..4 {
            let id = round * 100 + batch * 10;
            let entries = [entry(id, EntryKind::Parked), entry(id + 1, EntryKind::Dead)];
            if file.append(&entries).is_ok() {
                settled.extend([id, id + 1]);
            }
            if batch % 2 == 1 {
                // The parked ones are in the cluster by now.
                let fate = |entry: &Entry| match entry.kind {
                    EntryKind::Parked => EntryChange::Remove,
                    EntryKind::Dead => EntryChange::Keep,
                };
                let _ = file.rewrite(fate);
                settled.retain(|id| id % 10 == 1);
            }
        }
        disk.power_cut(torn);
        let there: BTreeSet<usize> = file
            .entries()
            .unwrap()
            .map(|entry| entry.unwrap().id.parse().unwrap())
            .collect();
        let lost: Vec<&usize> = settled.difference(&there).collect();
        assert!(lost.is_empty(), "{case}: lost {lost:?}");
    }
    // Without faults everything is taken.
    assert!(
        settled.is_superset(&BTreeSet::from([101, 111, 121, 131])),
        "{case}"
    );
}

#[test]
fn settled_entries_survive_every_step_that_fails() {
    let steps = [
        Step::Write,
        Step::Sync,
        Step::Cut,
        Step::Rename,
        Step::SyncDirectory,
    ];
    for step in steps {
        for skip in 0..6 {
            for how in [
                How::Error(1),
                How::Error(5),
                How::CrashBefore,
                How::CrashAfter,
            ] {
                for torn in [0, 100] {
                    live(step, skip, how, torn);
                }
            }
        }
    }
}
