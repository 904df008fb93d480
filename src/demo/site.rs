//! The demo's directory: the logs that are written as nginx would, and the configuration of the agent that reads them.
//!
//! Owns the directory, which is removed at the end. Refuses to know the agent. Invariant: every line is written whole, by one
//! write, and counted.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::traffic::{FORMAT, Traffic};

/// Parts of a second that its lines are spread over.
pub(super) const PARTS: usize = 10;
const SECONDS_PER_DAY: i64 = 86_400;
/// Bytes of the past that are written at once.
const PAST_BYTES: usize = 1 << 20;

/// A site that is visited.
pub(super) struct Site {
    directory: PathBuf,
    keep: bool,
    log: File,
    traffic: Traffic,
    /// Lines written so far.
    pub(super) lines: u64,
    /// Lines of the second that is being written.
    second: Vec<String>,
}

impl Site {
    /// Makes a directory in `parent`; `number` makes its name its own.
    ///
    /// A round of attacks begins at the second `origin`.
    pub(super) fn new(parent: &Path, number: u32, keep: bool, origin: i64) -> io::Result<Self> {
        let directory = parent.join(format!("logweir-demo-{number}"));
        // Others must not be able to put links there, nor to read.
        DirBuilder::new().mode(0o700).create(&directory)?;
        let path = directory.join("access.log");
        let log = open(&path)?;
        let site = Self {
            log,
            keep,
            traffic: Traffic::new(1, origin),
            lines: 0,
            second: Vec::new(),
            directory,
        };
        fs::write(site.config(), site.configuration())?;
        Ok(site)
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration file of its agent.
    pub(super) fn config(&self) -> PathBuf {
        self.directory.join("logweir.toml")
    }

    /// The directory of the agent's store.
    pub(super) fn store(&self) -> PathBuf {
        self.directory.join("state/store")
    }

    fn configuration(&self) -> String {
        let directory = self.directory.display();
        let format = FORMAT.replace('\'', "");
        format!(
            "data_dir = '{directory}/state'\ndiscover = false\nhistory = '10000d'\n\n\
             [[logs]]\npaths = ['{directory}/access.log']\nformat = '{format}'\n\n\
             [store]\nretention = '10000d'\n\n\
             [[routes]]\npath = '/login'\nkind = 'login'\nmethods = ['POST']\nsuccess = ['200']\n\n\
             [[routes]]\npath = '/api/v1/export/customers'\nkind = 'sensitive'\n\n\
             [http]\nlisten = '127.0.0.1:0'\n"
        )
    }

    /// Writes the log of one past day, from `first` to before `end` (seconds since 1970), as a rotated file. `progress`
    /// gets the lines written so far.
    pub(super) fn write_past_day(
        &mut self,
        first: i64,
        end: i64,
        days_ago: i64,
        mut progress: impl FnMut(u64),
    ) -> io::Result<()> {
        let mut log = open(&self.directory.join(format!("access.log.{days_ago}")))?;
        let mut text = String::with_capacity(2 * PAST_BYTES);
        for second in first..end {
            self.lines += self.traffic.second(second, &mut text);
            if text.len() >= PAST_BYTES || second + 1 == end {
                log.write_all(text.as_bytes())?;
                text.clear();
                progress(self.lines);
            }
        }
        Ok(())
    }

    /// Begins a second: its lines are made.
    pub(super) fn begin_second(&mut self, second: i64) {
        let mut text = String::new();
        self.traffic.second(second, &mut text);
        self.second = text.split_inclusive('\n').map(str::to_owned).collect();
        self.second.reverse();
    }

    /// Writes the lines of one of [`PARTS`] parts of the second; `part` counts from 0.
    pub(super) fn write_part(&mut self, part: usize) -> io::Result<()> {
        let parts_left = PARTS.saturating_sub(part).max(1);
        let count = self.second.len().div_ceil(parts_left);
        let lines: String = self
            .second
            .drain(self.second.len() - count..)
            .rev()
            .collect();
        self.log.write_all(lines.as_bytes())?;
        self.lines += count as u64;
        Ok(())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed is the system's to remove: it is a temporary directory.
            let _ = fs::remove_dir_all(&self.directory);
        }
    }
}

/// The past as days of UTC, oldest first: first second, second behind the last, and how many days ago.
pub(super) fn past_days(now: i64, seconds: i64) -> Vec<(i64, i64, i64)> {
    let today = now.div_euclid(SECONDS_PER_DAY);
    let oldest = (now - seconds).div_euclid(SECONDS_PER_DAY);
    (oldest..=today)
        .map(|day| {
            let first = (day * SECONDS_PER_DAY).max(now - seconds);
            let end = ((day + 1) * SECONDS_PER_DAY).min(now);
            // the day of today is a rotated file too: the live log begins now
            (first, end, today - day + 1)
        })
        .filter(|(first, end, _)| first < end)
        .collect()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create_new(true)
        .mode(0o640)
        .open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: i64 = 20_780 * SECONDS_PER_DAY + 600;

    #[test]
    fn the_past_is_cut_at_midnight_and_now() {
        assert_eq!(past_days(NOW, 0), []);
        assert_eq!(
            past_days(NOW, SECONDS_PER_DAY),
            [(NOW - SECONDS_PER_DAY, NOW - 600, 2), (NOW - 600, NOW, 1)]
        );
    }

    #[test]
    fn all_lines_of_a_second_are_written_in_parts_and_counted() {
        let parent = tempfile::tempdir().unwrap();
        let mut site = Site::new(parent.path(), 1, false, NOW).unwrap();
        for second in 0..5 {
            site.begin_second(NOW + second);
            for part in 0..PARTS {
                site.write_part(part).unwrap();
            }
        }
        let log = fs::read_to_string(site.directory().join("access.log")).unwrap();
        assert_eq!(log.lines().count() as u64, site.lines);
        let mut expected = String::new();
        let mut traffic = Traffic::new(1, NOW);
        let lines = (0..5).map(|second| traffic.second(NOW + second, &mut expected));
        assert_eq!(lines.sum::<u64>(), site.lines);
        assert_eq!(log, expected);
        drop(site);
        assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    }
}
