//! The formats that nginx.conf had at earlier starts, kept in `data_dir/formats.json`.
//!
//! After a reload old nginx workers write the old format for hours, and archives hold last year's: a format
//! that was once right stays worth trying. Invariant: losing this file loses no line; lines in an old format
//! would be indexed whole and unparsed.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;

const FILE: &str = "formats.json";

/// Formats beyond this many are forgotten, the oldest first: each costs an attempt per odd line.
const KEPT: usize = 32;

/// Adds the formats of earlier starts to the logs that take them, and remembers those of this one.
pub(super) fn join(config: &mut Config) {
    let path = config.data_dir.join(FILE);
    let mut seen = read(&path);
    for log in config.logs.iter().filter(|log| log.auto) {
        for directive in log.formats.iter().map(|format| format.directive()) {
            if !seen.contains(&directive) {
                seen.push(directive);
            }
        }
    }
    seen.drain(..seen.len().saturating_sub(KEPT));
    if let Err(error) = write(&path, &seen) {
        tracing::warn!(path = %path.display(), %error, "cannot keep the formats seen");
    }
    for note in config.add_formats(&seen) {
        tracing::warn!("{note}");
    }
}

/// The formats that earlier starts saw, as `log_format` directives.
pub fn seen(config: &Config) -> Vec<String> {
    read(&config.data_dir.join(FILE))
}

fn read(path: &Path) -> Vec<String> {
    match std::fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
            tracing::warn!(path = %path.display(), %error, "the formats seen before are unreadable");
            Vec::new()
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the formats seen before are unreadable");
            Vec::new()
        }
    }
}

fn write(path: &Path, seen: &[String]) -> io::Result<()> {
    let text = serde_json::to_vec_pretty(seen)?;
    if std::fs::read(path).is_ok_and(|old| old == text) {
        return Ok(());
    }
    let new: PathBuf = path.with_extension("json.new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}
