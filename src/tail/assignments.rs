//! Remembers which content belongs to which log, even if the positions are lost.
//!
//! Owns: `assignments.json` under `data_dir` (docs/STATE.md), its format, reading and writing. Refuses to know:
//! positions, and how a file is matched. Invariant: an assignment is on disk before any position that depends on it.
//! The failure it guards against: after a loss of positions, a rotated file whose name does not identify its log is
//! forgotten, or gets another log's identity, and its lines are indexed a second time.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Problem, TailError};
use crate::disk::{Disk, DiskError, Replaced, replace};

const MAGIC: &str = "logweir assignments";
const VERSION: u32 = 1;

/// The content of one file of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Assignment {
    /// The log's name.
    pub(super) log: String,
    /// [`super::identity::beginning`] of the first line, 16 hexadecimal digits.
    pub(super) beginning: String,
    /// The path and the inode where it was last seen (the path is lossy if the name is not UTF-8). They decide between
    /// logs whose files have the same beginning.
    pub(super) path: String,
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Whether the name of the file does not identify its log.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) by_content: bool,
    /// When it was last seen, milliseconds since 1970, rounded down to days.
    pub(super) seen: i64,
}

impl Assignment {
    /// The hash of its first line; `None` if the file was edited by hand to something invalid.
    pub(super) fn beginning(&self) -> Option<u64> {
        u64::from_str_radix(&self.beginning, 16).ok()
    }

    pub(super) fn begins_with(&self, beginning: u64) -> bool {
        self.beginning() == Some(beginning)
    }

    /// Whether both describe the same file.
    pub(super) fn is_of_file(&self, other: &Self) -> bool {
        let file = |of: &Self| (of.device, of.inode);
        file(self) == file(other) && self.log == other.log && self.beginning == other.beginning
    }
}

#[derive(Serialize, Deserialize)]
struct File<A> {
    magic: String,
    version: u32,
    files: A,
}

/// The path of the file, and its content.
#[derive(Debug)]
pub(super) struct Assignments {
    /// `None`: nothing is kept.
    path: Option<PathBuf>,
    /// The assignments on disk; `None` if they are not known.
    saved: Option<Vec<Assignment>>,
}

impl Assignments {
    /// Keeps nothing.
    pub(super) fn unkept() -> Self {
        Self {
            path: None,
            saved: None,
        }
    }

    /// Reads the file of a state directory. `problems` gets the unusable parts, which are determined again from the
    /// contents.
    pub(super) fn load(
        disk: &dyn Disk,
        data_dir: &Path,
        problems: &mut Vec<Problem>,
    ) -> Result<(Self, Vec<Assignment>), TailError> {
        let path = data_dir.join("assignments.json");
        let files = match disk.read(&path) {
            Ok(bytes) => decode(&bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Some(Vec::new()),
            Err(source) => return Err(DiskError::new("read", &path, source).into()),
        };
        if files.is_none() {
            problems.push(Problem::new(
                &path,
                "is damaged and not used: which rotated file belongs to which log is found out from their \
                 contents again"
                    .to_owned(),
            ));
        }
        let known = files.clone().unwrap_or_default();
        let path = Some(path);
        Ok((Self { path, saved: files }, known))
    }

    /// Writes the assignments durably, if they differ from those on disk.
    pub(super) fn save(
        &mut self,
        disk: &dyn Disk,
        assignments: Vec<Assignment>,
    ) -> Result<(), TailError> {
        let Some(path) = &self.path else {
            return Ok(());
        };
        if self.saved.as_ref() == Some(&assignments) {
            return Ok(());
        }
        let text = serde_json::to_vec(&File {
            magic: MAGIC.to_owned(),
            version: VERSION,
            files: &assignments,
        });
        let mut bytes = text.map_err(|source| DiskError::new("write", path, source.into()))?;
        bytes.push(b'\n');
        // Until the write is known to be complete, the content of the file is unknown.
        self.saved = None;
        replace(disk, Replaced::state(path), |out| out.write_all(&bytes))?;
        self.saved = Some(assignments);
        Ok(())
    }
}

fn decode(bytes: &[u8]) -> Option<Vec<Assignment>> {
    let file: File<Vec<Assignment>> = serde_json::from_slice(bytes).ok()?;
    (file.magic == MAGIC && file.version == VERSION).then_some(file.files)
}
