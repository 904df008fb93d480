//! Notices that nginx.conf, what it includes, an OpenAPI document or a file of `[enrich]` is not what it was.
//!
//! Looks by the clock, and when a line is in no known format: an editor's rename, a mount that appears and a new
//! file in `sites-enabled` all look the same this way. Knows nothing of what the files say. Invariant: the marks
//! are older than what was read, so that no change falls between the two.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ports::{ConfigChanges, WatchedConfig};
use crate::config::{ConfigErrors, Files, Loaded, System};

/// How often it looks.
const INTERVAL: Duration = Duration::from_secs(5);

/// Inode, size and time of change in nanoseconds; `None` for what is not there.
type Mark = Option<(u64, u64, i128)>;

/// The files with their marks.
pub(super) type Marks = Vec<(PathBuf, Mark)>;

/// A file is not what it was.
#[derive(Debug, Clone)]
pub(super) struct Change {
    /// What has changed, for the log.
    pub(super) what: &'static str,
    /// The files as they are now.
    pub(super) marks: Marks,
}

/// The files as they were when the configuration was read.
#[derive(Debug)]
pub(crate) struct Changes {
    patterns: Vec<String>,
    marks: Mutex<Marks>,
    /// Those which are not nginx's, with what to say of a change.
    others: Vec<(PathBuf, &'static str)>,
    /// Somebody has seen a change.
    seen: Notify,
}

impl Changes {
    /// The files that nginx.conf consists of, the OpenAPI documents, which come with what they describe, and those
    /// of `[enrich]`, which others replace by themselves, as geoipupdate does.
    /// logweir's own file is read again at a SIGHUP only: an operator who edits it chooses the moment.
    fn of(loaded: &Loaded) -> Self {
        let nginx = loaded
            .nginx
            .iter()
            .flat_map(|nginx| &nginx.files)
            .map(PathBuf::from);
        let documents = loaded.config.routes.documents.iter();
        let documents = documents.map(|path| (path.clone(), "an OpenAPI document has changed"));
        let enrichment = loaded.config.enrich.files();
        let enrichment =
            enrichment.map(|(_, about)| (about.path.clone(), "a file of [enrich] has changed"));
        let others: Vec<_> = documents.chain(enrichment).collect();
        let paths = nginx.chain(others.iter().map(|(path, _)| path.clone()));
        let marks = paths.map(|path| (path.clone(), mark(&path))).collect();
        Self {
            patterns: loaded.patterns.clone(),
            marks: Mutex::new(marks),
            others,
            seen: Notify::new(),
        }
    }

    /// Whether they are the same files, so that `self` tells of changes to what `loaded` was read from.
    fn cover(&self, loaded: &Loaded) -> bool {
        let now = Self::of(loaded);
        let paths = |changes: &Self| -> Vec<PathBuf> {
            changes
                .marks()
                .iter()
                .map(|(path, _)| path.clone())
                .collect()
        };
        self.patterns == now.patterns && self.others == now.others && paths(self) == paths(&now)
    }

    fn name(&self, now: &Marks) -> &'static str {
        let known = self.marks();
        let known: HashSet<&(PathBuf, Mark)> = known.iter().collect();
        let changed = now.iter().find(|file| !known.contains(file));
        let other =
            changed.and_then(|(changed, _)| self.others.iter().find(|(path, _)| path == changed));
        other.map_or("nginx.conf has changed", |(_, what)| what)
    }

    fn change(&self) -> Option<Marks> {
        let known = self.marks().clone();
        if known.is_empty() {
            return None;
        }
        let mut paths: Vec<PathBuf> = known.iter().map(|(path, _)| path.clone()).collect();
        let mut seen: HashSet<PathBuf> = paths.iter().cloned().collect();
        for pattern in &self.patterns {
            let found = System.glob(pattern).unwrap_or_default().into_iter();
            paths.extend(found.filter(|path| seen.insert(path.clone())));
        }
        let now: Marks = paths
            .into_iter()
            .map(|path| (path.clone(), mark(&path)))
            .collect();
        (now != known).then_some(now)
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConfigChanges for Changes {
    /// Waits for a change; never returns when there is nothing to look at.
    async fn next(&self) -> Change {
        if self.marks().is_empty() {
            return std::future::pending().await;
        }
        loop {
            // Woken early or late, it looks for itself.
            let _ = tokio::time::timeout(INTERVAL, self.seen.notified()).await;
            if let Some(marks) = self.change() {
                let what = self.name(&marks);
                return Change { what, marks };
            }
        }
    }

    fn are_there(&self) -> bool {
        let changed = self.change().is_some();
        if changed {
            self.seen.notify_one();
        }
        changed
    }

    fn accept(&self, marks: Marks) {
        *self.marks() = marks;
    }
}

/// Reads a configuration, and marks the files that it depends on.
///
/// # Errors
///
/// All problems of the configuration.
pub(crate) fn read_watched(
    read: impl Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<WatchedConfig<Changes>, ConfigErrors> {
    let mut changes = Changes::of(&read()?);
    loop {
        // Only what is read after the marks were made cannot be older than they are.
        let loaded = read()?;
        if changes.cover(&loaded) {
            return Ok(WatchedConfig { loaded, changes });
        }
        changes = Changes::of(&loaded);
    }
}

fn mark(path: &Path) -> Mark {
    let metadata = std::fs::metadata(path).ok()?;
    let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Some((metadata.ino(), metadata.size(), changed))
}
