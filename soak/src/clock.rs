//! The agent's wall clock, moved while it runs: libfaketime (<https://github.com/wolfcw/libfaketime>) is loaded between
//! it and the C library, and reads the offset from a file each time the agent asks.
//!
//! Only that clock moves: the monotonic one and the times of files stay as they are, as on a host whose clock is set.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use testkit::tools;

/// A clock that can be moved.
pub(super) struct Clock {
    library: PathBuf,
    file: PathBuf,
}

impl Clock {
    /// A clock without an offset; none where libfaketime is missing.
    pub(super) fn new(folder: &Path) -> Result<Option<Self>> {
        let Some(library) = tools::faketime() else {
            return Ok(None);
        };
        let clock = Self {
            library,
            file: folder.join("clock"),
        };
        clock.set(0)?;
        Ok(Some(clock))
    }

    /// Sets it this many seconds ahead.
    pub(super) fn set(&self, ahead: i64) -> Result<()> {
        // The file is replaced whole: libfaketime takes an unreadable one for no offset.
        let next = self.file.with_extension("next");
        fs::write(&next, format!("{ahead:+}\n"))?;
        Ok(fs::rename(next, &self.file)?)
    }

    /// Makes the program use it.
    pub(super) fn govern(&self, command: &mut Command) {
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", &self.file)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
    }
}

/// Removes the files that libfaketime leaves behind for a killed program; they would break a later program with the
/// same process id.
pub(super) fn forget(id: u32) {
    for name in ["faketime_shm_", "sem.faketime_sem_"] {
        // Most programs leave nothing.
        let _ = fs::remove_file(format!("/dev/shm/{name}{id}"));
    }
}
