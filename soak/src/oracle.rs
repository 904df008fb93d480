//! The oracle: compares the written lines with the index, line by line and byte for byte.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use flate2::read::MultiGzDecoder;

use super::cluster::Document;
use super::line;
use super::logs::Log;

/// The number of lines that are named for each kind of failure.
const NAMED: usize = 20;

/// A log file contains a whole line within this many bytes.
const BEGINNING: u64 = 256 * 1024;

/// Where the documents are.
pub(super) trait Index {
    /// Hands each document to `each`; gives their number.
    fn documents(&self, each: &mut dyn FnMut(Document<'_>)) -> Result<u64>;
}

/// What was written to each log.
pub(super) type Truth = BTreeMap<char, Written>;

/// What was written to one log.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// The hash of each line by its number, 0 where there is none.
    pub(super) lines: Vec<u64>,
    /// The hashes of what remains of lines that came in two writes, when the log is truncated between them.
    pub(super) pieces: HashSet<u64>,
}

/// The result of the comparison.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    pub(super) written: u64,
    pub(super) documents: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    /// Lines that no file contains any more, in a log that is copied and truncated.
    pub(super) destroyed: u64,
    /// Documents with the rest of a line that a truncation cut.
    pub(super) pieces: u64,
    /// Documents with anything else.
    pub(super) strange: u64,
    /// Whole lines that no format matches.
    pub(super) unparsed: u64,
    pub(super) dead_lettered: u64,
    pub(super) files: u64,
    /// Logs without any line, about which nothing is known.
    pub(super) silent: String,
    /// The first lost, doubled and strange lines, with their places.
    pub(super) words: Vec<String>,
}

impl Verdict {
    pub(super) fn is_good(&self) -> bool {
        self.lost == 0
            && self.doubled == 0
            && self.strange == 0
            && self.unparsed == 0
            && self.dead_lettered == 0
            && self.silent.is_empty()
    }
}

/// The lines of a file that no rotation touches, by their numbers. Each has the letter of its log and a number of its
/// own; otherwise the file cannot be used.
pub(super) fn read_truth(path: &Path, letter: char) -> Result<Written> {
    let mut hashes = Vec::new();
    let mut wrong = None;
    each_line(path, |offset, line, complete| {
        let number = line::find(line)
            .filter(|mark| mark.0 == letter && complete)
            .map(|mark| mark.1);
        let Some(number) = number else {
            wrong.get_or_insert((offset, beginning(line)));
            return;
        };
        if hashes.len() <= number {
            hashes.resize(number + 1, 0);
        }
        match hashes.get_mut(number) {
            Some(hash) if *hash == 0 => *hash = line::hash(line),
            _ => {
                wrong.get_or_insert((offset, beginning(line)));
            }
        }
    })?;
    if let Some((offset, line)) = wrong {
        bail!(
            "{} at {offset} is no line of its own: {line}",
            path.display()
        );
    }
    Ok(Written {
        lines: hashes,
        ..Written::default()
    })
}

