//! Reports compressed files that cannot be decoded to their end.
//!
//! Owns: the message and the count. Refuses to know: how a file is decoded. Invariant: each damaged file is reported
//! and counted once until it changes; none is skipped silently. The failure it guards against: half of a file is read,
//! and the missing half is not noticed.

use std::io::{self, ErrorKind};
use std::path::Path;

use super::candidates::OpenedCandidate;
use super::discover::Candidate;
use super::fs::FileSystem;
use super::gzip;
use super::stats::{Leaves, Problem};
use super::stem::Compression;
use super::tailer::Tailer;
use crate::clock::Clock;

/// The first bytes of a gzip file (RFC 1952, 2.3.1).
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Whether an error comes from decoding.
pub(super) fn is_damage(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::InvalidData | ErrorKind::InvalidInput | ErrorKind::UnexpectedEof
    )
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Reports and counts a damaged compressed file.
    pub(super) fn note_damage(&mut self, path: &Path, error: &io::Error) {
        let text = format!(
            "is damaged ({error}): what is behind the damage cannot be read; it is tried again when the file \
             changes"
        );
        let problem = Problem::new(path, text).leaving(Leaves::Damaged);
        if !self.lasting_problems.contains(&problem) {
            let reason = match error.kind() {
                ErrorKind::UnexpectedEof => "truncated",
                _ => "corrupt",
            };
            *self.stats.damaged_files.entry(reason).or_default() += 1;
            self.lasting_problems.push(problem.clone());
        }
        if !self.stats.problems.contains(&problem) {
            self.stats.problems.push(problem);
        }
    }

    /// Forgets the damage of files that no longer exist.
    pub(super) fn forget_damage(&mut self) {
        let fs = &self.fs;
        self.lasting_problems.retain(|problem| {
            problem.leaves != Leaves::Damaged || fs.metadata(&problem.path).is_ok()
        });
    }

    /// Examines a compressed file in which no line was found: it contains none, or it is cut off before the first one
    /// ends.
    pub(super) fn look_for_damage(&mut self, opened: &OpenedCandidate<'_, F>) {
        let path = &opened.candidate.path;
        match gzip::decodes(&self.fs, &opened.file) {
            Ok(()) => self
                .lasting_problems
                .retain(|problem| problem.path != *path),
            Err(error) if is_damage(&error) => self.note_damage(path, &error),
            Err(_) => return,
        }
        self.seen.note_lineless(&opened.content.metadata);
    }

    /// Reports why a compressed file could not be decoded at all; false when its content is not the reason.
    pub(super) fn is_undecodable(&mut self, candidate: &Candidate, error: &io::Error) -> bool {
        if candidate.compression != Some(Compression::Gzip) || !is_damage(error) {
            return false;
        }
        let mut magic = [0; 2];
        let read = self.fs.open(&candidate.path);
        let read = read.and_then(|(file, _)| self.fs.read_at(&file, &mut magic, 0));
        if read.is_ok() && magic != MAGIC {
            let text = "is no gzip file, although its name says so: it is not read; give it the name that fits, or \
                        move it away";
            let problem = Problem::new(&candidate.path, text.to_owned());
            self.stats.problems.push(problem.leaving(Leaves::Input));
        } else {
            self.note_damage(&candidate.path, error);
        }
        true
    }
}
