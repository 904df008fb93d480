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
use crate::tail::fs::{FileSystem, HostFs};
use crate::tail::{TailError, replace_file};

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
    let seen = keep(&HostFs, &path, present, |problem| {
        tracing::warn!(path = %path.display(), "{problem}");
    });
    for note in config.add_formats(&seen) {
        tracing::warn!("{note}");
    }
}

/// Remembers the current formats; returns all that are known.
fn keep<F: FileSystem>(
    fs: &F,
    path: &Path,
    present: impl Iterator<Item = String>,
    mut warn: impl FnMut(String),
) -> Vec<String> {
    let before = match read(fs, path) {
        Ok(kept) => kept,
        Err(problem @ Unusable::Unreadable(_)) => {
            warn(problem.to_string());
            return Vec::new();
        }
        Err(problem @ Unusable::Damaged(_)) => match set_aside(fs, path) {
            Ok(aside) => {
                warn(format!("{problem}; they lie in {} now", aside.display()));
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
    if let Err(error) = write(fs, path, &seen, &before.text) {
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
    match read(&HostFs, &path) {
        Ok(kept) => kept.formats,
        Err(problem) => {
            tracing::warn!(path = %path.display(), "{problem}");
            Vec::new()
        }
    }
}

fn read<F: FileSystem>(fs: &F, path: &Path) -> Result<Kept, Unusable> {
    let text = match fs.read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Kept::default()),
        Err(error) => return Err(Unusable::Unreadable(error)),
    };
    let formats = serde_json::from_slice(&text).map_err(Unusable::Damaged)?;
    Ok(Kept { text, formats })
}

/// Keeps the damaged file for inspection.
fn set_aside<F: FileSystem>(fs: &F, path: &Path) -> io::Result<PathBuf> {
    let aside = path.with_extension("json.damaged");
    fs.rename(path, &aside)?;
    Ok(aside)
}

fn write<F: FileSystem>(
    fs: &F,
    path: &Path,
    seen: &[String],
    before: &[u8],
) -> Result<(), TailError> {
    let text = serde_json::to_vec_pretty(seen).map_err(|source| TailError::State {
        action: "write",
        path: path.to_owned(),
        source: source.into(),
    })?;
    if text == before {
        return Ok(());
    }
    replace_file(fs, path, &text)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use rustix::io::Errno;

    use super::*;
    use crate::clock::ManualClock;
    use crate::tail::sim::{Op, SimFs};

    const PATH: &str = "/state/formats.json";

    fn disk() -> SimFs {
        let fs = SimFs::new(&ManualClock::new(0), "/state");
        fs.mkdir("/state");
        fs
    }

    /// Starts with these formats; returns all known formats, and the warnings.
    fn start(fs: &SimFs, versions: &[usize]) -> (Vec<String>, Vec<String>) {
        let mut warnings = vec![];
        let present = versions.iter().map(|version| directive("main", *version));
        let seen = keep(fs, Path::new(PATH), present, |warning| {
            warnings.push(warning)
        });
        (seen, warnings)
    }

    fn quietly(fs: &SimFs, versions: &[usize]) -> Vec<String> {
        let (seen, warnings) = start(fs, versions);
        assert_eq!(warnings, [""; 0]);
        seen
    }

    #[test]
    fn formats_survive_a_power_failure_at_every_step_of_saving() {
        for steps in 0..6 {
            for kept in 0..3 {
                for torn in [0, 100, 255] {
                    let fs = disk();
                    quietly(&fs, &[1, 2]);
                    fs.die_after(steps);
                    let (_, warnings) = start(&fs, &[3]);
                    fs.heal();
                    fs.power_cut(kept, torn);
                    let known = quietly(&fs, &[]);
                    let all = [1, 2, 3].map(|version| directive("main", version));
                    assert!(
                        known == all || known == all[..2],
                        "{steps} {kept} {torn}: {known:?}"
                    );
                    assert!(known == all || !warnings.is_empty(), "said to be kept");
                }
            }
        }
    }

    #[test]
    fn unreadable_formats_are_not_overwritten() {
        for error in [Errno::ACCESS, Errno::IO, Errno::MFILE] {
            let fs = disk();
            quietly(&fs, &[1, 2]);
            fs.fail(Op::Read, PATH, error, 1);
            let (seen, warnings) = start(&fs, &[3]);
            assert_eq!(seen, [""; 0]);
            assert!(warnings.join("").contains("cannot be read"), "{warnings:?}");
            assert_eq!(quietly(&fs, &[]).len(), 2);
            assert_eq!(quietly(&fs, &[3]).len(), 3);
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
            let fs = disk();
            quietly(&fs, &[1, 2]);
            fs.put(PATH, damaged);
            let (seen, warnings) = start(&fs, &[3]);
            assert_eq!(seen, [directive("main", 3)]);
            assert!(
                warnings.join("").contains("/state/formats.json.damaged"),
                "{warnings:?}"
            );
            assert_eq!(fs.content("/state/formats.json.damaged"), damaged);
            assert_eq!(quietly(&fs, &[]), seen);
            // Where even that fails, the file stays.
            fs.put(PATH, damaged);
            fs.fail(Op::Rename, PATH, Errno::ROFS, 1);
            let (seen, warnings) = start(&fs, &[3]);
            assert_eq!((seen.len(), warnings.len()), (0, 1));
            assert_eq!(fs.content(PATH), damaged);
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
