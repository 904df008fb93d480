//! Tests of the module as a whole: single cases, and a model of directories and crashes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod carried_files;
mod cases;
mod compressing;
mod content;
mod descriptor_slots;
mod faults;
mod foreign;
mod framed;
mod host;
mod left;
mod links;
mod many;
mod model;
mod names;
mod split_reads;
mod state;

use std::collections::BTreeMap;
use std::time::Duration;

use super::sim::SimFs;
use super::{
    CarriedFiles, FileKey, FramingSetting, Links, LogSettings, Settings, StreamId, TailError,
    Tailer,
};
use crate::clock::ManualClock;

pub(super) const LIVE: &str = "/logs/access.log";
pub(super) const DATA: &str = "/state/logweir";
/// 2026-11-23, 04:00 UTC
pub(super) const NOW: i64 = 1_795_406_400_000;
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// Settings with these paths, for any test that runs a tailer.
pub(crate) fn settings(globs: &[&str]) -> Settings {
    Settings {
        host: "web-07".to_owned(),
        data_dir: DATA.into(),
        logs: vec![LogSettings {
            paths: globs.iter().map(|&glob| glob.to_owned()).collect(),
            exclude: vec![],
            rotated: vec![],
            name: None,
            framing: FramingSetting::Raw,
        }],
        rotated_dirs: vec![],
        history: Duration::ZERO,
        retention: None,
        max_line_bytes: 4096,
        read_bytes: 64,
        held_open_bytes: 1 << 30,
        links: Links::default(),
        open_files: 1024,
        output: Some("null:x".to_owned()),
    }
}

/// A simulated host with one agent.
pub(super) struct Host {
    pub(super) fs: SimFs,
    pub(super) clock: ManualClock,
    pub(super) settings: Settings,
    pub(super) tailer: Option<Tailer<SimFs, ManualClock>>,
    ends: BTreeMap<FileKey, u64>,
}

/// A line that was handed out.
pub(super) type Read = (StreamId, u64, String);

impl Host {
    /// A host without a running agent.
    pub(super) fn new(settings: Settings) -> Self {
        let clock = ManualClock::new(NOW);
        let fs = SimFs::new(&clock, "/state");
        fs.mkdir("/logs");
        Self {
            fs,
            clock,
            settings,
            tailer: None,
            ends: BTreeMap::new(),
        }
    }

    pub(super) fn logs(globs: &[&str]) -> Self {
        Self::new(settings(globs))
    }

    pub(super) fn start(&mut self) {
        self.try_start().map_err(|error| error.to_string()).unwrap();
    }

    pub(super) fn try_start(&mut self) -> Result<(), TailError> {
        self.kill();
        let tailer = Tailer::open(
            self.settings.clone(),
            self.fs.clone(),
            self.clock.clone(),
            &mut CarriedFiles::default(),
        )?;
        self.tailer = Some(tailer);
        Ok(())
    }

    /// Ends the agent without settling the lines in delivery.
    pub(super) fn kill(&mut self) {
        self.tailer = None;
        self.ends.clear();
    }

    /// Reloads: lines in delivery are not settled, and the next tailer gets the open files of this one.
    pub(super) fn reload(&mut self) {
        let mut tailer = self.tailer.take().unwrap();
        tailer.save().unwrap();
        let mut from = tailer.into_carried_files();
        self.ends.clear();
        let (settings, fs, clock) = (self.settings.clone(), self.fs.clone(), self.clock.clone());
        self.tailer = Some(Tailer::open(settings, fs, clock, &mut from).unwrap());
    }

    pub(super) fn tailer(&mut self) -> &mut Tailer<SimFs, ManualClock> {
        self.tailer.as_mut().unwrap()
    }

    /// Reads all lines, without a scan of the directories.
    pub(super) fn read(&mut self) -> Vec<Read> {
        let mut lines = vec![];
        while let Some(chunk) = self.tailer.as_mut().unwrap().read() {
            self.ends.insert(chunk.file, chunk.end);
            let mut offset = chunk.offset;
            if chunk.cut {
                assert!(!chunk.bytes.contains(&b'\n'));
                lines.push((
                    chunk.stream,
                    offset,
                    String::from_utf8(chunk.bytes.to_vec()).unwrap(),
                ));
                continue;
            }
            for line in chunk.bytes.split_inclusive(|&byte| byte == b'\n') {
                let text = String::from_utf8(line.to_vec()).unwrap();
                lines.push((
                    chunk.stream,
                    offset,
                    text.strip_suffix('\n').unwrap().to_owned(),
                ));
                offset += line.len() as u64;
            }
            assert_eq!(offset, chunk.end);
        }
        lines
    }

    /// Scans the directories and reads all lines; returns only their texts.
    pub(super) fn texts(&mut self) -> Vec<String> {
        self.tailer().reconcile();
        self.read().into_iter().map(|(_, _, text)| text).collect()
    }

    /// Scans the directories and reads a little.
    pub(super) fn texts_of_one_chunk(&mut self) {
        self.tailer().reconcile();
        while let Some(chunk) = self.tailer().read() {
            if chunk.offset == 0 {
                return;
            }
        }
    }

    /// Settles everything that was read, and saves.
    pub(super) fn settle(&mut self) {
        for (file, end) in std::mem::take(&mut self.ends) {
            self.tailer().settle(file, end);
        }
        self.tailer().save().unwrap();
    }

    pub(super) fn restart(&mut self) {
        self.settle();
        self.start();
    }

    pub(super) fn problems(&mut self) -> Vec<String> {
        self.tailer()
            .stats()
            .problems
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    pub(super) fn wait(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}
