//! Notices that nginx.conf, what it includes, or an OpenAPI document is not what it was.
//!
//! Looks by the clock: an editor's rename, a mount that appears and a new file in `sites-enabled` all look the
//! same this way. Knows nothing of what the files say.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::config::{Files, Loaded, System};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Inode, size and time of change in nanoseconds; `None` for what is not there.
type Mark = Option<(u64, u64, i128)>;

/// The files as they were when the configuration was read.
#[derive(Debug)]
pub(super) struct Changes {
    patterns: Vec<String>,
    marks: Vec<(PathBuf, Mark)>,
    documents: Vec<PathBuf>,
}

impl Changes {
    /// The files that nginx.conf consists of, and the OpenAPI documents, which come with what they describe.
    /// logweir's own file is read again at a SIGHUP only: an operator who edits it chooses the moment.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let nginx = loaded
            .nginx
            .iter()
            .flat_map(|nginx| &nginx.files)
            .map(PathBuf::from);
        let documents = loaded.config.routes.documents.clone();
        let paths = nginx.chain(documents.iter().cloned());
        let marks = paths.map(|path| (path.clone(), mark(&path))).collect();
        Self {
            patterns: loaded.patterns.clone(),
            marks,
            documents,
        }
    }

    /// Waits for a change and says what has changed; never returns when there is nothing to look at.
    pub(super) async fn next(&mut self) -> &'static str {
        if self.marks.is_empty() {
            return std::future::pending().await;
        }
        loop {
            tokio::time::sleep(INTERVAL).await;
            let now = self.look();
            if now != self.marks {
                let before = std::mem::replace(&mut self.marks, now);
                let changed = self.marks.iter().find(|file| !before.contains(file));
                return match changed {
                    Some((path, _)) if self.documents.contains(path) => {
                        "an OpenAPI document has changed"
                    }
                    _ => "nginx.conf has changed",
                };
            }
        }
    }

    fn look(&self) -> Vec<(PathBuf, Mark)> {
        let mut paths: Vec<PathBuf> = self.marks.iter().map(|(path, _)| path.clone()).collect();
        for pattern in &self.patterns {
            for path in System.glob(pattern).unwrap_or_default() {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
            .into_iter()
            .map(|path| (path.clone(), mark(&path)))
            .collect()
    }
}

fn mark(path: &Path) -> Mark {
    let metadata = std::fs::metadata(path).ok()?;
    let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some((metadata.ino(), metadata.size(), changed))
}