/// Compares.
pub(super) fn judge(
    truth: &Truth,
    logs: &[Log],
    index: &dyn Index,
    data: &Path,
) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut seen: BTreeMap<char, Vec<u8>> = truth
        .iter()
        .map(|(letter, written)| (*letter, vec![0; written.lines.len()]))
        .collect();
    let is_piece = |path: &str, line: &[u8]| {
        logs.iter()
            .filter(|log| log.copytruncate && log.owns(Path::new(path)))
            .filter_map(|log| truth.get(&log.letter))
            .any(|written| written.pieces.contains(&line::hash(line)))
    };
    let mut doubled = BTreeSet::new();
    verdict.documents = index.documents(&mut |document| {
        let line = document.original.as_bytes();
        let found = line::find(line).and_then(|(letter, number)| {
            let written = truth.get(&letter)?.lines.get(number)?;
            (*written == line::hash(line)).then_some((letter, number))
        });
        if let Some((letter, number)) = found {
            if document.unparsed && line.len() < line::LIMIT {
                verdict.unparsed += 1;
                if verdict.unparsed <= NAMED as u64 {
                    verdict.words.push(format!(
                        "unparsed {letter}-{number}: {} at {}: {}",
                        document.path,
                        document.offset,
                        beginning(line)
                    ));
                }
            }
            if let Some(count) = seen.get_mut(&letter).and_then(|seen| seen.get_mut(number)) {
                *count = count.saturating_add(1);
                if *count > 1 {
                    verdict.doubled += 1;
                    doubled.insert((letter, number));
                }
            }
        } else if is_piece(document.path, line) {
            verdict.pieces += 1;
        } else {
            verdict.strange += 1;
            if verdict.strange <= NAMED as u64 {
                verdict.words.push(format!(
                    "nobody wrote {} of {}: {} at {}: {}",
                    document.id,
                    document.index,
                    document.path,
                    document.offset,
                    beginning(line)
                ));
            }
        }
    })?;
    if !doubled.is_empty() {
        name_doubled(&doubled, index, &mut verdict)?;
    }
    let mut missing = BTreeMap::new();
    for (letter, written) in truth {
        if written.lines.iter().all(|hash| *hash == 0) {
            verdict.silent.push(*letter);
            let words = format!("nobody wrote anything to log {letter}");
            verdict.words.push(words);
        }
        let seen = seen.get(letter).map_or(&[][..], |seen| seen);
        for (number, (hash, seen)) in written.lines.iter().zip(seen).enumerate() {
            verdict.written += u64::from(*hash != 0);
            if *hash != 0 && *seen == 0 {
                missing.insert((*letter, number), *hash);
            }
        }
    }
    take_dead_letters(data, &mut missing, &mut verdict)?;
    look_in_files(missing, logs, &mut verdict)?;
    Ok(verdict)
}

fn name_doubled(
    doubled: &BTreeSet<(char, usize)>,
    index: &dyn Index,
    verdict: &mut Verdict,
) -> Result<()> {
    let named: BTreeSet<_> = doubled.iter().take(NAMED).collect();
    index.documents(&mut |document| {
        let line = document.original.as_bytes();
        if let Some(mark) = line::find(line).filter(|mark| named.contains(mark)) {
            verdict.words.push(format!(
                "doubled {}-{}: {} of {}, {} at {}",
                mark.0, mark.1, document.id, document.index, document.path, document.offset
            ));
        }
    })?;
    verdict.words.sort();
    Ok(())
}

/// Lines in the dead-letter file are not lost; but no document here deserves to be there.
fn take_dead_letters(
    data: &Path,
    missing: &mut BTreeMap<(char, usize), u64>,
    verdict: &mut Verdict,
) -> Result<()> {
    let path = data.join("dead-letters/dead-letters.ndjson");
    if !path.exists() {
        return Ok(());
    }
    each_line(&path, |_, entry, _| {
        verdict.dead_lettered += 1;
        if verdict.dead_lettered <= NAMED as u64 {
            verdict
                .words
                .push(format!("dead-lettered: {}", beginning(entry)));
        }
        if let Some(mark) = line::find(entry) {
            missing.remove(&mark);
        }
    })
}

