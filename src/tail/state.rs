//! The state directory: its lock, the host's name, and the generations of the checkpoint.
//!
//! Owns: `run/lock`, `run/checkpoint` and `run/checkpoint.previous`, the same for other outputs with the output's mark
//! after the name (`run/checkpoint-…`), and `identity` under `data_dir`. Refuses to know: what the positions mean, and
//! how a file is made durable. Invariant: at every instant a power cut leaves at least one complete checkpoint that was
//! once saved. The failure it guards against: a damaged file replaces the complete one before it, and two agents use
//! one directory.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::Problem;
use super::TailError;
use super::checkpoint::{self, Checkpoint};
use super::fs::FileSystem;
use crate::disk::{Disk, DiskError, DiskLock, Replaced, Rights, replace};

/// The content of the state directory at the start.
#[derive(Debug)]
pub(super) enum FoundState {
    /// No agent ran here before.
    FirstStart,
    /// An agent ran here, but no checkpoint is usable, and all existing files are read again. Contains the times of
    /// that agent, if they are known: the trusted time and the time of its clock.
    Used(Option<(i64, i64)>),
    /// The newest valid checkpoint, of the same output.
    Checkpoint(Box<Checkpoint>),
}

/// The state directory, locked while this value lives.
pub(super) struct State {
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    run: PathBuf,
    /// Locked while this value lives; without a lock nothing is kept.
    lock: Option<DiskLock>,
    /// The file with this output's positions: the first output of a directory has the plain name.
    name: String,
    generation: u64,
    /// Whether the newest file was damaged: it must not replace the complete one before it.
    damaged: bool,
}

/// Permission bits of the directory.
const DIRECTORY: u32 = 0o750;

/// The name of the positions of the first output of a directory.
const PLAIN_NAME: &str = "checkpoint";

/// The checkpoints under one name.
#[derive(Default)]
struct Loaded {
    newest: Option<Checkpoint>,
    /// Whether a file existed, complete or not.
    used: bool,
    /// Whether the newest file is incomplete.
    damaged: bool,
}

impl State {
    /// Takes the lock; a second agent on the same directory is refused.
    pub(super) fn lock(disk: Arc<dyn Disk>, data_dir: &Path) -> Result<Self, TailError> {
        let run = data_dir.join("run");
        (disk.create_dir_all(&run, DIRECTORY))
            .map_err(|source| DiskError::new("create", &run, source))?;
        let path = run.join("lock");
        let lock = disk
            .try_lock(&path, Rights::STATE)
            .map_err(|source| DiskError::new("lock", &path, source))?;
        let lock = lock.ok_or_else(|| TailError::Locked { path: path.clone() })?;
        Ok(Self {
            disk,
            data_dir: data_dir.to_owned(),
            run,
            lock: Some(lock),
            name: PLAIN_NAME.to_owned(),
            generation: 0,
            damaged: false,
        })
    }

    /// Keeps nothing, and only reads the host's name that an agent has saved in the directory.
    pub(super) fn unkept(disk: Arc<dyn Disk>, data_dir: &Path) -> Self {
        Self {
            disk,
            data_dir: data_dir.to_owned(),
            run: data_dir.join("run"),
            lock: None,
            name: PLAIN_NAME.to_owned(),
            generation: 0,
            damaged: false,
        }
    }

    /// Whether positions are kept.
    pub(super) fn is_kept(&self) -> bool {
        self.lock.is_some()
    }

    /// Whether this is the state of the given directory.
    pub(super) fn is_of(&self, data_dir: &Path) -> bool {
        self.data_dir == data_dir
    }

    /// The first start of a run that keeps nothing, and the host's name where it can be read.
    pub(super) fn load_unkept(&self) -> (FoundState, Option<String>) {
        let identity = self.read_file(&self.data_dir.join("identity"));
        let host = identity.ok().flatten().as_deref().and_then(parse_identity);
        (FoundState::FirstStart, host)
    }

