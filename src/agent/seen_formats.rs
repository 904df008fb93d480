//! The formats that nginx.conf had at earlier starts, kept in `data_dir/formats.json`.
//!
//! After a reload old nginx workers write the old format for hours, and archives contain formats of last year, so an old
//! format is still tried. Invariant: losing this file loses no line; lines in an old format would be indexed unparsed.
//! The file is written as durably as positions, and a file that cannot be read is never overwritten: it may be readable
//! again later.

use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::disk::{Disk, DiskError, HostDisk, Replaced, replace};

const FILE: &str = "formats.json";

/// Formats beyond this number are forgotten, the oldest first: each costs an attempt per odd line, some hundred
/// nanoseconds. Nobody changes nginx.conf so often while a backlog is read.
const KEPT: usize = 256;

/// The content of the file.
#[derive(Debug, Default, PartialEq)]
struct Kept {
    /// The formats in it; empty where there is no file.
    text: Vec<u8>,
    formats: Vec<String>,
}

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    /// It cannot be read now, but may be intact.
    #[error(
        "the formats seen before cannot be read: {0}; they are left as they are, and those of nginx.conf now \
         are not kept"
    )]
    Unreadable(io::Error),
    /// Its content is invalid.
    #[error("the formats seen before are damaged: {0}")]
    Damaged(serde_json::Error),
}

/// Adds the formats of earlier starts to the logs that take them, and remembers those of this one.
pub(super) fn join(config: &mut Config) {
    let path = config.data_dir.join(FILE);
    let present = config.formats_of(|log| log.auto).into_iter();
    let present = present.map(|format| format.directive());
    let seen = keep(&HostDisk, &path, present, |problem| {
        tracing::warn!(path = %path.display(), "{problem}");
    });
    for note in config.add_formats(&seen) {
        tracing::warn!("{note}");
    }
}

/// Remembers the current formats; returns all that are known.
fn keep(
    disk: &dyn Disk,
    path: &Path,
    present: impl Iterator<Item = String>,
    mut warn: impl FnMut(String),
) -> Vec<String> {
    let before = match read(disk, path) {
        Ok(kept) => kept,
        Err(problem @ Unusable::Unreadable(_)) => {
            warn(problem.to_string());
            return Vec::new();
        }
        Err(problem @ Unusable::Damaged(_)) => match set_aside(disk, path) {
            Ok(aside) => {
                warn(format!("{problem}; they are in {} now", aside.display()));
                Kept::default()
            }
            Err(error) => {
                warn(format!("{problem}, and cannot be set aside: {error}"));
                return Vec::new();
            }
        },
    };
    let mut seen = before.formats;
    remember(&mut seen, present);
    if let Err(error) = write(disk, path, &seen, &before.text) {
        warn(format!("the formats of nginx.conf are not kept: {error}"));
    }
    seen
}

/// The current formats become the youngest. A format counts once, whatever its names: an operator who keeps the old text
/// under another name must not displace older formats.
fn remember(seen: &mut Vec<String>, present: impl Iterator<Item = String>) {
    let present: Vec<String> = present.collect();
    let mut texts = HashSet::new();
    let present: Vec<String> = (present.iter().rev())
        .filter(|directive| texts.insert(text(directive)))
        .cloned()
        .collect();
    seen.retain(|known| !texts.contains(text(known)));
    seen.extend(present.into_iter().rev());
    seen.drain(..seen.len().saturating_sub(KEPT));
}

/// A directive without its name: `escape=… '…';`.
fn text(directive: &str) -> &str {
    directive.splitn(3, ' ').nth(2).unwrap_or(directive)
}

/// The formats that earlier starts saw, as `log_format` directives.
pub(crate) fn seen(config: &Config) -> Vec<String> {
    let path = config.data_dir.join(FILE);
    match read(&HostDisk, &path) {
        Ok(kept) => kept.formats,
        Err(problem) => {
            tracing::warn!(path = %path.display(), "{problem}");
            Vec::new()
        }
    }
}

fn read(disk: &dyn Disk, path: &Path) -> Result<Kept, Unusable> {
    let text = match disk.read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(Unusable::Unreadable(error)),
    };
    let formats = serde_json::from_slice(&text).map_err(Unusable::Damaged)?;
    Ok(Kept { text, formats })
}

