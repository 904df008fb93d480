//! The formats that nginx.conf had at earlier starts, kept in `data_dir/formats.json`.
//!
//! After a reload old nginx workers write the old format for hours, and archives hold last year's: a format
//! that was once right stays worth trying. Invariant: losing this file loses no line; lines in an old format
//! would be indexed whole and unparsed.

use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;

const FILE: &str = "formats.json";

/// Formats beyond this many are forgotten, the oldest first: each costs an attempt per odd line, some hundred
/// nanoseconds. More than anybody changes nginx.conf while a backlog is read.
const KEPT: usize = 256;

/// Adds the formats of earlier starts to the logs that take them, and remembers those of this one.
pub(super) fn join(config: &mut Config) {
    let path = config.data_dir.join(FILE);
    let mut seen = read(&path);
    let present = config.logs.iter().filter(|log| log.auto);
    let present = present.flat_map(|log| log.formats.iter().map(|format| format.directive()));
    remember(&mut seen, present);
    if let Err(error) = write(&path, &seen) {
        tracing::warn!(path = %path.display(), %error, "cannot keep the formats seen");
    }
    for note in config.add_formats(&seen) {
        tracing::warn!("{note}");
    }
}

/// The present ones become the youngest. A format counts once, whatever its names: an operator who keeps the old
/// text under another name must not push out what is older.
fn remember(seen: &mut Vec<String>, present: impl Iterator<Item = String>) {
    for directive in present {
        seen.retain(|known| text(known) != text(&directive));
        seen.push(directive);
    }
    seen.drain(..seen.len().saturating_sub(KEPT));
}

/// A directive without its name: `escape=… '…';`.
fn text(directive: &str) -> &str {
    directive.splitn(3, ' ').nth(2).unwrap_or(directive)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn directive(name: &str, version: usize) -> String {
        format!("log_format {name} escape=default '$msec v{version}';")
    }

    #[test]
    fn what_is_used_now_is_forgotten_last_and_each_text_counts_once() {
        let mut seen = Vec::new();
        for version in 1..=2 * KEPT {
            // The first is always there, and the one before under another name.
            let present = [
                directive("main", 0),
                directive("shop_before", version - 1),
                directive("shop", version),
            ];
            remember(&mut seen, present.into_iter());
        }
        assert_eq!(seen.len(), KEPT);
        let knows = |version| {
            let wanted = directive("", version);
            seen.iter().any(|known| text(known) == text(&wanted))
        };
        assert!(knows(0), "{seen:?}");
        assert!((KEPT + 2..=2 * KEPT).all(knows), "{seen:?}");
    }
}