    /// Reads the existing files; `problems` gets those that cannot be used. Also returns the host's name, if it is
    /// known.
    pub(super) fn load(
        &mut self,
        output: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<(FoundState, Option<String>), TailError> {
        let identity = self.read_file(&self.data_dir.join("identity"))?;
        let mut host = identity.as_deref().and_then(parse_identity);
        let mut loaded = self.load_checkpoint(PLAIN_NAME, problems)?;
        let own_name = format!("{PLAIN_NAME}-{:016x}", xxh3_64(output.as_bytes()));
        let own = self.load_checkpoint(&own_name, problems)?;
        let of_another = (loaded.newest.as_ref())
            .filter(|newest| newest.header.output != output)
            .map(|newest| (newest.header.output.clone(), newest.header.time()));
        let known_host = [&loaded, &own].into_iter().find_map(|loaded| {
            let newest = loaded.newest.as_ref()?;
            Some(newest.header.host.clone())
        });
        // A reload may name another output than the load before.
        PLAIN_NAME.clone_into(&mut self.name);
        if own.used || of_another.is_some() {
            (self.name, loaded) = (own_name, own);
            loaded.newest = loaded
                .newest
                .filter(|newest| newest.header.output == output);
        }
        // The identity file is written after the first checkpoint, so that after a crash in between the next start
        // writes it; and a lost identity file is written again while its content is known. If the disk is full and it
        // cannot be written, the logs are still read.
        if host.is_none()
            && let Some(known) = known_host
        {
            if let Err(error) = self.fix_host(&known) {
                problems.push(Problem::new(
                    &self.data_dir.join("identity"),
                    format!("is lost, and {error}; it is tried again at the next start"),
                ));
            }
            host = Some(known);
        }
        self.damaged = loaded.damaged;
        let Some(mut newest) = loaded.newest else {
            let found = match of_another {
                Some((another, time)) => {
                    problems.push(Problem::new(
                        &self.run.join(PLAIN_NAME),
                        format!(
                            "belongs to the output {another}, not to {output}: its positions stay as they are, and for \
                             {output} the logs are read from their beginning"
                        ),
                    ));
                    FoundState::Used(Some(time))
                }
                None if loaded.used || identity.is_some() => FoundState::Used(None),
                None => FoundState::FirstStart,
            };
            return Ok((found, host));
        };
        self.generation = newest.header.generation;
        // A log that only the damaged checkpoint contained is new to the previous one, but its files are not history.
        newest.header.read_all |= self.damaged;
        if let Some(rules) = newest.header.other_rules() {
            problems.push(Problem::new(
                &self.run.join(&self.name),
                format!(
                    "was saved under rule {rules} of identity, and now rule {} holds: its positions are used, but a line \
                     without a time of nginx's own that was sent and not yet acknowledged then may be indexed twice",
                    checkpoint::IDENTITY_RULES
                ),
            ));
        }
        Ok((FoundState::Checkpoint(Box::new(newest)), host))
    }

    /// Reads the newest complete checkpoint under this name.
    fn load_checkpoint(
        &self,
        name: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<Loaded, TailError> {
        let mut loaded = Loaded::default();
        for name in [name.to_owned(), format!("{name}.previous")] {
            let path = self.run.join(&name);
            let Some(bytes) = self.read_file(&path)? else {
                continue;
            };
            loaded.used = true;
            match checkpoint::decode(&bytes) {
                Ok(found) => {
                    let newer = (loaded.newest.as_ref())
                        .is_none_or(|old| old.header.generation < found.header.generation);
                    if newer {
                        loaded.newest = Some(found);
                    }
                }
                Err(invalid) => {
                    loaded.damaged |= !name.ends_with(".previous");
                    problems.push(Problem::new(
                        &path,
                        format!(
                            "is not used: {invalid}; the lines after its positions are read again, without duplicates"
                        ),
                    ));
                }
            }
        }
        Ok(loaded)
    }

    /// The number of the next save.
    pub(super) fn next_generation(&self) -> u64 {
        self.generation + 1
    }

    /// Makes `checkpoint` the newest one, durably; the present one becomes the previous one.
    pub(super) fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), TailError> {
        let current = self.run.join(&self.name);
        let bytes = checkpoint::encode(checkpoint)
            .map_err(|source| DiskError::new("write", &current, source.into()))?;
        let mut file = Replaced::state(&current);
        if !self.damaged {
            file = file.keeping(".previous");
        }
        replace(&*self.disk, file, |out| out.write_all(&bytes))?;
        self.generation = checkpoint.header.generation;
        self.damaged = false;
        Ok(())
    }

    /// Writes the host's name, which is fixed for this directory from then on.
    pub(super) fn fix_host(&self, host: &str) -> Result<(), TailError> {
        let text = serde_json::json!({ "magic": "logweir identity", "version": 1, "host": host });
        let path = self.data_dir.join("identity");
        let text = format!("{text}\n");
        let file = Replaced::state(&path);
        Ok(replace(&*self.disk, file, |out| {
            out.write_all(text.as_bytes())
        })?)
    }

    fn read_file(&self, path: &Path) -> Result<Option<Vec<u8>>, TailError> {
        match self.disk.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // An unreadable file is not an absent one: a start without it would read everything again each time.
            Err(source) => Err(DiskError::new("read", path, source).into()),
        }
    }
}

/// The outputs whose positions are in a state directory. Files that cannot be read are reported at the start.
pub(crate) fn known_outputs<F: FileSystem>(fs: &F, data_dir: &Path) -> Vec<String> {
    let run = data_dir.join("run");
    let names = fs.read_dir(&run).unwrap_or_default();
    let checkpoints = names.iter().filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with(PLAIN_NAME) && !name.ends_with(".new")
    });
    let mut outputs: Vec<String> = checkpoints
        .filter_map(|name| fs.disk().read(&run.join(name)).ok())
        .filter_map(|bytes| checkpoint::decode(&bytes).ok())
        .map(|checkpoint| checkpoint.header.output)
        .collect();
    outputs.sort();
    outputs.dedup();
    outputs
}

fn parse_identity(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("host")?.as_str()?.to_owned())
}