/// Keeps the damaged file for inspection.
fn set_aside(disk: &dyn Disk, path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("json.damaged");
    disk.rename(path, &aside)?;
    Ok(aside)
}

fn write(disk: &dyn Disk, path: &Path, seen: &[String], before: &[u8]) -> Result<(), DiskError> {
    let text = serde_json::to_vec_pretty(seen)
        .map_err(|source| DiskError::new("write", path, source.into()))?;
    if text == before {
        return Ok(());
    }
    replace(disk, Replaced::state(path), |out| out.write_all(&text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustix::io::Errno;

    use super::*;
    use crate::disk::sim::{Op, SimDisk};

    const PATH: &str = "/state/formats.json";

    fn new_disk() -> SimDisk {
        SimDisk::new("/state")
    }

    /// Starts with these formats; returns all known formats, and the warnings.
    fn start(disk: &SimDisk, versions: &[usize]) -> (Vec<String>, Vec<String>) {
        let mut warnings = vec![];
        let present = versions.iter().map(|version| directive("main", *version));
        let seen = keep(disk, Path::new(PATH), present, |warning| {
            warnings.push(warning)
        });
        (seen, warnings)
    }

    fn quietly(disk: &SimDisk, versions: &[usize]) -> Vec<String> {
        let (seen, warnings) = start(disk, versions);
        assert_eq!(warnings, [""; 0]);
        seen
    }

    #[test]
    fn formats_survive_a_power_failure_at_every_step_of_saving() {
        for steps in 0..6 {
            for kept in 0..3 {
                for torn in [0, 100, 255] {
                    let disk = new_disk();
                    quietly(&disk, &[1, 2]);
                    disk.die_after(steps);
                    let (_, warnings) = start(&disk, &[3]);
                    disk.heal();
                    disk.power_cut(kept, torn);
                    let known = quietly(&disk, &[]);
                    let all = [1, 2, 3].map(|version| directive("main", version));
                    assert!(
                        known == all || known == all[..2],
                        "{steps} {kept} {torn}: {known:?}"
                    );
                    assert!(
                        known == all || !warnings.is_empty(),
                        "lost without a warning"
                    );
                }
            }
        }
    }

    #[test]
    fn unreadable_formats_are_not_overwritten() {
        for error in [Errno::ACCESS, Errno::IO, Errno::MFILE] {
            let disk = new_disk();
            quietly(&disk, &[1, 2]);
            disk.faults().add(Op::Read, PATH, error, 0, 1);
            let (seen, warnings) = start(&disk, &[3]);
            assert_eq!(seen, [""; 0]);
            assert!(warnings.join("").contains("cannot be read"), "{warnings:?}");
            assert_eq!(quietly(&disk, &[]).len(), 2);
            assert_eq!(quietly(&disk, &[3]).len(), 3);
        }
    }

    #[test]
    fn damaged_formats_are_set_aside() {
        for damaged in [
            &b""[..],
            b"[\"log_format main",
            b"{\"formats\":[]}",
            b"\0\0\0",
        ] {
            let disk = new_disk();
            quietly(&disk, &[1, 2]);
            disk.put(PATH, damaged);
            let (seen, warnings) = start(&disk, &[3]);
            assert_eq!(seen, [directive("main", 3)]);
            assert!(
                warnings.join("").contains("/state/formats.json.damaged"),
                "{warnings:?}"
            );
            assert_eq!(disk.content("/state/formats.json.damaged"), damaged);
            assert_eq!(quietly(&disk, &[]), seen);
            // Where even that fails, the file stays.
            disk.put(PATH, damaged);
            disk.faults().add(Op::Rename, PATH, Errno::ROFS, 0, 1);
            let (seen, warnings) = start(&disk, &[3]);
            assert_eq!((seen.len(), warnings.len()), (0, 1));
            assert_eq!(disk.content(PATH), damaged);
        }
    }

    fn directive(name: &str, version: usize) -> String {
        format!("log_format {name} escape=default '$msec v{version}';")
    }

    #[test]
    fn current_formats_are_forgotten_last_and_each_text_counts_once() {
        let mut seen = Vec::new();
        for version in 1..=2 * KEPT {
            // The first file always exists, and its predecessor under another name.
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