/// A missing line is lost when some file still has it.
fn look_in_files(
    mut missing: BTreeMap<(char, usize), u64>,
    logs: &[Log],
    verdict: &mut Verdict,
) -> Result<()> {
    for path in files(logs)? {
        verdict.files += 1;
        if missing.is_empty() {
            continue;
        }
        let mut lost = 0;
        each_line(&path, |offset, line, complete| {
            let found = line::find(line).filter(|mark| {
                complete
                    && missing
                        .get(mark)
                        .is_some_and(|hash| *hash == line::hash(line))
            });
            if let Some(mark) = found {
                missing.remove(&mark);
                lost += 1;
                if lost == 1 {
                    verdict.words.push(format!(
                        "lost {}-{}: {} at {offset}: {}",
                        mark.0,
                        mark.1,
                        path.display(),
                        beginning(line)
                    ));
                }
            }
        })?;
        if lost > 1 {
            let words = format!("lost {lost} lines of {}", path.display());
            verdict.words.push(words);
        }
        verdict.lost += lost;
    }
    for (letter, number) in missing.into_keys() {
        if logs
            .iter()
            .any(|log| log.letter == letter && log.copytruncate)
        {
            verdict.destroyed += 1;
        } else {
            verdict.lost += 1;
            if verdict.lost <= NAMED as u64 {
                verdict.words.push(format!(
                    "lost {letter}-{number}: in no file, though none was removed"
                ));
            }
        }
    }
    Ok(())
}

/// All files of these logs, whatever their names: those in or below their directories that begin with a line of one.
fn files(logs: &[Log]) -> Result<BTreeSet<PathBuf>> {
    let mut files = BTreeSet::new();
    let mut folders: Vec<PathBuf> = logs
        .iter()
        .flat_map(|log| log.folders())
        .map(Path::to_owned)
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_log(&entry.path())? {
                files.insert(entry.path());
            }
        }
    }
    Ok(files)
}

fn is_log(path: &Path) -> Result<bool> {
    let mut beginning = Vec::new();
    bytes(path)?
        .take(BEGINNING)
        .read_to_end(&mut beginning)
        .with_context(|| format!("cannot read {}", path.display()))?;
    Ok(line::find(&beginning).is_some())
}

impl Log {
    /// Whether this may be one of its files.
    fn owns(&self, path: &Path) -> bool {
        self.folders().any(|folder| path.starts_with(folder))
    }
}

/// What is in a file, decompressed.
fn bytes(path: &Path) -> Result<Box<dyn Read>> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(match path.extension() {
        Some(gz) if gz == "gz" => Box::new(MultiGzDecoder::new(file)),
        _ => Box::new(file),
    })
}

/// Calls `each` with the offset and the bytes of each line, and whether it has its end.
pub(super) fn each_line(path: &Path, mut each: impl FnMut(u64, &[u8], bool)) -> Result<()> {
    let mut lines = BufReader::with_capacity(1 << 18, bytes(path)?);
    let mut line = Vec::new();
    let mut offset = 0;
    while lines.read_until(b'\n', &mut line)? > 0 {
        let whole = line.strip_suffix(b"\n");
        each(offset, whole.unwrap_or(&line), whole.is_some());
        offset += line.len() as u64;
        line.clear();
    }
    Ok(())
}

