//! Detects changes of nginx.conf, its included files, OpenAPI documents and the files of `[enrich]`.
//!
//! It polls, and also checks when a line is in no known format: an editor's rename, a new mount and a new file in
//! `sites-enabled` are all found the same way. Refuses to know what the files contain. Invariant: the marks are taken
//! before the files are read, so that no change between the two is missed.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::ports::{ConfigChanges, WatchedConfig};
use crate::config::{ConfigErrors, Files, Loaded, System};

/// The polling interval.
const INTERVAL: Duration = Duration::from_secs(5);

/// Inode, size and time of change in nanoseconds; `None` for what is not there.
type Mark = Option<(u64, u64, i128)>;

/// The files with their marks.
pub(super) type Marks = Vec<(PathBuf, Mark)>;

/// A file has changed.
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
    /// The files that are not nginx's, each with the text that reports a change.
    others: Vec<(PathBuf, &'static str)>,
    /// Whether a change was seen.
    seen: Notify,
}

impl Changes {
    /// Watches the files of nginx.conf, the OpenAPI documents, which are deployed with the application, and the files of
    /// `[enrich]`, which other programs replace, such as geoipupdate. logweir's own file is read again only on SIGHUP: an
    /// operator who edits it chooses the moment.
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

    /// Whether they are the same files, so that `self` also detects changes of the files that `loaded` was read from.
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
    /// Waits for a change; never returns when there are no files.
    async fn next(&self) -> Change {
        if self.marks().is_empty() {
            return std::future::pending().await;
        }
        loop {
            // It checks the files itself, whenever it is woken.
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

/// Reads a configuration, and takes marks of the files that it depends on.
///
/// # Errors
///
/// All problems of the configuration.
pub(crate) fn read_watched(
    read: impl Fn() -> Result<Loaded, ConfigErrors>,
) -> Result<WatchedConfig<Changes>, ConfigErrors> {
    let mut changes = Changes::of(&read()?);
    loop {
        // The configuration must be read after the marks are taken, so that it is not older than they are.
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
