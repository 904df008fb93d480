//! Scans the directories and updates the open files.
//!
//! Owns: the order of a scan, and the present path of each open file. Refuses to know: how bytes are read, which stream
//! a new file continues (`candidates`), and when files are closed (`closing`). Invariant: it decides from the
//! directories and the streams alone, so a lost event costs time and never a line. In doubt it reads again, which is
//! harmless because a line keeps its id. The failure it guards against: a rotation that no event reported.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::discover::{Candidate, FoundBy, Scan};
use super::fs::{FileSystem, Inode};
use super::tailer::{LastScan, Tailer};
use crate::clock::Clock;

/// A live name that has no file after a rotation is watched for this long; then the next reconcile finds its file.
const VACANCY: Duration = Duration::from_secs(60);

/// The time of a scan.
#[derive(Debug, Clone, Copy)]
pub(super) struct ScanContext {
    /// Monotonic time.
    pub(super) now: Duration,
    /// Wall time, milliseconds since 1970.
    pub(super) wall: i64,
    /// All other candidates of this scan were matched before.
    pub(super) last_chance: bool,
}

impl<F: FileSystem, C: Clock> Tailer<F, C> {
    /// Reads the directories again and follows what happened there: new, renamed, truncated and deleted files. It is
    /// right even if no event ever came.
    pub(crate) fn reconcile(&mut self) {
        let (now, wall) = (self.clock.now(), self.clock.unix_millis());
        let context = ScanContext {
            now,
            wall,
            last_chance: false,
        };
        self.earlier.believed = Some(self.trusted_clock.look(now, wall));
        // Set before the scan: if a file gets this name from now on, the next check of the name detects it.
        self.vacant
            .retain(|(path, until)| now < *until && self.fs.metadata(path).is_err());
        let mut scan = self.discover.scan(&self.fs, self.streams.known_logs());
        self.begin_scan(&mut scan);
        self.place_open_files(&scan, context);
        self.match_all(&scan, context);
        self.search(&scan, context);
        self.end_scan(&scan);
        self.close_finished();
        self.keep_to_held_open_limit();
        self.miss_deleted(now);
        self.give_up_missing(now);
        self.forget_old();
        let is_whole = !scan.incomplete && self.scan.young.is_empty() && !self.scan.has_failed;
        if self.earlier.read_all && is_whole {
            self.earlier.read_all = false;
            self.streams.mark_changed();
        }
        self.forget_matched();
        self.earlier.last = Some(wall);
        self.earlier.times_set = self.trusted_clock.times_set();
        self.earlier.at = now;
        self.measure();
    }

    /// Replaces the results of the previous scan by those of this one.
    fn begin_scan(&mut self, scan: &mut Scan) {
        let mut live_inodes: HashMap<Arc<str>, Vec<Inode>> = HashMap::new();
        for live in &scan.live {
            let inodes = live_inodes.entry(Arc::clone(&live.names[0])).or_default();
            inodes.push(live.metadata.inode);
        }
        self.scan = LastScan {
            is_complete: !scan.incomplete,
            live_inodes,
            directories: std::mem::take(&mut scan.directories),
            ..LastScan::default()
        };
        self.open.slots.begin_scan();
        self.forget_damage();
        let fs = &self.fs;
        self.ambiguous
            .retain(|problem| fs.metadata(&problem.path).is_ok());
        self.stats.unassigned_files = 0;
        self.stats.error_logs = 0;
        self.stats.problems.clone_from(&self.lasting_problems);
        self.stats.problems.append(&mut scan.problems);
        self.stats.problems.extend_from_slice(&self.ambiguous);
    }

    /// Forgets what this scan did not find, and reports its results.
    fn end_scan(&mut self, scan: &Scan) {
        let found: HashSet<Inode> = (scan.live.iter().chain(&scan.siblings))
            .map(|candidate| candidate.metadata.inode)
            .collect();
        if !scan.incomplete {
            self.open.slots.end_scan(&found);
        }
        self.stats.files_waiting = self.open.slots.waiting();
        let limit = self.settings.open_files;
        let problem = self.open.slots.problem(limit, scan.live.len());
        self.stats.problems.extend(problem);
        self.seen.retain_found(&found);
        self.streams.forget_noted_beginnings();
        self.report_dated(scan);
        self.report_unfound();
        self.remember_logs(scan);
        if self.scan.has_assigned && self.save_assignments().is_err() {
            // The next save tries again, and reports the error.
            self.streams.mark_changed();
        }
    }

    /// Remembers the names of logs, so that a file that rotates from now on is not taken for old history. A name is a
    /// log's if a path without a wildcard is this name, or if a content was found to be that log's: other names that
    /// a glob finds may be those of other logs' files.
    fn remember_logs(&mut self, scan: &Scan) {
        let read: HashSet<Arc<str>> = (self.streams.tracks())
            .map(|track| Arc::clone(&track.name))
            .collect();
        for candidate in scan.live.iter().chain(&scan.siblings) {
            for name in &candidate.names {
                if self.discover.fixes(name) || read.contains(name) {
                    self.streams.add_log(name);
                }
            }
        }
    }

    /// Finds the present paths of the open files.
    fn place_open_files(&mut self, scan: &Scan, context: ScanContext) {
        let places: HashMap<Inode, &Candidate> = scan
            .live
            .iter()
            .chain(&scan.siblings)
            .map(|candidate| (candidate.metadata.inode, candidate))
            .collect();
        self.open.look_again(&self.streams);
        for file in &mut self.open.files {
            let Some(track) = self.streams.get_mut(file.key) else {
                continue;
            };
            track.seen = context.wall;
            let was_live = file.live;
            match places.get(&file.inode) {
                Some(candidate) => {
                    // A file that a glob finds by another name than its log's is a rotated file.
                    let is_named = candidate.names.contains(&track.name);
                    file.live = candidate.live && (!candidate.is_tentative() || is_named);
                    file.visible = true;
                    if was_live && !file.live {
                        self.stats.rotations.renamed += 1;
                        leave_vacant(&mut self.vacant, &file.path, scan, context);
                        file.quiet_since = context.now;
                    }
                    if file.path != candidate.path {
                        // A live file keeps the path of its link's target.
                        file.path.clone_from(&candidate.path);
                        track.path.clone_from(&candidate.path);
                    }
                    let is_declared = candidate.by == FoundBy::Declared;
                    if is_declared || !candidate.is_of_alone(&track.name) {
                        self.streams.assign(file.key);
                    }
                }
                None => {
                    file.live = false;
                    file.visible = false;
                    if was_live {
                        self.stats.rotations.removed += 1;
                        leave_vacant(&mut self.vacant, &file.path, scan, context);
                        file.quiet_since = context.now;
                    }
                }
            }
        }
    }

    fn measure(&mut self) {
        self.stats.files_open = self.open.len();
        let hidden = self.open.iter().filter(|file| !file.visible);
        self.stats.deleted_open_bytes = hidden
            .filter_map(|file| self.fs.metadata_of(file.file()).ok())
            .filter(|metadata| metadata.links == 0)
            .map(|metadata| metadata.size)
            .sum();
    }
}

/// Records a live name without a file, until nginx creates one.
fn leave_vacant(
    vacant: &mut Vec<(std::path::PathBuf, Duration)>,
    path: &std::path::Path,
    scan: &Scan,
    context: ScanContext,
) {
    if scan.live.iter().all(|live| live.path != path) {
        vacant.push((path.to_owned(), context.now + VACANCY));
    }
}
