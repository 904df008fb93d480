//! The state directory: its lock, the host's name, and the generations of the checkpoint.
//!
//! Owns: `run/lock`, `run/checkpoint`, `run/checkpoint.previous` and `identity` under `data_dir`. Refuses
//! to know: what the positions mean. Invariant: at every instant a power cut leaves at least one whole
//! checkpoint that was once saved (write, fsync, rename, fsync of the directory, in this order). The failure
//! it guards against: an empty or torn file after a crash, and two agents in one directory.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Problem;
use super::TailError;
use super::checkpoint::{self, Checkpoint};
use super::fs::FileSystem;

/// What the state directory held at the start.
#[derive(Debug)]
pub(super) enum FoundState {
    /// No agent was here before.
    FirstStart,
    /// An agent was here, but no checkpoint can be used, and all files that are there are read again. The times of that
    /// agent, where they are known: the trusted one, and that of its clock.
    Used(Option<(i64, i64)>),
    /// The newest valid checkpoint, of the same output.
    Checkpoint(Box<Checkpoint>),
}

/// The state directory, locked while this lives.
pub(super) struct State<F: FileSystem> {
    fs: F,
    data_dir: PathBuf,
    run: PathBuf,
    _lock: F::Lock,
    generation: u64,
    /// The newest file was damaged: it must not replace the whole one before it.
    damaged: bool,
}

impl<F: FileSystem> State<F> {
    /// Takes the lock; a second agent on the same directory is refused.
    pub(super) fn lock(fs: F, data_dir: &Path) -> Result<Self, TailError> {
        let run = data_dir.join("run");
        fs.create_dir_all(&run)
            .map_err(|source| state_error("create", &run, source))?;
        let path = run.join("lock");
        let lock = fs
            .lock(&path)
            .map_err(|source| state_error("lock", &path, source))?;
        let lock = lock.ok_or_else(|| TailError::Locked { path: path.clone() })?;
        Ok(Self {
            fs,
            data_dir: data_dir.to_owned(),
            run,
            _lock: lock,
            generation: 0,
            damaged: false,
        })
    }

    /// Whether this is the state of that directory.
    pub(super) fn is_of(&self, data_dir: &Path) -> bool {
        self.data_dir == data_dir
    }

    /// Reads what is there; `problems` gets what cannot be used. Also gives the host's name, where it is known.
    pub(super) fn load(
        &mut self,
        output: &str,
        problems: &mut Vec<Problem>,
    ) -> Result<(FoundState, Option<String>), TailError> {
        let identity = self.read_file(&self.data_dir.join("identity"))?;
        let mut host = identity.as_deref().and_then(parse_identity);
        let mut used = identity.is_some();
        let mut newest: Option<Checkpoint> = None;
        for name in ["checkpoint", "checkpoint.previous"] {
            let path = self.run.join(name);
            let Some(bytes) = self.read_file(&path)? else {
                continue;
            };
            used = true;
            match checkpoint::decode(&bytes) {
                Ok(found) => {
                    let newer = newest
                        .as_ref()
                        .is_none_or(|old| old.header.generation < found.header.generation);
                    if newer {
                        newest = Some(found);
                    }
                }
                Err(invalid) => {
                    self.damaged |= name == "checkpoint";
                    problems.push(Problem::new(
                        &path,
                        format!(
                            "is not used: {invalid}; the lines after its positions are read again, without duplicates"
                        ),
                    ));
                }
            }
        }
        let Some(mut newest) = newest else {
            let found = if used {
                FoundState::Used(None)
            } else {
                FoundState::FirstStart
            };
            return Ok((found, host));
        };
        // The identity file is written after the first checkpoint, so that a crash in between leaves it to the next
        // start; and a lost one is written again while its content is known. A full disk, where it cannot be written,
        // does not keep the logs from being read.
        if host.is_none() {
            if let Err(error) = self.fix_host(&newest.header.host) {
                problems.push(Problem::new(
                    &self.data_dir.join("identity"),
                    format!("is lost, and {error}; it is tried again at the next start"),
                ));
            }
            host = Some(newest.header.host.clone());
        }
        self.generation = newest.header.generation;
        // A log that only the damaged checkpoint knew is new to the one before, but its files are no history.
        newest.header.read_all |= self.damaged;
        if newest.header.output != output {
            problems.push(Problem::new(
                &self.run.join("checkpoint"),
                format!(
                    "belongs to the output {}, not to {output}: its positions are not used and the logs are \
                     read from their beginning; give each output a data_dir of its own",
                    newest.header.output
                ),
            ));
            return Ok((FoundState::Used(Some(newest.header.time())), host));
        }
        if let Some(rules) = newest.header.other_rules() {
            problems.push(Problem::new(
                &self.run.join("checkpoint"),
                format!(
                    "was saved under rule {rules} of identity, and now rule {} holds: its positions are used, but a line \
                     without a time of nginx's own that was sent and not yet acknowledged then may be indexed twice",
                    checkpoint::IDENTITY_RULES
                ),
            ));
        }
        Ok((FoundState::Checkpoint(Box::new(newest)), host))
    }