fn beginning(line: &[u8]) -> String {
    String::from_utf8_lossy(&line[..line.len().min(300)]).into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{fault, logs};

    /// Documents of log `c`, unless the path is that of another log.
    struct Given<'a>(Vec<(&'a str, &'a str)>);

    impl Index for Given<'_> {
        fn documents(&self, each: &mut dyn FnMut(Document<'_>)) -> Result<u64> {
            for (path, original) in &self.0 {
                each(Document {
                    index: "i",
                    id: "d",
                    original,
                    path,
                    offset: 0,
                    unparsed: original.contains("odd"),
                });
            }
            Ok(self.0.len() as u64)
        }
    }

    fn judged(lines: &[&str], kept: &str, documents: &[&str], copytruncate: bool) -> Verdict {
        let folder = tempfile::tempdir().unwrap();
        let mut log = logs::only('c', folder.path());
        log.copytruncate = copytruncate;
        fs::write(&log.path, "").unwrap();
        let month = folder.path().join("2026-11");
        fs::create_dir(&month).unwrap();
        let rotated = month.join("brisk.gz");
        fs::write(rotated, fault::gzip(kept.as_bytes()).unwrap()).unwrap();
        let path = log.path.to_str().unwrap().to_owned();
        let documents = documents.iter().map(|line| (&*path, *line)).collect();
        let hashes = lines.iter().map(|line| line::hash(line.as_bytes()));
        let written = Written {
            lines: hashes.collect(),
            pieces: HashSet::from([line::hash(b"=c-2. c")]),
        };
        let truth = Truth::from([('c', written)]);
        judge(&truth, &[log], &Given(documents), folder.path()).unwrap()
    }

    const LINES: [&str; 3] = [
        "GET /?mark=c-0. a",
        "GET /?mark=c-1. b",
        "GET /?mark=c-2. c",
    ];

    #[test]
    fn what_is_there_once_is_good() {
        let verdict = judged(&LINES, "", &LINES, false);
        assert!(verdict.is_good(), "{verdict:?}");
        assert_eq!((verdict.written, verdict.documents), (3, 3));
        assert_eq!(verdict.files, 0, "both are empty");
    }

    #[test]
    fn a_line_that_is_missing_is_lost_and_found_in_its_file() {
        let kept = format!("{}\n{}\n", LINES[0], LINES[1]);
        let verdict = judged(&LINES, &kept, &[LINES[0], LINES[2]], true);
        assert_eq!((verdict.lost, verdict.doubled), (1, 0));
        assert_eq!(verdict.files, 1);
        assert!(!verdict.is_good());
        assert!(
            verdict.words[0].contains(".gz at 18: GET /?mark=c-1. b"),
            "{:?}",
            verdict.words
        );
    }

    #[test]
    fn what_no_file_has_is_destroyed_only_where_a_log_is_truncated() {
        let destroyed = |truncated| {
            let verdict = judged(&LINES, "", &LINES[1..], truncated);
            (verdict.lost, verdict.destroyed, verdict.is_good())
        };
        assert_eq!(destroyed(true), (0, 1, true));
        assert_eq!(destroyed(false), (1, 0, false));
    }

    #[test]
    fn a_second_document_of_a_line_is_doubled() {
        let verdict = judged(&LINES, "", &[LINES[0], LINES[1], LINES[2], LINES[1]], false);
        assert_eq!((verdict.lost, verdict.doubled), (0, 1));
        assert!(!verdict.is_good());
        assert_eq!(verdict.words.len(), 2, "both are named");
    }

    #[test]
    fn a_whole_line_that_no_format_took_is_no_success() {
        let lines = ["GET /?mark=c-0. odd", LINES[1]];
        let verdict = judged(&lines, "", &lines, false);
        assert_eq!((verdict.lost, verdict.unparsed), (0, 1));
        assert!(!verdict.is_good());
        // A cut line cannot be parsed.
        let long = format!("{}{}", lines[0], "z".repeat(line::LIMIT));
        let verdict = judged(&[&long], "", &[&long[..line::LIMIT]], false);
        assert!(verdict.is_good(), "{verdict:?}");
    }

    #[test]
    fn a_log_without_a_line_proves_nothing() {
        assert!(!judged(&[], "", &[], false).is_good());
    }

    #[test]
    fn a_truth_is_whole_and_of_one_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.log");
        let read = |text: &str| {
            fs::write(&path, text).unwrap();
            read_truth(&path, 'c').map(|written| written.lines.len())
        };
        assert_eq!(read("?mark=c-1. b\n?mark=c-0. a\n").unwrap(), 2);
        for wrong in [
            "?mark=c-0. a\n?mark=c-0. b\n",
            "?mark=d-0. a\n",
            "a\n",
            "?mark=c-0. a",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_rest_of_a_line_is_a_piece_where_it_was_torn_and_strange_elsewhere() {
        let counts = |piece, truncated| {
            let documents = [LINES[0], LINES[1], LINES[2], piece];
            let verdict = judged(&LINES, "", &documents, truncated);
            (verdict.strange, verdict.pieces, verdict.is_good())
        };
        assert_eq!(counts("=c-2. c", true), (0, 1, true));
        assert_eq!(counts("=c-2. c", false), (1, 0, false));
        assert_eq!(counts("c-2. c", true), (1, 0, false));
    }
}
