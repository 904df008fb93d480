//! The files that were open at the last poll, for the debug log.
//!
//! Owns the difference between two polls. Refuses to know why a file is opened or closed. Invariant: a renamed file
//! counts as neither closed nor opened.

use std::collections::HashMap;
use std::path::PathBuf;

use crate::event::FileKey;
use crate::tail::Lag;

/// The open files by their identity.
#[derive(Debug, Default)]
pub(super) struct OpenFiles(HashMap<FileKey, PathBuf>);

impl OpenFiles {
    /// Logs what has changed; costs nothing unless debug lines are wanted.
    pub(super) fn log_changes(&mut self, open: &[Lag]) {
        if tracing::enabled!(tracing::Level::DEBUG) {
            for change in self.changes(open) {
                match change {
                    Change::Opened(path) => {
                        tracing::debug!(path = %path.display(), "log file opened")
                    }
                    Change::Closed(path) => {
                        tracing::debug!(path = %path.display(), "log file closed")
                    }
                    Change::Renamed(from, to) => {
                        tracing::debug!(from = %from.display(), to = %to.display(), "log file renamed");
                    }
                }
            }
        }
    }

    fn changes(&mut self, open: &[Lag]) -> Vec<Change> {
        let now: HashMap<FileKey, PathBuf> = open
            .iter()
            .map(|lag| (lag.file, lag.path.clone()))
            .collect();
        let mut changes = Vec::new();
        for (file, path) in &now {
            match self.0.remove(file) {
                None => changes.push(Change::Opened(path.clone())),
                Some(before) if before != *path => {
                    changes.push(Change::Renamed(before, path.clone()))
                }
                Some(_) => {}
            }
        }
        changes.extend(self.0.drain().map(|(_, path)| Change::Closed(path)));
        changes.sort();
        self.0 = now;
        changes
    }
}

/// A change. Renames sort first, so that a new file with a name follows the rename of the old one.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Renamed(PathBuf, PathBuf),
    Closed(PathBuf),
    Opened(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rotation_is_a_rename_and_a_new_file() {
        let lag = |file, path: &str| Lag {
            file: FileKey(file),
            log: 0,
            path: path.into(),
            unread: 0,
            framing: crate::framing::LineFraming::Raw,
        };
        let mut files = OpenFiles::default();
        assert_eq!(
            files.changes(&[lag(1, "/a")]),
            [Change::Opened("/a".into())]
        );
        assert_eq!(files.changes(&[lag(1, "/a")]), []);
        assert_eq!(
            files.changes(&[lag(1, "/a.1"), lag(2, "/a")]),
            [
                Change::Renamed("/a".into(), "/a.1".into()),
                Change::Opened("/a".into())
            ]
        );
        assert_eq!(
            files.changes(&[lag(2, "/a")]),
            [Change::Closed("/a.1".into())]
        );
    }
}