    /// The number of the next save.
    pub(super) fn next_generation(&self) -> u64 {
        self.generation + 1
    }

    /// Makes `checkpoint` the newest, durably; the one before becomes the previous one.
    pub(super) fn save(&mut self, checkpoint: &Checkpoint) -> Result<(), TailError> {
        let bytes = checkpoint::encode(checkpoint)
            .map_err(|source| self.failed("write", "checkpoint.new", source.into()))?;
        let current = self.run.join("checkpoint");
        write_synced(&self.fs, &self.run.join("checkpoint.new"), &bytes)?;
        if !self.damaged {
            let previous = self.run.join("checkpoint.previous");
            match self.fs.rename(&current, &previous) {
                Err(source) if source.kind() != ErrorKind::NotFound => {
                    return Err(self.failed("rename", "checkpoint", source));
                }
                _ => {}
            }
        }
        self.fs
            .rename(&self.run.join("checkpoint.new"), &current)
            .map_err(|source| self.failed("rename", "checkpoint.new", source))?;
        self.fs
            .sync_dir(&self.run)
            .map_err(|source| self.failed("fsync", "", source))?;
        self.generation = checkpoint.header.generation;
        self.damaged = false;
        Ok(())
    }

    /// Writes the host's name, which stays for this directory for ever.
    pub(super) fn fix_host(&self, host: &str) -> Result<(), TailError> {
        let text = serde_json::json!({ "magic": "logweir identity", "version": 1, "host": host });
        let path = self.data_dir.join("identity");
        replace_file(&self.fs, &path, format!("{text}\n").as_bytes())
    }

    fn read_file(&self, path: &Path) -> Result<Option<Vec<u8>>, TailError> {
        match self.fs.read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            // An unreadable file is not an absent one: a start without it would read everything again each time.
            Err(source) => Err(state_error("read", path, source)),
        }
    }

    fn failed(&self, action: &'static str, name: &str, source: io::Error) -> TailError {
        state_error(action, &self.run.join(name), source)
    }
}

/// Gives a file of the state directory this content, durably and whole: at every instant a power cut leaves the
/// old content or the new one. Until it is complete its name ends in `.new`.
pub(crate) fn replace_file<F: FileSystem>(
    fs: &F,
    path: &Path,
    bytes: &[u8],
) -> Result<(), TailError> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    write_synced(fs, &new, bytes)?;
    fs.rename(&new, path)
        .map_err(|source| state_error("rename", path, source))?;
    let directory = path.parent().unwrap_or(path);
    fs.sync_dir(directory)
        .map_err(|source| state_error("fsync", directory, source))
}

fn write_synced<F: FileSystem>(fs: &F, path: &Path, bytes: &[u8]) -> Result<(), TailError> {
    let failed = |action| move |source| state_error(action, path, source);
    let file = fs.create(path).map_err(failed("create"))?;
    fs.write_all(&file, bytes).map_err(failed("write"))?;
    fs.sync(&file).map_err(failed("fsync"))
}

fn state_error(action: &'static str, path: &Path, source: io::Error) -> TailError {
    TailError::State {
        action,
        path: path.to_owned(),
        source,
    }
}

fn parse_identity(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("host")?.as_str()?.to_owned())
}
